//! Framing and the tap held against slow, obvious readings of the same bytes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use vandamme_protocol::passthrough::{Summary, Tap, summary_of_whole};
use vandamme_protocol::sse::{Splitter, events};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

// ---- server-sent events ----

/// Name and data of an event.
type Said = (Option<Vec<u8>>, Option<Vec<u8>>);

/// The standard's algorithm, a byte at a time: the lines of a whole stream with the offset behind each.
fn lines(stream: &[u8]) -> Vec<(&[u8], usize)> {
    let (mut lines, mut start, mut at) = (Vec::new(), 0, 0);
    while at < stream.len() {
        let length = match (stream[at], stream.get(at + 1)) {
            (b'\r', Some(b'\n')) => 2,
            (b'\r' | b'\n', _) => 1,
            _ => 0,
        };
        if length > 0 {
            lines.push((&stream[start..at], at + length));
            start = at + length;
        }
        at += length.max(1);
    }
    if start < stream.len() {
        lines.push((&stream[start..], stream.len()));
    }
    lines
}

fn said_by_the_standard(stream: &[u8]) -> Vec<Said> {
    let mut said = Vec::new();
    let (mut name, mut data): Said = (None, None);
    for (line, _) in lines(stream).into_iter().chain([(&b""[..], 0)]) {
        if line.is_empty() {
            if name.is_some() || data.is_some() {
                said.push((name.take(), data.take()));
            }
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let field = &line[..colon.unwrap_or(line.len())];
        let value = colon.map_or(&b""[..], |colon| &line[colon + 1..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if field == b"event" {
            name = Some(value.to_vec());
        }
        if field == b"data" {
            let joined = data.take().map_or(value.to_vec(), |data| [&data[..], b"\n", value].concat());
            data = Some(joined);
        }
    }
    said
}

fn end_of_the_last_blank_line(stream: &[u8]) -> usize {
    let terminated = stream.last().is_some_and(|last| matches!(last, b'\r' | b'\n'));
    let mut lines = lines(stream);
    if !terminated {
        lines.pop();
    }
    lines.iter().rev().find(|(line, _)| line.is_empty()).map_or(0, |(_, end)| *end)
}

fn said(block: &[u8]) -> impl Iterator<Item = Said> {
    events(block)
        .map(|event| (event.name().map(<[u8]>::to_vec), event.data().map(|data| data.into_owned())))
        .filter(|(name, data)| name.is_some() || data.is_some())
}

/// What comes out for these chunks: the blocks, and what is left.
fn split(chunks: &[&[u8]]) -> (Vec<Bytes>, Bytes) {
    let mut splitter = Splitter::new(1 << 20);
    let pass = |chunk: &&[u8]| splitter.pass(Bytes::copy_from_slice(chunk));
    let blocks = chunks.iter().filter_map(pass).collect();
    (blocks, splitter.rest())
}

fn split_by_pushing(chunks: &[&[u8]]) -> (Vec<Bytes>, Bytes) {
    let mut splitter = Splitter::new(1 << 20);
    let mut blocks = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        splitter.push(chunk);
        // Asked only now and then, as a converter that is behind does.
        if index % 2 == 1 {
            blocks.extend(splitter.complete());
        }
    }
    blocks.extend(splitter.complete());
    (blocks, splitter.rest())
}

fn check_split(stream: &[u8], (blocks, rest): &(Vec<Bytes>, Bytes)) {
    let complete = blocks.concat();
    assert_eq!(complete, &stream[..end_of_the_last_blank_line(stream)], "the complete part");
    assert_eq!([&complete[..], rest].concat(), stream, "every byte, once");
    let seen: Vec<Said> = blocks.iter().chain([rest]).flat_map(|block| said(block)).collect();
    let from_the_start = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    assert_eq!(seen, said_by_the_standard(from_the_start), "the events");
    for block in blocks {
        let raw: Vec<u8> = events(block).flat_map(|event| event.raw().to_vec()).collect();
        let blank = block.strip_prefix(&raw[..]).expect("events stand side by side");
        assert!(blank.iter().all(|byte| matches!(byte, b'\r' | b'\n')), "{blank:?}");
    }
}

fn check(stream: &[u8], chunks: &[&[u8]]) {
    check_split(stream, &split(chunks));
    check_split(stream, &split_by_pushing(chunks));
}

const REPLY: &str = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n: a comment\n\nevent: ping\ndata: {}\n\n\
                     data: two\ndata:lines\nid: 7\nretry\ndata\n\ndata: é \u{2028} \u{1F600}\n\nevent: message_stop\n\
                     data: {\"type\":\"message_stop\"}\n\n";

fn spelled_with(line_end: &str) -> Vec<u8> {
    REPLY.replace('\n', line_end).into_bytes()
}

#[test]
fn a_stream_cut_at_every_byte_gives_the_same_events_and_the_same_bytes() {
    for line_end in ["\n", "\r\n", "\r"] {
        let stream = spelled_with(line_end);
        for cut in 0..=stream.len() {
            let (front, back) = stream.split_at(cut);
            check(&stream, &[front, back]);
        }
    }
}

#[test]
fn a_short_stream_cut_at_every_pair_of_bytes_gives_the_same_events_and_the_same_bytes() {
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

#[test]
fn a_stream_that_comes_byte_by_byte_gives_the_same_events_and_the_same_bytes() {
    for line_end in ["\n", "\r\n", "\r"] {
        let stream = spelled_with(line_end);
        check(&stream, &stream.chunks(1).collect::<Vec<_>>());
    }
}

#[test]
fn a_stream_broken_off_at_every_byte_loses_only_the_unfinished_event() {
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
    fn any_stream_in_any_slicing_gives_the_same_events_and_the_same_bytes(
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

fn tapped_summary() -> Summary {
    Summary {
        input: 25,
        output: 42,
        cache_read: 7,
        cache_creation: 3,
        stop_reason: Some("tool_use".to_owned()),
        tool_calls: 1,
        error: None,
    }
}

#[test]
fn a_tap_reads_the_same_from_every_slicing_and_spelling() {
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
            let mut tap = Tap::new();
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
fn a_stream_broken_off_before_its_last_event_has_not_ended() {
    for end in 0..TAPPED.len() {
        let mut tap = Tap::new();
        split(&[&TAPPED.as_bytes()[..end]]).0.iter().for_each(|block| tap.observe(block));
        assert!(!tap.ended(), "cut at byte {end}");
    }
}

#[test]
fn a_whole_reply_is_summed_up_as_its_stream_is() {
    let whole = r#"{"type":"message","content":[{"type":"text","text":"a"},{"type":"tool_use","id":"t","name":"n","input":{"type":"tool_use"}}],
        "stop_reason":"tool_use","usage":{"input_tokens":25,"output_tokens":42,"cache_read_input_tokens":7,"cache_creation_input_tokens":3,"service_tier":"x"}}"#;
    assert_eq!(summary_of_whole(whole.as_bytes()), tapped_summary());
}
