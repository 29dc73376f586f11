//! The providers as merged, in the types of the actors: which are usable, and why the others are not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use url::Url;
use vandamme_actors::secret::ApiKey;
use vandamme_actors::settings::{Api, PartialProvider, ProviderSettings};
use vandamme_protocol::bridge::messages_over_chat::{Dialect, Reasoning, Replay};
use vandamme_protocol::middleware::Chain;

use super::Origin;
use super::azure;
use super::base_url::{self, Listener};
use super::edits;
use super::environment::{self, prefix};
use super::error::ConfigError;
use super::fallbacks;
use super::headers;
use super::layer::{Layer, LocatedText, Section};
use super::middleware;
use super::value_type::LONGEST;
use super::variables::Variables;

/// What a server that needs no key is sent in the place of one: most clients of such servers send some word.
const NO_KEY: &str = "no-key-needed";

/// Stands where a key would, for the one that the client brings.
const PASSTHROUGH: &str = "!PASSTHRU";

fn is_passthrough(keys: &str) -> bool {
    keys.trim().eq_ignore_ascii_case(PASSTHROUGH)
}

/// Builds one provider after the other and collects what there is to say.
pub(super) struct Builder<'a> {
    pub(super) layers: &'a [Layer],
    pub(super) merged: &'a Layer,
    listener: &'a Listener,
    pub(super) registered: Vec<Arc<ProviderSettings>>,
    pub(super) partial: Vec<PartialProvider>,
    pub(super) warnings: Vec<String>,
    pub(super) errors: Vec<ConfigError>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(layers: &'a [Layer], merged: &'a Layer, listener: &'a Listener) -> Self {
        Self {
            layers,
            merged,
            listener,
            registered: Vec::new(),
            partial: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
        }
    }

    pub(super) fn build_all(&mut self) {
        for name in self.merged.providers() {
            self.build(name);
        }
    }

    fn build(&mut self, name: &'a str) {
        let section = self.section(self.merged, name);
        let stated = section.text("api-key").filter(|keys| !keys.text.trim().is_empty());
        // The mode alone makes a provider, too.
        let mode = section.text("auth-mode");
        if let (Some(keys), Some(mode)) = (stated, mode)
            && !is_passthrough(keys.text)
        {
            let text = "this provider has keys, too; it has them or takes its clients', not both";
            return self.errors.push(ConfigError::new(mode.place, text));
        }
        let Some(keys) = stated.or(mode).or_else(|| self.without_key(name)) else { return };
        if self.is_refused(keys) {
            return;
        }
        match self.base_url(name) {
            BaseUrl::Valid(url) => self.register(name, section, (keys, url)),
            BaseUrl::Missing => self.leave_partial(name, None),
            BaseUrl::OwnListener(place) => self.leave_partial(name, Some(&place)),
            BaseUrl::Invalid(error) => {
                self.errors.push(error);
                // Nothing starts now; the rest is looked at for its own errors.
                self.register(name, section, (keys, String::new()));
            }
        }
    }

    /// A provider that needs no key is registered by the base URL that a user has set, and never by the built-in one
    /// alone: nobody is called unasked. Other programs read such a variable, too, so a wrong one is a warning.
    fn without_key(&mut self, name: &str) -> Option<LocatedText<'a>> {
        if !self.needs_no_key(name) {
            return None;
        }
        let by_user = self.layers.iter().rev().filter(|layer| layer.origin() != Some(Origin::BuiltIn));
        let LocatedText { text, place } =
            by_user.filter_map(|layer| self.section(layer, name).text("base-url")).next()?;
        let why_not = match base_url::parse(text) {
            Ok(url) if self.listener.is(&url) => "this is the gateway's own address",
            Ok(_) => return Some(LocatedText { text: NO_KEY, place }),
            Err(refusal) => refusal,
        };
        self.warnings.push(format!("{place}: {why_not}, so {name} cannot be used"));
        None
    }

    /// The providers that are named somewhere and have no key, with what registers them.
    pub(super) fn keyless(&self) -> Vec<PartialProvider> {
        let is_there = |name: &str| {
            self.registered.iter().any(|provider| *provider.name == *name)
                || self.partial.iter().any(|partial| partial.name == name)
        };
        let absent = self.merged.providers().iter().filter(|name| !is_there(name));
        let missing = |name: &String| {
            let what = if self.needs_no_key(name) { "BASE_URL" } else { "API_KEY" };
            PartialProvider { name: name.clone(), missing: format!("{}_{what}", prefix(name)) }
        };
        absent.map(missing).collect()
    }

    /// Variables that are of no use.
    pub(super) fn warn_of_variables(&mut self, variables: &Variables) {
        let is_provider =
            |named: &str| self.registered.iter().any(|provider| prefix(&provider.name) == named);
        self.warnings.extend(environment::without_effect(variables, is_provider));
    }

    fn needs_no_key(&self, name: &str) -> bool {
        self.section(self.merged, name).flag("api-key-optional") == Some(true)
    }

    fn section(&self, layer: &'a Layer, name: &str) -> Section<'a> {
        layer.root().section("providers").section(name)
    }

    /// Words that the original takes instead of a key.
    fn is_refused(&mut self, keys: LocatedText<'_>) -> bool {
        let is = |word: &str| keys.text.split_whitespace().any(|key| key.eq_ignore_ascii_case(word));
        if is("!OAUTH") {
            self.errors.push(ConfigError::oauth(keys.place));
            return true;
        }
        if is(PASSTHROUGH) && keys.text.split_whitespace().count() > 1 {
            let text = format!(
                "{PASSTHROUGH} (the client's own key) stands alone: a provider has keys or takes its clients'"
            );
            self.errors.push(ConfigError::new(keys.place, text));
            return true;
        }
        false
    }

    /// The URL of the highest layer that does not send us to ourselves.
    fn base_url(&mut self, name: &str) -> BaseUrl {
        let layers = self.layers.iter().rev();
        let stated = layers.filter_map(|layer| self.section(layer, name).text("base-url"));
        let mut ours = None;
        for LocatedText { text, place } in stated {
            match base_url::parse(text) {
                Ok(url) if self.listener.is(&url) => ours = ours.or(Some(place)),
                Ok(url) => return self.usable(self.with_path(name, &url), ours),
                Err(refusal) => return BaseUrl::Invalid(ConfigError::new(place, refusal)),
            }
        }
        ours.map_or(BaseUrl::Missing, |place| BaseUrl::OwnListener(place.to_owned()))
    }

    /// The provider's URL, whether or not it has a key; a wrong one is told by whoever builds it.
    pub(super) fn usable_url(&mut self, name: &str) -> Option<String> {
        match self.base_url(name) {
            BaseUrl::Valid(url) => Some(url),
            BaseUrl::Missing | BaseUrl::OwnListener(_) | BaseUrl::Invalid(_) => None,
        }
    }

    /// Local servers are mostly given as an address alone, and serve under /v1.
    fn with_path(&self, name: &str, url: &Url) -> String {
        let url_text = base_url::normalized(url);
        let local = self.needs_no_key(name);
        if local && url.path() == "/" { format!("{url_text}/v1") } else { url_text }
    }

    fn usable(&mut self, url: String, ours: Option<&str>) -> BaseUrl {
        if let Some(place) = ours {
            self.warnings.push(format!("{place}: this is the gateway's own address; using {url} instead"));
        }
        BaseUrl::Valid(url)
    }

    fn leave_partial(&mut self, name: &str, ours: Option<&str>) {
        let missing = format!("{}_BASE_URL", prefix(name));
        self.warnings.push(match ours {
            Some(place) => format!("{place}: this is the gateway's own address, so {name} cannot be used"),
            None => {
                format!("{name} has a key but no base URL; to use it, set {missing}{}", azure::example(name))
            }
        });
        self.partial.push(PartialProvider { name: name.to_owned(), missing });
    }

    fn register(&mut self, name: &str, section: Section<'_>, (keys, base_url): (LocatedText<'_>, String)) {
        if name == super::DEMO {
            let text = "demo is the name of the embedded provider; choose another";
            return self.errors.push(ConfigError::new(keys.place, text));
        }
        let api = self.api(section);
        let dialect = dialect(section, &base_url, self.merged.root());
        let azure = azure::read(api, (name, &base_url), section.text("api-version"), &mut self.warnings);
        let passthrough = is_passthrough(keys.text) || section.text("auth-mode").is_some();
        let settings = ProviderSettings {
            name: name.into(),
            api,
            base_url,
            azure: azure.unwrap_or_else(|error| {
                self.errors.push(error);
                None
            }),
            keys: if passthrough { Vec::new() } else { self.keys(name, keys) },
            passthrough,
            custom_headers: self.custom_headers(section),
            edits: edits::read(section),
            aliases: self.aliases(section),
            fallbacks: fallbacks::read(section),
            serves_claude: section.flag("serves-claude").unwrap_or(false),
            timeout: self.timeout(section),
            max_retries: self.max_retries(section),
            demo: false,
            dialect,
            middleware: self.middleware(section),
            models_url: section.text("models-url").map(|url| url.text.to_owned()),
        };
        self.registered.push(Arc::new(settings));
    }

    /// Without `api-format`, an upstream speaks what most do.
    fn api(&mut self, section: Section<'_>) -> Api {
        let Some(LocatedText { text, place }) = section.text("api-format") else {
            return Api::ChatCompletions;
        };
        match text.to_ascii_lowercase().as_str() {
            "openai" => Api::ChatCompletions,
            "anthropic" => Api::Messages,
            _ => {
                let text = format!("expected \"openai\" or \"anthropic\", found {text:?}");
                self.errors.push(ConfigError::new(place, text));
                Api::ChatCompletions
            }
        }
    }

    fn middleware(&mut self, section: Section<'_>) -> Chain {
        let chain = middleware::chain(section, self.merged.root().section("defaults"));
        chain.unwrap_or_else(|error| {
            self.errors.push(error);
            Chain::default()
        })
    }

    fn keys(&mut self, name: &str, written: LocatedText<'_>) -> Vec<ApiKey> {
        let mut words: Vec<&str> = Vec::new();
        for word in written.text.split_whitespace() {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        let place = written.place;
        if words.len() < written.text.split_whitespace().count() {
            self.warnings.push(format!("{place}: {name} has the same key more than once; it counts once"));
        }
        if !words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_graphic())) {
            let text = "a key holds characters that no header can carry; copy the key again";
            self.errors.push(ConfigError::new(place, text));
        }
        words.into_iter().map(ApiKey::new).collect()
    }

    /// Those for all, and its own, which win.
    fn custom_headers(&mut self, section: Section<'_>) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        let for_all = self.merged.root().section("everywhere").section("custom-headers").texts();
        let own = section.section("custom-headers").texts();
        let has_own = |name: &str| own.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let for_all: Vec<_> = for_all.into_iter().filter(|(name, _)| !has_own(name)).collect();
        for (name, LocatedText { text, place }) in for_all.into_iter().chain(own) {
            match headers::parse(name, text) {
                Ok(header) => headers.push(header),
                Err(refusal) => self.errors.push(ConfigError::new(place, refusal)),
            }
        }
        headers
    }

    /// Its own, and where it has none of a name, those for all.
    fn aliases(&self, section: Section<'_>) -> BTreeMap<String, String> {
        let mut all = aliases(self.merged.root().section("defaults"));
        all.extend(aliases(section));
        all
    }

    fn timeout(&self, section: Section<'_>) -> Option<Duration> {
        let seconds = self.by_precedence(section).find_map(|table| table.seconds("timeout"))?;
        Some(unless_zero(seconds))
    }

    fn max_retries(&self, section: Section<'_>) -> u32 {
        let count = self.by_precedence(section).find_map(|table| table.count("max-retries"));
        count.and_then(|count| u32::try_from(count).ok()).unwrap_or_default()
    }

    /// What holds for every provider by a variable, over its own table, over what holds for lack of better.
    fn by_precedence<'s>(&'s self, own: Section<'s>) -> impl Iterator<Item = Section<'s>> {
        let root = self.merged.root();
        [root.section("everywhere"), own, root.section("defaults")].into_iter()
    }
}

/// Zero means "no limit", which is a year: `None` would mean the limit for the kind of request.
pub(super) fn unless_zero(seconds: f64) -> Duration {
    Duration::from_secs_f64(if seconds > 0.0 { seconds } else { LONGEST })
}

enum BaseUrl {
    Valid(String),
    Missing,
    /// All that is stated is our own listener; the place of the highest.
    OwnListener(String),
    Invalid(ConfigError),
}

/// OpenAI's own API. Others that copy it do not take all that it takes.
const OPENAI: &str = "api.openai.com";

/// What is not said is as everywhere; `root` has what holds for all providers.
fn dialect(section: Section<'_>, base_url: &str, root: Section<'_>) -> Dialect {
    let everywhere = root.section("everywhere");
    let word = |key| section.text(key).map(|word| word.text);
    let words = |key| {
        section.text(key).map_or_else(Vec::new, |words| words.text.lines().map(str::to_owned).collect())
    };
    // An empty list is for no model; none at all is for those that are known to reason.
    let reasoning_models = match word("reasoning-models") {
        Some("") => vec![String::new()],
        Some(_) | None => words("reasoning-models"),
    };
    let is = |key| section.flag(key).unwrap_or(false);
    let tokens = |key| everywhere.count(key).and_then(|count| u64::try_from(count).ok());
    Dialect {
        reasoning: match word("reasoning-parameter") {
            Some("reasoning") => Reasoning::Nested,
            Some("thinking") => Reasoning::Switch,
            _ => Reasoning::Effort,
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
        web_search: word("web-search").map(str::to_owned),
        fewest_tokens: tokens("min-tokens-limit"),
        most_tokens: tokens("max-tokens-limit"),
        extras: middleware::remembers_signatures(root.section("defaults")),
    }
}

/// The aliases of a table, names in lower case.
pub(super) fn aliases(section: Section<'_>) -> BTreeMap<String, String> {
    let entries = section.section("aliases").texts().into_iter();
    entries.map(|(name, target)| (name.to_owned(), target.text.trim().to_owned())).collect()
}
