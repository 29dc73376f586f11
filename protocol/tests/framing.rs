//! Framing and the tap, compared with slow and simple readers of the same bytes.

#[path = "properties/framing.rs"]
mod properties;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use vandamme_protocol::convert::ReplySummary;
use vandamme_protocol::convert::passthrough::{MessagesTap, summary_of_message};
use vandamme_protocol::reported::Reported;
use vandamme_protocol::vocabulary::{StopReason, Usage};

use properties::{check, split};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

// ---- server-sent events ----

const REPLY: &str = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n: a comment\n\nevent: ping\ndata: {}\n\n\
                     data: two\ndata:lines\nid: 7\nretry\ndata\n\ndata: é \u{2028} \u{1F600}\n\nevent: message_stop\n\
                     data: {\"type\":\"message_stop\"}\n\n";

fn spelled_with(line_end: &str) -> Vec<u8> {
    REPLY.replace('\n', line_end).into_bytes()
}

#[test]
fn a_stream_split_at_every_byte_gives_the_same_events_and_the_same_bytes() {
    for line_end in ["\n", "\r\n", "\r"] {
        let stream = spelled_with(line_end);
        for cut in 0..=stream.len() {
            let (front, back) = stream.split_at(cut);
            check(&stream, &[front, back]);
        }
    }
}

#[test]
fn a_short_stream_split_at_every_pair_of_bytes_gives_the_same_events_and_the_same_bytes() {
    for stream in [
        "data: a\r\n\r\ndata: b\r\n\r\n",
        "\u{FEFF}data:a\r\r\revent:b\n\r\ndata",
        "\n\ndata: a\n\r\n\r\rdata: b",
    ] {
        let stream = stream.as_bytes();
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                check(stream, &[&stream[..first], &stream[first..second], &stream[second..]]);
            }
        }
    }
}

/// Complaint of gateway users: characters break at the borders of chunks.
#[test]
fn a_stream_byte_by_byte_gives_the_same_events_and_the_same_bytes() {
    for line_end in ["\n", "\r\n", "\r"] {
        let stream = spelled_with(line_end);
        check(&stream, &stream.chunks(1).collect::<Vec<_>>());
    }
}

#[test]
fn a_stream_truncated_at_every_byte_loses_only_the_incomplete_event() {
    for line_end in ["\n", "\r\n", "\r"] {
        let stream = spelled_with(line_end);
        for end in 0..stream.len() {
            check(&stream[..end], &stream[..end].chunks(7).collect::<Vec<_>>());
        }
    }
}

fn odd_stream() -> impl Strategy<Value = Vec<u8>> {
    const TOKENS: &[&str] = &[
        "data: ", "data", "event:", "event: ", ":", " ", "x", "é", "id", "\n", "\r", "\r\n", "\n\n", "\r\r",
        "\r\n\r\n",
    ];
    (any::<bool>(), vec(select(TOKENS), 0..40)).prop_map(|(marked, tokens)| {
        let mark = if marked { "\u{FEFF}" } else { "" };
        format!("{mark}{}", tokens.concat()).into_bytes()
    })
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn any_stream_gives_the_same_events_and_bytes_however_it_is_split(
        stream in odd_stream(), cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let ends = cuts.iter().copied().chain([stream.len()]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let chunks: Vec<&[u8]> = starts.zip(ends).map(|(start, end)| &stream[start..end]).collect();
        check(&stream, &chunks);
    }
}

// ---- the tap ----

const TAPPED: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"m","usage":{"input_tokens":25,"cache_read_input_tokens":7,"cache_creation_input_tokens":3,"output_tokens":1}}}

event: ping
data: {"type": "ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"\"usage\""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\"type\":\"message_stop\" \"usage\""}}

event: content_block_start
data: {"index":1,"content_block":{"type":"tool_use","id":"t","name":"usage","input":{}},"type":"content_block_start"}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":42,"input_tokens":null}}

event: message_stop
data: {"type": "message_stop"}

"#;

fn tapped_summary() -> ReplySummary {
    ReplySummary {
        reported: Reported { message_id: Some("m".into()), ..Reported::default() },
        stop_reason: Some(StopReason::ToolUse),
        usage: Some(Usage { input: 25, output: 42, cache_read: 7, cache_creation: 3, ..Usage::default() }),
        tool_calls: 1,
        fault: None,
    }
}

#[test]
fn a_tap_reads_the_same_from_every_split_and_notation() {
    let unnamed: String =
        TAPPED.lines().filter(|line| !line.starts_with("event:")).map(|line| format!("{line}\n")).collect();
    let spaced = unnamed.replace("\"type\":", "\"type\" : ");
    for stream in [
        TAPPED,
        &unnamed,
        &spaced,
        &TAPPED.replace('\n', "\r\n"),
        &TAPPED.replace("event: ", "event: message\nevent:"),
    ] {
        for cut in 0..=stream.len() {
            let mut tap = MessagesTap::new();
            let (front, back) = stream.as_bytes().split_at(cut);
            for block in split(&[front, back]).0 {
                tap.observe(&block);
            }
            assert!(tap.started() && tap.ended());
            assert_eq!(tap.summary(), &tapped_summary());
        }
    }
}

#[test]
fn a_stream_truncated_before_its_last_event_has_not_ended() {
    for end in 0..TAPPED.len() {
        let mut tap = MessagesTap::new();
        split(&[&TAPPED.as_bytes()[..end]]).0.iter().for_each(|block| {
            tap.observe(block);
        });
        assert!(!tap.ended(), "cut at byte {end}");
    }
}

#[test]
fn a_whole_reply_has_the_same_summary_as_its_stream() {
    let whole = r#"{"type":"message","id":"m","content":[{"type":"text","text":"a"},{"type":"tool_use","id":"t","name":"n","input":{"type":"tool_use"}}],
        "stop_reason":"tool_use","usage":{"input_tokens":25,"output_tokens":42,"cache_read_input_tokens":7,"cache_creation_input_tokens":3,"service_tier":"x"}}"#;
    assert_eq!(summary_of_message(whole.as_bytes()), tapped_summary());
}
