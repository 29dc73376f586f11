//! The conversation with the upstream over all rounds of one request.

use serde_json::{Map, Value, json};

use super::history::{self, ConvertedHistory};
use super::{Found, Page, SearchCall, SearchTool, TOOL_NAME, tool};
use crate::fault::RequestError;

/// The Messages request that grows from round to round.
#[derive(Debug)]
pub struct Conversation {
    body: Map<String, Value>,
    tool: SearchTool,
    /// All pages so far; a page's number is its position, from 1.
    pages: Vec<Page>,
    /// The searches of the turn before that are still to be run.
    pending: Vec<SearchCall>,
}

impl Conversation {
    /// Reads a Messages request. `None` if it has no web search tool.
    ///
    /// # Errors
    /// The tool's parameters are not valid.
    pub fn read(body: &[u8]) -> Result<Option<Self>, RequestError> {
        let Ok(Value::Object(mut body)) = serde_json::from_slice(body) else { return Ok(None) };
        let Some(tools) = body.get_mut("tools").and_then(Value::as_array_mut) else { return Ok(None) };
        let Some(at) = tools.iter().position(tool::is_search) else { return Ok(None) };
        let declared = SearchTool::read(&tools[at], &format!("tools.{at}"))?;
        tools[at] = tool::function(tools[at].get("cache_control"));
        let messages = body.get("messages").and_then(Value::as_array).cloned().unwrap_or_default();
        let ConvertedHistory { messages, pages, pending } = history::convert(&messages);
        body.insert("messages".to_owned(), Value::Array(messages));
        let pending = pending.into_iter().map(|(id, input)| SearchCall {
            upstream_id: id.clone(),
            id,
            input: input.to_string(),
        });
        Ok(Some(Self { body, tool: declared, pages, pending: pending.collect() }))
    }

    /// Replaces the name of the model.
    pub fn set_model(&mut self, model: &str) {
        self.body.insert("model".to_owned(), model.into());
    }

    #[must_use]
    pub fn tool(&self) -> &SearchTool {
        &self.tool
    }

    /// The pages that have a number.
    #[must_use]
    pub fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// The searches to run before the first round.
    pub fn take_pending(&mut self) -> Vec<SearchCall> {
        std::mem::take(&mut self.pending)
    }

    /// The request of the next round.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        serde_json::to_vec(&self.body).unwrap_or_default()
    }

    /// Adds the results of searches that an earlier turn has called. They belong before the results of the client's tools.
    pub fn add_earlier(&mut self, results: &[(SearchCall, Found)]) {
        let mut blocks: Vec<Value> = results.iter().map(|(call, found)| self.result(call, found)).collect();
        let messages = self.body.get_mut("messages").and_then(Value::as_array_mut);
        let content = messages.and_then(|messages| messages.last_mut()?.get_mut("content")?.as_array_mut());
        if let Some(content) = content {
            blocks.append(content);
            *content = blocks;
        }
    }

    /// Adds a round: what the model has said, as the `content` of its message, and the results of its searches.
    pub fn add_round(&mut self, content: Value, results: &[(SearchCall, Found)]) {
        let blocks: Vec<Value> = results.iter().map(|(call, found)| self.result(call, found)).collect();
        if let Some(messages) = self.body.get_mut("messages").and_then(Value::as_array_mut) {
            messages.push(json!({"role": "assistant", "content": content}));
            messages.push(json!({"role": "user", "content": blocks}));
        }
        // A search that the client forces is forced once.
        self.choose("auto");
    }

    /// The model must answer in the next round.
    pub fn forbid_searches(&mut self) {
        self.choose("none");
    }

    /// Sets `tool_choice`, if it forces a search or nothing may be called any more.
    fn choose(&mut self, kind: &str) {
        let Some(choice) = self.body.get("tool_choice") else {
            if kind == "none" {
                self.body.insert("tool_choice".to_owned(), json!({"type": kind}));
            }
            return;
        };
        let forced = choice.get("name").and_then(Value::as_str) == Some(TOOL_NAME)
            || choice.get("type") == Some(&"any".into());
        if forced || kind == "none" {
            self.body.insert("tool_choice".to_owned(), json!({"type": kind}));
        }
    }

    fn result(&mut self, call: &SearchCall, found: &Found) -> Value {
        match found {
            Ok(pages) => {
                let text = history::numbered(pages, self.pages.len() + 1);
                self.pages.extend(pages.iter().cloned());
                history::tool_result(&call.upstream_id, &text)
            }
            Err(error) => {
                let mut result = history::tool_result(&call.upstream_id, error.advice());
                result["is_error"] = true.into();
                result
            }
        }
    }
}
