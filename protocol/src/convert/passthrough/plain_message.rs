//! Reads a whole Messages reply as nearly all upstreams send it. It takes 7,100 instructions for a reply of 1 KB, where serde
//! takes 14,500 (without link-time optimisation). Errors and every other shape are left to serde.

use crate::anthropic::event::ReportedUsage;
use crate::convert::ReplySummary;
use crate::json::plain::{PlainReader, Seen};
use crate::vocabulary::{StopReason, Usage};

/// The type of a tool call's block.
pub(super) const TOOL_USE: &str = "tool_use";
/// The nesting that is skipped in members without a meaning, such as a tool call's input.
const DEEPEST: u8 = 32;

/// An unknown stop reason counts as the end of a turn.
pub(super) fn stop_reason(word: &str) -> StopReason {
    StopReason::from_anthropic(word).unwrap_or(StopReason::EndTurn)
}

/// What the message reports; `None` if it must be read by serde.
pub(super) fn read(body: &[u8]) -> Option<ReplySummary> {
    let mut reader = PlainReader::new(simdutf8::basic::from_utf8(body).ok()?);
    let (mut seen, mut summary) = (Seen::default(), ReplySummary::default());
    reader.members(|reader, name| {
        match name {
            b"type" => {
                seen.note(0)?;
                return (reader.word()? != "error").then_some(());
            }
            b"content" => {
                seen.note(1)?;
                summary.tool_calls = content(reader)?;
            }
            b"stop_reason" => {
                seen.note(2)?;
                summary.stop_reason = reader.word_or_null()?.map(stop_reason);
            }
            b"id" => {
                seen.note(3)?;
                if let Some(id) = reader.word_or_null()? {
                    summary.reported.set_message_id(id);
                }
            }
            b"usage" => {
                seen.note(4)?;
                let counts = usage(reader)?;
                summary.usage = Some(counts.after(Usage::default()));
                summary.reported.set_web_searches(counts.searches);
            }
            b"diagnostics" => {
                seen.note(5)?;
                return reader.null();
            }
            b"error" => {
                seen.note(6)?;
                return reader.null();
            }
            _ => return reader.skip(DEEPEST),
        }
        Some(())
    })?;
    reader.end()?;
    Some(summary)
}

/// The number of tool calls among the blocks.
fn content(reader: &mut PlainReader<'_>) -> Option<u32> {
    let mut calls = 0;
    reader.elements(|reader| {
        let (mut seen, mut is_call) = (Seen::default(), false);
        reader.members(|reader, name| {
            if name != b"type" {
                return reader.skip(DEEPEST);
            }
            seen.note(0)?;
            is_call = reader.word()? == TOOL_USE;
            Some(())
        })?;
        calls += u32::from(is_call);
        Some(())
    })?;
    Some(calls)
}

fn usage(reader: &mut PlainReader<'_>) -> Option<ReportedUsage> {
    let (mut seen, mut usage) = (Seen::default(), ReportedUsage::default());
    reader.members(|reader, name| {
        match name {
            b"input_tokens" => {
                seen.note(0)?;
                usage.input = reader.count_or_null()?;
            }
            b"output_tokens" => {
                seen.note(1)?;
                usage.output = reader.count_or_null()?;
            }
            b"cache_read_input_tokens" => {
                seen.note(2)?;
                usage.cache_read = reader.count_or_null()?;
            }
            b"cache_creation_input_tokens" => {
                seen.note(3)?;
                usage.cache_creation = reader.count_or_null()?;
            }
            b"cache_creation" => {
                seen.note(4)?;
                usage.cache_creation_1h = detail(reader, b"ephemeral_1h_input_tokens")?;
            }
            b"output_tokens_details" => {
                seen.note(5)?;
                usage.thinking = detail(reader, b"thinking_tokens")?;
            }
            b"server_tool_use" => {
                seen.note(7)?;
                usage.searches = detail(reader, b"web_search_requests")?;
            }
            // The runs of several models, which are added up.
            b"iterations" => {
                seen.note(6)?;
                return reader.null();
            }
            _ => return reader.skip(DEEPEST),
        }
        Some(())
    })?;
    Some(usage)
}

/// One count of an object, which may be null.
fn detail(reader: &mut PlainReader<'_>, wanted: &[u8]) -> Option<Option<u64>> {
    if reader.peek()? == b'n' {
        return reader.null().map(|()| None);
    }
    let (mut seen, mut count) = (Seen::default(), None);
    reader.members(|reader, name| {
        if name != wanted {
            return reader.skip(DEEPEST);
        }
        seen.note(0)?;
        count = reader.count_or_null()?;
        Some(())
    })?;
    Some(count)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::convert::passthrough::messages::parsed_by_serde;

    const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"a \"b\" \\n\u00e9"},{"type":"tool_use","id":"t","name":"n","input":{"a":[1.5,{"type":"tool_use"}]}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":12,"cache_creation_input_tokens":3,"cache_read_input_tokens":null,"cache_creation":{"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":2},"output_tokens":7,"output_tokens_details":{"thinking_tokens":4},"server_tool_use":{"web_search_requests":2},"service_tier":"standard"}}"#;

    /// Reads a body both ways. Returns whether it is plain; then both must agree.
    fn is_plain(body: &[u8]) -> bool {
        let Some(summary) = read(body) else { return false };
        assert_eq!(Some(summary), parsed_by_serde(body), "{}", String::from_utf8_lossy(body));
        true
    }

    /// Requirement: replies in the common shapes are read by hand, and mean what serde reads in them.
    #[test]
    fn replies_of_vendors_are_plain() {
        for body in [
            MESSAGE,
            r#"{"content":[],"usage":{}}"#,
            " { \"usage\" : { \"input_tokens\" : 0 } , \"id\" : null }\n",
            r#"{"error":null,"diagnostics":null,"stop_reason":"other","usage":{"iterations":null,"cache_creation":null}}"#,
            "{}",
        ] {
            assert!(is_plain(body.as_bytes()), "{body}");
        }
    }

    /// Requirement: what has another meaning than usual, or none, is left to serde.
    #[test]
    fn everything_else_is_not_plain() {
        for member in [
            r#""type":"error""#,
            r#""type":null"#,
            r#""t\u0079pe":"error""#,
            r#""error":{}"#,
            r#""content":null"#,
            r#""content":["a"]"#,
            r#""content":[{"type":7}]"#,
            r#""content":[{"type":"tool_us\u0065"}]"#,
            r#""content":[{"type":"text","type":"tool_use"}]"#,
            r#""id":7"#,
            r#""id":"\u0061""#,
            r#""diagnostics":{}"#,
            r#""usage":null"#,
            r#""usage":7"#,
            r#""usage":{"input_tokens":"7"}"#,
            r#""usage":{"input_tokens":7.0}"#,
            r#""usage":{"input_tokens":7e1}"#,
            r#""usage":{"input_tokens":07}"#,
            r#""usage":{"input_tokens":-7}"#,
            r#""usage":{"input_tokens":99999999999999999999}"#,
            r#""usage":{"input_tokens":1,"input_tokens":2}"#,
            r#""usage":{"iterations":[]}"#,
            r#""x":1e3"#,
            "\"x\":\"\u{1}\"",
            r#""x":"#,
        ] {
            assert!(!is_plain(format!("{{{member}}}").as_bytes()), "{member}");
        }
        for body in ["", "[]", "{", "{}}", "null", "{} {}"] {
            assert!(!is_plain(body.as_bytes()), "{body}");
        }
        assert!(!is_plain(b"{\"x\":\"\xff\"}"));
    }

    const NAMES: [&str; 19] = [
        "server_tool_use",
        "web_search_requests",
        "type",
        "content",
        "stop_reason",
        "id",
        "usage",
        "diagnostics",
        "error",
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "ephemeral_1h_input_tokens",
        "output_tokens_details",
        "thinking_tokens",
        "iterations",
        r"\u0069d",
    ];
    const VALUES: [&str; 22] = [
        "null",
        "null",
        "0",
        "7",
        "18446744073709551616",
        "-1",
        "1.5",
        "1e2",
        "01",
        "true",
        "\"\"",
        "\"error\"",
        "\"tool_use\"",
        "\"max_tokens\"",
        r#""\n\ud83d""#,
        r#""\x""#,
        "\"\u{1}\"",
        "\"é😀\"",
        "[]",
        "{}",
        r#"[{"type":"tool_use"},{"type":"text","text":"a"}]"#,
        "nul",
    ];

    fn object(depth: u32) -> BoxedStrategy<String> {
        let value = select(&VALUES[..]).prop_map(str::to_owned).boxed();
        let value = match depth.checked_sub(1) {
            None => value,
            Some(depth) => prop_oneof![
                3 => value,
                1 => object(depth),
                1 => vec(object(depth), 0..3).prop_map(|objects| format!("[{}]", objects.join(","))),
            ]
            .boxed(),
        };
        let member = (select(&NAMES[..]), value).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(" , "))).boxed()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

        /// Requirement: a message that is read by hand means what serde reads in it.
        #[test]
        fn both_readers_agree(body in object(3)) {
            is_plain(body.as_bytes());
        }

        /// Requirement: the same for a message with a wrong byte, or cut.
        #[test]
        fn both_readers_agree_on_damaged_messages(
            at in any::<prop::sample::Index>(),
            byte in select(&b"\"\\{}[],:n0e1 \x01\xff"[..]),
            cut in 0..3_usize,
        ) {
            let mut body = MESSAGE.as_bytes().to_vec();
            let at = at.index(body.len());
            body[at] = byte;
            body.truncate(body.len() - cut);
            is_plain(&body);
        }
    }
}
