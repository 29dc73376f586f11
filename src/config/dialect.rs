//! Reads a provider's `Dialect`: what it accepts beyond the common subset of Chat Completions.

use vandamme_protocol::convert::upstream::chat::{
    Dialect, HostedSearch, ReasoningModels, ReasoningParameter, Replay,
};

use super::base_url;
use super::layer::Section;
use super::middleware;

/// OpenAI's own API. Others that copy it do not take all that it takes.
const OPENAI: &str = "api.openai.com";

/// A key that is not set has the common value; `root` has the values for all providers.
pub(super) fn read(section: Section<'_>, base_url: &str, root: Section<'_>) -> Dialect {
    let everywhere = root.section("everywhere");
    let word = |key| section.text(key).map(|word| word.text);
    let words = |key| {
        section.text(key).map_or_else(Vec::new, |words| words.text.lines().map(str::to_owned).collect())
    };
    let reasoning_models = match word("reasoning-models") {
        None => ReasoningModels::ByFamily,
        Some("") => ReasoningModels::Disabled,
        Some(_) => ReasoningModels::Listed(words("reasoning-models")),
    };
    let is = |key| section.flag(key).unwrap_or(false);
    let tokens = |key| everywhere.count(key).and_then(|count| u64::try_from(count).ok());
    Dialect {
        reasoning: match word("reasoning-parameter") {
            Some("reasoning") => ReasoningParameter::Nested,
            Some("thinking") => ReasoningParameter::Switch,
            _ => ReasoningParameter::Effort,
        },
        reasoning_models,
        replay: match word("reasoning-replay") {
            Some("reasoning_content_always") => Replay::Required,
            Some("reasoning_details") => Replay::Details,
            Some("none") => Replay::Nothing,
            _ => Replay::Content,
        },
        think_tags: is("think-tags"),
        system_anywhere: is("system-anywhere"),
        cache_control: is("cache-control"),
        top_k: is("top-k"),
        plain_tool_names: is("tool-name-sanitization"),
        user_fields: words("user-fields"),
        prompt_cache: section
            .flag("prompt-cache")
            .unwrap_or_else(|| base_url::parse(base_url).is_ok_and(|url| url.host_str() == Some(OPENAI))),
        web_search: word("web-search").map(|word| {
            HostedSearch::from_word(word).unwrap_or_else(|| HostedSearch::Members(word.to_owned()))
        }),
        min_tokens: tokens("min-tokens-limit"),
        max_tokens: tokens("max-tokens-limit"),
        extras: middleware::remembers_signatures(root.section("defaults")),
    }
}
