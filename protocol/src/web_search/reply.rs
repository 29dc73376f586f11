//! Combines all rounds into the one reply that the client gets: one `message_start`, continuous indices, one `message_delta`.

use std::collections::HashMap;

use bytes::BytesMut;
use serde_json::{Map, Value, json};

use super::OWN_SEARCH;
use super::citing::{MarkReader, Part};
use super::{Found, LONGEST_QUOTE, Page, SearchCall, TOOL_NAME, cut, sealed};
use crate::vocabulary::Usage;

/// What an event of a round leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The round goes on.
    More,
    /// The round is complete, and the model waits for the results of its searches.
    Searches,
    /// The reply is complete.
    Complete,
    /// The upstream's error has been passed on, which ends the reply.
    Failed,
}

/// Converts the Messages events of the rounds.
#[derive(Debug, Default)]
pub struct SearchReply {
    /// The source of ids; different for every reply.
    seed: u64,
    /// The index of the client's next block.
    next: u64,
    has_started: bool,
    /// The usage of the rounds before, for the client.
    usage: Value,
    /// The same, for the ledger.
    spent: Usage,
    searches: u64,
    calls_made: u64,
    /// Blocks that follow `message_start`.
    preface: Vec<Value>,
    round: Round,
}

/// The state of one round.
#[derive(Debug, Default)]
struct Round {
    blocks: HashMap<u64, OpenBlock>,
    usage: Value,
    /// `message_delta`, which waits for the end of the round.
    ending: Value,
    calls: Vec<SearchCall>,
    calls_client: bool,
}

/// A block of the upstream that the client gets at this index.
#[derive(Debug)]
enum OpenBlock {
    Passed(u64),
    /// A call of the search tool, by its position.
    Search(u64, usize),
    Text(CitingText),
}

#[derive(Debug, Default)]
struct CitingText {
    index: u64,
    marks: MarkReader,
    /// The block has a citation: further text begins another.
    is_cited: bool,
}

impl SearchReply {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// The searches that have been run.
    #[must_use]
    pub fn searches(&self) -> u64 {
        self.searches
    }

    /// The tokens of the complete rounds.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.spent
    }

    /// Shows a result at the begin of the reply, of a search that the turn before has called.
    pub fn show_earlier(&mut self, call: &SearchCall, found: &Found) {
        self.searches += u64::from(found.is_ok());
        self.preface.push(result_block(call, found));
    }

    /// Takes the data of one event of a round. `pages` are those that the model can cite.
    pub fn take(&mut self, data: &[u8], pages: &[Page], out: &mut BytesMut) -> Progress {
        let Ok(Value::Object(mut event)) = serde_json::from_slice(data) else { return Progress::More };
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let index = event.get("index").and_then(Value::as_u64).unwrap_or_default();
        match kind.as_str() {
            "message_start" => self.message_start(event, out),
            "content_block_start" => self.block_start(index, event, pages, out),
            "content_block_delta" => self.delta(index, event, pages, out),
            "content_block_stop" => self.block_stop(index, out),
            "message_delta" => {
                let usage = event.get("usage").cloned().unwrap_or_default();
                overlay(&mut self.round.usage, usage);
                let ending = self.round.ending.as_object_mut();
                match ending {
                    Some(ending) => ending.append(&mut event),
                    None => self.round.ending = Value::Object(event),
                }
            }
            "message_stop" => return self.round_end(out),
            "error" => {
                write(&kind, &Value::Object(event), out);
                return Progress::Failed;
            }
            _ => write(&kind, &Value::Object(event), out),
        }
        Progress::More
    }

    fn message_start(&mut self, event: Map<String, Value>, out: &mut BytesMut) {
        self.round.usage =
            event.get("message").and_then(|message| message.get("usage")).cloned().unwrap_or_default();
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        write("message_start", &Value::Object(event), out);
        for block in std::mem::take(&mut self.preface) {
            self.whole_block(&block, out);
        }
    }

    fn whole_block(&mut self, block: &Value, out: &mut BytesMut) {
        let index = self.take_index();
        start(index, block, out);
        stop(index, out);
    }

    fn take_index(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn block_start(&mut self, at: u64, mut event: Map<String, Value>, pages: &[Page], out: &mut BytesMut) {
        let index = self.take_index();
        let block = event.get("content_block").cloned().unwrap_or_default();
        let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
        let open = match (text("type"), text("name")) {
            ("tool_use", TOOL_NAME) => {
                self.calls_made += 1;
                let id = format!("{OWN_SEARCH}{:012x}{:08x}", self.seed >> 16, self.calls_made);
                let input = block
                    .get("input")
                    .filter(|input| input.as_object().is_some_and(|input| !input.is_empty()));
                let input = input.map(Value::to_string).unwrap_or_default();
                start(
                    index,
                    &json!({"type": "server_tool_use", "id": id, "name": TOOL_NAME, "input": {}}),
                    out,
                );
                if !input.is_empty() {
                    delta(index, &json!({"type": "input_json_delta", "partial_json": input}), out);
                }
                self.round.calls.push(SearchCall { id, upstream_id: text("id").to_owned(), input });
                OpenBlock::Search(index, self.round.calls.len() - 1)
            }
            ("text", _) if !pages.is_empty() => {
                start(index, &block, out);
                OpenBlock::Text(CitingText { index, ..CitingText::default() })
            }
            (kind, _) => {
                self.round.calls_client |= kind == "tool_use";
                event.insert("index".to_owned(), index.into());
                write("content_block_start", &Value::Object(event), out);
                OpenBlock::Passed(index)
            }
        };
        self.round.blocks.insert(at, open);
    }

    fn delta(&mut self, at: u64, mut event: Map<String, Value>, pages: &[Page], out: &mut BytesMut) {
        let piece = |name: &str| event.get("delta").and_then(|delta| delta.get(name)).and_then(Value::as_str);
        let Self { round, next, .. } = self;
        let index = match round.blocks.get_mut(&at) {
            None => return,
            Some(OpenBlock::Passed(index)) => *index,
            Some(OpenBlock::Search(index, call)) => {
                let call = round.calls.get_mut(*call);
                if let (Some(call), Some(piece)) = (call, piece("partial_json")) {
                    call.input.push_str(piece);
                }
                *index
            }
            Some(OpenBlock::Text(text)) => match piece("text") {
                Some(piece) => return text.take(piece, pages, next, out),
                None => text.index,
            },
        };
        event.insert("index".to_owned(), index.into());
        write("content_block_delta", &Value::Object(event), out);
    }

    fn block_stop(&mut self, at: u64, out: &mut BytesMut) {
        match self.round.blocks.remove(&at) {
            None => {}
            Some(OpenBlock::Passed(index) | OpenBlock::Search(index, _)) => stop(index, out),
            Some(OpenBlock::Text(mut text)) => {
                let rest = text.marks.finish();
                text.say(&rest, &mut self.next, out);
                stop(text.index, out);
            }
        }
    }

    fn round_end(&mut self, out: &mut BytesMut) -> Progress {
        add(&mut self.usage, &self.round.usage);
        let count = |name: &str| self.usage.pointer(name).and_then(Value::as_u64).unwrap_or_default();
        self.spent = Usage {
            input: count("/input_tokens"),
            output: count("/output_tokens"),
            cache_read: count("/cache_read_input_tokens"),
            cache_creation: count("/cache_creation_input_tokens"),
            cache_creation_1h: count("/cache_creation/ephemeral_1h_input_tokens"),
            reasoning: count("/output_tokens_details/thinking_tokens"),
        };
        // Searches beside a call of a client's tool are run when the client returns its result.
        if !self.round.calls.is_empty() && !self.round.calls_client {
            return Progress::Searches;
        }
        self.finish(out);
        Progress::Complete
    }

    /// Ends the reply although the model waits for searches: none is allowed any more.
    pub fn finish_early(&mut self, out: &mut BytesMut) {
        self.round.ending["delta"]["stop_reason"] = "end_turn".into();
        self.finish(out);
    }

    fn finish(&mut self, out: &mut BytesMut) {
        let mut ending = std::mem::take(&mut self.round.ending);
        ending["type"] = "message_delta".into();
        ending["usage"] = std::mem::take(&mut self.usage);
        ending["usage"]["server_tool_use"]["web_search_requests"] = self.searches.into();
        write("message_delta", &ending, out);
        write("message_stop", &json!({"type": "message_stop"}), out);
    }

    /// The searches of the round that has ended.
    #[must_use]
    pub fn calls(&self) -> &[SearchCall] {
        &self.round.calls
    }

    /// Shows the results of the round's searches, and begins the next round.
    pub fn show(&mut self, results: &[(SearchCall, Found)], out: &mut BytesMut) {
        for (call, found) in results {
            self.searches += u64::from(found.is_ok());
            self.whole_block(&result_block(call, found), out);
        }
        self.round = Round::default();
    }
}

impl CitingText {
    fn take(&mut self, piece: &str, pages: &[Page], next: &mut u64, out: &mut BytesMut) {
        for part in self.marks.take(piece, pages.len()) {
            match part {
                Part::Text(text) => self.say(&text, next, out),
                Part::Cited(number) => {
                    if let Some(page) = pages.get(number - 1) {
                        delta(
                            self.index,
                            &json!({"type": "citations_delta", "citation": citation(page)}),
                            out,
                        );
                        self.is_cited = true;
                    }
                }
            }
        }
    }

    /// A citation holds for its whole block, so the text after it begins a new one.
    fn say(&mut self, text: &str, next: &mut u64, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        if std::mem::take(&mut self.is_cited) {
            stop(self.index, out);
            self.index = *next;
            *next += 1;
            start(self.index, &json!({"type": "text", "text": ""}), out);
        }
        delta(self.index, &json!({"type": "text_delta", "text": text}), out);
    }
}

fn citation(page: &Page) -> Value {
    json!({
        "type": "web_search_result_location", "url": page.url, "title": page.title,
        "encrypted_index": sealed::index(&page.url, &page.text), "cited_text": cut(&page.text, LONGEST_QUOTE),
    })
}

fn result_block(call: &SearchCall, found: &Found) -> Value {
    let content = match found {
        Ok(pages) => Value::Array(pages.iter().map(result).collect()),
        Err(error) => json!({"type": "web_search_tool_result_error", "error_code": error.code()}),
    };
    json!({"type": "web_search_tool_result", "tool_use_id": call.id, "content": content})
}

fn result(page: &Page) -> Value {
    json!({
        "type": "web_search_result", "url": page.url, "title": page.title, "page_age": page.age,
        "encrypted_content": sealed::seal(&page.url, &page.text),
    })
}

fn start(index: u64, block: &Value, out: &mut BytesMut) {
    let event = json!({"type": "content_block_start", "index": index, "content_block": block});
    write("content_block_start", &event, out);
}

fn delta(index: u64, delta: &Value, out: &mut BytesMut) {
    let event = json!({"type": "content_block_delta", "index": index, "delta": delta});
    write("content_block_delta", &event, out);
}

fn stop(index: u64, out: &mut BytesMut) {
    write("content_block_stop", &json!({"type": "content_block_stop", "index": index}), out);
}

fn write(name: &str, data: &Value, out: &mut BytesMut) {
    let mut json = String::new();
    written(data, &mut json);
    out.extend_from_slice(format!("event: {name}\ndata: {json}\n\n").as_bytes());
}

/// Writes JSON with `type` first in every object, as the API does. Each value is nested as deeply as its parser allows.
fn written(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let kind = members.iter().filter(|(name, _)| *name == "type");
            let others = members.iter().filter(|(name, _)| *name != "type");
            out.push('{');
            for (at, (name, value)) in kind.chain(others).enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(&format!("{}:", Value::from(name.as_str())));
                written(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                written(value, out);
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string());
        }
    }
}

/// Counts of one round are cumulative: a later one replaces the one before.
fn overlay(usage: &mut Value, later: Value) {
    match (usage.as_object_mut(), later) {
        (Some(usage), Value::Object(later)) => {
            usage.extend(later.into_iter().filter(|(_, count)| !count.is_null()));
        }
        (_, later) => *usage = later,
    }
}

/// Adds the counts of a round to those of the rounds before. Other values are the last round's.
fn add(total: &mut Value, round: &Value) {
    match (&mut *total, round) {
        (Value::Object(total), Value::Object(round)) => {
            for (name, count) in round {
                add(total.entry(name.clone()).or_insert(Value::Null), count);
            }
        }
        (Value::Number(sum), Value::Number(more)) => {
            let both = sum.as_u64().zip(more.as_u64());
            *total = both.map_or_else(|| round.clone(), |(sum, more)| sum.saturating_add(more).into());
        }
        (_, Value::Null) => {}
        (total, round) => *total = round.clone(),
    }
}

#[cfg(test)]
mod tests;
