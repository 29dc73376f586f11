//! How much a model is to think: what the client asks for, in the words that the model and its provider have for it.

use super::{Target, Turn};
use crate::{
    anthropic::request::Request,
    convert::upstream::chat::{
        Reasoning,
        reasoning::{Family, Off, Stop, family, nearest},
    },
    json::{Word, Write},
};

/// What every model with efforts has.
const USUAL: &[&str] = &["low", "medium", "high"];

/// A limit of tokens up to this leaves a model that reasons anyway no room for an answer.
const TINY: u64 = 1024;
/// By so much it is raised for such a model.
const HEAD_ROOM: u64 = 2048;

/// The thinking that the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    Unsaid,
    Off,
    /// One of Anthropic's efforts.
    Level(&'static str),
}

impl Thinking {
    /// A budget becomes the word for its order of magnitude. The last effort that a system message of the conversation
    /// sets counts more than the one of the whole request.
    pub(super) fn new(request: &Request<'_>, turns: &[Turn<'_>]) -> Self {
        let whole =
            request.output_config.as_ref().and_then(|config| config.effort.as_ref()).map(Word::as_str);
        let of_turn = turns.iter().rev().find_map(|turn| turn.effort);
        let effort = of_turn.or(whole.map(level));
        let thinking = request.thinking.as_ref();
        let kind = thinking.and_then(|thinking| thinking.r#type.as_ref()).map(Word::as_str);
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

/// Anthropic's efforts; a word that is not known here is the one in the middle.
pub(super) fn level(effort: &str) -> &'static str {
    match effort {
        "low" | "minimal" => "low",
        "high" => "high",
        "xhigh" => "xhigh",
        "max" => "max",
        _ => "medium",
    }
}

/// The thinking parameters of one request for one model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    thinking: Thinking,
    parameter: Reasoning,
    family: Option<&'static Family>,
    /// The provider's configuration lists the model.
    is_listed: bool,
    /// The provider's configuration lists models.
    has_list: bool,
}

impl Effort {
    pub(super) fn new(request: &Request<'_>, turns: &[Turn<'_>], target: &Target<'_>) -> Self {
        Self {
            thinking: Thinking::new(request, turns),
            parameter: target.dialect.reasoning,
            family: family(target.model),
            is_listed: target.dialect.lists(target.model),
            has_list: !target.dialect.reasoning_models.is_empty(),
        }
    }

    /// Whether any parameter is sent. A model that does not reason gets none.
    fn is_told(&self) -> bool {
        match self.family {
            Some(family) if !family.reasons() => false,
            Some(_) if !self.has_list => true,
            Some(_) | None => self.is_listed,
        }
    }

    /// Whether the client asks for something that is not sent.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.thinking, Thinking::Level(_)) && (!self.is_told() || self.words() == (None, None))
    }

    /// Whether the client turns thinking off, or the model gets none that must come back.
    pub(super) fn is_off(&self) -> bool {
        self.thinking == Thinking::Off && !self.family.is_some_and(Family::reasons_anyway)
    }

    /// Whether the model takes stop sequences.
    pub(super) fn stop(&self) -> Stop {
        self.family.map_or(Stop::Taken, |family| family.stop)
    }

    /// The parameters: an effort, and whether the switch is on.
    fn words(&self) -> (Option<&'static str>, Option<bool>) {
        let efforts = self.family.map_or(USUAL, |family| family.efforts);
        let off = self.family.map(|family| family.off);
        match (self.thinking, self.parameter) {
            (Thinking::Unsaid, _) => (None, None),
            (Thinking::Level(level), Reasoning::Effort) => (nearest(efforts, level), None),
            // OpenRouter brings every model's efforts to these.
            (Thinking::Level(level), Reasoning::Nested) => {
                (nearest(efforts, level).or(nearest(USUAL, level)), None)
            }
            (Thinking::Level(level), Reasoning::Switch) => {
                let efforts = self.family.map_or(&[][..], |family| family.efforts);
                (nearest(efforts, level), Some(true))
            }
            (Thinking::Off, Reasoning::Switch) => match off {
                Some(Off::None) => (Some("none"), None),
                Some(Off::Lowest) => (efforts.first().copied(), None),
                Some(Off::Never | Off::NoReasoning) => (None, None),
                Some(Off::Switch | Off::Ignored) | None => (None, Some(false)),
            },
            (Thinking::Off, Reasoning::Effort) => match off {
                Some(Off::None | Off::Switch) => (Some("none"), None),
                Some(Off::Lowest) => (efforts.first().copied(), None),
                Some(Off::Never | Off::Ignored | Off::NoReasoning) | None => (None, None),
            },
            (Thinking::Off, Reasoning::Nested) => match off {
                Some(Off::None | Off::Switch) | None => (Some("none"), None),
                Some(Off::Lowest) => (efforts.first().copied(), None),
                // OpenRouter refuses `none` for a model that always reasons.
                Some(Off::Never | Off::Ignored | Off::NoReasoning) => (Some("low"), None),
            },
        }
    }

    /// Appends the members that say it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if !self.is_told() {
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
            Reasoning::Effort | Reasoning::Switch => {
                out.put(b",\"reasoning_effort\":");
                out.quoted(effort);
            }
            Reasoning::Nested => {
                out.put(b",\"reasoning\":{\"effort\":");
                out.quoted(effort);
                out.put(b"}");
            }
        }
    }

    /// The limit of tokens for a model that may spend it on thoughts which the client does not want: its thinking counts,
    /// so a tiny limit is raised.
    pub(super) fn with_head_room(&self, tokens: u64) -> u64 {
        let is_sure = match (self.family.map(|family| family.off), self.parameter) {
            (Some(Off::NoReasoning), _) => true,
            (Some(Off::None), _) => self.is_told(),
            (Some(Off::Switch), Reasoning::Switch | Reasoning::Nested) => self.is_told(),
            (Some(Off::Switch), Reasoning::Effort) => false,
            (Some(Off::Ignored | Off::Lowest | Off::Never), _) => false,
            // Whoever is not listed probably does not reason.
            (None, Reasoning::Switch) => true,
            (None, Reasoning::Effort | Reasoning::Nested) => !self.is_listed,
        };
        if self.thinking == Thinking::Off && tokens <= TINY && !is_sure { tokens + HEAD_ROOM } else { tokens }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::upstream::chat::Dialect;

    fn thinking(fields: &str) -> Thinking {
        Thinking::new(&serde_json::from_str(&format!("{{{fields}}}")).unwrap(), &[])
    }

    /// Requirement: `thinking.enabled` with budget 1024/8000/32000 → effort low/medium/high on a reasoning model,
    /// absent on others.
    /// Complaint of gateway users: adaptive thinking and effort are refused.
    #[test]
    fn the_wish_to_think_becomes_a_level() {
        for (fields, wanted) in [
            ("", Thinking::Unsaid),
            (r#""thinking":{"type":"disabled"},"output_config":{"effort":"high"}"#, Thinking::Off),
            (r#""thinking":{"type":"enabled","budget_tokens":4096}"#, Thinking::Level("low")),
            (r#""thinking":{"type":"enabled","budget_tokens":4097}"#, Thinking::Level("medium")),
            (r#""thinking":{"type":"enabled","budget_tokens":16384}"#, Thinking::Level("medium")),
            (r#""thinking":{"type":"enabled","budget_tokens":16385}"#, Thinking::Level("high")),
            (r#""thinking":{"type":"adaptive"}"#, Thinking::Level("medium")),
            (r#""thinking":{"type":"adaptive"},"output_config":{"effort":"max"}"#, Thinking::Level("max")),
            (r#""output_config":{"effort":"low"}"#, Thinking::Level("low")),
        ] {
            assert_eq!(thinking(fields), wanted, "{fields}");
        }
    }

    /// The thinking parameters for a model, without braces, and the limit for 64 tokens.
    fn said(model: &str, (reasoning, models): (Reasoning, &[&str]), fields: &str) -> (String, u64) {
        let reasoning_models = models.iter().map(|&model| model.to_owned()).collect();
        let dialect = Dialect { reasoning, reasoning_models, ..Dialect::default() };
        let target =
            Target { provider: "p", model, requested_model: model, dialect: &dialect, session: None };
        let body = format!("{{{fields}}}");
        let request: Request<'_> = serde_json::from_str(&body).unwrap();
        let effort = Effort::new(&request, &[], &target);
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
            ("gpt-5.1", (Reasoning::Effort, ALL), effort("none"), 64),
            ("gpt-5.1", (Reasoning::Effort, &[][..]), effort("none"), 64),
            ("gpt-5", (Reasoning::Effort, ALL), effort("minimal"), 2112),
            ("o4-mini", (Reasoning::Effort, ALL), effort("low"), 2112),
            ("gpt-6.2-sol", (Reasoning::Effort, ALL), effort("none"), 64),
            ("gpt-4o", (Reasoning::Effort, ALL), String::new(), 64),
            ("who-knows", (Reasoning::Effort, ALL), String::new(), 2112),
            ("who-knows", (Reasoning::Effort, &[][..]), String::new(), 64),
            ("gemini-2.5-flash", (Reasoning::Effort, &[][..]), effort("none"), 64),
            ("gemini-2.5-pro", (Reasoning::Effort, &[][..]), effort("low"), 2112),
            ("grok-4", (Reasoning::Effort, &[][..]), String::new(), 2112),
            ("openai/gpt-oss-120b", (Reasoning::Effort, &[][..]), effort("low"), 2112),
            ("openai/gpt-5.2", (Reasoning::Nested, ALL), nested("none"), 64),
            ("z-ai/glm-4.7", (Reasoning::Nested, ALL), nested("none"), 64),
            ("minimax/minimax-m2.1", (Reasoning::Nested, ALL), nested("low"), 2112),
            ("stealth/model", (Reasoning::Nested, ALL), nested("none"), 2112),
            ("GLM-4.7", (Reasoning::Switch, ALL), switched.clone(), 64),
            ("glm-5.3", (Reasoning::Switch, ALL), effort("low"), 2112),
            ("kimi-k2.6", (Reasoning::Switch, ALL), switched.clone(), 64),
            ("kimi-k2-thinking", (Reasoning::Switch, ALL), switched.clone(), 2112),
            ("kimi-k2.7-code", (Reasoning::Switch, ALL), String::new(), 2112),
            ("kimi-k3", (Reasoning::Switch, ALL), effort("low"), 2112),
            ("deepseek-reasoner", (Reasoning::Switch, ALL), switched, 64),
        ] {
            assert_eq!(said(model, provider, OFF), (expected, limit), "{model} {provider:?}");
        }
    }

    #[test]
    fn an_effort_above_high_becomes_the_best_that_the_model_has() {
        for (model, provider, expected) in [
            ("gpt-5", (Reasoning::Effort, ALL), ",\"reasoning_effort\":\"high\""),
            ("gpt-5.2", (Reasoning::Effort, ALL), ",\"reasoning_effort\":\"xhigh\""),
            ("gpt-6-luna", (Reasoning::Effort, ALL), ",\"reasoning_effort\":\"xhigh\""),
            ("who-knows", (Reasoning::Effort, ALL), ",\"reasoning_effort\":\"high\""),
            ("openai/gpt-5.2", (Reasoning::Nested, ALL), ",\"reasoning\":{\"effort\":\"xhigh\"}"),
            ("x-ai/grok-4", (Reasoning::Nested, ALL), ",\"reasoning\":{\"effort\":\"high\"}"),
            ("GLM-4.6", (Reasoning::Switch, ALL), ",\"thinking\":{\"type\":\"enabled\"}"),
            (
                "deepseek-v4-pro",
                (Reasoning::Switch, ALL),
                ",\"thinking\":{\"type\":\"enabled\"},\"reasoning_effort\":\"max\"",
            ),
            ("gpt-4o", (Reasoning::Effort, ALL), ""),
        ] {
            assert_eq!(said(model, provider, XHIGH), (expected.to_owned(), 64), "{model} {provider:?}");
        }
    }

    #[test]
    fn a_limit_that_is_not_tiny_stays() {
        for (asked, sent) in [(1, 2049), (1024, 3072), (1025, 1025), (u64::MAX, u64::MAX)] {
            let dialect = Dialect::default();
            let target = Target {
                provider: "p",
                model: "o3",
                requested_model: "o3",
                dialect: &dialect,
                session: None,
            };
            let body = format!("{{{OFF}}}");
            let request: Request<'_> = serde_json::from_str(&body).unwrap();
            assert_eq!(Effort::new(&request, &[], &target).with_head_room(asked), sent);
        }
    }
}
