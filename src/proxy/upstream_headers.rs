//! The headers of upstream requests, and the upstream headers that clients get.

use std::borrow::Cow;

use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use vandamme_actors::provider::Lease;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::{Api, MessagesForm, ProviderSettings};
use vandamme_protocol::request;

use super::{ProxyRequest, UpstreamCall, address};
use crate::caller::KeyForm;
use crate::gateway::LiveConfig;

/// The longest upstream header that a client gets, in bytes.
const LONGEST: usize = 4 << 10;
/// Marks a request that a gateway has forwarded.
pub(crate) const HOP: HeaderName = HeaderName::from_static("x-vdm-hop");

pub(super) const BETAS: HeaderName = HeaderName::from_static("anthropic-beta");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const VERSION: &str = "2023-06-01";

const PASSED_BACK: [&str; 4] = ["request-id", "x-request-id", "x-amzn-requestid", "x-should-retry"];
/// The headers in which vendors send their own id of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const AMAZON_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
/// The longest id that is recorded. Vendors' ids have some 40 characters.
const LONGEST_ID: usize = 128;
const PASSED_BACK_PREFIXES: [&str; 4] = ["anthropic-", "openai-", "x-codex-", "x-ratelimit-"];
/// Whether a client's header stays here: a header of its connection, one that the gateway sets itself or that does not concern
/// the upstream, or one that carries a credential for the gateway. Every header of every request is looked up, so those of
/// another length are ruled out first.
fn is_withheld(name: &str) -> bool {
    let is_named = match name.len() {
        2 => name == "te",
        4 => name == "host",
        // A browser sends `origin` and `referer`: Anthropic refuses them, and they belong to this hop.
        6 => matches!(name, "cookie" | "expect" | "origin"),
        7 => matches!(name, "api-key" | "referer" | "trailer" | "upgrade"),
        9 => matches!(name, "forwarded" | "x-api-key" | "x-real-ip"),
        10 => matches!(name, "connection" | "keep-alive"),
        12 => name == "x-auth-token",
        13 => name == "authorization",
        14 => matches!(name, "content-length" | "http2-settings" | "true-client-ip" | "x-goog-api-key"),
        15 => name == "accept-encoding",
        16 => matches!(name, "cf-connecting-ip" | "content-encoding"),
        17 => name == "transfer-encoding",
        20 => name == "x-amz-security-token",
        30 => name == "x-goog-iam-authorization-token",
        _ => false,
    };
    let text = name.as_bytes();
    let has_prefix = match text.first() {
        Some(b'x') => text.starts_with(b"x-forwarded-") || text.starts_with(b"x-vdm-"),
        Some(b'p') => text.starts_with(b"proxy-"),
        Some(b's') => text.starts_with(b"sec-"),
        Some(_) | None => false,
    };
    is_named || has_prefix
}

/// The same name, as a constant if it is one that Anthropic's clients send: a copy of the parsed name shares its text, which
/// takes 300 instructions.
fn shared_name(name: &HeaderName) -> HeaderName {
    match name.as_str() {
        "anthropic-beta" => BETAS,
        "anthropic-dangerous-direct-browser-access" => {
            const { HeaderName::from_static("anthropic-dangerous-direct-browser-access") }
        }
        "anthropic-version" => ANTHROPIC_VERSION,
        "x-app" => const { HeaderName::from_static("x-app") },
        "x-claude-code-session-id" => const { HeaderName::from_static("x-claude-code-session-id") },
        "x-stainless-arch" => const { HeaderName::from_static("x-stainless-arch") },
        "x-stainless-lang" => const { HeaderName::from_static("x-stainless-lang") },
        "x-stainless-os" => const { HeaderName::from_static("x-stainless-os") },
        "x-stainless-package-version" => const { HeaderName::from_static("x-stainless-package-version") },
        "x-stainless-retry-count" => const { HeaderName::from_static("x-stainless-retry-count") },
        "x-stainless-runtime" => const { HeaderName::from_static("x-stainless-runtime") },
        "x-stainless-runtime-version" => const { HeaderName::from_static("x-stainless-runtime-version") },
        "x-stainless-timeout" => const { HeaderName::from_static("x-stainless-timeout") },
        _ => name.clone(),
    }
}

/// The headers of one call: those that this provider's API takes, the provider's own, and the credential. `betas` replaces
/// the value of `anthropic-beta`.
///
/// # Errors
/// The provider's key is no valid header value.
pub(super) fn for_call(
    request: &ProxyRequest,
    lease: &Lease,
    live: &LiveConfig,
    upstream_api: Api,
    betas: Option<&str>,
) -> Result<HeaderMap, String> {
    let provider = &lease.provider;
    let mut headers = match (request.upstream_call, request.api, upstream_api) {
        (UpstreamCall::Models, _, _) => for_models(provider),
        (UpstreamCall::Endpoint(_), Api::Responses, Api::Responses) => {
            for_endpoint(&presentable(request, live), &RESPONSES_ALLOWED)
        }
        (UpstreamCall::Endpoint(_), _, Api::ChatCompletions | Api::Responses) => {
            for_endpoint(&presentable(request, live), &[])
        }
        (_, Api::Messages, Api::Messages) if provider.messages_form != MessagesForm::Native => {
            for_cloud(&presentable(request, live))
        }
        (_, Api::Messages, Api::Messages) => passed_on(&presentable(request, live)),
        (_, Api::Messages, Api::ChatCompletions | Api::Responses) => own_headers(),
        (_, Api::Responses, Api::Responses) => allowed(&presentable(request, live), &RESPONSES_ALLOWED),
        (_, Api::ChatCompletions | Api::Responses, Api::ChatCompletions | Api::Responses) => {
            allowed(&presentable(request, live), &[])
        }
        (_, Api::ChatCompletions | Api::Responses, Api::Messages) => {
            anthropic_headers(&presentable(request, live))
        }
    };
    for (name, value) in &provider.custom_headers {
        headers.insert(name.clone(), value.clone());
    }
    // The credential of a cloud identity depends on the whole request.
    if provider.identity.is_none() {
        let form = key_form(request, provider, live);
        let (name, value) = address::credential(provider, lease.key.expose(), form);
        let mut credential =
            value.map_err(|_| format!("the key of provider '{}' is unusable", provider.name))?;
        credential.set_sensitive(true);
        headers.insert(name, credential);
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(HOP, HeaderValue::from_static("1"));
    if let Some(betas) = betas {
        headers.remove(&BETAS);
        if let (Ok(value), false) = (HeaderValue::from_str(betas), betas.is_empty()) {
            headers.insert(BETAS, value);
        }
    }
    Ok(headers)
}

/// The client's headers without those that carry a key of the gateway, whatever their names.
pub(super) fn presentable<'r>(request: &'r ProxyRequest, live: &LiveConfig) -> Cow<'r, HeaderMap> {
    let headers: &HeaderMap = &request.headers;
    let is_ours = |value: &HeaderValue| live.gateway_keys.are_in(value.as_bytes(), request.caller.as_ref());
    if live.gateway_keys.is_empty() || !headers.iter().any(|(_, value)| is_ours(value)) {
        return Cow::Borrowed(headers);
    }
    let mut presentable = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(_, value)| !is_ours(value)) {
        presentable.append(name.clone(), value.clone());
    }
    Cow::Owned(presentable)
}

/// Whether the value of a header carries no key of the gateway.
pub(super) fn is_presentable(value: &HeaderValue, request: &ProxyRequest, live: &LiveConfig) -> bool {
    live.gateway_keys.is_empty() || !live.gateway_keys.are_in(value.as_bytes(), request.caller.as_ref())
}

/// The client's query, unless a key of the gateway is in it.
pub(super) fn query<'r>(request: &'r ProxyRequest, live: &LiveConfig) -> &'r str {
    let (query, ours) = (&request.query, &live.gateway_keys);
    if query.is_empty() || ours.is_empty() {
        return query;
    }
    let decoded = || percent_encoding::percent_decode_str(query).collect::<Vec<u8>>();
    let carries = |text: &[u8]| ours.are_in(text, request.caller.as_ref());
    let has_key = query.split(['&', '=']).any(|value| carries(value.as_bytes())) || carries(&decoded());
    if has_key { "" } else { query }
}

/// The header in which an Anthropic client sends its own key for the provider; other clients have no choice.
fn key_form(request: &ProxyRequest, provider: &ProviderSettings, live: &LiveConfig) -> Option<KeyForm> {
    if !provider.passthrough || request.api != Api::Messages {
        return None;
    }
    Some(request.client_key(provider, live)?.form)
}

fn for_models(provider: &ProviderSettings) -> HeaderMap {
    let mut headers = own_headers();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.remove(header::CONTENT_TYPE);
    if provider.api == Api::Messages {
        headers.insert(ANTHROPIC_VERSION, HeaderValue::from_static(VERSION));
    }
    headers
}

/// The client's headers for an upstream of the same API.
fn passed_on(client: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = client
        .get_all(header::CONNECTION)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    let mut headers = HeaderMap::with_capacity(client.len_keys() + 4);
    for (name, value) in client {
        let text = name.as_str();
        if !is_withheld(text) && !named.iter().any(|named| named == text) {
            headers.append(shared_name(name), value.clone());
        }
    }
    if !headers.contains_key(&ANTHROPIC_VERSION) {
        headers.insert(ANTHROPIC_VERSION, HeaderValue::from_static(VERSION));
    }
    if !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers
}

/// An upstream of another API gets none of the client's headers.
fn own_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("vdm/", env!("CARGO_PKG_VERSION"))));
    headers
}

/// A Messages upstream gets only the client's `anthropic-` headers. The gateway sets the version: it belongs to the translated
/// body, and later versions refuse a `temperature`.
fn anthropic_headers(client: &HeaderMap) -> HeaderMap {
    let mut headers = own_headers();
    headers.insert(ANTHROPIC_VERSION, HeaderValue::from_static(VERSION));
    take_over(&mut headers, client, |name| name.starts_with("anthropic-") && name != "anthropic-version");
    headers
}

/// A cloud gets few of the client's headers: betas, traces, and those of Bedrock's guardrails.
fn for_cloud(client: &HeaderMap) -> HeaderMap {
    const ALLOWED: [&str; 3] = ["anthropic-beta", "traceparent", "tracestate"];
    let mut headers = own_headers();
    take_over(&mut headers, client, |name| ALLOWED.contains(&name) || name.starts_with("x-amzn-bedrock-"));
    headers
}

/// Headers of Responses clients that concern the upstream: Codex's session and turn, and the API's own.
const RESPONSES_ALLOWED: [&str; 6] =
    ["openai-beta", "originator", "session-id", "session_id", "thread-id", "x-client-request-id"];
/// The prefix of Codex's other headers, of requests and of replies.
const CODEX: &str = "x-codex-";

/// A client of OpenAI's APIs may send any header, so only known ones pass.
fn allowed(client: &HeaderMap, more: &[&str]) -> HeaderMap {
    const ALLOWED: [&str; 4] = ["idempotency-key", "traceparent", "tracestate", "user-agent"];
    let mut headers = own_headers();
    let is_codex = |name: &str| !more.is_empty() && name.starts_with(CODEX);
    take_over(&mut headers, client, |name| ALLOWED.contains(&name) || more.contains(&name) || is_codex(name));
    headers
}

/// For another endpoint of OpenAI's: the reply may be audio, and a form's content type has its boundary. What is no form is JSON,
/// whatever its label.
fn for_endpoint(client: &HeaderMap, more: &[&str]) -> HeaderMap {
    let mut headers = allowed(client, more);
    headers.remove(header::ACCEPT);
    let content_type = client.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = content_type.is_some_and(|value| request::form_boundary(value).is_some());
    take_over(&mut headers, client, |name| name == "accept" || (is_form && name == "content-type"));
    headers
}

/// Copies some of a client's headers. Values of a list header are joined with commas (RFC 9110, section 5.3). Of any other
/// header the last value counts.
pub(super) fn take_over(headers: &mut HeaderMap, client: &HeaderMap, wanted: impl Fn(&str) -> bool) {
    const LISTS: [&str; 3] = ["anthropic-beta", "openai-beta", "tracestate"];
    for name in client.keys().filter(|name| wanted(name.as_str())) {
        let values: Vec<_> = client.get_all(name).map(HeaderValue::as_bytes).collect();
        let value = match (&values[..], LISTS.contains(&name.as_str())) {
            ([.., last], false) => last.to_vec(),
            (all, _) => all.join(&b","[..]),
        };
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            headers.insert(name.clone(), value);
        }
    }
}

/// The upstream's headers that a client gets. `retry-after` is rewritten elsewhere. A header that contains a key or is too long
/// is left out.
pub(super) fn passed_back(upstream: &HeaderMap, secrets: &Secrets) -> HeaderMap {
    let known = |name: &str| PASSED_BACK_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let passes = |name: &str| PASSED_BACK.contains(&name) || known(name);
    // Room for the content type and the request ids, too; the map grows in steps of 1, 3 and 7.
    let mut headers = HeaderMap::with_capacity(7);
    let is_fit = |value: &HeaderValue| value.len() <= LONGEST && !secrets.found_in_header(value.as_bytes());
    for (name, value) in upstream.iter().filter(|(name, value)| passes(name.as_str()) && is_fit(value)) {
        headers.append(name.clone(), value.clone());
    }
    headers
}

/// The upstream's own id of the request in headers that are passed back, if it is fit to be recorded.
pub(super) fn upstream_request_id(passed_back: &HeaderMap) -> Option<&str> {
    let named = |name: HeaderName| passed_back.get(name)?.to_str().ok();
    let is_fit = |id: &&str| !id.is_empty() && id.len() <= LONGEST_ID;
    [REQUEST_ID, X_REQUEST_ID, AMAZON_REQUEST_ID].into_iter().find_map(|name| named(name).filter(is_fit))
}

#[cfg(test)]
mod tests {
    use vandamme_actors::secret::ApiKey;

    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for &(name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    /// Requirement: the upstream's own id is recorded, from each vendor's header, unless it is unusually long.
    #[test]
    fn the_upstreams_id_of_a_request_is_found() {
        let id = |headers: &HeaderMap| upstream_request_id(headers).map(str::to_owned);
        assert_eq!(id(&map(&[("x-request-id", "b"), ("request-id", "a")])).as_deref(), Some("a"));
        assert_eq!(id(&map(&[("x-request-id", "b"), ("request-id", "")])).as_deref(), Some("b"));
        assert_eq!(id(&map(&[("x-amzn-requestid", "c")])).as_deref(), Some("c"));
        assert_eq!(id(&map(&[("anthropic-request-id", "c")])), None);
        let mut long = map(&[]);
        long.insert(HeaderName::from_static("request-id"), HeaderValue::try_from("x".repeat(129)).unwrap());
        assert_eq!(id(&long), None);
    }

    #[test]
    fn a_clients_own_headers_pass_and_what_is_not_for_the_upstream_does_not() {
        let passed = passed_on(&map(&[
            ("anthropic-beta", "a,b"),
            ("anthropic-version", "2023-01-01"),
            ("x-app", "cli"),
            ("x-claude-code-session-id", "s"),
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("x-api-key", "secret"),
            ("authorization", "Bearer secret"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-vdm-hop", "1"),
            ("proxy-authorization", "Basic x"),
            ("cookie", "c"),
            ("origin", "https://chat.example.com"),
            ("sec-fetch-site", "cross-site"),
            ("expect", "100-continue"),
        ]));

        let mut names: Vec<_> = passed.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        let expected =
            ["anthropic-beta", "anthropic-version", "content-type", "x-app", "x-claude-code-session-id"];
        assert_eq!(names, expected);
        assert_eq!(passed.get("anthropic-version").unwrap(), "2023-01-01");
    }

    /// Requirement: no header of the client's connection, of a proxy before the gateway, or with a credential reaches an
    /// upstream.
    #[test]
    fn headers_that_are_not_for_the_upstream_are_withheld() {
        let of_the_connection =
            "connection keep-alive te trailer transfer-encoding upgrade http2-settings expect";
        let own = "host content-length content-encoding accept-encoding x-vdm-hop";
        let of_proxies =
            "forwarded x-real-ip x-forwarded-for cf-connecting-ip true-client-ip proxy-authorization";
        let of_browsers = "cookie origin referer sec-fetch-site";
        let credentials = "authorization x-api-key api-key x-goog-api-key x-auth-token x-amz-security-token";
        for names in [of_the_connection, own, of_proxies, of_browsers, credentials] {
            for name in names.split(' ') {
                assert!(is_withheld(name), "{name}");
                assert!(!is_withheld(&format!("a{name}")), "a{name}");
            }
        }
        assert!(!is_withheld("content-type") && !is_withheld("x-app") && !is_withheld("anthropic-beta"));
    }

    #[test]
    fn names_known_beforehand_are_the_same_names() {
        let own = ["anthropic-version", "x-app", "x-stainless-retry-count", "x-other", "accept"];
        for name in own {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(shared_name(&name), name);
        }
    }

    #[test]
    fn only_known_headers_come_back() {
        let secrets = Secrets::new([ApiKey::new("sk-canary-0123456789")]);
        let long = "x".repeat(LONGEST + 1).leak();
        let headers = map(&[
            ("request-id", "req_1"),
            ("openai-organization", "sk-canary-0123456789"),
            ("x-request-id", "req_sk-canary-0123456789"),
            ("x-ratelimit-key", "sk%2Dcanary%2D0123456789"),
            ("anthropic-long", long),
            ("anthropic-ratelimit-requests-remaining", "3"),
            ("x-should-retry", "false"),
            ("retry-after", "7"),
            ("set-cookie", "c"),
            ("server", "s"),
        ]);
        let back = passed_back(&headers, &secrets);

        assert_eq!(back.len(), 3, "{back:?}");
        assert!(!back.contains_key("retry-after"));
    }

    /// Requirement: Codex's headers reach a Responses upstream and no other; unknown headers reach none.
    #[test]
    fn a_responses_upstream_gets_the_headers_of_its_clients() {
        let client = map(&[
            ("openai-beta", "a=1"),
            ("openai-beta", "b=2"),
            ("originator", "codex_exec"),
            ("session-id", "s"),
            ("thread-id", "t"),
            ("x-codex-turn-metadata", "{}"),
            ("x-client-request-id", "r"),
            ("x-private", "1"),
            ("authorization", "Bearer secret"),
            ("cookie", "c"),
        ]);
        let responses = allowed(&client, &RESPONSES_ALLOWED);
        assert_eq!(responses.len(), 6 + own_headers().len());
        assert_eq!(responses.get("openai-beta").unwrap(), "a=1,b=2");
        assert_eq!(allowed(&client, &[]).len(), own_headers().len());
    }

    #[test]
    fn headers_that_are_lists_are_joined_and_of_the_others_the_last_counts() {
        let client = map(&[
            ("anthropic-beta", "a"),
            ("anthropic-beta", "b,c"),
            ("anthropic-version", "2026-10-21"),
            ("anthropic-workspace-id", "old"),
            ("anthropic-workspace-id", "new"),
            ("tracestate", "x=1"),
            ("tracestate", "y=2"),
            ("traceparent", "t"),
        ]);
        let sent = |headers: &HeaderMap, name: &str| -> Vec<String> {
            headers.get_all(name).map(|value| value.to_str().unwrap().to_owned()).collect()
        };
        let messages = anthropic_headers(&client);
        assert_eq!(sent(&messages, "anthropic-beta"), ["a,b,c"]);
        assert_eq!(sent(&messages, "anthropic-workspace-id"), ["new"]);
        assert_eq!(sent(&messages, "anthropic-version"), [VERSION], "what we write, we write for this one");
        let chat = allowed(&client, &[]);
        assert_eq!(
            (sent(&chat, "tracestate"), sent(&chat, "traceparent")),
            (vec!["x=1,y=2".into()], vec!["t".into()])
        );
        assert_eq!(sent(&passed_on(&client), "anthropic-beta"), ["a", "b,c"]);
    }
}
