//! Reasoning: how much of it the client wants, and what it brings back.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    convert::{
        Dropped,
        client::{
            request::{
                model::ModelGeneration,
                reasoning::{Hindrance, ReasoningRequest, Wish},
            },
            responses::{MessagesTarget, UpstreamKind},
        },
    },
    fault::RequestError,
    json::{self, List, Literal, Object, Write, trim},
    openai::responses_request::{InputItem, ReasoningOptions, parse_at},
    signature::SealedReasoning,
};

/// The value of `include` that asks for sealed reasoning.
const ENCRYPTED: &str = "reasoning.encrypted_content";

/// What the client wants.
pub(super) struct WantedReasoning<'a> {
    /// `reasoning.effort`, as the client wrote it.
    pub(super) effort: Option<&'a RawValue>,
    wish: Option<Wish>,
    pub(super) shows_summary: bool,
    pub(super) includes_sealed: bool,
}

impl<'a> WantedReasoning<'a> {
    /// Names in `dropped` what only OpenAI's models have.
    pub(super) fn read(
        options: ReasoningOptions<'a>,
        include: Option<&'a RawValue>,
        dropped: &mut Dropped,
    ) -> Result<Self, RequestError> {
        for (name, value) in [("context", options.context), ("mode", options.mode)] {
            if value.is_some() {
                dropped.note(format_args!("reasoning.{name}"));
            }
        }
        let wish = match options.effort.map(|raw| (Literal::of(raw), raw)) {
            None => None,
            Some((Some(word), _)) => Wish::read("reasoning.effort", &word.decode().unwrap_or_default())?,
            Some((None, _)) => return Err(RequestError::new("reasoning.effort: must be a string")),
        };
        let summary = options.summary.or(options.generate_summary);
        let shows_summary = summary.and_then(Literal::of).is_some_and(|summary| !summary.is("none"));
        let include = include.map(|raw| parse_at::<Vec<Literal<'a>>>(raw, "include")).transpose()?;
        let include = include.unwrap_or_default();
        let includes_sealed = include.iter().any(|name| name.is(ENCRYPTED));
        if include.iter().any(|name| name.is("message.output_text.logprobs")) {
            dropped.note("include (message.output_text.logprobs)");
        }
        Ok(Self { effort: options.effort, wish, shows_summary, includes_sealed })
    }

    /// The member that asks for reasoning.
    pub(super) fn member(&self) -> &'static str {
        if self.wish.is_some() { "reasoning.effort" } else { "reasoning.summary" }
    }

    /// For a model of Anthropic's API. A summary without an effort asks for reasoning, too.
    pub(super) fn for_messages(
        &self,
        model: ModelGeneration,
        max_tokens: u64,
        hindrance: Hindrance,
    ) -> ReasoningRequest<'static> {
        let wish = self.wish.or(self.shows_summary.then_some(Wish::Open));
        let Some(wish) = wish else { return ReasoningRequest::UNSAID };
        let reasoning = ReasoningRequest::new(wish, model, max_tokens, hindrance);
        if self.shows_summary { reasoning.with_summary(model) } else { reasoning }
    }

    /// Appends `thinking` for a request that is converted once more. The client's effort goes beside it.
    pub(super) fn write_for_chat(&self, out: &mut Vec<u8>) {
        match self.wish {
            Some(Wish::None) => out.put(b",\"thinking\":{\"type\":\"disabled\"}"),
            Some(_) => out.put(b",\"thinking\":{\"type\":\"adaptive\"}"),
            None if self.shows_summary || self.includes_sealed => {
                out.put(b",\"thinking\":{\"type\":\"adaptive\"}");
            }
            None => {}
        }
    }

    /// The effort for a request that is converted once more.
    pub(super) fn effort_for_chat(&self) -> Option<&'static str> {
        match self.wish? {
            Wish::Open | Wish::None => None,
            Wish::Low => Some("low"),
            Wish::Medium => Some("medium"),
            Wish::High => Some("high"),
            Wish::XHigh => Some("xhigh"),
            Wish::Max => Some("max"),
        }
    }
}

/// Reasoning of the upstream that the client brings back.
pub(super) struct Thought {
    /// The thoughts, or a summary of them; inner text.
    text: String,
    signature: String,
    is_redacted: bool,
}

impl Thought {
    /// `None` if it is of another upstream, which this one cannot read.
    pub(super) fn read(item: &InputItem<'_>, target: &MessagesTarget<'_>) -> Option<Self> {
        let sealed = item.encrypted_content?.decode()?;
        let (reasoning, thoughts) = SealedReasoning::open_with_text(&sealed)?;
        let SealedReasoning { provider, model, signature, is_redacted } = reasoning;
        if provider != target.provider || model != target.model || signature.is_empty() {
            return None;
        }
        // A client without a summary has the thoughts sealed with their signature.
        let text = if thoughts.is_empty() { summary(item.summary) } else { json::escape_text(&thoughts) };
        Some(Self { text, signature, is_redacted })
    }

    /// Appends the block.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if self.is_redacted {
            out.put(b"{\"type\":\"redacted_thinking\",\"data\":");
            out.string(&self.signature);
        } else {
            out.put(b"{\"type\":\"thinking\",\"thinking\":");
            out.quoted(&self.text);
            out.put(b",\"signature\":");
            out.string(&self.signature);
        }
        out.put(b"}");
    }
}

fn summary(raw: Option<&RawValue>) -> String {
    #[derive(Deserialize)]
    struct SummaryPart<'a> {
        #[serde(borrow)]
        text: Option<Literal<'a>>,
    }
    let parts: Option<List<Object<SummaryPart<'_>>>> =
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let parts = parts.unwrap_or_default();
    let texts = parts.0.iter().filter_map(|part| part.0.as_ref()?.text).map(Literal::inner);
    texts.filter(|text| !trim(text).is_empty()).collect::<Vec<_>>().join("\\n\\n")
}

/// Whether the upstream gets thoughts at all.
pub(super) fn is_anthropic(target: &MessagesTarget<'_>) -> bool {
    match target.upstream {
        UpstreamKind::Messages => true,
        UpstreamKind::ChatCompletions | UpstreamKind::Responses => false,
    }
}
