//! Defines the settings of the actors: typed, validated and complete. The configuration of the binary crate builds them
//! from files and the environment.

mod api;
mod cloud;
mod upstream_api;
mod web_search;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_http::header::{HeaderName, HeaderValue};
use vandamme_protocol::compat::FixupRule;

use vandamme_protocol::convert::upstream::chat::Dialect;
use vandamme_protocol::middleware::Chain;
use vandamme_protocol::models::text_only::TextOnlyModels;

pub use self::api::Api;
pub use self::cloud::{AwsIdentity, CloudIdentity, CloudVariables, GoogleIdentity, MessagesForm};
pub use self::upstream_api::ResponsesSupport;
pub use self::web_search::{SearchService, Searcher, WebSearch};
use crate::certificates::ProviderTls;
use crate::cost::PriceTable;
use crate::roles::RoleRules;
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
    /// `[routing]`
    pub roles: RoleRules,
    /// Further host names in `Host` that a gateway without a key accepts. Lower case.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call the gateway (CORS), each as browsers send it.
    pub cors_origins: Vec<String>,
    /// Replies carry a header that explains how the model name was routed.
    pub route_header: bool,
    pub request_metrics: Metrics,
    /// After this many requests the log sums them up; 0 turns it off.
    pub log_summary_interval: u64,
    /// Requests in flight are also served as an event stream.
    pub active_stream: bool,
    /// The directory for model lists between runs; `None` disables it.
    pub cache: Option<PathBuf>,
    /// The database of the history; `None` keeps it in memory.
    pub history: Option<PathBuf>,
    /// The catalogue of top models; `None` disables it.
    pub top_models: Option<TopModels>,
    /// Web search that the gateway runs; `None` if it runs none.
    pub web_search: Option<Arc<WebSearch>>,
    /// The prices of models, from which the ledger computes costs.
    pub prices: Arc<PriceTable>,
    pub limits: Limits,
}

impl Settings {
    /// Whether a rule of a role depends on Claude Code's hint headers.
    pub fn use_hints(&self) -> bool {
        let of_profiles = self.profiles.iter().map(|profile| &profile.roles);
        of_profiles.chain([&self.roles]).any(RoleRules::use_hints)
    }
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
    /// Whether Chat Completions are not its only API. [`Self::api_for`] decides which one a request uses.
    pub responses: ResponsesSupport,
    /// Scheme, authority and path prefix, without a trailing slash.
    pub base_url: String,
    /// Set if this is an Azure OpenAI resource, which has its own URLs and its own credential header.
    pub azure: Option<Azure>,
    /// The form of its requests if `api` is Messages.
    pub messages_form: MessagesForm,
    /// Set if its requests carry temporary credentials of a cloud in place of a key. `keys` then has one entry, which stands for
    /// the identity and is never sent.
    pub identity: Option<CloudIdentity>,
    /// No duplicates, in the order written. Empty exactly if clients bring their own keys, or if only the provider's
    /// public model list is used.
    pub keys: Vec<ApiKey>,
    /// Set on every upstream request and replace the client's values; never a credential, framing or routing header.
    pub custom_headers: Vec<(HeaderName, HeaderValue)>,
    /// Applied to every request for the models that each rule names, in terms of the upstream's API.
    pub fixups: Vec<FixupRule>,
    /// Alias (lower case) to model, or to `provider:model`.
    pub aliases: BTreeMap<String, String>,
    pub fallbacks: Fallbacks,
    /// The upstream knows the model ids that start with `claude-`; they are sent unchanged.
    pub serves_claude: bool,
    /// Judges the tool calls of replies for clients in auto mode; not used for a provider that serves Claude.
    pub judge: Option<Judge>,
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
    /// Requests with a session ask the provider why their prompt was not found in its cache.
    pub cache_diagnostics: bool,
    /// The target whose descriptions take the place of images in requests for text-only models, as `provider:model`.
    pub describe_images_with: Option<Arc<str>>,
    /// The models that accept no images.
    pub text_only_models: TextOnlyModels,
    /// Certificates of this provider alone; `None` uses those of all providers.
    pub tls: Option<ProviderTls>,
    /// The web page that lists this provider's models.
    pub models_url: Option<String>,
    /// The web page of a single model, with the placeholders `{id}` and `{display_name}`.
    pub model_page: Option<String>,
}

/// A model that judges tool calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judge {
    /// A name that a client could use, such as `provider:model`.
    pub target: Arc<str>,
    pub mode: JudgeMode,
}

/// How a judge's verdicts are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgeMode {
    /// Clients get them.
    Answers,
    /// They are recorded only.
    Shadow,
}

impl ProviderSettings {
    /// The target that describes images for this model of the provider; `None` if the model gets the images themselves.
    #[must_use]
    pub fn image_describer(&self, model: &str) -> Option<&Arc<str>> {
        self.describe_images_with.as_ref().filter(|_| self.text_only_models.include(model))
    }

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
    /// The rules for requests through the profile.
    pub roles: RoleRules,
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
    /// `None` for the embedded list.
    pub file: Option<PathBuf>,
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

/// Every bound of the gateway, each with its key under `[limits]`. The documentation of the fields is generated from
/// `src/config/limits/declared.rs`.
/// [`Limits::default`] is all zeros, to be filled in. Where the type is an [`Option`], a duration of zero means no limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// `request-body`: Largest body of a request. A larger one gets 413. Default: 32MiB.
    pub request_body: usize,
    /// `model-name`: Longest model name in a request, in bytes. A longer one gets 400. Default: 256.
    pub model_name: usize,
    /// `request-head-timeout`: Time for the head of each request of a connection. After that the client gets 408.
    /// Default: 10 s.
    pub request_head_timeout: Duration,
    /// `body-grace`: Time before body-min-rate applies to the body of a request. Default: 10 s.
    pub body_grace: Duration,
    /// `body-min-rate`: Least bytes per second of a request's body. A slower client gets 408. Default: 1KiB.
    pub body_min_rate: u64,
    /// `certificate-check`: How often the files of tls-cert and tls-key are checked for a change. Default: 60 s.
    pub certificate_check: Duration,
    /// `connections`: Open client connections. At the limit, the connection that has been idle longest is closed for a
    /// new one. If all are in use, a new one can request /health, and other requests get 503. vdm raises its soft limit
    /// of open files at the start, and warns if the hard limit is too low. Default: 10_000.
    pub connections: usize,
    /// `connections-per-address`: Open connections of one client address (of one /64 network for IPv6). Beyond that:
    /// 503 and closed. 0 for no limit. Clients behind one NAT or reverse proxy share an address. Default: 8_000.
    pub connections_per_address: Option<usize>,
    /// `websockets`: Open WebSockets on /v1/responses. Beyond that, and with 0, an upgrade gets 426, and the client
    /// uses HTTP. Default: 1_000.
    pub websockets: usize,
    /// `websocket-idle`: Time after which a WebSocket without a response in progress is closed. 0 for no limit.
    /// Default: 1_800 s.
    pub websocket_idle: Option<Duration>,
    /// `websocket-items`: Memory for the items that vdm keeps for the conversations of all WebSockets; those of one
    /// conversation have at most request-body. Beyond that, the client is told to send all items again. Default:
    /// 256MiB.
    pub websocket_items: usize,
    /// `in-flight`: Requests in progress, over all providers. Beyond that: 503. Default: 4_096.
    pub in_flight: usize,
    /// `provider-in-flight`: Requests in progress for one provider. Further requests wait. Default: 4_096.
    pub provider_in_flight: usize,
    /// `provider-queue`: Requests that wait for one provider. Beyond that: 503. Default: 256.
    pub provider_queue: usize,
    /// `provider-queue-wait`: Longest wait for a provider. After that: 503. Default: 5 s.
    pub provider_queue_wait: Duration,
    /// `client-timeout`: Time after which the connection of a client that acknowledges nothing is closed (on Linux). 0
    /// for no limit. Default: 600 s.
    pub client_timeout: Option<Duration>,
    /// `reply-grace`: Time before reply-min-rate applies to a client. Only time during which data waits for the client
    /// counts. Default: 60 s.
    pub reply_grace: Duration,
    /// `reply-min-rate`: Least bytes per second at which a client must read its reply. The connection of a slower one
    /// is closed. 0 for no minimum. Default: 1KiB.
    pub reply_min_rate: u64,
    /// `client-channel`: Data of one stream that waits for a slow client. Beyond that, vdm stops reading from the
    /// provider. Default: 64KiB.
    pub client_channel: usize,
    /// `event`: Largest event of a stream, decompressed. Default: 16MiB.
    pub event: usize,
    /// `event-min-rate`: Least bytes per second at which part of an event ends a silence (see idle-timeout). Default:
    /// 1KiB.
    pub event_min_rate: u64,
    /// `before-first-event`: Pings and comments that are kept before the first event of a stream. Further ones are
    /// dropped. Default: 64KiB.
    pub before_first_event: usize,
    /// `whole-reply`: Largest reply that is not streamed, decompressed. Default: 64MiB.
    pub whole_reply: usize,
    /// `connect-timeout`: Longest wait for a connection to a provider, TLS included. Default: 10 s.
    pub connect_timeout: Duration,
    /// `whole-timeout`: Longest wait for a reply that is not streamed, for providers without a timeout. 0 for no limit.
    /// Default: 600 s.
    pub whole_timeout: Option<Duration>,
    /// `first-byte-timeout`: Longest wait for the first byte of a stream, for providers without a timeout. 0 for no
    /// limit. Default: 300 s.
    pub first_byte_timeout: Option<Duration>,
    /// `idle-timeout`: Longest silence of a provider inside a stream. Events, pings and comments end a silence; part of
    /// an event does if it arrives at event-min-rate. 0 for no limit, in a file only. Default: 300 s.
    pub idle_timeout: Option<Duration>,
    /// `total-timeout`: Longest stream. 0 for no limit. Default: 0 s.
    pub total_timeout: Option<Duration>,
    /// `head-patience`: Longest wait for a provider's reply before the client gets status 200 and pings. Until then the
    /// status can still be an error. Default: 45 s.
    pub head_patience: Duration,
    /// `ping-interval`: Silence after which a client gets a ping. Default: 15 s.
    pub ping_interval: Duration,
    /// `cooldown`: Cooldown of a key after a 429 without a wait. It doubles each time, up to a minute. Default: 5 s.
    pub cooldown: Duration,
    /// `cooldown-cap`: Longest cooldown of a key, whatever wait the provider states. Default: 300 s.
    pub cooldown_cap: Duration,
    /// `models-ttl`: Age at which a provider's list of models is requested again. Default: 300 s.
    pub models_ttl: Duration,
    /// `models-cache-ttl`: Age up to which an old list of models is served, as stale, while a new one is requested. An
    /// older list is served only if the provider does not answer. Default: 86_400 s.
    pub models_cache_ttl: Duration,
    /// `alias-chain`: Most aliases in a chain in which each resolves to the next. Default: 10.
    pub alias_chain: usize,
    /// `learned-rules-ttl`: Time for which vdm remembers what a provider refuses, such as an unknown parameter, and
    /// changes requests accordingly. Default: 86_400 s.
    pub learned_rules_ttl: Duration,
    /// Set by `signatures`, `signatures-ttl`, `signatures-sweep`.
    pub signatures: Retention,
    /// `drain`: Time for requests in flight to finish when vdm stops. Default: 25 s.
    pub drain: Duration,
    /// `worker-liveness`: Time that the worker process may be unresponsive. After that the master process kills and
    /// replaces it. Default: 60 s.
    pub worker_liveness: Duration,
    /// `watch-interval`: Time between two liveness checks of vdm's actors. Default: 0.25 s.
    pub watch_interval: Duration,
    /// `watch-patience`: Time for an actor's answer to a liveness check. An actor that does not answer is replaced.
    /// Default: 0.5 s.
    pub watch_patience: Duration,
    /// `active-requests-interval`: Least time between two updates of the numbers in the stream of requests in flight;
    /// at least one second, and longer with many requests. The start and end of a request appear within half a second.
    /// Default: 0.5 s.
    pub active_interval: Duration,
    /// `active-requests-heartbeat`: Time between two heartbeats in the stream of requests in flight. Default: 30 s.
    pub active_heartbeat: Duration,
    /// `history-days`: Days for which the history keeps requests and their sums. Default: 90.
    pub history_days: usize,
    /// `history-requests`: Requests whose details the history keeps, about 0.5 KiB each. The sums by hour, model, key,
    /// client and session stay for history-days, up to as many rows. Default: 1_000_000.
    pub history_requests: usize,
}
