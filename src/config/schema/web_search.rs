//! The settings of `[web-search]`.

use super::{SettingDeclaration, SettingList};
use crate::config::value_type::KeyType::Value;
use crate::config::value_type::ValueType::{Count, CountTo, Pause, Secret, Url, Words};

const GUIDE: &str = "web-search.md";

pub(in crate::config) const WEB_SEARCH: SettingList = &[
    SettingDeclaration::new(
        "by",
        Value(Words),
        "Who searches the web for models of other providers than Anthropic, in this order: `provider` (the provider's own search, \
         where it has one; counts only as the first entry), and the services `brave`, `tavily`, `exa`, `serper`, `searxng`. If a \
         service fails, the next one is called. Without it, only the provider's own search is used. In the variable, separated by \
         spaces.",
    )
    .with_variable("VDM_WEB_SEARCH")
    .with_example("[\"provider\", \"brave\"]")
    .with_guide(GUIDE),
    SettingDeclaration::new(
        "max-searches",
        Value(Count(1)),
        "Most searches for one request. A client's `max_uses` can lower it.",
    )
    .with_implied_default("8"),
    SettingDeclaration::new("max-results", Value(CountTo(20)), "Most pages of one search, 20 at most.")
        .with_implied_default("8"),
    SettingDeclaration::new("timeout", Value(Pause), "Longest wait for one search at one service.")
        .with_implied_default("10"),
    SettingDeclaration::new("brave-api-key", Value(Secret), "Key for Brave Search.")
        .with_variable("BRAVE_API_KEY")
        .with_example("\"key-from-brave\""),
    SettingDeclaration::new("brave-base-url", Value(Url), "Base URL for Brave Search.")
        .with_implied_default("\"https://api.search.brave.com\"")
        .with_variable("BRAVE_BASE_URL"),
    SettingDeclaration::new("tavily-api-key", Value(Secret), "Key for Tavily.")
        .with_variable("TAVILY_API_KEY")
        .with_example("\"key-from-tavily\""),
    SettingDeclaration::new("tavily-base-url", Value(Url), "Base URL for Tavily.")
        .with_implied_default("\"https://api.tavily.com\"")
        .with_variable("TAVILY_BASE_URL"),
    SettingDeclaration::new("exa-api-key", Value(Secret), "Key for Exa.")
        .with_variable("EXA_API_KEY")
        .with_example("\"key-from-exa\""),
    SettingDeclaration::new("exa-base-url", Value(Url), "Base URL for Exa.")
        .with_implied_default("\"https://api.exa.ai\"")
        .with_variable("EXA_BASE_URL"),
    SettingDeclaration::new("serper-api-key", Value(Secret), "Key for Serper.")
        .with_variable("SERPER_API_KEY")
        .with_example("\"key-from-serper\""),
    SettingDeclaration::new("serper-base-url", Value(Url), "Base URL for Serper.")
        .with_implied_default("\"https://google.serper.dev\"")
        .with_variable("SERPER_BASE_URL"),
    SettingDeclaration::new(
        "searxng-base-url",
        Value(Url),
        "Base URL of your SearXNG, whose `search.formats` must contain `json`. It needs no key.",
    )
    .with_variable("SEARXNG_BASE_URL")
    .with_example("\"http://127.0.0.1:8888\""),
];
