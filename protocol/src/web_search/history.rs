//! Searches of earlier turns: their blocks, which only Anthropic's servers understand, as calls and results of an ordinary tool.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{Page, TOOL_NAME, sealed};

/// The converted messages, and what they contain.
pub(super) struct ConvertedHistory {
    pub(super) messages: Vec<Value>,
    /// The pages of all results, in their order.
    pub(super) pages: Vec<Page>,
    /// The calls of the last turn that have no result: the client ran its own tools first.
    pub(super) pending: Vec<(String, Value)>,
}

/// Writes the results of one search for the model. `first` is the number of its first page.
pub(super) fn numbered(pages: &[Page], first: usize) -> String {
    if pages.is_empty() {
        return "The search found no pages.".to_owned();
    }
    let pages = pages.iter().enumerate().map(|(at, page)| {
        let age = page.age.as_ref().map(|age| format!("\nAge: {age}")).unwrap_or_default();
        format!("\u{3010}{}\u{3011} {}\n{}{age}\n{}", first + at, page.title, page.url, page.text)
    });
    pages.collect::<Vec<_>>().join("\n\n")
}

pub(super) fn tool_result(id: &str, text: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": text})
}

/// Converts a history. Messages without such blocks stay as they are.
pub(super) fn convert(messages: &[Value]) -> ConvertedHistory {
    let mut converter = Converter { results: results(messages), out: vec![], pages: vec![], later: vec![] };
    messages.iter().for_each(|message| converter.message(message));
    let Converter { out, pages, later, .. } = converter;
    ConvertedHistory {
        messages: out,
        pages,
        pending: later.into_iter().map(|call| (call.id, call.input)).collect(),
    }
}

/// All results of searches by the id of their call.
fn results(messages: &[Value]) -> HashMap<String, Value> {
    let blocks = messages.iter().filter_map(|message| message.get("content")?.as_array()).flatten();
    let results = blocks.filter(|block| kind(block) == "web_search_tool_result");
    let by_id = results
        .filter_map(|block| Some((text(block, "tool_use_id")?.to_owned(), block.get("content")?.clone())));
    by_id.collect()
}

fn kind(block: &Value) -> &str {
    text(block, "type").unwrap_or_default()
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str()
}

fn is_search_call(block: &Value) -> bool {
    kind(block) == "server_tool_use" && text(block, "name") == Some(TOOL_NAME)
}

struct EarlierCall {
    id: String,
    input: Value,
}

struct Converter {
    results: HashMap<String, Value>,
    out: Vec<Value>,
    pages: Vec<Page>,
    /// Calls whose result must come with the next message of the user.
    later: Vec<EarlierCall>,
}

impl Converter {
    fn message(&mut self, message: &Value) {
        let role = text(message, "role").unwrap_or_default();
        let blocks = message.get("content").and_then(Value::as_array);
        match blocks {
            Some(blocks) if role == "assistant" && blocks.iter().any(is_special) => self.assistant(blocks),
            _ if role == "user" && !self.later.is_empty() => self.user(message),
            _ => self.out.push(message.clone()),
        }
    }

    fn assistant(&mut self, blocks: &[Value]) {
        let mut said: Vec<Value> = vec![];
        let mut found: Vec<Value> = vec![];
        for (at, block) in blocks.iter().enumerate() {
            match kind(block) {
                "web_search_tool_result" => {
                    let Some(id) = text(block, "tool_use_id") else { continue };
                    let is_here = blocks[..at]
                        .iter()
                        .any(|before| is_search_call(before) && text(before, "id") == Some(id));
                    // The result of a call in an earlier message is given there.
                    if is_here {
                        found.push(self.result(id));
                    }
                }
                _ => {
                    self.split(&mut said, &mut found);
                    said.push(self.block(block, &blocks[at..]));
                }
            }
        }
        self.split(&mut said, &mut found);
        self.push("assistant", said);
    }

    /// The results end the assistant's message, and the rest of it begins another.
    fn split(&mut self, said: &mut Vec<Value>, found: &mut Vec<Value>) {
        if !found.is_empty() {
            self.push("assistant", std::mem::take(said));
            self.push("user", std::mem::take(found));
        }
    }

    fn push(&mut self, role: &str, blocks: Vec<Value>) {
        if !blocks.is_empty() {
            self.out.push(json!({"role": role, "content": blocks}));
        }
    }

    fn block(&mut self, block: &Value, rest: &[Value]) -> Value {
        if !is_search_call(block) {
            return without_citations(block);
        }
        let id = text(block, "id").unwrap_or_default();
        let input = block.get("input").cloned().unwrap_or_else(|| json!({}));
        let is_result =
            |later: &Value| kind(later) == "web_search_tool_result" && text(later, "tool_use_id") == Some(id);
        if !rest.iter().any(is_result) {
            self.later.push(EarlierCall { id: id.to_owned(), input: input.clone() });
        }
        json!({"type": "tool_use", "id": id, "name": TOOL_NAME, "input": input})
    }

    /// The user's message after calls without a result: their results come first in it. Those that nobody has run stay open.
    fn user(&mut self, message: &Value) {
        let mut content: Vec<Value> = vec![];
        let (known, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.later).into_iter().partition(|call| self.results.contains_key(&call.id));
        content.extend(known.iter().map(|call| self.result(&call.id)));
        self.later = open;
        match message.get("content") {
            Some(Value::Array(blocks)) => content.extend(blocks.iter().cloned()),
            Some(Value::String(text)) => content.push(json!({"type": "text", "text": text})),
            Some(_) | None => {}
        }
        let mut message = message.clone();
        message["content"] = Value::Array(content);
        self.out.push(message);
    }

    fn result(&mut self, id: &str) -> Value {
        let content = self.results.get(id);
        let text = match content {
            Some(Value::Array(list)) => {
                let pages: Vec<Page> = list.iter().filter_map(page).collect();
                let written = numbered(&pages, self.pages.len() + 1);
                self.pages.extend(pages);
                written
            }
            Some(error) => {
                format!("The search failed: {}.", text(error, "error_code").unwrap_or("unavailable"))
            }
            None => "The search was not run.".to_owned(),
        };
        tool_result(id, &text)
    }
}

/// Whether the block needs a conversion.
fn is_special(block: &Value) -> bool {
    is_search_call(block) || kind(block) == "web_search_tool_result" || cites_web(block)
}

fn cites_web(block: &Value) -> bool {
    let citations = block.get("citations").and_then(Value::as_array);
    citations.is_some_and(|citations| {
        citations.iter().any(|citation| kind(citation) == "web_search_result_location")
    })
}

/// Citations of a search mean nothing without its results, and an upstream refuses them.
fn without_citations(block: &Value) -> Value {
    let members = block.as_object().filter(|_| cites_web(block));
    let kept = members.map(|members| {
        members
            .iter()
            .filter(|(name, _)| *name != "citations")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<_, _>>()
    });
    kept.map_or_else(|| block.clone(), Value::Object)
}

/// A page of a result block. Content that this gateway has not made cannot be read, so only title and address remain.
fn page(result: &Value) -> Option<Page> {
    let url = text(result, "url")?;
    let content = text(result, "encrypted_content").and_then(|sealed| sealed::text_of(sealed, url));
    Page::new(
        url,
        text(result, "title").unwrap_or_default(),
        text(result, "page_age"),
        &content.unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(id: &str, pages: &[Page]) -> Value {
        let pages: Vec<Value> = pages
            .iter()
            .map(|page| json!({"type": "web_search_result", "url": page.url, "title": page.title, "encrypted_content": sealed::seal(&page.url, &page.text)}))
            .collect();
        json!({"type": "web_search_tool_result", "tool_use_id": id, "content": pages})
    }

    fn call(id: &str) -> Value {
        json!({"type": "server_tool_use", "id": id, "name": "web_search", "input": {"query": id}})
    }

    fn page_of(url: &str) -> Page {
        Page { url: url.into(), title: "T".into(), age: None, text: "what it says".into() }
    }

    /// Requirement: on the next turn the model gets its searches back as calls and results, with the text of the pages.
    #[test]
    fn searches_become_calls_and_results() {
        let text = json!({"type": "text", "text": "so", "citations": [{"type": "web_search_result_location", "url": "https://a"}]});
        let converted = convert(&[
            json!({"role": "user", "content": "q"}),
            json!({"role": "assistant", "content": [call("s1"), call("s2"), result("s1", &[page_of("https://a")]),
                {"type": "web_search_tool_result", "tool_use_id": "s2", "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"}}, text]}),
            json!({"role": "user", "content": "more"}),
        ]);
        assert_eq!(converted.pages, [page_of("https://a")]);
        assert!(converted.pending.is_empty());
        let use_of =
            |id: &str| json!({"type": "tool_use", "id": id, "name": "web_search", "input": {"query": id}});
        assert_eq!(
            Value::from(converted.messages),
            json!([
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": [use_of("s1"), use_of("s2")]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "s1", "content": "\u{3010}1\u{3011} T\nhttps://a\nwhat it says"},
                    {"type": "tool_result", "tool_use_id": "s2", "content": "The search failed: unavailable."}]},
                {"role": "assistant", "content": [{"type": "text", "text": "so"}]},
                {"role": "user", "content": "more"},
            ])
        );
    }

    /// Requirement: a search beside a call of the client's own tool is run when the client returns the result, and its result
    /// stands where the call was ever after (platform.claude.com, server tools).
    #[test]
    fn a_search_beside_a_client_call_waits_for_the_next_request() {
        let own = json!({"type": "tool_use", "id": "c", "name": "Read", "input": {}});
        let own_result = json!({"type": "tool_result", "tool_use_id": "c", "content": "x"});
        let mut messages = vec![
            json!({"role": "user", "content": "q"}),
            json!({"role": "assistant", "content": [call("s1"), own]}),
            json!({"role": "user", "content": [own_result]}),
        ];
        let open = convert(&messages);
        assert_eq!(open.pending, [("s1".to_owned(), json!({"query": "s1"}))]);
        messages.push(json!({"role": "assistant", "content": [result("s1", &[page_of("https://a")]), {"type": "text", "text": "so"}]}));
        let closed = convert(&messages);
        assert!(closed.pending.is_empty());
        assert_eq!(closed.messages[2]["content"][0]["tool_use_id"], "s1");
        assert_eq!(closed.messages[2]["content"][1]["tool_use_id"], "c");
        assert_eq!(closed.messages[3]["content"], json!([{"type": "text", "text": "so"}]));
    }
}
