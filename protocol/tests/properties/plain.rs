//! The short way of what is plain, chunks of Chat Completions and whole messages, yields what the usual way yields.

use bytes::BytesMut;
use vandamme_protocol::convert::CodecStep;
use vandamme_protocol::convert::passthrough::summary_of_message;
use vandamme_protocol::convert::upstream::chat::{Dialect, HostedSearch, PLAIN};
use vandamme_protocol::request::is_complete_json;

use crate::reply::{Asked, context, transcoder};

/// A member without a meaning, which the short way does not know: its value is a number with an exponent.
const UNKNOWN: &[u8] = b",\"unknown\":1e0}";

/// The same object for the usual way; `None` if this is no object with members.
fn for_the_usual_way(data: &[u8]) -> Option<Vec<u8>> {
    let data = data.trim_ascii();
    let inside = data.strip_prefix(b"{")?.strip_suffix(b"}")?.trim_ascii();
    let is_object = !inside.is_empty() && is_complete_json(data);
    is_object.then(|| [&data[..data.len() - 1], UNKNOWN].concat())
}

/// Checks a reply whose chunks are these lines.
pub(crate) fn check(lines: &[u8]) {
    let searching = Dialect { web_search: Some(HostedSearch::Perplexity), ..Dialect::default() };
    let cases = [
        (Asked::ForThinking, &PLAIN),
        (Asked::ForTheAnswerAlone, &PLAIN),
        (Asked::ForTheAnswerAlone, &searching),
    ];
    for (asked, dialect) in cases {
        let context = context(asked, dialect);
        let (mut short, mut usual) = (transcoder(context.clone()), transcoder(context));
        let (mut short_out, mut usual_out) = (BytesMut::new(), BytesMut::new());
        for line in lines.split(|&byte| byte == b'\n') {
            let step = short.push_data(line, &mut short_out);
            let changed = for_the_usual_way(line);
            let expected = usual.push_data(changed.as_deref().unwrap_or(line), &mut usual_out);
            match (step, expected) {
                // Its message can contain the data.
                (CodecStep::Fault(step), CodecStep::Fault(expected)) => {
                    return assert_eq!(step.kind, expected.kind);
                }
                (step, expected) => assert_eq!(step, expected),
            }
            assert_eq!(short_out, usual_out);
            let line = line.trim_ascii();
            if line == b"[DONE]" {
                return;
            }
            let is_read = line.is_empty() || is_complete_json(line);
            assert!(is_read, "only JSON is read: {}", String::from_utf8_lossy(line));
        }
    }
}

/// Checks a whole reply of the Messages API: the short way reports what the usual way reports.
pub(crate) fn check_message(body: &[u8]) {
    let Some(usual) = for_the_usual_way(body) else { return };
    let report = |body: &[u8]| {
        let summary = summary_of_message(body);
        // Its message can contain the body.
        let fault = summary.fault.map(|fault| fault.kind);
        (summary.stop_reason, summary.usage, summary.reported, summary.tool_calls, fault)
    };
    assert_eq!(report(body), report(&usual), "{}", String::from_utf8_lossy(body));
}
