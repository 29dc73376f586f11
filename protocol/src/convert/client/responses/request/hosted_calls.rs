//! Calls of tools that ran at OpenAI, in the history. Other models read them as text.

use serde_json::{Value, value::RawValue};

use crate::{
    json::{self, Literal},
    openai::responses_request::InputItem,
};

/// The longest text of one call or one result, in characters.
const LONGEST: usize = 64 << 10;
/// The members of a result that hold text, in reading order.
const READABLE: [&str; 8] = ["filename", "title", "url", "text", "logs", "output", "error", "message"];

/// What a call and its result say, as text of the assistant; inner text. `None` if the item says nothing.
pub(super) fn as_text(item: &InputItem<'_>) -> Option<String> {
    let (name, input, result) = match item.kind() {
        "mcp_call" => {
            let name = item.name.map_or("a tool", Literal::inner);
            let server = item.server_label.map(|label| format!(" of the MCP server {}", label.inner()));
            (format!("{name}{}", server.unwrap_or_default()), item.arguments, item.output.or(item.error))
        }
        "code_interpreter_call" => ("code_interpreter".to_owned(), item.code, item.outputs),
        "file_search_call" => ("file_search".to_owned(), item.queries, item.results),
        "program" => ("a program".to_owned(), item.code, None),
        "program_output" => return result_text("a program", item.result.or(item.output)),
        _ => return None,
    };
    let input = input.map(|raw| shortened(&text_of(raw))).unwrap_or_default();
    let called = format!("[Used {name}: {}]", json::escape_text(&input));
    Some(match result_text(&name, result) {
        Some(result) => format!("{called}\\n{result}"),
        None => called,
    })
}

/// `name` is inner text.
fn result_text(name: &str, raw: Option<&RawValue>) -> Option<String> {
    let text = shortened(text_of(raw?).trim());
    (!text.is_empty()).then(|| format!("[Result of {name}]\\n{}", json::escape_text(&text)))
}

/// A string, or the texts in a value, one per line.
fn text_of(raw: &RawValue) -> String {
    let mut text = String::new();
    match serde_json::from_str(raw.get()) {
        Ok(value) => collect(&value, &mut text),
        // Half a surrogate pair, or deeper than the parser goes.
        Err(_) => text.push_str(raw.get()),
    }
    text
}

fn collect(value: &Value, out: &mut String) {
    match value {
        _ if out.len() > LONGEST * 4 => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => {
            out.push_str(if out.is_empty() { "" } else { "\n" });
            out.push_str(text);
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, out)),
        Value::Object(members) => {
            READABLE.iter().filter_map(|name| members.get(*name)).for_each(|value| collect(value, out));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{} [cut off]", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(item: &str) -> Option<String> {
        let item: InputItem<'_> = serde_json::from_str(item).unwrap();
        as_text(&item).map(|inner| json::decode_text(&inner).unwrap().into_owned())
    }

    #[test]
    fn a_hosted_call_is_read_as_text() {
        for (item, expected) in [
            (
                r#"{"type":"mcp_call","name":"ask","server_label":"docs","arguments":"{\"q\":\"a\\n\"}","output":"found\n\"b\""}"#,
                "[Used ask of the MCP server docs: {\"q\":\"a\\n\"}]\n[Result of ask of the MCP server docs]\nfound\n\"b\"",
            ),
            (
                r#"{"type":"code_interpreter_call","code":"1+1","outputs":[{"type":"logs","logs":"2"},{"type":"image","url":"u"}]}"#,
                "[Used code_interpreter: 1+1]\n[Result of code_interpreter]\n2\nu",
            ),
            (
                r#"{"type":"file_search_call","queries":["a","b"],"results":[{"filename":"f.md","text":"t","score":1}]}"#,
                "[Used file_search: a\nb]\n[Result of file_search]\nf.md\nt",
            ),
            (r#"{"type":"file_search_call","queries":["a"],"results":null}"#, "[Used file_search: a]"),
        ] {
            assert_eq!(text(item).as_deref(), Some(expected), "{item}");
        }
        assert_eq!(text(r#"{"type":"web_search_call"}"#), None);
    }

    #[test]
    fn a_long_result_is_cut_off() {
        let item = format!(r#"{{"type":"mcp_call","name":"f","output":"{}"}}"#, "é".repeat(LONGEST + 1));
        let said = text(&item).unwrap();
        assert!(said.ends_with("é [cut off]") && said.chars().count() < LONGEST + 100);
    }
}
