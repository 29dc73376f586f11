//! Parses chunks of a Chat Completions stream and whole completions, which differ in one word (`delta`, `message`).
//!
//! Vendors send wrong types, so everything below the top level is optional, and a value of a wrong type counts as
//! absent.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error;
use super::usage::ChatUsage;
use crate::{
    fault::Fault,
    json::{self, List, Literal, NotJson, Object},
    vocabulary::{ErrorKind, StopReason, Usage},
};

/// One event's data, or one whole reply.
#[derive(Deserialize)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow, default = "Default::default")]
    choices: List<Object<Choice<'a>>>,
    #[serde(borrow, default = "Default::default")]
    usage: Object<ChatUsage<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// Some vendors return 200 with `{"code": …, "msg": …}`.
    #[serde(borrow)]
    msg: Option<&'a RawValue>,
    /// vLLM: `error`, with the error's members beside it.
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    x_groq: Object<Groq<'a>>,
    /// Perplexity: the pages that it has found.
    #[serde(borrow)]
    search_results: Option<&'a RawValue>,
    /// Perplexity: their addresses alone.
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
    /// GLM: the pages that it has found.
    #[serde(borrow)]
    web_search: Option<&'a RawValue>,
}

impl<'a> Chunk<'a> {
    /// Parses one JSON object, or one inside a list (Gemini's errors). Returns `Ok(None)` for JSON that is not an
    /// object.
    pub(crate) fn read(data: &'a [u8]) -> Result<Option<Self>, NotJson> {
        let text = simdutf8::basic::from_utf8(data).map_err(|_| NotJson)?;
        if text.starts_with('[') {
            let list: List<Object<Self>> = serde_json::from_str(text).map_err(|_| NotJson)?;
            return Ok(list.0.into_iter().next().and_then(|chunk| chunk.0));
        }
        let chunk: Object<Self> = serde_json::from_str(text).map_err(|_| NotJson)?;
        Ok(chunk.0)
    }

    /// Returns the token counts so far, from any vendor's location.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.counts().map(ChatUsage::usage)
    }

    /// Returns what the reply has cost, in millionths of a US dollar, if the vendor reports it.
    pub(crate) fn reported_cost(&self) -> Option<u64> {
        self.counts().and_then(ChatUsage::reported_cost)
    }

    /// Returns the number of output tokens that are reasoning, if reported.
    pub(crate) fn thinking(&self) -> Option<u64> {
        self.counts().and_then(ChatUsage::thinking)
    }

    fn counts(&self) -> Option<&ChatUsage<'a>> {
        let inside = || self.choices().find_map(|choice| choice.usage.0.as_ref());
        let groqs = || self.x_groq.0.as_ref()?.usage.0.as_ref();
        self.usage.0.as_ref().or_else(inside).or_else(groqs)
    }

    /// Returns the list of the pages that the vendor has found, from the location that says most about them. `null` counts as
    /// absent.
    pub(crate) fn found_pages(&self) -> Option<&'a RawValue> {
        let places = [self.search_results, self.web_search, self.citations];
        places.into_iter().flatten().find(|list| list.get().starts_with('['))
    }

    /// Returns the number of web searches that the vendor reports (OpenRouter, Perplexity).
    pub(crate) fn searches(&self) -> Option<u64> {
        self.usage.0.as_ref()?.web_searches()
    }

    /// Returns the fault that `data` reports, if any. This chunk must be parsed from `data`.
    pub(crate) fn fault(&self, data: &[u8]) -> Option<Fault> {
        let has_choices = self.choices().next().is_some();
        let is_error = literal(self.object).is_some_and(|object| object.is("error"));
        if self.error.is_some() || (!has_choices && (self.msg.is_some() || is_error)) {
            return Some(error::read_inside(data));
        }
        let groqs = || self.x_groq.0.as_ref()?.error;
        if let Some(error) = self.choices().find_map(|choice| choice.error).or_else(groqs) {
            return Some(error::read_inside(error.get().as_bytes()));
        }
        let mut words = self.choices().filter_map(|choice| choice.finish_reason()?.decode());
        let (kind, word) = words.find_map(|word| Some((ErrorKind::from_finish_reason(&word)?, word)))?;
        let message = format!("the upstream gave up in the middle of its reply: finish_reason '{word}'");
        Some(Fault::reported(kind, error::shorten(&message)))
    }

    /// Returns the first of several answers.
    pub(crate) fn first(&self) -> Option<&Choice<'a>> {
        self.choices().find(|choice| choice.index() == 0)
    }

    /// Returns all choices, regardless of their indexes.
    pub(crate) fn choices(&self) -> impl Iterator<Item = &Choice<'a>> {
        self.choices.0.iter().filter_map(|choice| choice.0.as_ref())
    }
}

/// One of several answers to the same prompt.
#[derive(Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) delta: Object<ReplyMessage<'a>>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) message: Object<ReplyMessage<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    /// vLLM: the matched stop string, or the number of a token.
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    /// Kimi.
    #[serde(borrow, default = "Default::default")]
    usage: Object<ChatUsage<'a>>,
    /// OpenRouter.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Groq's additional members.
#[derive(Deserialize)]
struct Groq<'a> {
    #[serde(borrow, default = "Default::default")]
    usage: Object<ChatUsage<'a>>,
    /// The reason for an early stop.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    /// Returns the index among several choices; without a valid number, 0.
    pub(crate) fn index(&self) -> u64 {
        json::read_count(self.index).unwrap_or(0)
    }

    /// Whether this is an answer. A filtered answer can lack its message (Gemini).
    pub(crate) fn is_answer(&self) -> bool {
        let word = self.finish_reason().and_then(Literal::decode);
        let is_refused =
            word.and_then(|word| StopReason::from_finish_reason(&word)) == Some(StopReason::Refusal);
        self.message.0.is_some() || self.delta.0.is_some() || is_refused
    }

    /// Returns the finish reason, if the answer has ended.
    pub(crate) fn finish_reason(&self) -> Option<Literal<'a>> {
        literal(self.finish_reason)
    }

    /// Returns the matched stop string, if the vendor reports it.
    pub(crate) fn stop_string(&self) -> Option<Literal<'a>> {
        literal(self.stop_reason)
    }
}

/// The new part of a message, or the whole message.
#[derive(Deserialize)]
pub(crate) struct ReplyMessage<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    /// DeepSeek, Qwen, Kimi, GLM, vLLM.
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    /// OpenRouter, Groq, Ollama.
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    /// Ollama's native name.
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    /// OpenRouter.
    #[serde(borrow)]
    pub(crate) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) tool_calls: List<Object<ReplyToolCall<'a>>>,
    /// The predecessor of `tool_calls`, from before parallel calls existed.
    #[serde(borrow, default = "Default::default")]
    pub(crate) function_call: Object<ReplyFunction<'a>>,
    /// Gemini's data about the text; it must be sent back with the text.
    #[serde(borrow)]
    pub(crate) extra_content: Option<&'a RawValue>,
    /// The sources of the text, if the vendor has searched the web.
    #[serde(borrow)]
    pub(crate) annotations: Option<&'a RawValue>,
}

impl<'a> ReplyMessage<'a> {
    /// Returns the inner texts of the content: one for a string, one for each text part of an array.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let string = literal(self.content).map(Literal::inner);
        string.into_iter().chain(parts(self.content).filter_map(|part| part.answer()))
    }

    /// Returns the inner texts of the reasoning, from the first member that has any.
    pub(crate) fn reasoning(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let strings = [self.reasoning_content, self.reasoning, self.thinking].map(literal);
        let string = strings.into_iter().flatten().map(Literal::inner).find(|inner| !inner.is_empty());
        let details = self.reasoning_details.filter(|_| string.is_none());
        let inside = self.content.filter(|_| string.is_none());
        let thoughts = parts(details).filter_map(|part| part.thought());
        let thoughts = thoughts.chain(parts(inside).flat_map(|part| part.thinking()));
        string.into_iter().chain(thoughts)
    }

    /// Whether the message starts or continues a tool call.
    pub(crate) fn calls(&self) -> bool {
        !self.tool_calls.0.is_empty() || self.function_call.0.is_some()
    }

    /// Whether the message contains anything other than its role.
    pub(crate) fn says_something(&self) -> bool {
        self.calls()
            || self.reasoning_details.is_some()
            || self.extra_content.is_some()
            || self.refusal().is_some()
            || self.texts().chain(self.reasoning()).any(|inner| !inner.is_empty())
    }

    /// Returns the inner text of a refusal.
    pub(crate) fn refusal(&self) -> Option<&'a str> {
        literal(self.refusal).map(Literal::inner).filter(|inner| !inner.is_empty())
    }
}

/// Returns the parts of a value that is an array of parts.
fn parts<'a>(raw: Option<&'a RawValue>) -> impl Iterator<Item = ReplyPart<'a>> + use<'a> {
    let array = raw.filter(|raw| raw.get().starts_with('['));
    let parts: Option<List<Object<ReplyPart<'a>>>> =
        array.and_then(|array| serde_json::from_str(array.get()).ok());
    parts.unwrap_or_default().0.into_iter().filter_map(|part| part.0)
}

/// One part of array content or of `reasoning_details`.
#[derive(Deserialize)]
struct ReplyPart<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    /// A string; on Databricks an array of parts.
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    /// Mistral: a string, or an array of parts.
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
}

impl<'a> ReplyPart<'a> {
    /// Returns the inner text of a text part; other types of content are not part of the answer.
    fn answer(&self) -> Option<&'a str> {
        let is_text = literal(self.r#type).is_none_or(|kind| kind.is("text") || kind.is("output_text"));
        literal(self.text).filter(|_| is_text).map(Literal::inner)
    }

    /// Returns the inner text of a reasoning part, or of its summary if it has nothing else.
    fn thought(&self) -> Option<&'a str> {
        literal(self.text).or(literal(self.summary)).map(Literal::inner)
    }

    /// Returns the inner texts of a reasoning part inside the content.
    fn thinking(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let is_reasoning = literal(self.r#type).is_some_and(|kind| kind.is("reasoning"));
        let places =
            [self.thinking, self.summary.filter(|_| is_reasoning), self.text.filter(|_| is_reasoning)];
        places.into_iter().flat_map(|place| {
            let string = literal(place).map(Literal::inner);
            string.into_iter().chain(parts(place).filter_map(|part| literal(part.text).map(Literal::inner)))
        })
    }
}

/// A tool call, or a part of one.
#[derive(Deserialize)]
pub(crate) struct ReplyToolCall<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) function: Object<ReplyFunction<'a>>,
    /// Gemini's data about the call; it must be sent back with the call.
    #[serde(borrow)]
    pub(crate) extra_content: Option<&'a RawValue>,
}

impl<'a> ReplyToolCall<'a> {
    /// Returns the index if it is an integer.
    pub(crate) fn index(&self) -> Option<i64> {
        self.index.and_then(|index| index.get().parse().ok())
    }

    /// Returns the inner text of the id; empty if absent. Mistral has sent `"null"` for an absent id.
    pub(crate) fn id(&self) -> &'a str {
        literal(self.id).map(Literal::inner).filter(|id| *id != "null").unwrap_or_default()
    }
}

/// The name and arguments of a tool call, or parts of them.
#[derive(Deserialize)]
pub(crate) struct ReplyFunction<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
}

impl<'a> ReplyFunction<'a> {
    /// Returns the inner text of the name; empty if absent.
    pub(crate) fn name(&self) -> &'a str {
        literal(self.name).map_or("", Literal::inner)
    }
}

fn literal(raw: Option<&RawValue>) -> Option<Literal<'_>> {
    raw.and_then(Literal::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_type_counts_as_absent() {
        let data = br#"{"choices":[7,{"index":1},{"index":0,"delta":{"content":3,"tool_calls":[null,{"index":-1.5,
            "id":{},"function":"f"}],"reasoning_details":"x","function_call":[]},"finish_reason":1}],"usage":"none"}"#;
        let chunk = Chunk::read(data).unwrap().unwrap();
        let choice = chunk.first().unwrap();
        let delta = choice.delta.0.as_ref().unwrap();
        assert!(chunk.usage.0.is_none() && choice.finish_reason().is_none());
        assert!(delta.texts().next().is_none() && delta.reasoning().next().is_none());
        let call = delta.tool_calls.0[1].0.as_ref().unwrap();
        assert_eq!((call.index(), call.id(), call.function.0.is_none()), (None, "", true));
    }
}
