//! Converts the requested thinking of a client to the parameters of the model and its provider.

use super::{
    conversation::{RequestTurn, effort_level},
    dialect::{Dialect, ReasoningModels, ReasoningParameter},
    reasoning::{Family, Off, StopSupport, family, is_newer_openai, nearest_effort},
};
use crate::{
    anthropic::request::MessagesRequestBody,
    json::{JsonWord, Literal, Write},
    openai::members::OpenAiMembers,
};

/// The efforts that every model with efforts accepts.
const USUAL: &[&str] = &["low", "medium", "high"];

/// Token limits up to this value leave no room for the answer of a model that always reasons.
const TINY: u64 = 1024;
/// The amount by which such a limit is raised.
const HEAD_ROOM: u64 = 2048;

/// The thinking that the client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestedThinking {
    Unsaid,
    Off,
    /// One of Anthropic's efforts, or `minimal`.
    Level(&'static str),
}

impl RequestedThinking {
    /// Maps a budget to the effort of that order of magnitude. The last effort that a system message in the conversation sets takes
    /// precedence over the effort of the request.
    pub(crate) fn new(request: &MessagesRequestBody<'_>, turns: &[RequestTurn<'_>]) -> Self {
        let whole =
            request.output_config.as_ref().and_then(|config| config.effort.as_ref()).map(JsonWord::as_str);
        let of_turn = turns.iter().rev().find_map(|turn| turn.effort);
        let effort = of_turn.or(whole.map(effort_level));
        let thinking = request.thinking.as_ref();
        let kind = thinking.and_then(|thinking| thinking.r#type.as_ref()).map(JsonWord::as_str);
        let budget = thinking.and_then(|thinking| thinking.budget_tokens);
        match (kind, effort, budget) {
            (Some("disabled"), _, _) => Self::Off,
            (_, Some(level), _) => Self::Level(level),
            (Some("enabled"), None, Some(0..=4096)) => Self::Level("low"),
            (Some("enabled"), None, Some(16_385..)) => Self::Level("high"),
            (Some(_), None, _) => Self::Level("medium"),
            (None, None, _) => Self::Unsaid,
        }
    }
}

/// The thinking that a client of OpenAI's other API requests, in OpenAI's words.
fn own_effort(members: &OpenAiMembers) -> RequestedThinking {
    let word = members.effort.as_deref().and_then(Literal::of).and_then(Literal::decode);
    match word.as_deref() {
        None | Some("" | "default" | "auto" | "adaptive") => RequestedThinking::Unsaid,
        Some("none" | "off" | "disabled") => RequestedThinking::Off,
        Some("minimal") => RequestedThinking::Level("minimal"),
        Some(word) => RequestedThinking::Level(effort_level(word)),
    }
}

/// The thinking parameters of one request for one model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    thinking: RequestedThinking,
    parameter: ReasoningParameter,
    family: Option<&'static Family>,
    /// Whether the provider's configuration lists the model.
    is_listed: bool,
    /// Whether the provider's configuration lists any models.
    has_list: bool,
}

impl Effort {
    pub(crate) fn new(
        request: &MessagesRequestBody<'_>,
        turns: &[RequestTurn<'_>],
        model: &str,
        dialect: &Dialect,
    ) -> Self {
        Self {
            thinking: RequestedThinking::new(request, turns),
            parameter: dialect.reasoning,
            family: family(model),
            is_listed: dialect.lists(model),
            has_list: dialect.reasoning_models != ReasoningModels::ByFamily,
        }
    }

    /// With the effort of a client of OpenAI's other API, if the request is from one.
    pub(crate) fn with_members(self, members: Option<&OpenAiMembers>) -> Self {
        members.map_or(self, |members| Self { thinking: own_effort(members), ..self })
    }

    /// For the Responses API, which has one parameter for all vendors.
    pub(crate) fn for_responses(
        request: &MessagesRequestBody<'_>,
        turns: &[RequestTurn<'_>],
        model: &str,
        dialect: &Dialect,
    ) -> Self {
        Self { parameter: ReasoningParameter::Effort, ..Self::new(request, turns, model, dialect) }
    }

    /// The effort that is sent, if one is.
    pub(crate) fn sent(&self) -> Option<&'static str> {
        if self.is_sent() { self.words().0 } else { None }
    }

    /// Whether the model refuses `temperature` and `top_p` unless its effort is `none`, as OpenAI's reasoning models do.
    pub(crate) fn refuses_sampling(&self, model: &str) -> bool {
        is_newer_openai(model) && self.family.is_some_and(Family::reasons)
    }

    /// Whether the model reasons, as far as is known.
    pub(crate) fn may_reason(&self) -> bool {
        self.family.map_or(self.is_listed, Family::reasons)
    }

    /// Whether any parameter is sent. A model that does not reason gets none.
    pub(crate) fn is_sent(&self) -> bool {
        match self.family {
            Some(family) if !family.reasons() => false,
            Some(_) if !self.has_list => true,
            Some(_) | None => self.is_listed,
        }
    }

    /// Whether the client requests thinking that is not sent.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.thinking, RequestedThinking::Level(_))
            && (!self.is_sent() || self.words() == (None, None))
    }

    /// Whether thinking is off, so that no thoughts must be sent back.
    pub(crate) fn is_off(&self) -> bool {
        self.thinking == RequestedThinking::Off && !self.family.is_some_and(Family::reasons_anyway)
    }

    /// Whether the model accepts stop sequences.
    pub(crate) fn stop(&self) -> StopSupport {
        self.family.map_or(StopSupport::Taken, |family| family.stop)
    }

    /// The parameters: an effort, and whether the switch is on.
    fn words(&self) -> (Option<&'static str>, Option<bool>) {
        let efforts = self.family.map_or(USUAL, |family| family.efforts);
        let off = self.family.map(|family| family.off);
        match (self.thinking, self.parameter) {
            (RequestedThinking::Unsaid, _) => (None, None),
            (RequestedThinking::Level(level), ReasoningParameter::Effort) => {
                (nearest_effort(efforts, level), None)
            }
            // OpenRouter maps these to the efforts of every model.
            (RequestedThinking::Level(level), ReasoningParameter::Nested) => {
                (nearest_effort(efforts, level).or(nearest_effort(USUAL, level)), None)
            }
            (RequestedThinking::Level(level), ReasoningParameter::Switch) => {
                let efforts = self.family.map_or(&[][..], |family| family.efforts);
                (nearest_effort(efforts, level), Some(true))
            }
            (RequestedThinking::Off, ReasoningParameter::Switch) => match off {
                Some(Off::None) => (Some("none"), None),
                Some(Off::Lowest) => (efforts.first().copied(), None),
                Some(Off::Never | Off::NoReasoning) => (None, None),
                Some(Off::Switch | Off::Ignored) | None => (None, Some(false)),
            },
            (RequestedThinking::Off, ReasoningParameter::Effort) => match off {
                Some(Off::None | Off::Switch) => (Some("none"), None),
                Some(Off::Lowest) => (efforts.first().copied(), None),
                Some(Off::Never | Off::Ignored | Off::NoReasoning) | None => (None, None),
            },
            (RequestedThinking::Off, ReasoningParameter::Nested) => match off {
                Some(Off::None | Off::Switch) | None => (Some("none"), None),
                Some(Off::Lowest) => (efforts.first().copied(), None),
                // OpenRouter refuses `none` for a model that always reasons.
                Some(Off::Never | Off::Ignored | Off::NoReasoning) => (Some("low"), None),
            },
        }
    }

    /// Appends the parameters to the body.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        if !self.is_sent() {
            return;
        }
        let (effort, switch) = self.words();
        if let Some(is_on) = switch {
            out.raw(if is_on {
                ",\"thinking\":{\"type\":\"enabled\"}"
            } else {
                ",\"thinking\":{\"type\":\"disabled\"}"
            });
        }
        let Some(effort) = effort else { return };
        match self.parameter {
            ReasoningParameter::Effort | ReasoningParameter::Switch => {
                out.put(b",\"reasoning_effort\":");
                out.quoted(effort);
            }
            ReasoningParameter::Nested => {
                out.put(b",\"reasoning\":{\"effort\":");
                out.quoted(effort);
                out.put(b"}");
            }
        }
    }

    /// The token limit for a model that reasons although the client did not request it. Reasoning counts towards the limit, so a very
    /// low limit is raised.
    pub(crate) fn with_head_room(&self, tokens: u64) -> u64 {
        let is_sure = match (self.family.map(|family| family.off), self.parameter) {
            (Some(Off::NoReasoning), _) => true,
            (Some(Off::None), _) => self.is_sent(),
            (Some(Off::Switch), ReasoningParameter::Switch | ReasoningParameter::Nested) => self.is_sent(),
            (Some(Off::Switch), ReasoningParameter::Effort) => false,
            (Some(Off::Ignored | Off::Lowest | Off::Never), _) => false,
            // A model that is not listed probably does not reason.
            (None, ReasoningParameter::Switch) => true,
            (None, ReasoningParameter::Effort | ReasoningParameter::Nested) => !self.is_listed,
        };
        if self.thinking == RequestedThinking::Off && tokens <= TINY && !is_sure {
            tokens + HEAD_ROOM
        } else {
            tokens
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thinking(fields: &str) -> RequestedThinking {
        RequestedThinking::new(&serde_json::from_str(&format!("{{{fields}}}")).unwrap(), &[])
    }

    /// Requirement: `thinking.enabled` with budget 1024/8000/32000 → effort low/medium/high on a reasoning model,
    /// absent on others.
    /// Complaint of gateway users: adaptive thinking and effort are refused.
    #[test]
    fn the_wish_to_think_becomes_a_level() {
        for (fields, wanted) in [
            ("", RequestedThinking::Unsaid),
            (r#""thinking":{"type":"disabled"},"output_config":{"effort":"high"}"#, RequestedThinking::Off),
            (r#""thinking":{"type":"enabled","budget_tokens":4096}"#, RequestedThinking::Level("low")),
            (r#""thinking":{"type":"enabled","budget_tokens":4097}"#, RequestedThinking::Level("medium")),
            (r#""thinking":{"type":"enabled","budget_tokens":16384}"#, RequestedThinking::Level("medium")),
            (r#""thinking":{"type":"enabled","budget_tokens":16385}"#, RequestedThinking::Level("high")),
            (r#""thinking":{"type":"adaptive"}"#, RequestedThinking::Level("medium")),
            (
                r#""thinking":{"type":"adaptive"},"output_config":{"effort":"max"}"#,
                RequestedThinking::Level("max"),
            ),
            (r#""output_config":{"effort":"low"}"#, RequestedThinking::Level("low")),
        ] {
            assert_eq!(thinking(fields), wanted, "{fields}");
        }
    }

    /// The thinking parameters for a model, without braces, and the limit for 64 tokens.
    fn said(model: &str, (reasoning, models): (ReasoningParameter, &[&str]), fields: &str) -> (String, u64) {
        let reasoning_models = match models {
            [] => ReasoningModels::ByFamily,
            [..] => ReasoningModels::Listed(models.iter().map(|&model| model.to_owned()).collect()),
        };
        let dialect = Dialect { reasoning, reasoning_models, ..Dialect::default() };
        let body = format!("{{{fields}}}");
        let request: MessagesRequestBody<'_> = serde_json::from_str(&body).unwrap();
        let effort = Effort::new(&request, &[], model, &dialect);
        let mut out = vec![];
        effort.write(&mut out);
        (String::from_utf8(out).unwrap(), effort.with_head_room(64))
    }

    const OFF: &str = r#""thinking":{"type":"disabled"}"#;
    const XHIGH: &str = r#""thinking":{"type":"adaptive"},"output_config":{"effort":"xhigh"}"#;
    const ALL: &[&str] = &["*"];

    #[test]
    fn thinking_is_turned_off_in_the_models_own_words() {
        let effort = |word: &str| format!(",\"reasoning_effort\":\"{word}\"");
        let nested = |word: &str| format!(",\"reasoning\":{{\"effort\":\"{word}\"}}");
        let switched = ",\"thinking\":{\"type\":\"disabled\"}".to_owned();
        for (model, provider, expected, limit) in [
            ("gpt-5.1", (ReasoningParameter::Effort, ALL), effort("none"), 64),
            ("gpt-5.1", (ReasoningParameter::Effort, &[][..]), effort("none"), 64),
            ("gpt-5", (ReasoningParameter::Effort, ALL), effort("minimal"), 2112),
            ("o4-mini", (ReasoningParameter::Effort, ALL), effort("low"), 2112),
            ("gpt-6.2-sol", (ReasoningParameter::Effort, ALL), effort("none"), 64),
            ("gpt-4o", (ReasoningParameter::Effort, ALL), String::new(), 64),
            ("who-knows", (ReasoningParameter::Effort, ALL), String::new(), 2112),
            ("who-knows", (ReasoningParameter::Effort, &[][..]), String::new(), 64),
            ("gemini-2.5-flash", (ReasoningParameter::Effort, &[][..]), effort("none"), 64),
            ("gemini-2.5-pro", (ReasoningParameter::Effort, &[][..]), effort("low"), 2112),
            ("grok-4", (ReasoningParameter::Effort, &[][..]), String::new(), 2112),
            ("openai/gpt-oss-120b", (ReasoningParameter::Effort, &[][..]), effort("low"), 2112),
            ("openai/gpt-5.2", (ReasoningParameter::Nested, ALL), nested("none"), 64),
            ("z-ai/glm-4.7", (ReasoningParameter::Nested, ALL), nested("none"), 64),
            ("minimax/minimax-m2.1", (ReasoningParameter::Nested, ALL), nested("low"), 2112),
            ("stealth/model", (ReasoningParameter::Nested, ALL), nested("none"), 2112),
            ("GLM-4.7", (ReasoningParameter::Switch, ALL), switched.clone(), 64),
            ("glm-5.3", (ReasoningParameter::Switch, ALL), effort("low"), 2112),
            ("kimi-k2.6", (ReasoningParameter::Switch, ALL), switched.clone(), 64),
            ("kimi-k2-thinking", (ReasoningParameter::Switch, ALL), switched.clone(), 2112),
            ("kimi-k2.7-code", (ReasoningParameter::Switch, ALL), String::new(), 2112),
            ("kimi-k3", (ReasoningParameter::Switch, ALL), effort("low"), 2112),
            ("deepseek-reasoner", (ReasoningParameter::Switch, ALL), switched, 64),
        ] {
            assert_eq!(said(model, provider, OFF), (expected, limit), "{model} {provider:?}");
        }
    }

    #[test]
    fn an_effort_above_high_becomes_the_best_that_the_model_has() {
        for (model, provider, expected) in [
            ("gpt-5", (ReasoningParameter::Effort, ALL), ",\"reasoning_effort\":\"high\""),
            ("gpt-5.2", (ReasoningParameter::Effort, ALL), ",\"reasoning_effort\":\"xhigh\""),
            ("gpt-6-luna", (ReasoningParameter::Effort, ALL), ",\"reasoning_effort\":\"xhigh\""),
            ("who-knows", (ReasoningParameter::Effort, ALL), ",\"reasoning_effort\":\"high\""),
            ("openai/gpt-5.2", (ReasoningParameter::Nested, ALL), ",\"reasoning\":{\"effort\":\"xhigh\"}"),
            ("x-ai/grok-4", (ReasoningParameter::Nested, ALL), ",\"reasoning\":{\"effort\":\"high\"}"),
            ("GLM-4.6", (ReasoningParameter::Switch, ALL), ",\"thinking\":{\"type\":\"enabled\"}"),
            (
                "deepseek-v4-pro",
                (ReasoningParameter::Switch, ALL),
                ",\"thinking\":{\"type\":\"enabled\"},\"reasoning_effort\":\"max\"",
            ),
            ("gpt-4o", (ReasoningParameter::Effort, ALL), ""),
        ] {
            assert_eq!(said(model, provider, XHIGH), (expected.to_owned(), 64), "{model} {provider:?}");
        }
    }

    #[test]
    fn a_limit_that_is_not_tiny_stays() {
        for (asked, sent) in [(1, 2049), (1024, 3072), (1025, 1025), (u64::MAX, u64::MAX)] {
            let dialect = Dialect::default();
            let body = format!("{{{OFF}}}");
            let request: MessagesRequestBody<'_> = serde_json::from_str(&body).unwrap();
            assert_eq!(Effort::new(&request, &[], "o3", &dialect).with_head_room(asked), sent);
        }
    }
}
