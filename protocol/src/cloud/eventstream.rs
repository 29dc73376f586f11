//! The `application/vnd.amazon.eventstream` of Bedrock: frames whose payload has one event of the Messages API in base64.
//!
//! A frame is a prelude (its length, the length of its headers, a checksum), headers, a payload, and a checksum over all of it
//! (smithy.io/2.0/aws/amazon-eventstream.html).

mod decoder;
mod encoder;
mod frame;

pub use self::decoder::EventStreamDecoder;
pub use self::encoder::EventStreamEncoder;
pub use self::frame::EventStreamError;
