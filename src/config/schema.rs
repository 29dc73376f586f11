//! All keys and variables with their types. Any other key is an error.

use super::fixups::MISSING_REASONING;
use super::limits;
use super::value_type::KeyType::{self, Aliases, AuthMode, Fallbacks, Headers, Later, Value};
use super::value_type::ValueType::{
    self, Betas, Bounds, Count, Flag, Format, Host, Hosts, Link, LogLevel, Object, OneOf, Origins, Params,
    Parts, Pause, Port, Seconds, Secret, Settings, Text, Url, Words,
};

use super::top_models::SOURCES;

pub(super) type Keys = &'static [(&'static str, KeyType)];

/// Outside every table.
pub(super) const TOP: Keys = &[
    ("host", Value(Host)),
    ("port", Value(Port)),
    ("tls-cert", Value(Text)),
    ("tls-key", Value(Text)),
    ("log-level", Value(LogLevel)),
    ("proxy-api-key", Value(Secret)),
    ("proxy-api-key-file", Value(Text)),
    ("admin-key", Value(Secret)),
    ("admin-key-file", Value(Text)),
    ("allowed-hosts", Value(Hosts)),
    ("cors-origins", Value(Origins)),
    ("route-header", Value(Flag)),
    ("request-metrics", Value(Flag)),
    ("active-requests-stream", Value(Flag)),
];

/// `[defaults]`
pub(super) const DEFAULTS: Keys = &[
    ("default-provider", Value(Text)),
    ("timeout", Value(Seconds)),
    ("max-retries", Value(Count(0))),
    ("gemini-thought-signatures", Value(Flag)),
    ("cache-dir", Value(Text)),
    ("models-cache", Value(Flag)),
    ("top-models-source", Value(OneOf(SOURCES))),
    ("top-models-rankings-file", Value(Text)),
    ("top-models-timeout", Value(Pause)),
    ("top-models-exclude", Value(Parts)),
    ("aliases", Aliases),
];

/// `["#NAME"]`
pub(super) const PROFILE: Keys = &[
    ("timeout", Value(Seconds)),
    ("max-retries", Value(Count(0))),
    ("aliases", KeyType::Targets),
    ("fallbacks", Fallbacks),
];

/// `[limits]`
pub(super) const LIMITS: Keys = &limits::KEYS;

const REPLAYS: &[&str] = &["reasoning_content", "reasoning_content_always", "reasoning_details", "none"];

/// `[P]`, for every provider.
pub(super) const PROVIDER: Keys = &[
    ("api-key", Value(ValueType::Keys)),
    ("api-key-file", Value(Text)),
    ("api-key-optional", Value(Flag)),
    ("base-url", Value(Url)),
    ("api-format", Value(Format)),
    ("api-version", Value(Text)),
    ("timeout", Value(Seconds)),
    ("max-retries", Value(Count(0))),
    ("serves-claude", Value(Flag)),
    ("models-url", Value(Link)),
    ("ca-file", Value(Text)),
    ("client-cert", Value(Text)),
    ("client-key", Value(Text)),
    ("drop-params", Value(Params)),
    ("set-params", Value(Settings)),
    ("limit-params", Value(Bounds)),
    ("drop-betas", Value(Betas)),
    ("max-tokens-as", Value(OneOf(&["max_tokens", "max_completion_tokens"]))),
    ("fit-tool-schemas", Value(Flag)),
    ("missing-reasoning", Value(OneOf(MISSING_REASONING))),
    ("tool-ids", Value(OneOf(&["anthropic", "openai", "mistral"]))),
    ("aliases", Aliases),
    ("fallbacks", Fallbacks),
    ("custom-headers", Headers),
    ("auth-mode", AuthMode),
    ("tool-name-sanitization", Value(Flag)),
    ("reasoning-models", Value(Words)),
    ("reasoning-parameter", Value(OneOf(&["reasoning_effort", "reasoning", "thinking"]))),
    ("reasoning-replay", Value(OneOf(REPLAYS))),
    ("think-tags", Value(Flag)),
    ("system-anywhere", Value(Flag)),
    ("cache-control", Value(Flag)),
    ("top-k", Value(Flag)),
    ("user-fields", Value(Words)),
    ("prompt-cache", Value(Flag)),
    ("web-search", Value(Object)),
    ("middleware", Value(Words)),
    ("model-page", Later),
];

/// The warning for a key or variable of a later version.
pub(super) const NOT_YET: &str = "not available in this version of vdm, so it has no effect";

/// A variable for the gateway or for all providers.
pub(super) struct Variable {
    pub(super) name: &'static str,
    /// The description, with the default in brackets.
    pub(super) about: &'static str,
    pub(super) kind: ValueType,
    /// The path of its value in the merged tree.
    pub(super) path: &'static [&'static str],
}

/// The variables beside those of limits.
pub(super) static GLOBAL: [Variable; 27] = [
    Variable { name: "HOST", about: "address or name to listen on (127.0.0.1)", kind: Host, path: &["host"] },
    Variable { name: "PORT", about: "port to listen on (8082)", kind: Port, path: &["port"] },
    Variable {
        name: "VDM_TLS_CERT",
        about: "PEM file with the listener's certificate chain; the gateway then speaks https",
        kind: Text,
        path: &["tls-cert"],
    },
    Variable {
        name: "VDM_TLS_KEY",
        about: "PEM file with the private key of that certificate",
        kind: Text,
        path: &["tls-key"],
    },
    Variable {
        name: "LOG_LEVEL",
        about: "DEBUG, INFO, WARNING, ERROR or CRITICAL (INFO)",
        kind: LogLevel,
        path: &["log-level"],
    },
    Variable {
        name: PROXY_API_KEY,
        about: "key that clients must send",
        kind: Secret,
        path: &["proxy-api-key"],
    },
    Variable {
        name: PROXY_API_KEY_FILE,
        about: "file that contains the key",
        kind: Text,
        path: &["proxy-api-key-file"],
    },
    Variable {
        name: "VDM_ADMIN_KEY",
        about: "key for admin actions over HTTP (POST /admin/…); without it there are none",
        kind: Secret,
        path: &["admin-key"],
    },
    Variable {
        name: "VDM_ADMIN_KEY_FILE",
        about: "file that contains the key for admin actions",
        kind: Text,
        path: &["admin-key-file"],
    },
    Variable {
        name: "VDM_ALLOWED_HOSTS",
        about: "names in the Host header that a gateway without PROXY_API_KEY accepts, separated by spaces",
        kind: Hosts,
        path: &["allowed-hosts"],
    },
    Variable {
        name: "VDM_CORS_ORIGINS",
        about: "origins of web pages that may call the gateway, separated by spaces",
        kind: Origins,
        path: &["cors-origins"],
    },
    Variable {
        name: "VDM_DEFAULT_PROVIDER",
        about: "provider or profile for model names without a prefix (openai)",
        kind: Text,
        path: &["defaults", "default-provider"],
    },
    Variable {
        name: "VDM_ROUTE_HEADER",
        about: "report the route of each model name in x-vdm-route (false)",
        kind: Flag,
        path: &["route-header"],
    },
    // These two override a provider's own table, so they have a table of their own.
    Variable {
        name: "REQUEST_TIMEOUT",
        about: "request timeout in seconds; overrides every provider's timeout; 0 means no limit",
        kind: Seconds,
        path: &["everywhere", "timeout"],
    },
    Variable {
        name: "MAX_RETRIES",
        about: "retries per key; overrides every provider's max-retries (2)",
        kind: Count(0),
        path: &["everywhere", "max-retries"],
    },
    Variable {
        name: "MIN_TOKENS_LIMIT",
        about: "least max_tokens of Messages requests to OpenAI-format providers; smaller values are raised",
        kind: Count(1),
        path: &["everywhere", "min-tokens-limit"],
    },
    Variable {
        name: "MAX_TOKENS_LIMIT",
        about: "highest max_tokens of Messages requests to OpenAI-format providers; larger values are lowered",
        kind: Count(1),
        path: &["everywhere", "max-tokens-limit"],
    },
    Variable {
        name: "VDM_DEMO",
        about: "1 adds the built-in demo provider, 0 turns it off",
        kind: Flag,
        path: &["demo"],
    },
    Variable {
        name: "GEMINI_THOUGHT_SIGNATURES_ENABLED",
        about: "return Gemini's thought signatures (true)",
        kind: Flag,
        path: &["defaults", "gemini-thought-signatures"],
    },
    Variable {
        name: "CACHE_DIR",
        about: "directory of stored model lists (~/.cache/vandamme-proxy)",
        kind: Text,
        path: &["defaults", "cache-dir"],
    },
    Variable {
        name: "MODELS_CACHE_ENABLED",
        about: "store model lists on disk (true)",
        kind: Flag,
        path: &["defaults", "models-cache"],
    },
    Variable {
        name: "TOP_MODELS_SOURCE",
        about: "openrouter, manual_rankings or disabled (openrouter if that provider has a key)",
        kind: OneOf(SOURCES),
        path: &["defaults", "top-models-source"],
    },
    Variable {
        name: "TOP_MODELS_RANKINGS_FILE",
        about: "TOML file of manual_rankings: [[models]] with an id each",
        kind: Text,
        path: &["defaults", "top-models-rankings-file"],
    },
    Variable {
        name: "TOP_MODELS_TIMEOUT_SECONDS",
        about: "longest wait for the catalogue, in seconds (5)",
        kind: Pause,
        path: &["defaults", "top-models-timeout"],
    },
    Variable {
        name: "TOP_MODELS_EXCLUDE",
        about: "omit models whose id contains one of these texts, separated by commas",
        kind: Parts,
        path: &["defaults", "top-models-exclude"],
    },
    Variable {
        name: "LOG_REQUEST_METRICS",
        about: "count, trace and log requests (true)",
        kind: Flag,
        path: &["request-metrics"],
    },
    Variable {
        name: "VDM_ACTIVE_REQUESTS_SSE_ENABLED",
        about: "serve /metrics/active-requests/stream (true)",
        kind: Flag,
        path: &["active-requests-stream"],
    },
];

/// All variables that are not about one provider.
pub(super) fn variables() -> impl Iterator<Item = &'static Variable> {
    GLOBAL.iter().chain(limits::variables())
}

/// The key that clients must send, although the name ends like that of a provider's key.
pub(super) const PROXY_API_KEY: &str = "PROXY_API_KEY";

pub(super) const PROXY_API_KEY_FILE: &str = "PROXY_API_KEY_FILE";

/// `{P}_…` and the key of `[P]` that it sets.
pub(super) const PROVIDER_VARIABLES: [(&str, &str); 6] = [
    ("_API_KEY", "api-key"),
    ("_API_KEY_FILE", "api-key-file"),
    ("_BASE_URL", "base-url"),
    ("_API_FORMAT", "api-format"),
    ("_API_VERSION", "api-version"),
    ("_MODELS_URL", "models-url"),
];

/// The name that is nearest, if one is near.
pub(super) fn suggestion<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_ascii_lowercase().replace('_', "-");
    let scored = names.map(|name| (strsim::jaro_winkler(&written, name), name));
    let best = scored.max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(score, _)| *score >= 0.85).map(|(_, name)| name)
}
