//! Defines the settings of the actors: typed, validated and complete. The configuration of the binary crate builds them
//! from files and the environment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_http::header::{HeaderName, HeaderValue};
use vandamme_protocol::compat::Rule;

use vandamme_protocol::convert::upstream::chat::Dialect;
use vandamme_protocol::middleware::Chain;

use crate::certificates::ProviderTls;
use crate::secret::ApiKey;

/// All settings that the actors start with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// In registry order: the order of the built-in file, then of the user's files, then the environment.
    pub providers: Vec<Arc<ProviderSettings>>,
    /// Providers that have a key but no base URL, with the variable that is missing.
    pub partial: Vec<PartialProvider>,
    /// Known providers without a key, with the variable that would register them. Lower case.
    pub keyless: Vec<PartialProvider>,
    pub profiles: Vec<Arc<Profile>>,
    /// The profile whose aliases apply first to model names without a prefix.
    pub default_profile: Option<Arc<str>>,
    /// The provider of model names without a prefix: a name out of `providers`, `None` if there are no providers.
    pub default_provider: Option<Arc<str>>,
    /// Further host names in `Host` that a gateway without a key accepts. Lower case.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call the gateway (CORS), each as browsers send it.
    pub cors_origins: Vec<String>,
    /// Replies carry a header that explains how the model name was routed.
    pub route_header: bool,
    pub request_metrics: Metrics,
    /// Requests in flight are also served as an event stream.
    pub active_stream: bool,
    /// The directory for model lists between runs; `None` disables it.
    pub cache: Option<PathBuf>,
    /// The catalogue of top models; `None` disables it.
    pub top_models: Option<TopModels>,
    pub limits: Limits,
}

/// Whether requests are counted, traced and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metrics {
    Kept,
    Off,
}

/// The families of Claude's models, by which clients name them.
const CLAUDE_FAMILIES: [&str; 4] = ["haiku", "sonnet", "opus", "fable"];

/// One registered provider: it has a key and a base URL.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Lower case.
    pub name: Arc<str>,
    pub api: Api,
    /// Scheme, authority and path prefix, without a trailing slash.
    pub base_url: String,
    /// Set if this is an Azure OpenAI resource, which has its own URLs and its own credential header.
    pub azure: Option<Azure>,
    /// No duplicates, in the order written. Empty exactly if clients bring their own keys, or if only the provider's
    /// public model list is used.
    pub keys: Vec<ApiKey>,
    /// Set on every upstream request and replace the client's values; never a credential, framing or routing header.
    pub custom_headers: Vec<(HeaderName, HeaderValue)>,
    /// Applied to every request for the models that each rule names, in terms of the upstream's API.
    pub fixups: Vec<Rule>,
    /// Alias (lower case) to model, or to `provider:model`.
    pub aliases: BTreeMap<String, String>,
    pub fallbacks: Fallbacks,
    /// The upstream knows the model ids that start with `claude-`; they are sent unchanged.
    pub serves_claude: bool,
    /// The time to the first byte of the reply's head; `None` uses the limit for the kind of request. A zero in the
    /// configuration means no limit and arrives here as a year.
    pub timeout: Option<Duration>,
    /// The most repeats on one key; rotation to another key does not count.
    pub max_retries: u32,
    /// Requests carry the key that the client brings; the gateway stores none.
    pub passthrough: bool,
    /// The embedded provider that answers when nothing is configured.
    pub demo: bool,
    /// The features that the upstream supports beyond those of every Chat Completions upstream.
    pub dialect: Dialect,
    /// The middleware for its requests and replies; unused if the upstream speaks the Messages API.
    pub middleware: Chain,
    /// Certificates of this provider alone; `None` uses those of all providers.
    pub tls: Option<ProviderTls>,
    /// The web page that lists this provider's models.
    pub models_url: Option<String>,
}

impl ProviderSettings {
    /// The alias that this provider lacks for a name of Claude's; `None` if it has one, or serves Claude itself.
    #[must_use]
    pub fn missing_alias(&self, model: &str) -> Option<&'static str> {
        let model = model.to_ascii_lowercase();
        let names = |family: &str| model == family || (model.starts_with("claude") && model.contains(family));
        let family = CLAUDE_FAMILIES.into_iter().find(|family| names(family))?;
        (!self.serves_claude && !self.aliases.contains_key(family)).then_some(family)
    }
}

/// Aliases over providers, selected by prefix (`top:haiku`) or by default, with their own timeout and retries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub name: Arc<str>,
    /// Alias (lower case) to `provider:model`.
    pub aliases: BTreeMap<String, String>,
    pub fallbacks: Fallbacks,
    /// The reason why the profile cannot be used, if none of its aliases can.
    pub inactive: Option<String>,
    /// The aliases that cannot be used, each with the provider that is missing.
    pub inactive_aliases: BTreeMap<String, PartialProvider>,
    /// Replaces the provider's timeout.
    pub timeout: Option<Duration>,
    /// Replaces the provider's maximum of retries.
    pub max_retries: Option<u32>,
    pub source: ProfileSource,
}

/// The file that defines a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileSource {
    /// Built in.
    Package,
    User,
    /// The configuration file in the working directory.
    Local,
    /// The file passed with `--config`.
    Given,
}

/// An aggregator's catalogue and the part of it that is shown.
#[derive(Clone, Debug)]
pub struct TopModels {
    /// The provider of the catalogue. A provider without a key is called without credentials.
    pub catalogue: Arc<ProviderSettings>,
    /// If set, only these models are shown, in this order.
    pub ranking: Option<Ranking>,
    /// Models whose id contains one of these are left out.
    pub exclude: Vec<String>,
    /// The longest wait for the catalogue.
    pub timeout: Duration,
}

/// A list of model ids maintained by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranking {
    pub file: PathBuf,
    pub ids: Vec<String>,
}

/// The targets that replace a failing one: by alias or model (lower case) or [`EVERY_NAME`], a list of `provider:model`
/// in the order in which they are tried.
pub type Fallbacks = BTreeMap<String, Vec<String>>;

/// Matches every name that has no fallbacks of its own.
pub const EVERY_NAME: &str = "*";

/// A known provider that cannot be used because a setting is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialProvider {
    pub name: String,
    /// The environment variable that would complete it, for example `FOO_BASE_URL` or `FOO_API_KEY`.
    pub missing: String,
}

/// The API that an upstream or a client speaks. Code matches on the pair of both APIs instead of testing for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// Anthropic's Messages API: `{base}/v1/messages`. In the configuration: `anthropic`.
    Messages,
    /// OpenAI's Chat Completions API: `{base}/chat/completions`. In the configuration: `openai`.
    ChatCompletions,
}

/// The URL scheme of an Azure OpenAI resource: learn.microsoft.com/azure/foundry/openai/api-version-lifecycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Azure {
    /// `{base}/openai/deployments/{model}/…?api-version=…`: the model's name is the name of a deployment.
    Deployments { api_version: String },
    /// `{base}/…`, where the base ends in `/openai/v1`.
    V1 { api_version: Option<String> },
}

/// How many facts the signature store keeps, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Retention {
    /// The most entries; beyond that, the oldest are removed.
    pub entries: usize,
    pub ttl: Duration,
    /// The interval at which expired entries are removed even without requests.
    pub sweep: Duration,
}

/// Every bound of the gateway. The defaults are in `src/config/limits/declared.rs`; each can be configured under `[limits]`.
/// [`Limits::default`] is all zeros, to be filled in. Where the type is an [`Option`], a duration of zero means no limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Request body, bytes. Default 32 MiB.
    pub request_body: usize,
    /// The name of a model in a request, in bytes. Default 256.
    pub model_name: usize,
    /// The time until a request's head has arrived. Default 10 s.
    pub request_head_timeout: Duration,
    /// After this time a request body must arrive at `body_min_rate` or faster. Default 10 s.
    pub body_grace: Duration,
    /// In bytes per second. Default 1024.
    pub body_min_rate: u64,
    /// How often the files of the listener's certificate are checked for a change. Default 60 s.
    pub certificate_check: Duration,
    /// Open client connections. Default 10,000.
    pub connections: usize,
    /// Open connections per client address. Default 8,000.
    pub connections_per_address: Option<usize>,
    /// Requests in flight over all providers. Default 4,096.
    pub in_flight: usize,
    /// Requests in flight per provider. Default 1,024.
    pub provider_in_flight: usize,
    /// Requests waiting for a permit, per provider. Default 256.
    pub provider_queue: usize,
    /// The longest wait for a permit. Default 5 s.
    pub provider_queue_wait: Duration,
    /// The longest time in which a client may read nothing of the data that is ready for it. Default 10 min.
    pub client_timeout: Option<Duration>,
    /// Once data has been pending for a client for this long in total, the client must read at `reply_min_rate` or
    /// faster. Default 60 s.
    pub reply_grace: Duration,
    /// In bytes per second; 0 disables the minimum. Default 1024.
    pub reply_min_rate: u64,
    /// Data of one stream that may be pending for a slow client, in bytes. Default 64 KiB.
    pub client_channel: usize,
    /// One SSE event, in bytes. Default 16 MiB.
    pub event: usize,
    /// The rate, in bytes per second, from which an incomplete event counts as a sign of life. Default 1024.
    pub event_min_rate: u64,
    /// Pings and comments kept before the first event of a stream, in bytes. Default 64 KiB.
    pub before_first_event: usize,
    /// A whole (non-streamed) upstream body, in bytes. Default 64 MiB.
    pub whole_reply: usize,
    /// The time for TCP and TLS to an upstream. Default 10 s.
    pub connect_timeout: Duration,
    /// The time until a whole reply is complete, if the provider sets no timeout. Default 600 s.
    pub whole_timeout: Option<Duration>,
    /// The time until the first byte of a streamed reply, if the provider sets no timeout. Default 300 s.
    pub first_byte_timeout: Option<Duration>,
    /// The longest silence inside a streamed reply. Default 300 s.
    pub idle_timeout: Option<Duration>,
    /// The longest duration of a streamed reply. No limit by default.
    pub total_timeout: Option<Duration>,
    /// How long the gateway sends nothing while it waits for the upstream's head, so that HTTP status codes are
    /// preserved. Default 45 s.
    pub head_patience: Duration,
    /// The silence after which a ping is sent. Default 15 s.
    pub ping_interval: Duration,
    /// The cooldown of a key if a 429 names none; doubled each time, up to a minute. Default 5 s.
    pub cooldown: Duration,
    /// The longest cooldown of a key, whatever `retry-after` says. Default 5 min.
    pub cooldown_cap: Duration,
    /// The time for which a provider's model list is served from memory without a new request. Default 5 min.
    pub models_ttl: Duration,
    /// The time for which an older list is served while a new one is being fetched. Default one day.
    pub models_cache_ttl: Duration,
    /// The longest chain of aliases that refer to each other. Default 10.
    pub alias_chain: usize,
    /// The time for which a learned rule applies to further requests. Default one day.
    pub healing_ttl: Duration,
    /// The bounds of the signature store. Default 10,000 entries, each kept for one hour, swept every 5 min.
    pub thoughts: Retention,
    /// How long streams may continue after SIGTERM. Default 25 s.
    pub drain: Duration,
    /// How often the supervisor pings its actors, and how long it waits for the answer. Default 250 ms, 500 ms.
    pub watch_interval: Duration,
    pub watch_patience: Duration,
    /// How often the stream of active requests sends an update. Default 500 ms.
    pub active_interval: Duration,
    /// How often the stream of active requests sends a heartbeat. Default 30 s.
    pub active_heartbeat: Duration,
}
