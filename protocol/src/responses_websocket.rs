//! The Responses API over a WebSocket: what a client's frames ask for, the conversation that a connection keeps, and the
//! frames that the client gets.
//!
//! A frame of the client is `{"type":"response.create", …}` with the members of a request body. Its `input` has only what is
//! new, if `previous_response_id` names a response of the same connection: [`Conversation`] makes a whole request of it, and
//! keeps what the reply adds. A frame of the server is the data of one event of the reply ([`ReplyFrames`]).

mod client_event;
mod conversation;
mod error_frame;
mod reply_frames;
mod warm_up;

pub use self::client_event::{ClientEvent, CreateFrame, Generation, SteerFrame};
pub use self::conversation::{Conversation, Turn};
pub use self::error_frame::{FrameError, error_frame};
pub use self::reply_frames::{EventFrame, ReplyFrames};
pub use self::warm_up::WarmUp;
