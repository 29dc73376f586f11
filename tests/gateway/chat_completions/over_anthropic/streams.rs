//! Streams and whole replies (spec §5.3).

use super::{anthropic, streamed, whole};
use crate::support::chat;

#[test]
fn text_arrives_streamed_and_whole() {
    assert_eq!(chat::text(&streamed(anthropic::text(&["Hello ", "thére!"]))), "Hello thére!");
    assert_eq!(chat::text(&whole(anthropic::whole("Hello thére!"))), "Hello thére!");
}
