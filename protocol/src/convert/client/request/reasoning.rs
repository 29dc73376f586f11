//! How much the model is to think: OpenAI's effort in Anthropic's words.

use super::model::{ModelGeneration, ThinkingMode};
use crate::{
    fault::RequestError,
    json::{JsonWord, Write},
};

/// The least that Anthropic takes for a budget, and what an answer must have beside it.
const LEAST: u64 = 1024;

/// The client's wish, in the parameters that the model accepts.
pub(crate) struct ReasoningRequest<'a> {
    thinking: Option<ThinkingParam<'a>>,
    effort: Option<&'static str>,
    is_requested: bool,
    /// Whether the model must be asked for a summary.
    has_summary: bool,
    /// Whether the model does otherwise than the client asked.
    is_lost: bool,
}

/// The value of `thinking`.
enum ThinkingParam<'a> {
    Enabled {
        budget: u64,
    },
    Adaptive,
    Disabled,
    /// The client's own.
    Own(&'a str),
}

/// OpenAI's scale, and that of Claude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// As much as the model finds right.
    Open,
    None,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Wish {
    /// `None` if the word, the value of the member `field`, leaves it to the model.
    pub(crate) fn read(field: &str, word: &str) -> Result<Option<Self>, RequestError> {
        let wish = match word.to_ascii_lowercase().as_str() {
            // Groq's word, and what other vendors say for it.
            "" | "default" | "auto" | "adaptive" => return Ok(None),
            "none" | "off" | "disabled" => Self::None,
            "minimal" | "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::XHigh,
            "max" => Self::Max,
            _ => {
                return Err(RequestError::new(format!(
                    "{field}: must be default, none, minimal, low, medium, high, xhigh or max"
                )));
            }
        };
        Ok(Some(wish))
    }

    fn effort(self, model: ModelGeneration) -> Option<&'static str> {
        Some(match self {
            Self::Open => return None,
            Self::None | Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh if !model.has_xhigh() => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        })
    }

    fn budget(self) -> u64 {
        match self {
            Self::None | Self::Low => LEAST,
            Self::Open | Self::Medium => 8000,
            Self::High | Self::XHigh | Self::Max => 24_000,
        }
    }
}

impl<'a> ReasoningRequest<'a> {
    /// The client leaves it to the model.
    pub(crate) const UNSAID: Self =
        Self { thinking: None, effort: None, is_requested: false, has_summary: false, is_lost: false };

    /// The client's own `thinking`, in Anthropic's notation.
    pub(crate) fn own(thinking: &'a str) -> Self {
        Self { thinking: Some(ThinkingParam::Own(thinking)), is_requested: !is_off(thinking), ..Self::UNSAID }
    }

    /// The client's wish, as far as the model accepts it.
    pub(crate) fn new(wish: Wish, model: ModelGeneration, max_tokens: u64, hindrance: Hindrance) -> Self {
        let is_requested = wish != Wish::None;
        let thinks = is_requested && !hindrance.stops(model);
        let thinking = match model.thinking() {
            _ if !is_requested => model.can_stop_thinking().then_some(ThinkingParam::Disabled),
            ThinkingMode::Adaptive if thinks => Some(ThinkingParam::Adaptive),
            ThinkingMode::Budgeted if thinks => {
                let room = max_tokens.saturating_sub(LEAST);
                (room >= LEAST).then(|| ThinkingParam::Enabled { budget: wish.budget().min(room) })
            }
            ThinkingMode::Adaptive | ThinkingMode::Budgeted | ThinkingMode::Never => None,
        };
        let has_effort =
            model.thinking() == ThinkingMode::Adaptive && (is_requested || !model.can_stop_thinking());
        let effort = has_effort.then(|| wish.effort(model)).flatten();
        let is_on = matches!(thinking, Some(ThinkingParam::Adaptive | ThinkingParam::Enabled { .. }));
        let always_thinks = model.thinking() != ThinkingMode::Never && !model.can_stop_thinking();
        let is_lost = if is_requested { !is_on } else { always_thinks };
        Self { thinking, effort, is_requested, has_summary: false, is_lost }
    }

    /// With a summary of the thinking, from models that send it on request only.
    pub(crate) fn with_summary(self, model: ModelGeneration) -> Self {
        Self { has_summary: model.hides_thinking(), ..self }
    }

    /// Whether the model does otherwise than the client asked: it does not think, or cannot stop thinking.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Whether the client asked for it, and so sees it.
    pub(crate) fn is_requested(&self) -> bool {
        self.is_requested
    }

    /// Whether thinking is on, which fixes the temperature.
    pub(crate) fn is_on(&self) -> bool {
        match &self.thinking {
            Some(ThinkingParam::Enabled { .. } | ThinkingParam::Adaptive) => true,
            Some(ThinkingParam::Own(own)) => !is_off(own),
            Some(ThinkingParam::Disabled) | None => false,
        }
    }

    /// The value of `output_config.effort`.
    pub(crate) fn effort(&self) -> Option<&'static str> {
        self.effort
    }

    /// Appends `thinking`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let Some(thinking) = &self.thinking else { return };
        out.put(b",\"thinking\":");
        match thinking {
            ThinkingParam::Enabled { budget } => {
                out.put(b"{\"type\":\"enabled\",\"budget_tokens\":");
                out.number(*budget);
                out.put(b"}");
            }
            ThinkingParam::Adaptive if self.has_summary => {
                out.put(b"{\"type\":\"adaptive\",\"display\":\"summarized\"}");
            }
            ThinkingParam::Adaptive => out.put(b"{\"type\":\"adaptive\"}"),
            ThinkingParam::Disabled => out.put(b"{\"type\":\"disabled\"}"),
            ThinkingParam::Own(own) => out.raw(own),
        }
    }
}

/// Why thinking is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hindrance {
    None,
    /// A tool must be called.
    ForcedCall,
    /// Results have just come without the thoughts that led to the calls. A model with a budget requires them, signed.
    /// Chat Completions has no place for signatures.
    Results,
}

impl Hindrance {
    fn stops(self, model: ModelGeneration) -> bool {
        match self {
            Self::None => false,
            Self::ForcedCall => true,
            Self::Results => model.thinking() == ThinkingMode::Budgeted,
        }
    }
}

fn is_off(thinking: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Typed<'a> {
        #[serde(borrow)]
        r#type: Option<JsonWord<'a>>,
    }
    let typed = serde_json::from_str::<Typed<'_>>(thinking).ok().and_then(|typed| typed.r#type);
    typed.is_none_or(|kind| kind.as_str() == "disabled")
}
