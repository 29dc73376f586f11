//! The bytes of a fuzzer, or of a seed file, as cases of the properties.

use vandamme_protocol::convert::upstream::chat::{Dialect, HostedSearch, PLAIN};

use crate::{
    calls, chat, cloud, coding, compat, error, form, framing, http1, plain, reply, request, responses_client,
    responses_client_request, responses_reply, responses_request, responses_tap, scan, schema, websocket,
};

/// Checks any bytes, and panics if a property is violated.
type Check = fn(&[u8]);

/// Every target: its name, which is also its folder of seeds, and its check.
pub(crate) const TARGETS: [(&str, Check); 20] = [
    ("framing", in_chunks),
    ("scan", looked_at),
    ("request", translated),
    ("responses_request", responses_request::check),
    ("reply", answered),
    ("responses_reply", answered_by_responses),
    ("responses_tap", passed_responses),
    ("plain", read_by_hand),
    ("calls", calls::check),
    ("error", failed),
    ("chat", in_front_of_messages),
    ("responses_client", for_a_responses_client),
    ("websocket", websocket::check),
    ("schema", schema::check_any),
    ("compat", compat::check),
    ("http1", upstream_reply),
    ("coding", compressed),
    ("responses_client_request", responses_client_request::check),
    ("form", multipart),
    ("cloud", cloud::check),
];

/// A stream, after the size of its chunks.
fn in_chunks(bytes: &[u8]) {
    let Some((&size, stream)) = bytes.split_first() else { return };
    let chunks: Vec<&[u8]> = stream.chunks(usize::from(size).max(1)).collect();
    framing::check(stream, &chunks);
    let (front, back) = stream.split_at(usize::from(size).min(stream.len()));
    framing::check(stream, &[front, back]);
}

/// An HTTP/1.1 reply, after the size of its pieces.
fn upstream_reply(bytes: &[u8]) {
    let Some((&size, reply)) = bytes.split_first() else { return };
    http1::check(reply, usize::from(size));
}

fn looked_at(bytes: &[u8]) {
    scan::check(bytes, "m\"é\n");
}

/// The chunks of a completion, or a whole message.
fn read_by_hand(bytes: &[u8]) {
    plain::check(bytes);
    plain::check_message(bytes);
}

fn translated(bytes: &[u8]) {
    request::check(bytes);
}

/// The position at which the bytes are split, which they contain themselves.
fn cut(bytes: &[u8]) -> usize {
    let sum: usize = bytes.iter().map(|&byte| usize::from(byte)).sum();
    sum % (bytes.len() + 1)
}

fn in_front_of_messages(bytes: &[u8]) {
    chat::check(bytes, cut(bytes));
}

fn for_a_responses_client(bytes: &[u8]) {
    responses_client::check(bytes, cut(bytes));
}

/// A form, after the size of its boundary and the boundary.
fn multipart(bytes: &[u8]) {
    form::check_any(bytes, cut(bytes));
}

fn compressed(bytes: &[u8]) {
    coding::check(bytes, cut(bytes));
}

/// A stream of chunks.
fn answered(bytes: &[u8]) {
    let cut = cut(bytes);
    reply::check(bytes, cut, &PLAIN);
    reply::check(bytes, cut, &Dialect { think_tags: true, ..Dialect::default() });
    reply::check(bytes, cut, &Dialect { web_search: Some(HostedSearch::Perplexity), ..Dialect::default() });
}

/// The events of a response, or a whole one.
fn answered_by_responses(bytes: &[u8]) {
    responses_reply::check(bytes, cut(bytes));
    responses_reply::check_body(bytes);
}

/// The same, after the size of its pieces.
fn passed_responses(bytes: &[u8]) {
    let Some((&size, reply)) = bytes.split_first() else { return };
    responses_tap::check(reply, usize::from(size));
    responses_tap::check_body(reply);
}

/// A body, after the two bytes of its status.
fn failed(bytes: &[u8]) {
    let [high, low, body @ ..] = bytes else { return };
    error::check(u16::from_be_bytes([*high, *low]), body);
}
