//! The data of a stream that waits for a slow client.

use std::io::Read as _;
use std::time::Duration;

use crate::support::canned::anthropic;
use crate::support::client::{connect, prompt};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Upstream};

/// Requirement: at its bound, `client-channel` delays a stream and loses nothing of it. (How much is read ahead for a
/// client that reads nothing: `liveness::bounds`, `connections::slow_readers`.)
#[test]
fn a_client_slower_than_its_stream_gets_all_of_it_through_the_smallest_channel() {
    let words: Vec<String> = (0..400).map(|number| format!("{number:08}").repeat(500)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let upstream = Upstream::anthropic().always(Answer::events(anthropic::text(&words)));
    let gateway = Gateway::before(&upstream).limit("client-channel", 1).start();
    let mut stream = connect(gateway.address);
    std::io::Write::write_all(&mut stream, &gateway.messages(&prompt(MODEL, "hi")).bytes())
        .expect("it listens");
    let mut reply = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while !reply.ends_with(b"0\r\n\r\n") {
        let read = stream.read(&mut buffer).expect("the rest of the reply");
        assert!(read > 0, "the reply ends too early");
        reply.extend_from_slice(&buffer[..read]);
        if reply.len() < 1 << 20 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let text = String::from_utf8_lossy(&reply);
    assert!(text.contains("event: message_stop") && !text.contains("event: error"));
    assert!(reply.len() > words.iter().map(|word| word.len()).sum::<usize>());
}
