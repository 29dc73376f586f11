//! Builds the providers from the merged layers, and reports why others are not usable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use vandamme_actors::certificates::ProviderTls;
use vandamme_actors::secret::ApiKey;
use vandamme_actors::settings::{Api, PartialProvider, ProviderSettings};
use vandamme_protocol::middleware::Chain;

use super::azure;
use super::builder::Builder;
use super::cloud::{self, CloudSettings};
use super::describers;
use super::dialect;
use super::environment::{self, prefix};
use super::error::ConfigError;
use super::fallbacks;
use super::file::{DOUBTFUL, OAUTH};
use super::fixups;
use super::headers;
use super::key_text::{self, KeyFinding, PASSTHROUGH, is_passthrough};
use super::layer::{LocatedText, Section};
use super::middleware;
use super::model_page;
use super::near_misses;
use super::provider_tls;
use super::provider_urls::BaseUrl;
use super::responses_support;
use super::safeguards;
use super::value_type::{LONGEST, ValueType};
use super::variables::Variables;
use super::vendor_variables;

/// The header that names the workspace of a Claude Platform on AWS.
const WORKSPACE: &str = "anthropic-workspace-id";

/// The keys and the base URL with which a provider is called.
struct Access<'a> {
    keys: LocatedText<'a>,
    base_url: String,
}

impl<'a> Builder<'a> {
    pub(super) fn build_all(&mut self) {
        self.build_all_known();
        self.check_doubtful_sections();
    }

    /// A section with a name near `limits` or `defaults` is a provider if it has a key, by whatever layer.
    fn check_doubtful_sections(&mut self) {
        for (name, meant) in self.merged.root().section(DOUBTFUL).texts() {
            let is_provider = self.registered.iter().any(|provider| *provider.name == *name)
                || self.partial.iter().any(|partial| partial.name == name);
            if !is_provider {
                self.errors.push(ConfigError::new(meant.place, format!("did you mean [{}]?", meant.text)));
            }
        }
    }

    pub(super) fn build(&mut self, name: &'a str) {
        let section = self.section(self.merged, name);
        let stated = section.text("api-key").filter(|keys| !keys.text.trim().is_empty());
        // The mode alone registers a provider, too.
        let mode = match self.auth_mode(name, section, stated) {
            Ok(mode) => mode,
            Err(error) => return self.errors.push(error),
        };
        if let (Some(keys), Some(mode)) = (stated, mode)
            && !is_passthrough(keys.text)
        {
            let text = match mode.text {
                "passthrough" => "this provider has keys, too; it has them or takes its clients', not both",
                _ => "this provider has keys, too; it has them or uses a cloud's credentials, not both",
            };
            return self.errors.push(ConfigError::new(mode.place, text));
        }
        let is_oauth = section.text("auth-mode").is_some_and(|mode| mode.text == OAUTH);
        let Some(keys) =
            stated.or(mode).or_else(|| self.cloud_access(name)).or_else(|| self.without_key(name))
        else {
            // OAuth has a warning of its own.
            if !is_oauth {
                self.warn_of_url_without_key(name);
            }
            return;
        };
        if self.is_refused(keys) {
            return;
        }
        let stated_url = self.cloud_base_url(name).or_else(|| section.text("base-url"));
        if self.is_incomplete(name, keys, stated_url.map(|url| url.text)) {
            return;
        }
        match self.base_url(name) {
            BaseUrl::Valid(base_url) => self.register(name, section, Access { keys, base_url }),
            BaseUrl::Missing => self.leave_partial(name, None),
            BaseUrl::OwnListener(place) => self.leave_partial(name, Some(&place)),
            BaseUrl::Invalid(error) => {
                self.errors.push(error);
                // The start fails; the provider is still checked for other errors.
                self.register(name, section, Access { keys, base_url: String::new() });
            }
        }
    }

    /// `oauth` of a file is an error if its provider is used, else a warning: files of the Python original contain it.
    fn auth_mode(
        &mut self,
        name: &str,
        section: Section<'a>,
        stated: Option<LocatedText<'a>>,
    ) -> Result<Option<LocatedText<'a>>, ConfigError> {
        let Some(mode) = section.text("auth-mode").filter(|mode| mode.text == OAUTH) else {
            return Ok(section.text("auth-mode"));
        };
        let default = self.merged.root().section("defaults").text("default-provider");
        if stated.is_some() || default.is_some_and(|default| default.text.eq_ignore_ascii_case(name)) {
            return Err(ConfigError::oauth(mode.place));
        }
        let text = "OAuth subscriptions are refused (vendors ban accounts for it), so this provider is not available";
        self.warnings.push(format!("{}: {text}", mode.place));
        Ok(None)
    }

    /// The known providers without a key, each with the variable that registers it.
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

    /// Warns of variables without effect.
    pub(super) fn warn_of_variables(&mut self, variables: &Variables) {
        let is_provider =
            |named: &str| self.registered.iter().any(|provider| prefix(&provider.name) == named);
        self.warnings.extend(environment::without_effect(variables, is_provider));
        let known: Vec<&str> = self.known_to_files().collect();
        let registered: Vec<&str> = self.registered.iter().map(|provider| &*provider.name).collect();
        let providers = near_misses::ProviderNames { known: &known, registered: &registered };
        let warnings = near_misses::warnings(variables, &providers);
        self.warnings.extend(warnings);
    }

    /// Words of the Python original in the place of a key.
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

    /// The variable of a known provider's key that is meant by the key of an unknown one.
    fn near_key(&self, name: &str) -> Option<String> {
        if let Some(near) = near_misses::near_provider(name, self.known_to_files()) {
            return Some(format!("{}_API_KEY", prefix(near)));
        }
        let is_set = |meant: &&str| {
            self.variables.find(meant).is_some_and(|variable| !variable.text.trim().is_empty())
        };
        let meant = vendor_variables::meant(&format!("{}_API_KEY", prefix(name)));
        meant.filter(|meant| !is_set(meant)).map(str::to_owned)
    }

    fn leave_partial(&mut self, name: &str, own: Option<&str>) {
        let missing = format!("{}_BASE_URL", prefix(name));
        let near = self.near_key(name);
        let near = near.map_or_else(String::new, |near| format!(" (or did you mean {near}?)"));
        self.warnings.push(match own {
            Some(place) => format!("{place}: this is the gateway's own address, so {name} cannot be used"),
            None => {
                let example = azure::example(name);
                format!("{name} has a key but no base URL; to use it, set {missing}{example}{near}")
            }
        });
        self.partial.push(PartialProvider { name: name.to_owned(), missing });
    }

    fn register(&mut self, name: &str, section: Section<'a>, access: Access<'_>) {
        let Access { keys, base_url } = access;
        if name == super::DEMO {
            let text = "demo is the name of the embedded provider; choose another";
            return self.errors.push(ConfigError::new(keys.place, text));
        }
        let api = self.api(section);
        let dialect = dialect::read(section, &base_url, self.merged.root());
        let stated = azure::Stated { name, base_url: &base_url, version: section.text("api-version") };
        let azure = azure::read(api, stated, &mut self.warnings);
        let azure = azure.unwrap_or_else(|error| {
            self.errors.push(error);
            None
        });
        let tls = self.tls(section, &base_url);
        let is_client_mode = section.text("auth-mode").is_some_and(|mode| mode.text == "passthrough");
        let passthrough = is_passthrough(keys.text) || is_client_mode;
        let cloud = self.cloud_settings(name, section, keys, &base_url);
        let CloudSettings { form, identity, workspace } = cloud.unwrap_or_else(|error| {
            self.errors.push(error);
            CloudSettings::default()
        });
        let keys = match &identity {
            _ if passthrough => Vec::new(),
            Some(identity) => vec![ApiKey::new(ProviderSettings::identity_key(name, identity))],
            None => self.keys(name, keys),
        };
        let settings = ProviderSettings {
            name: name.into(),
            api,
            responses: responses_support::read(section, &base_url, azure.as_ref()),
            base_url,
            azure,
            messages_form: form,
            identity,
            keys,
            passthrough,
            custom_headers: self.custom_headers(section, workspace),
            fixups: fixups::read(section),
            aliases: self.aliases(section),
            fallbacks: fallbacks::read(section),
            serves_claude: section.flag("serves-claude").unwrap_or(false),
            judge: safeguards::judge(section, self.merged.root()),
            timeout: self.timeout(section),
            max_retries: self.max_retries(section),
            demo: false,
            dialect,
            middleware: self.middleware(section),
            tls,
            cache_diagnostics: section.flag("cache-diagnostics").unwrap_or(false),
            describe_images_with: describers::describer(section, self.merged.root().section("defaults")),
            text_only_models: describers::text_only_models(section),
            models_url: section.text("models-url").map(|url| url.text.to_owned()),
            model_page: self.model_page(section),
        };
        self.registered.push(Arc::new(settings));
    }

    /// Without `api-format` the API is Chat Completions, or depends on the request.
    fn api(&mut self, section: Section<'_>) -> Api {
        let Some(LocatedText { text, place }) = section.text("api-format") else {
            return Api::ChatCompletions;
        };
        // A variable's value is checked here only.
        if let Err(text) = ValueType::Format.check_variable(text) {
            self.errors.push(ConfigError::new(place, text));
        }
        if [cloud::BEDROCK_FORM, cloud::VERTEX_FORM].iter().any(|form| form.eq_ignore_ascii_case(text.trim()))
        {
            return Api::Messages;
        }
        let apis = [Api::ChatCompletions, Api::Responses, Api::Messages];
        let named = apis.into_iter().find(|api| api.name().eq_ignore_ascii_case(text.trim()));
        named.unwrap_or(Api::ChatCompletions)
    }

    /// A file's and a variable's value alike are checked here.
    fn model_page(&mut self, section: Section<'_>) -> Option<String> {
        let LocatedText { text, place } = section.text("model-page")?;
        model_page::check(text).map_err(|text| self.errors.push(ConfigError::new(place, text))).ok()
    }

    pub(super) fn tls(&mut self, section: Section<'_>, base_url: &str) -> Option<ProviderTls> {
        let read = provider_tls::read(section, base_url, self.files, &mut self.warnings);
        read.unwrap_or_else(|error| {
            self.errors.push(error);
            None
        })
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
        match key_text::inspect(written.text) {
            Some(KeyFinding::Invalid(text)) => self.errors.push(ConfigError::new(place, text)),
            Some(KeyFinding::Suspicious(text)) => self.warnings.push(format!("{place}: {text}")),
            None => {}
        }
        words.into_iter().map(ApiKey::new).collect()
    }

    /// The headers for all providers, overridden by the provider's own.
    /// `workspace` is that of a Claude Platform on AWS.
    fn custom_headers(
        &mut self,
        section: Section<'_>,
        workspace: Option<String>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = Vec::new();
        let workspace = workspace.and_then(|workspace| headers::parse(WORKSPACE, &workspace).ok());
        headers.extend(workspace);
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

    /// The provider's own aliases over those for all providers.
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

    /// The tables in order of precedence: variables for every provider, the provider's own table, the defaults.
    fn by_precedence<'s>(&'s self, own: Section<'s>) -> impl Iterator<Item = Section<'s>> {
        let root = self.merged.root();
        [root.section("everywhere"), own, root.section("defaults")].into_iter()
    }
}

/// Zero means "no limit", which is a year: `None` would mean the limit for the kind of request.
pub(super) fn unless_zero(seconds: f64) -> Duration {
    Duration::from_secs_f64(if seconds > 0.0 { seconds } else { LONGEST })
}

/// The aliases of a table, names in lower case.
pub(super) fn aliases(section: Section<'_>) -> BTreeMap<String, String> {
    let entries = section.section("aliases").texts().into_iter();
    entries.map(|(name, target)| (name.to_owned(), target.text.trim().to_owned())).collect()
}
