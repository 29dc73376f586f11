//! Properties of every stream of server-sent events, compared with a slow and simple reader of the same bytes.

use bytes::Bytes;
use vandamme_protocol::sse::{Splitter, events};

/// Name and data of an event.
type Said = (Option<Vec<u8>>, Option<Vec<u8>>);

/// The standard's algorithm, a byte at a time: the lines of a whole stream, with the offset after each.
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

/// The events by the standard, except that a byte order mark is allowed before every event: a block does not know
/// whether it is the first of its stream.
fn said_by_the_standard(stream: &[u8]) -> Vec<Said> {
    let mut said = Vec::new();
    let mut is_first = true;
    let (mut name, mut data): Said = (None, None);
    for (line, _) in lines(stream).into_iter().chain([(&b""[..], 0)]) {
        let marked = line.strip_prefix(b"\xEF\xBB\xBF").filter(|_| is_first);
        let line = marked.unwrap_or(line);
        is_first = line.is_empty();
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

/// The result for these chunks: the blocks, and the rest.
pub(crate) fn split(chunks: &[&[u8]]) -> (Vec<Bytes>, Bytes) {
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
        // Polled only now and then, like a converter that is behind.
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
    assert_eq!(seen, said_by_the_standard(stream), "the events");
    for block in blocks {
        let raw: Vec<u8> = events(block).flat_map(|event| event.raw().to_vec()).collect();
        let blank = block.strip_prefix(&raw[..]).expect("events stand side by side");
        assert!(blank.iter().all(|byte| matches!(byte, b'\r' | b'\n')), "{blank:?}");
    }
}

/// Checks the events and the bytes of this stream in these chunks.
pub(crate) fn check(stream: &[u8], chunks: &[&[u8]]) {
    check_split(stream, &split(chunks));
    check_split(stream, &split_by_pushing(chunks));
}
