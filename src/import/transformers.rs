//! The transformers of claude-code-router: which of them are settings here, which the translation does by itself, and which
//! have no equivalent.

use toml_edit::Value as TomlValue;
use vandamme_protocol::compat::FixupRule;

use super::built_in;
use super::document::Section;
use super::endpoint::Format;
use super::json5::{Node, Value};
use super::report::{Place, Report};

/// A provider in the making.
pub(super) struct Target<'a> {
    pub(super) section: &'a mut Section,
    pub(super) format: Format,
    /// The built-in provider whose options apply.
    pub(super) like: Option<&'a str>,
}

/// One use of a transformer.
struct Use<'a> {
    name: String,
    options: &'a [(String, Node)],
    /// `None` for all models of the provider.
    model: Option<&'a str>,
}

/// The outcome of a transformer.
enum Effect {
    Set(String),
    ByItself(&'static str),
    None(&'static str),
}

const NO_PLUGIN: &str =
    "vdm runs no plugins; drop-params, set-params and limit-params change single members of requests";
const SUBSCRIPTION: &str = "vdm does not use the login of another program; use a provider with an API key";
const WHOLE_PROVIDER: &str =
    "vdm has this for all models of a provider only; make a second provider for this model";

/// The API that the transformers of a provider name.
pub(super) fn format(transformer: Option<&Node>) -> Option<Format> {
    let uses = transformer.and_then(Node::table)?.iter().find(|(name, _)| name == "use")?.1.list()?;
    let names = uses.iter().filter_map(|node| node.text().or_else(|| node.list()?.first()?.text()));
    let is_anthropic = names.into_iter().any(|name| name.eq_ignore_ascii_case("anthropic"));
    is_anthropic.then_some(Format::Anthropic)
}

/// Applies the member `transformer` of a provider at `path`.
pub(super) fn apply(target: &mut Target<'_>, path: &str, node: &Node, report: &mut Report) {
    let Some(entries) = node.table() else {
        let text = format!("expected an object with \"use\", found {}", node.kind());
        return report.error(Place::new(node.line, path), text);
    };
    for (name, node) in entries {
        if name == "use" {
            apply_list(target, &format!("{path}.use"), node, None, report);
            continue;
        }
        let path = format!("{path}.{name:?}");
        let uses = node.table().and_then(|entries| entries.iter().find(|(name, _)| name == "use"));
        match uses {
            Some((_, uses)) => apply_list(target, &format!("{path}.use"), uses, Some(name), report),
            None => report.not_taken(Place::new(node.line, &path), "this is no list of transformers"),
        }
    }
}

fn apply_list(target: &mut Target<'_>, path: &str, node: &Node, model: Option<&str>, report: &mut Report) {
    let Some(items) = node.list() else {
        let text = format!("expected a list of transformers, found {}", node.kind());
        return report.error(Place::new(node.line, path), text);
    };
    for item in items {
        match Use::read(item, model) {
            Some(used) => {
                let setting = format!("{path} {}", used.name);
                let place = Place::new(item.line, &setting);
                used.apply(target, place, report);
            }
            None => report.error(
                Place::new(item.line, path),
                "expected the name of a transformer, or a list of its name and its options",
            ),
        }
    }
}

impl<'a> Use<'a> {
    fn read(node: &'a Node, model: Option<&'a str>) -> Option<Self> {
        let (name, options) = match &node.value {
            Value::Text(name) => (name.as_str(), &[][..]),
            Value::List(items) => match items.as_slice() {
                [name] => (name.text()?, &[][..]),
                [name, options] => (name.text()?, options.table()?),
                _ => return None,
            },
            Value::Null | Value::Flag(_) | Value::Number(_) | Value::Table(_) => return None,
        };
        Some(Self { name: name.to_owned(), options, model })
    }

    fn apply(&self, target: &mut Target<'_>, place: Place<'_>, report: &mut Report) {
        match self.effect(target) {
            Effect::Set(note) => report.taken(place, note),
            Effect::ByItself(note) => report.not_needed(place, note),
            Effect::None(note) => report.not_taken(place, note),
        }
        if self.name == "openrouter" {
            self.openrouter_options(target, place, report);
        }
    }

    fn effect(&self, target: &mut Target<'_>) -> Effect {
        match self.name.to_ascii_lowercase().as_str() {
            "anthropic" if self.model.is_some() => Effect::None(WHOLE_PROVIDER),
            "anthropic" => {
                Effect::Set("api-format = \"anthropic\": requests and replies pass unchanged".to_owned())
            }
            "openai" => Effect::ByItself("the default API of a provider"),
            "deepseek" => {
                Effect::ByItself("reasoning is translated in both directions; max_tokens is not capped")
            }
            "gemini" => {
                Effect::ByItself("schemas and thought signatures are adapted by the middleware gemini")
            }
            "openrouter" => self.openrouter(target),
            "groq" | "cerebras" | "vercel" => Effect::ByItself("requests and replies are translated"),
            "streamoptions" => Effect::ByItself("usage is requested in every stream"),
            "reasoning" => {
                Effect::ByItself("reasoning_content becomes thinking, and is returned to the model")
            }
            "maxtoken" => self.max_tokens(target),
            "maxcompletiontokens" => {
                self.for_provider(target, "max-tokens-as", "max_completion_tokens".into())
            }
            "extrathinktag" => self.for_provider(target, "think-tags", true.into()),
            "sampling" | "customparams" => self.members(target),
            "cleancache" => self.without_cache_marks(target),
            "tooluse" | "forcereasoning" => Effect::None(
                "vdm adds neither tools nor instructions to a request; if the model needs them, choose another one",
            ),
            "enhancetool" => Effect::None(
                "vdm forwards the arguments of a tool call as the model wrote them; if they are often invalid, choose another model",
            ),
            "gemini-cli" | "qwen-cli" | "rovo-cli" | "claude-code-oauth" | "codex-cli" => {
                Effect::None(SUBSCRIPTION)
            }
            "vertex-gemini" | "vertex-claude" | "vertex-openai" => Effect::None(
                "vdm does not fetch Google's tokens; use Gemini's API with a key (provider gemini)",
            ),
            "openai-response" | "openai-responses" => {
                Effect::None("vdm calls Chat Completions instead; most models are served there, too")
            }
            _ => Effect::None(NO_PLUGIN),
        }
    }

    fn openrouter(&self, target: &mut Target<'_>) -> Effect {
        if target.like == Some("openrouter") || self.model.is_some() {
            return Effect::ByItself("the built-in options of openrouter apply");
        }
        let options = built_in::named("openrouter").map(|provider| provider.options).unwrap_or_default();
        for (key, value) in options {
            target.section.set(&key, value);
        }
        Effect::Set("the options of the built-in provider openrouter".to_owned())
    }

    fn openrouter_options(&self, target: &mut Target<'_>, place: Place<'_>, report: &mut Report) {
        for (name, node) in self.options {
            let setting = format!("{}.{name}", place.setting);
            let place = Place::new(node.line, &setting);
            let header = match name.as_str() {
                "referer" => Some("HTTP-Referer"),
                "title" => Some("X-Title"),
                _ => None,
            };
            match (header, node.text(), name.as_str()) {
                _ if node.is_empty() => report.not_needed(place, "it is empty"),
                (Some(_), Some(_), _) if self.model.is_some() => report.not_taken(place, WHOLE_PROVIDER),
                (Some(header), Some(text), _) => {
                    target.section.headers.push((header.to_owned(), text.to_owned()));
                    report.taken(place, format!("header {header} in custom-headers"));
                }
                (None, _, "provider" | "providerOrder") => {
                    let (name, value) = match name.as_str() {
                        "provider" => ("provider", json(node)),
                        _ => ("provider.order", json(node)),
                    };
                    let rule = self.rule(name, &value);
                    put(rule, &mut target.section.sets, place, report);
                }
                _ => report.not_taken(place, "vdm does not know this option of openrouter"),
            }
        }
    }

    fn max_tokens(&self, target: &mut Target<'_>) -> Effect {
        let count = self.option("max_tokens").and_then(Node::number).filter(|count| *count >= 1.0);
        let Some(count) = count else { return Effect::None("it has no max_tokens of at least 1") };
        let rule = self.scoped(&format!("max_tokens<={count:.0}"));
        if FixupRule::limit(&rule).is_none() {
            return Effect::None("the name of the model cannot be part of a rule");
        }
        target.section.limits.push(rule.clone());
        Effect::Set(format!("limit-params has {rule:?}"))
    }

    /// Every option is a member of the body.
    fn members(&self, target: &mut Target<'_>) -> Effect {
        let mut rules = Vec::new();
        for (name, node) in self.options.iter().filter(|(_, node)| !node.is_empty()) {
            if name == "max_tokens" && self.name.eq_ignore_ascii_case("sampling") {
                let limit = node.number().map(|count| self.scoped(&format!("max_tokens<={count:.0}")));
                let limit = limit.filter(|rule| FixupRule::limit(rule).is_some());
                let Some(limit) = limit else { return Effect::None("max_tokens is no number") };
                target.section.limits.push(limit);
                continue;
            }
            let rule = self.rule(name, &json(node));
            if FixupRule::set(&rule).is_none() {
                return Effect::None(
                    "an option cannot be written in set-params, which takes short values without blanks",
                );
            }
            rules.push(rule);
        }
        target.section.sets.extend(rules);
        match self.options {
            [] => Effect::ByItself("temperature, top_p and top_k are forwarded"),
            _ => Effect::Set("set-params and limit-params have its options".to_owned()),
        }
    }

    fn without_cache_marks(&self, target: &mut Target<'_>) -> Effect {
        if target.format == Format::Anthropic {
            return Effect::None(
                "cache_control is forwarded to an Anthropic-format provider, whose cache needs it",
            );
        }
        let has_marks =
            target.like.and_then(built_in::named).is_some_and(|provider| provider.flag("cache-control"));
        match (has_marks, self.model) {
            (false, _) => Effect::ByItself("cache_control is not sent to an OpenAI-format provider"),
            (true, Some(_)) => Effect::None(WHOLE_PROVIDER),
            (true, None) => {
                target.section.set("cache-control", false);
                Effect::Set("cache-control = false".to_owned())
            }
        }
    }

    fn for_provider(&self, target: &mut Target<'_>, key: &str, value: TomlValue) -> Effect {
        if self.model.is_some() {
            return Effect::None(WHOLE_PROVIDER);
        }
        let note = format!("{key} = {value}");
        target.section.set(key, value);
        Effect::Set(note)
    }

    fn option(&self, name: &str) -> Option<&Node> {
        self.options.iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    fn rule(&self, name: &str, value: &str) -> String {
        self.scoped(&format!("{name}={value}"))
    }

    fn scoped(&self, rule: &str) -> String {
        match self.model {
            Some(model) => format!("{rule}@{model}"),
            None => rule.to_owned(),
        }
    }
}

fn put(rule: String, rules: &mut Vec<String>, place: Place<'_>, report: &mut Report) {
    if FixupRule::set(&rule).is_none() {
        let text =
            "set-params takes short values without blanks; choose the upstream in OpenRouter's own settings";
        return report.not_taken(place, text);
    }
    report.taken(place, format!("set-params has {rule:?}"));
    rules.push(rule);
}

/// The value as JSON without blanks.
fn json(node: &Node) -> String {
    to_json(node).to_string()
}

fn to_json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Flag(flag) => (*flag).into(),
        #[expect(clippy::cast_possible_truncation, reason = "it is a whole number of this range")]
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => (*number as i64).into(),
        Value::Number(number) => (*number).into(),
        Value::Text(text) => text.clone().into(),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Table(entries) => entries.iter().map(|(name, node)| (name.clone(), to_json(node))).collect(),
    }
}
