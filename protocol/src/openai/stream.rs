//! Chunks of a Chat Completions stream and whole completions, which differ in one word (`delta`, `message`).
//!
//! Vendors get types wrong, so everything below the top level is optional and a wrong type counts as absent.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    json::{self, List, Literal, Object},
    vocabulary::Usage,
};

/// One event's data, or one whole reply.
#[derive(Deserialize)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow, default = "Default::default")]
    pub(crate) choices: List<Object<Choice<'a>>>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) usage: Object<Counts<'a>>,
    #[serde(borrow)]
    pub(crate) error: Option<&'a RawValue>,
    /// Some vendors answer 200 with `{"code": …, "msg": …}`.
    #[serde(borrow)]
    pub(crate) msg: Option<&'a RawValue>,
}

impl<'a> Chunk<'a> {
    /// Takes one JSON object apart. `Ok(None)` is JSON, but no object.
    pub(crate) fn read(data: &'a [u8]) -> Result<Option<Self>, BadJson> {
        let text = std::str::from_utf8(data).map_err(|_| BadJson)?;
        let chunk: Object<Self> = serde_json::from_str(text).map_err(|_| BadJson)?;
        Ok(chunk.0)
    }

    /// The first choice: only one was asked for.
    pub(crate) fn choice(&self) -> Option<&Choice<'a>> {
        self.choices.0.iter().filter_map(|choice| choice.0.as_ref()).find(|choice| {
            choice.index.is_none_or(|index| index.get().parse::<f64>().map_or(true, |index| index == 0.0))
        })
    }
}

/// The data is not JSON.
#[derive(Debug)]
pub(crate) struct BadJson;

/// One of the answers to the same prompt.
#[derive(Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) delta: Object<Message<'a>>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) message: Object<Message<'a>>,
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
    /// vLLM: the stop string that was met, or a token's number.
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
    /// Kimi.
    #[serde(borrow, default = "Default::default")]
    pub(crate) usage: Object<Counts<'a>>,
}

impl<'a> Choice<'a> {
    /// Why it ended, if it did.
    pub(crate) fn finish_reason(&self) -> Option<Literal<'a>> {
        literal(self.finish_reason)
    }

    /// The stop string that was met, if the vendor tells.
    pub(crate) fn stop_string(&self) -> Option<Literal<'a>> {
        literal(self.stop_reason)
    }
}

/// What is new in a message, or all of it.
#[derive(Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    /// DeepSeek, Qwen, Kimi, GLM, vLLM.
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    /// OpenRouter, Groq.
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    /// OpenRouter.
    #[serde(borrow)]
    pub(crate) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) tool_calls: List<Object<ToolCall<'a>>>,
    /// From before parallel calls existed.
    #[serde(borrow, default = "Default::default")]
    pub(crate) function_call: Object<Function<'a>>,
    /// Gemini's, about the text: to be sent back with it.
    #[serde(borrow)]
    pub(crate) extra_content: Option<&'a RawValue>,
}

impl<'a> Message<'a> {
    /// The inner texts of its content: one for a string, one for each text part of an array.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let string = literal(self.content).map(Literal::inner);
        let array = self.content.filter(|content| content.get().starts_with('['));
        let parts: Option<List<Object<Part<'a>>>> =
            array.and_then(|array| serde_json::from_str(array.get()).ok());
        let parts = parts.unwrap_or_default().0.into_iter().filter_map(|part| part.0);
        string.into_iter().chain(parts.filter_map(|part| part.answer()))
    }

    /// The inner texts of its reasoning, from the first field that has any.
    pub(crate) fn reasoning(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let strings = [literal(self.reasoning_content), literal(self.reasoning)];
        let string = strings.into_iter().flatten().map(Literal::inner).find(|inner| !inner.is_empty());
        let details = self.reasoning_details.filter(|_| string.is_none());
        let details: Option<List<Object<Part<'a>>>> =
            details.and_then(|details| serde_json::from_str(details.get()).ok());
        let details = details.unwrap_or_default().0.into_iter();
        let thoughts: Vec<_> = details.filter_map(|part| part.0?.thought()).collect();
        string.into_iter().chain(thoughts)
    }

    /// The inner text of a refusal.
    pub(crate) fn refusal(&self) -> Option<&'a str> {
        literal(self.refusal).map(Literal::inner).filter(|inner| !inner.is_empty())
    }
}

/// One part of array content or of `reasoning_details`.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
}

impl<'a> Part<'a> {
    /// The inner text of a text part; other kinds of content are no part of the answer.
    fn answer(&self) -> Option<&'a str> {
        let is_text = literal(self.r#type).is_none_or(|kind| kind.is("text") || kind.is("output_text"));
        literal(self.text).filter(|_| is_text).map(Literal::inner)
    }

    /// The inner text of a piece of reasoning, or of its summary if that is all there is.
    fn thought(&self) -> Option<&'a str> {
        literal(self.text).or(literal(self.summary)).map(Literal::inner)
    }
}

/// A tool call, or a piece of one.
#[derive(Deserialize)]
pub(crate) struct ToolCall<'a> {
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    pub(crate) function: Object<Function<'a>>,
    /// Gemini's: to be sent back with the call.
    #[serde(borrow)]
    pub(crate) extra_content: Option<&'a RawValue>,
}

impl<'a> ToolCall<'a> {
    /// Its index, if that is an integer.
    pub(crate) fn index(&self) -> Option<i64> {
        self.index.and_then(|index| index.get().parse().ok())
    }

    /// The inner text of its id, empty if it has none.
    pub(crate) fn id(&self) -> &'a str {
        literal(self.id).map_or("", Literal::inner)
    }
}

/// The name and arguments of a tool call, or pieces of them.
#[derive(Deserialize)]
pub(crate) struct Function<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
}

impl<'a> Function<'a> {
    /// The inner text of its name, empty if it has none.
    pub(crate) fn name(&self) -> &'a str {
        literal(self.name).map_or("", Literal::inner)
    }
}

/// `usage`, with the names that vendors have for cached tokens.
#[derive(Deserialize)]
pub(crate) struct Counts<'a> {
    #[serde(borrow)]
    prompt_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    completion_tokens: Option<&'a RawValue>,
    #[serde(borrow, default = "Default::default")]
    prompt_tokens_details: Object<CacheCounts<'a>>,
    /// DeepSeek.
    #[serde(borrow)]
    prompt_cache_hit_tokens: Option<&'a RawValue>,
    /// Kimi.
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CacheCounts<'a> {
    #[serde(borrow)]
    cached_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_write_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    cache_creation_tokens: Option<&'a RawValue>,
}

impl Counts<'_> {
    /// The same in Anthropic's meaning.
    pub(crate) fn usage(&self) -> Usage {
        let details = self.prompt_tokens_details.0.as_ref();
        let read = details
            .and_then(|details| json::count(details.cached_tokens))
            .or_else(|| json::count(self.prompt_cache_hit_tokens))
            .or_else(|| json::count(self.cached_tokens));
        let creation = details.and_then(|details| {
            json::count(details.cache_write_tokens).or_else(|| json::count(details.cache_creation_tokens))
        });
        Usage::from_prompt_total(
            json::count(self.prompt_tokens).unwrap_or(0),
            json::count(self.completion_tokens).unwrap_or(0),
            read.unwrap_or(0),
            creation.unwrap_or(0),
        )
    }
}

fn literal(raw: Option<&RawValue>) -> Option<Literal<'_>> {
    raw.and_then(Literal::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Usage {
        serde_json::from_str::<Counts<'_>>(json).unwrap().usage()
    }

    #[test]
    fn cached_tokens_are_read_from_every_vendors_place() {
        let expected = Usage { input: 60, output: 5, cache_read: 40, cache_creation: 0 };
        for cached in [
            r#""prompt_tokens_details":{"cached_tokens":40}"#,
            r#""prompt_cache_hit_tokens":40"#,
            r#""cached_tokens":40.0,"prompt_tokens_details":null"#,
        ] {
            assert_eq!(
                usage(&format!(r#"{{"prompt_tokens":100,"completion_tokens":5,{cached}}}"#)),
                expected
            );
        }
    }

    #[test]
    fn a_wrong_type_counts_as_absent() {
        let data = br#"{"choices":[7,{"index":1},{"index":0,"delta":{"content":3,"tool_calls":[null,{"index":-1.5,
            "id":{},"function":"f"}],"reasoning_details":"x","function_call":[]},"finish_reason":1}],"usage":"none"}"#;
        let chunk = Chunk::read(data).unwrap().unwrap();
        let choice = chunk.choice().unwrap();
        let delta = choice.delta.0.as_ref().unwrap();
        assert!(chunk.usage.0.is_none() && choice.finish_reason().is_none());
        assert!(delta.texts().next().is_none() && delta.reasoning().next().is_none());
        let call = delta.tool_calls.0[1].0.as_ref().unwrap();
        assert_eq!((call.index(), call.id(), call.function.0.is_none()), (None, "", true));
    }
}
