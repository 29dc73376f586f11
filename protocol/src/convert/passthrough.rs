//! Replies of an upstream that has the client's API. A tap reads a reply that is forwarded unchanged; `delivery` converts between
//! a stream and a whole reply.

mod chat;
mod delivery;
mod endpoint;
mod messages;
mod plain_message;
mod responses;

pub use self::chat::{ChatTap, parsed_completion, summary_of_completion};
pub use self::delivery::{
    chunks_as_completion, completion_as_chunks, events_as_message, events_as_response, message_as_events,
    response_as_events,
};
pub use self::endpoint::{EndpointTap, parsed_endpoint_reply};
pub use self::messages::{MessagesTap, parsed_message, summary_of_message};
pub use self::responses::{ResponsesTap, parsed_response};
