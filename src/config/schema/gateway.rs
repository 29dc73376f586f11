//! The settings outside every table.

use super::{SettingDeclaration, SettingList, VariableValue, VariableWithoutKey};
use crate::config::value_type::KeyType::{Prices, Routing, Value};
use crate::config::value_type::ValueType::{
    Count, Flag, Host, Hosts, LogLevel, OneOf, Origins, Port, Secret, Text,
};

/// The key that clients must send, although the name ends like that of a provider's key.
pub(in crate::config) const PROXY_API_KEY: &str = "PROXY_API_KEY";

pub(in crate::config) const PROXY_API_KEY_FILE: &str = "PROXY_API_KEY_FILE";

pub(in crate::config) const GATEWAY: SettingList = &[
    SettingDeclaration::new(
        "host",
        Value(Host),
        "Address or host name to listen on. `127.0.0.1` accepts connections from this machine only, `0.0.0.0` from every \
         machine; then also set `proxy-api-key`.",
    )
    .with_default("\"127.0.0.1\"")
    .with_variable("HOST")
    .at_start(),
    SettingDeclaration::new("port", Value(Port), "Port to listen on. `--port 0` selects a free one.")
        .with_default("8082")
        .with_variable("PORT")
        .at_start(),
    SettingDeclaration::new(
        "tls-cert",
        Value(Text),
        "PEM file with the listener's certificate chain. With `tls-key`, the gateway accepts https only. Renewed files are used \
         within `limits.certificate-check`, without a reload.",
    )
    .with_variable("VDM_TLS_CERT")
    .with_example("\"/etc/vandamme/cert.pem\"")
    .with_guide("#serve-https"),
    SettingDeclaration::new(
        "tls-key",
        Value(Text),
        "PEM file with the private key of that certificate, without a passphrase.",
    )
    .with_variable("VDM_TLS_KEY")
    .with_example("\"/etc/vandamme/key.pem\"")
    .with_guide("#serve-https"),
    SettingDeclaration::new(
        "log-level",
        Value(LogLevel),
        "`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`. Keys are not logged at any level.",
    )
    .with_default("\"INFO\"")
    .with_variable("LOG_LEVEL")
    .at_start(),
    SettingDeclaration::new(
        "log-format",
        Value(OneOf(LOG_FORMATS)),
        "`text`: lines on stderr. `json`: one JSON object a line on stderr. `journald`: entries with fields in systemd's journal, like \
         `--systemd`, which takes precedence.",
    )
    .with_default("\"text\"")
    .with_variable("LOG_FORMAT")
    .at_start()
    .with_guide("logging.md"),
    SettingDeclaration::new(
        "log-summary-interval",
        Value(Count(0)),
        "After this many requests, one line in the log sums them up, with the busiest models. 0 turns it off.",
    )
    .with_default("100")
    .with_variable("LOG_SUMMARY_INTERVAL")
    .with_guide("logging.md"),
    SettingDeclaration::new(
        "proxy-api-key",
        Value(Secret),
        "Key that clients must send, as `x-api-key` or as a bearer token. Prefer the environment to a file.",
    )
    .with_variable(PROXY_API_KEY)
    .with_example("\"choose-a-long-random-word\"")
    .with_guide("#protect-the-gateway"),
    SettingDeclaration::new(
        "proxy-api-key-file",
        Value(Text),
        "File that contains the key that clients must send, such as a container's secret.",
    )
    .with_variable(PROXY_API_KEY_FILE)
    .with_example("\"/run/secrets/gateway\"")
    .with_guide("#keep-keys-in-files"),
    SettingDeclaration::new(
        "admin-key",
        Value(Secret),
        "Key for admin actions over HTTP, `POST /admin/reload` and `POST /admin/health/reset`; without it both are off. It must \
         differ from all keys of clients.",
    )
    .with_variable("VDM_ADMIN_KEY")
    .with_example("\"choose-another-long-random-word\"")
    .with_guide("#allow-admin-actions-over-http"),
    SettingDeclaration::new("admin-key-file", Value(Text), "File that contains the key for admin actions.")
        .with_variable("VDM_ADMIN_KEY_FILE")
        .with_example("\"/run/secrets/gateway-admin\"")
        .with_guide("#keep-keys-in-files"),
    SettingDeclaration::new(
        "allowed-hosts",
        Value(Hosts),
        "Further names in the `Host` header that a gateway without `proxy-api-key` accepts; in the variable, separated by \
         spaces. A gateway that other machines can reach always accepts IP addresses, the name in `host`, names without a dot, \
         and names under `.local`, `.internal`, `.lan`, `.test` and `.home.arpa`. It refuses other names, because a web page \
         can point a name of its own at this machine (DNS rebinding).",
    )
    .with_variable("VDM_ALLOWED_HOSTS")
    .with_example("[\"gateway.corp.example\"]"),
    SettingDeclaration::new(
        "cors-origins",
        Value(Origins),
        "Origins of web pages that may call this gateway from a browser (CORS), each exactly as the browser sends it; in the \
         variable, separated by spaces. `*` is not accepted.",
    )
    .with_variable("VDM_CORS_ORIGINS")
    .with_example("[\"https://chat.example.com\", \"http://localhost:3000\"]"),
    SettingDeclaration::new(
        "route-header",
        Value(Flag),
        "Whether every reply reports the route of its model name, step by step, in `x-vdm-route`. The header reveals your \
         providers and models to clients.",
    )
    .with_implied_default("false")
    .with_variable("VDM_ROUTE_HEADER"),
    SettingDeclaration::new(
        "request-metrics",
        Value(Flag),
        "Whether requests are counted, traced and logged, one line each. If not, the endpoints under `/metrics/` report that.",
    )
    .with_default("true")
    .with_variable("LOG_REQUEST_METRICS")
    .with_guide("metrics.md"),
    SettingDeclaration::new(
        "history",
        Value(Flag),
        "Whether requests and their usage are kept in a database, `history.db` in `state-dir`. If not, the last 10,000 requests \
         are kept in memory until vdm ends.",
    )
    .with_default("true")
    .with_variable("VDM_HISTORY")
    .with_guide("history.md")
    .at_start(),
    SettingDeclaration::new(
        "state-dir",
        Value(Text),
        "Directory of the history. By default it is the state directory of the systemd unit, \
         `$XDG_STATE_HOME/vandamme-proxy` or `~/.local/state/vandamme-proxy`.",
    )
    .with_variable("VDM_STATE_DIR")
    .with_example("\"/var/lib/vandamme-proxy\"")
    .with_guide("history.md")
    .at_start(),
    SettingDeclaration::new(
        "prices",
        Prices,
        "Prices of models at every provider, in dollars per million tokens: `input`, `output`, `cache-read`, `cache-write`, \
         `cache-write-1h`. In the name, `*` matches any characters.",
    )
    .with_example("{ \"llama-*\" = { input = 0, output = 0 } }")
    .with_guide("cost.md#set-your-own-prices"),
    SettingDeclaration::new(
        "routing",
        Routing,
        "Targets by the role of a request: `web-search`, `classifier`, `compaction`, `subagent`, `subagent.TYPE`, `auxiliary`, \
         `image`, `long-context` (above `long-context-threshold` estimated tokens, 60000 by default), `think`, `background`. A \
         target is `provider:model` or an alias. In a list, each target is the fallback of the one before. Requests for a name \
         with a provider (`openai:gpt-4o`) are not affected.",
    )
    .with_example("{ background = \"openai:gpt-6-luna\", \"subagent.Explore\" = [\"haiku\", \"openai:gpt-6-luna\"] }")
    .with_guide("routing.md"),
    SettingDeclaration::new(
        "active-requests-stream",
        Value(Flag),
        "Whether `/metrics/active-requests/stream` sends the requests in flight.",
    )
    .with_default("true")
    .with_variable("VDM_ACTIVE_REQUESTS_SSE_ENABLED"),
];

const LOG_FORMATS: &[&str] = &["text", "json", "journald"];

pub(super) const VARIABLES: &[VariableWithoutKey] = &[
    VariableWithoutKey {
        name: "VDM_DEMO",
        meaning: "`1` adds the built-in demo provider, `0` turns it off.",
        guide: None,
        value: Some(VariableValue { value_type: Flag, table: "", key: "demo" }),
    },
    other("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY", "Proxies for providers.", PROXY_GUIDE),
    other(
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "Trusted certificates in place of the system's; public ones stay trusted.",
        PROXY_GUIDE,
    ),
    other(
        "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "Where traces and metrics are sent, as OTLP over HTTP with JSON. The first is the base of `/v1/traces` and `/v1/metrics`.",
        OTLP_GUIDE,
    ),
    other(
        "OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TIMEOUT",
        "Headers of each export, such as `authorization=Bearer%20KEY`; `http/json`; milliseconds.",
        OTLP_GUIDE,
    ),
    other(
        "OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES",
        "How the exports name this gateway; by default `vandamme-proxy`.",
        OTLP_GUIDE,
    ),
    other(
        "OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER, OTEL_SDK_DISABLED",
        "`none`, `none` and `true` turn the exports off.",
        OTLP_GUIDE,
    ),
    other(
        "OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, OTEL_METRIC_EXPORT_INTERVAL, OTEL_SEMCONV_STABILITY_OPT_IN",
        "Which requests are traced, how often metrics are sent, and with which names.",
        OTLP_GUIDE,
    ),
    other("NO_COLOR", "No colours.", None),
    other("COLUMNS", "Width of tables on a terminal.", Some("commands.md")),
    other(
        "XDG_STATE_HOME, STATE_DIRECTORY",
        "Parent of the state directory, and the state directory of the systemd unit; see `state-dir`.",
        Some("history.md"),
    ),
    other(
        "XDG_RUNTIME_DIR",
        "Directory of the control sockets; by default `/run/user/UID`.",
        Some("process-control.md#control-socket"),
    ),
    other("VDM_WRAP_URL", "Set by `vdm wrap` for its tool: the URL of the gateway in use.", None),
    other(
        "VDM_WRAP_KEY",
        "Set by `vdm wrap codex` for Codex: the gateway's key, or any word.",
        Some("codex.md"),
    ),
];

const OTLP_GUIDE: Option<&str> = Some("opentelemetry.md");

const PROXY_GUIDE: Option<&str> = Some("#reach-a-provider-through-a-proxy");

/// A variable that another part of vdm reads.
pub(super) const fn other(
    name: &'static str,
    meaning: &'static str,
    guide: Option<&'static str>,
) -> VariableWithoutKey {
    VariableWithoutKey { name, meaning, guide, value: None }
}
