//! What the actors must be told: typed, checked, complete. Where it comes from (files, environment) is the
//! business of the edge.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_http::header::{HeaderName, HeaderValue};
use vandamme_protocol::compat::Rule;

use vandamme_protocol::bridge::messages_over_chat::Dialect;
use vandamme_protocol::middleware::Chain;

use crate::secret::ApiKey;
use crate::signatures::Retention;

/// Everything the actor tree starts from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// In registry order: the order of the built-in file, then of the user's files, then the environment.
    pub providers: Vec<Arc<ProviderSettings>>,
    /// Providers that have a key but no base URL, with the variable that is missing.
    pub partial: Vec<PartialProvider>,
    /// Providers that are known by name and have no key, with the variable that registers them. Lower case.
    pub keyless: Vec<PartialProvider>,
    pub profiles: Vec<Arc<Profile>>,
    /// The profile that model names without a prefix go through first.
    pub default_profile: Option<Arc<str>>,
    /// Where a model name without a prefix goes; a name out of `providers`, `None` when there is none.
    pub default_provider: Option<Arc<str>>,
    /// Host names that a gateway without a key accepts, in addition to those that nobody can register. Lower case.
    pub allowed_hosts: Vec<String>,
    /// Clients are told why a model name went where it went.
    pub route_header: bool,
    pub request_metrics: Metrics,
    /// Those that run are told as a stream, too.
    pub active_stream: bool,
    /// Where lists of models are kept between runs; `None`: nowhere.
    pub cache: Option<PathBuf>,
    /// The models worth looking at; `None` when nobody is to be asked for them.
    pub top_models: Option<TopModels>,
    pub limits: Limits,
}

/// Whether requests are counted, traced and told in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metrics {
    Kept,
    Off,
}

/// One registered provider: it has a key and a base URL.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Lower case.
    pub name: Arc<str>,
    pub api: Api,
    /// Scheme, authority and path prefix, without a trailing slash.
    pub base_url: String,
    /// Set when this is a resource of Azure OpenAI, which has addresses and a credential header of its own.
    pub azure: Option<Azure>,
    /// No duplicates, in the order written; empty exactly if clients bring their own, or if it is asked for nothing but its
    /// public list of models.
    pub keys: Vec<ApiKey>,
    /// Set on every upstream request, over what the client sent; never a credential, framing or routing header.
    pub custom_headers: Vec<(HeaderName, HeaderValue)>,
    /// Made to every request for the models of each, in the words of the upstream's API.
    pub edits: Vec<Rule>,
    /// Alias (lower case) to model, or to `provider:model`.
    pub aliases: BTreeMap<String, String>,
    pub fallbacks: Fallbacks,
    /// The upstream itself knows the ids that start with `claude-`: they are sent unchanged.
    pub serves_claude: bool,
    /// Until the first byte of the reply's head; `None` takes the limit for the kind of request. "No limit"
    /// (a zero in the configuration) arrives as a year.
    pub timeout: Option<Duration>,
    /// Repeats on one key; rotation to another key is not counted.
    pub max_retries: u32,
    /// Requests are signed with the key that the client brings, and none is kept.
    pub passthrough: bool,
    /// The embedded provider that answers when nothing is configured.
    pub demo: bool,
    /// What it takes beyond what every Chat Completions upstream takes.
    pub dialect: Dialect,
    /// What its requests and replies pass through; of no use to the Messages API.
    pub middleware: Chain,
    /// Where a person reads about this provider's models.
    pub models_url: Option<String>,
}

/// Aliases over providers, chosen by prefix (`top:haiku`) or by default, with terms of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub name: Arc<str>,
    /// Alias (lower case) to `provider:model`.
    pub aliases: BTreeMap<String, String>,
    pub fallbacks: Fallbacks,
    /// Why it cannot be used, if none of its aliases can.
    pub inactive: Option<String>,
    /// The aliases that cannot be used, each with the provider that is missing.
    pub inactive_aliases: BTreeMap<String, PartialProvider>,
    /// Instead of the provider's.
    pub timeout: Option<Duration>,
    /// Instead of the provider's.
    pub max_retries: Option<u32>,
    pub source: ProfileSource,
}

/// Which file a profile comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileSource {
    /// Built in.
    Package,
    User,
    /// In the working directory.
    Local,
    /// By `--config`.
    Given,
}

/// An aggregator's catalogue, and what is shown of it.
#[derive(Clone, Debug)]
pub struct TopModels {
    /// Whose catalogue it is. One without a key is asked without any.
    pub catalogue: Arc<ProviderSettings>,
    /// Only these are shown, in their order.
    pub ranking: Option<Ranking>,
    /// Models are left out whose id contains one of these.
    pub exclude: Vec<String>,
    /// The longest that somebody waits for the catalogue.
    pub timeout: Duration,
}

/// A list made by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranking {
    pub file: PathBuf,
    pub ids: Vec<String>,
}

/// Where requests go when their own target fails: by alias or model (lower case), or [`EVERY_NAME`], to one
/// `provider:model` after the other.
pub type Fallbacks = BTreeMap<String, Vec<String>>;

/// Stands for every name that has no fallbacks of its own.
pub const EVERY_NAME: &str = "*";

/// A provider that is known by name but cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialProvider {
    pub name: String,
    /// The environment variable that would complete it, such as `FOO_BASE_URL` or `FOO_API_KEY`.
    pub missing: String,
}

/// The API that an upstream speaks. Matched in pairs with the API of the door, never asked "is it anthropic?".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// Anthropic's Messages API: `{base}/v1/messages`. In the configuration: `anthropic`.
    Messages,
    /// OpenAI's Chat Completions API: `{base}/chat/completions`. In the configuration: `openai`.
    ChatCompletions,
}

/// How a resource of Azure OpenAI is addressed: learn.microsoft.com/azure/foundry/openai/api-version-lifecycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Azure {
    /// `{base}/openai/deployments/{model}/…?api-version=…`: what a model is called there is the name of a deployment.
    Deployments { api_version: String },
    /// `{base}/…`, where the base ends in `/openai/v1`.
    V1 { api_version: Option<String> },
}

/// Every bound of the gateway. The defaults stand in the edge's `defaults.toml`; each can be configured
/// under `[limits]`. [`Limits::default`] is all zeros, to be filled in. Durations of zero mean "no limit" where [`Option`] is used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Request body, bytes. Default 32 MiB.
    pub request_body: usize,
    /// The name of a model in a request, bytes. Default 256.
    pub model_name: usize,
    /// Until a request's head has arrived. Default 10 s.
    pub request_head_timeout: Duration,
    /// After this long a request body must come at `body_min_rate` at least. Default 10 s.
    pub body_grace: Duration,
    /// Bytes a second. Default 1024.
    pub body_min_rate: u64,
    /// Open client connections. Default 10,000.
    pub connections: usize,
    /// Those of one client address. Default 8,000.
    pub connections_per_address: Option<usize>,
    /// Requests in flight over all providers. Default 4,096.
    pub in_flight: usize,
    /// Requests in flight per provider. Default 1,024.
    pub provider_in_flight: usize,
    /// Requests waiting for one of those per provider. Default 256.
    pub provider_queue: usize,
    /// The longest such wait. Default 5 s.
    pub provider_queue_wait: Duration,
    /// How long a client may take nothing of what waits for it. Default 10 min.
    pub client_timeout: Option<Duration>,
    /// While something waits for a client for this long in all, it must take it at `reply_min_rate` at least. Default 60 s.
    pub reply_grace: Duration,
    /// Bytes a second; 0 for no minimum. Default 1024.
    pub reply_min_rate: u64,
    /// What may wait for a slow client in one stream, bytes. Default 64 KiB.
    pub client_channel: usize,
    /// One SSE event, bytes. Default 16 MiB.
    pub event: usize,
    /// Bytes a second at which an event that is not complete yet counts as a sign of life. Default 1024.
    pub event_min_rate: u64,
    /// Pings and comments that are kept before the first event of a stream, bytes. Default 64 KiB.
    pub before_first_event: usize,
    /// A whole (non-streamed) upstream body, bytes. Default 64 MiB.
    pub whole_reply: usize,
    /// TCP and TLS to an upstream. Default 10 s.
    pub connect_timeout: Duration,
    /// Until a whole reply is there, when the provider sets no timeout. Default 600 s.
    pub whole_timeout: Option<Duration>,
    /// Until the first byte of a streamed reply, when the provider sets no timeout. Default 300 s.
    pub first_byte_timeout: Option<Duration>,
    /// Silence inside a streamed reply. Default 300 s.
    pub idle_timeout: Option<Duration>,
    /// A streamed reply in all. Default none.
    pub total_timeout: Option<Duration>,
    /// Before the upstream's head nothing is sent for this long, so that statuses stay true. Default 45 s.
    pub head_patience: Duration,
    /// A ping after this much silence. Default 15 s.
    pub ping_interval: Duration,
    /// How long a key cools when a 429 does not say; doubled each time, up to a minute. Default 5 s.
    pub cooldown: Duration,
    /// The longest a key cools, whatever `retry-after` says. Default 5 min.
    pub cooldown_cap: Duration,
    /// How long a provider's list of models may be told again without asking. Default 5 min.
    pub models_ttl: Duration,
    /// How long an older one is told while a new one is asked for. Default a day.
    pub models_cache_ttl: Duration,
    /// How many aliases may stand for each other in a row. Default 10.
    pub alias_chain: usize,
    /// How long a request is spared what an upstream has refused before. Default a day.
    pub healing_ttl: Duration,
    /// What middleware has remembered. Default 10,000 entries for an hour each, swept every 5 min.
    pub thoughts: Retention,
    /// Streams may run this long after SIGTERM. Default 25 s.
    pub drain: Duration,
    /// How often the supervisor asks its actors for a sign of life, and how long it waits. Default 250 ms, 500 ms.
    pub watch_interval: Duration,
    pub watch_patience: Duration,
    /// How often the numbers of running requests are told to those who watch them. Default 500 ms.
    pub active_interval: Duration,
    /// How often they get a sign of life. Default 30 s.
    pub active_heartbeat: Duration,
}
