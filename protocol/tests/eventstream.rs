//! Frames of Bedrock, made by an encoder that is not ours and accepted by botocore (`fixtures/eventstream/generate.py`), and our
//! own frames, which botocore and Anthropic's SDK read.

use std::path::{Path, PathBuf};

use bytes::BytesMut;
use vandamme_protocol::cloud::eventstream::{EventStreamDecoder, EventStreamEncoder};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/eventstream").join(name)
}

/// Compares with a file, or writes it with `UPDATE_SNAPSHOTS=1`.
fn compare(name: &str, found: &[u8]) {
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(fixture(name), found).expect("writable");
    }
    let expected = std::fs::read(fixture(name)).expect("run it with UPDATE_SNAPSHOTS=1");
    assert_eq!(String::from_utf8_lossy(found), String::from_utf8_lossy(&expected), "{name}");
    assert_eq!(found, expected, "{name}");
}

/// Requirement: frames of any headers, events and exceptions are read the same wherever they are cut.
#[test]
fn frames_of_bedrock_become_events() {
    let all = std::fs::read_dir(fixture("")).expect("the directory");
    let mut names: Vec<String> =
        all.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name.starts_with("upstream-") && name.ends_with(".frames"));
    assert_eq!(names.len(), 9);
    for name in names {
        let frames = std::fs::read(fixture(&name)).expect("readable");
        for size in [1, 13, frames.len()] {
            let (mut decoder, mut events) = (EventStreamDecoder::new(1 << 16), BytesMut::new());
            for piece in frames.chunks(size) {
                decoder.push(piece, &mut events).expect("frames");
            }
            assert!(decoder.is_between_frames(), "{name}");
            compare(&name.replace(".frames", ".events"), &events);
        }
    }
}

/// Requirement: what the gateway writes for clients in Bedrock's mode is what their SDKs have been checked with.
#[test]
fn events_become_the_frames_that_sdks_read() {
    let events = std::fs::read(fixture("client.events")).expect("readable");
    for size in [1, 13, events.len()] {
        let (mut encoder, mut frames) = (EventStreamEncoder::default(), BytesMut::new());
        events.chunks(size).for_each(|piece| encoder.push(piece, &mut frames));
        compare("client.frames", &frames);
    }
}
