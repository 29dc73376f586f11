//! The conversation of a Messages request as every upstream codec reads it: turns, content parts, calls and their results. The
//! codecs write it in the form of their APIs.

mod assistant;
mod blocks;
mod documents;
mod image;
mod inner_text;
mod pairing;
mod server_blocks;
mod system;
mod tool_output;
mod turns;
mod user;

pub(crate) use assistant::{joined_texts, moved_parts};
pub(crate) use blocks::{BlockPath, MediaSupport};
pub(crate) use documents::ShownPart;
pub(crate) use inner_text::{is_blank, join};
pub(crate) use pairing::{PairedToolUse, ToolUsePairing};
pub(crate) use system::{System, system_texts};
pub(crate) use tool_output::{ToolOutput, UNANSWERED};
pub(crate) use turns::{RequestTurn, TurnRole, effort_level, read_turns};
pub(crate) use user::{UserContext, UserPart};
