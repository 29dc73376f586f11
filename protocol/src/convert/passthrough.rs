//! Client and upstream speak the same API: taps read along, and a reply can change between stream and whole.

mod chat;
mod delivery;
mod messages;

pub use self::chat::{ChatTap, summary_of_completion};
pub use self::delivery::{chunks_as_completion, completion_as_chunks, events_as_message, message_as_events};
pub use self::messages::{MessagesTap, summary_of_message};
