//! The request as the upstream gets it: address, headers, body.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use vandamme_actors::converter::ReplyHooks;
use vandamme_actors::provider::Lease;
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::{Api, ProviderSettings};
use vandamme_protocol::convert::{Dropped, client, upstream};
use vandamme_protocol::request::{self, Pieces, UsageAsked};
use vandamme_protocol::tool_id::Form;

use super::translation::Translation;
use super::{Endpoint, Exchange, Question, address, affinity};
use crate::api::caller::{self, KeyForm};

/// A body goes to the socket in slices of this size: awc copies what it is given whole into its write buffer.
const SLICE: usize = 64 << 10;
/// A header of an upstream that a client sees, bytes.
const LONGEST: usize = 4 << 10;
/// Says that a request has been through a gateway like this one.
pub(crate) const HOP: HeaderName = HeaderName::from_static("x-vdm-hop");

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const VERSION: &str = "2023-06-01";

const PASSED_BACK: [&str; 3] = ["request-id", "x-request-id", "x-should-retry"];
const PASSED_BACK_PREFIXES: [&str; 3] = ["anthropic-", "openai-", "x-ratelimit-"];
const HOP_BY_HOP: [&str; 8] =
    ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "expect"];
/// Ours to set, none of the upstream's business, or a credential that was meant for us.
const WITHHELD: [&str; 14] = [
    "host",
    "content-length",
    "accept-encoding",
    "cookie",
    "forwarded",
    "x-real-ip",
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-auth-token",
    "x-amz-security-token",
    "cf-connecting-ip",
    "true-client-ip",
];
const WITHHELD_PREFIXES: [&str; 3] = ["x-forwarded-", "proxy-", "x-vdm-"];

/// All that is sent.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Pieces,
    pub(super) way: Way,
    /// Who follows the reply.
    pub(super) audience: Option<ReplyHooks>,
    /// Names what of the request the upstream's API cannot take, for the client.
    pub(super) dropped: Option<HeaderValue>,
}

/// How the reply becomes the client's.
pub(super) enum Way {
    /// As it is.
    Messages,
    /// As it is, except for a usage that the client did not ask for.
    Chat(UsageAsked),
    /// Translated; this is what the translation back must know.
    Bridge(Translation),
}

impl Exchange<'_> {
    /// The error is for the client: its request cannot be put into the upstream's API.
    pub(super) fn outgoing(&self, lease: &Lease) -> Result<Outgoing, String> {
        let provider = &lease.provider;
        let question = self.question;
        if let Endpoint::Models(_) = question.endpoint {
            return self.finished(lease, models_request(provider));
        }
        let mut dropped = Dropped::default();
        let (body, way, url, headers) = match (question.api, provider.api) {
            (Api::Messages, Api::Messages) => {
                let edited = question.head.with_model(&question.body, &lease.model);
                let url = address::messages(provider, &question.endpoint, self.query());
                let body = if question.head.own_thinking {
                    request::without_own_thinking(&edited.joined()).into()
                } else {
                    edited
                };
                // Anthropic would refuse every further request of the conversation; another vendor may want its own back.
                let is_claude = provider.serves_claude || lease.model.contains("claude");
                let body = if question.head.odd_tool_ids && is_claude {
                    request::with_tool_ids(&body.joined(), Form::Anthropic).into()
                } else {
                    body
                };
                (body, Way::Messages, url, passed_on(&self.shown()))
            }
            (Api::Messages, Api::ChatCompletions) => {
                let shown = self.shown();
                let session = shown.get(affinity::SESSION_ID).and_then(|value| value.to_str().ok());
                let session = session.map(str::trim).filter(|session| !session.is_empty());
                let (body, back) = for_chat(question, (lease, session), &mut dropped)?;
                let url = address::chat_completions(provider, &lease.model);
                (body.into(), Way::Bridge(back), url, own_headers())
            }
            (Api::ChatCompletions, Api::ChatCompletions) => {
                let (body, asked) = question.head.with_model_and_usage(&question.body, &lease.model);
                let url = address::chat_completions(provider, &lease.model);
                (body, Way::Chat(asked), url, allowed(&self.shown()))
            }
            (Api::ChatCompletions, Api::Messages) => {
                let (body, back) = for_messages(question, lease, &mut dropped)?;
                let headers = anthropic_headers(&self.shown());
                (body.into(), Way::Bridge(back), address::replies(provider), headers)
            }
        };
        let dropped = dropped.header().and_then(|names| HeaderValue::from_str(&names).ok());
        let method = Method::POST;
        self.finished(lease, Outgoing { method, url, headers, body, way, audience: None, dropped })
    }

    /// The client's headers without those that carry a key of the gateway, whatever they are called.
    fn shown(&self) -> Cow<'_, HeaderMap> {
        let headers = &self.question.headers;
        let terms = self.gateway.terms();
        let is_ours = |value: &HeaderValue| caller::carries(value.as_bytes(), &terms.gateway_keys);
        if terms.gateway_keys.is_empty() || !headers.iter().any(|(_, value)| is_ours(value)) {
            return Cow::Borrowed(headers);
        }
        let mut shown = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers.iter().filter(|(_, value)| !is_ours(value)) {
            shown.append(name.clone(), value.clone());
        }
        Cow::Owned(shown)
    }

    /// The client's query, unless a key of the gateway is in it.
    fn query(&self) -> &str {
        let query = &self.question.query;
        let terms = self.gateway.terms();
        let ours = &terms.gateway_keys;
        if query.is_empty() || ours.is_empty() {
            return query;
        }
        let decoded = || percent_encoding::percent_decode_str(query).collect::<Vec<u8>>();
        let values = query.split(['&', '=']);
        let carries = |text: &[u8]| caller::carries(text, ours);
        let is_secret = values.into_iter().any(|value| carries(value.as_bytes())) || carries(&decoded());
        if is_secret { "" } else { query }
    }

    /// How the client presents the key that it brings for a provider of its own API: an Anthropic client has the choice.
    fn key_form(&self, provider: &ProviderSettings) -> Option<KeyForm> {
        let question = self.question;
        if !provider.passthrough || question.api != Api::Messages {
            return None;
        }
        let terms = self.gateway.terms();
        Some(caller::own_key(&question.headers, &terms.gateway_keys)?.form)
    }

    /// With what every upstream gets.
    fn finished(&self, lease: &Lease, mut outgoing: Outgoing) -> Result<Outgoing, String> {
        let provider = &lease.provider;
        let key = lease.key.expose();
        let headers = &mut outgoing.headers;
        for (name, value) in &provider.custom_headers {
            headers.insert(name.clone(), value.clone());
        }
        let (name, text) = address::credential(provider, key, self.key_form(provider));
        let mut credential = HeaderValue::from_str(&text)
            .map_err(|_| format!("the key of provider '{}' is unusable", provider.name))?;
        credential.set_sensitive(true);
        headers.insert(name, credential);
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(HOP, HeaderValue::from_static("1"));
        Ok(outgoing)
    }
}

fn for_chat(
    question: &Question,
    (lease, session): (&Lease, Option<&str>),
    dropped: &mut Dropped,
) -> Result<(Bytes, Translation), String> {
    let target = upstream::chat::Target {
        provider: &lease.provider.name,
        model: &lease.model,
        requested_model: &question.head.model,
        dialect: &lease.provider.dialect,
        session,
    };
    let translated = upstream::chat::request(&question.body, &target);
    let translated = translated.map_err(|error| error.to_string())?;
    *dropped = translated.dropped;
    Ok((translated.body.into(), Translation::Messages(translated.reply)))
}

fn for_messages(
    question: &Question,
    lease: &Lease,
    dropped: &mut Dropped,
) -> Result<(Bytes, Translation), String> {
    let target = client::chat::Target {
        provider: &lease.provider.name,
        model: &lease.model,
        requested_model: &question.head.model,
    };
    let translated = client::chat::request(&question.body, &target);
    let translated = translated.map_err(|error| error.to_string())?;
    *dropped = translated.dropped;
    Ok((translated.body.into(), Translation::Chat(translated.reply)))
}

fn models_request(provider: &ProviderSettings) -> Outgoing {
    let mut headers = own_headers();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.remove(header::CONTENT_TYPE);
    if provider.api == Api::Messages {
        headers.insert(ANTHROPIC_VERSION, HeaderValue::from_static(VERSION));
    }
    let url = address::models(provider);
    Outgoing {
        method: Method::GET,
        url,
        headers,
        body: Bytes::new().into(),
        way: Way::Messages,
        audience: None,
        dropped: None,
    }
}

/// What a client's headers become on a passthrough.
fn passed_on(client: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = client
        .get_all(header::CONNECTION)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    let mut headers = HeaderMap::with_capacity(client.len() + 4);
    for (name, value) in client {
        let text = name.as_str();
        let withheld = HOP_BY_HOP.contains(&text)
            || WITHHELD.contains(&text)
            || WITHHELD_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
            || named.iter().any(|named| named == text);
        if !withheld {
            headers.append(name.clone(), value.clone());
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

/// Another API gets none of the client's headers.
fn own_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("vdm/", env!("CARGO_PKG_VERSION"))));
    headers
}

/// Another API gets none of the client's headers, except those that are this one's. The version stays ours: it says how
/// the translated body is to be read, and later ones refuse a `temperature`.
fn anthropic_headers(client: &HeaderMap) -> HeaderMap {
    let mut headers = own_headers();
    headers.insert(ANTHROPIC_VERSION, HeaderValue::from_static(VERSION));
    take_over(&mut headers, client, |name| name.starts_with("anthropic-") && name != "anthropic-version");
    headers
}

/// A Chat Completions client's headers could be anything, so only those pass that are known to mean something there.
fn allowed(client: &HeaderMap) -> HeaderMap {
    const ALLOWED: [&str; 4] = ["idempotency-key", "traceparent", "tracestate", "user-agent"];
    let mut headers = own_headers();
    take_over(&mut headers, client, |name| ALLOWED.contains(&name));
    headers
}

/// Sets those of a client's headers. Several of one name are a list, which is as good as one with commas (RFC 9110, section
/// 5.3); of a name that takes one value alone the last counts.
fn take_over(headers: &mut HeaderMap, client: &HeaderMap, wanted: impl Fn(&str) -> bool) {
    const LISTS: [&str; 2] = ["anthropic-beta", "tracestate"];
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

/// What a client may see of an upstream's headers. `retry-after` is not among them: it is rewritten. One with a key in it, or
/// of a length that none of them has, is left out.
pub(super) fn passed_back(upstream: &HeaderMap, secrets: &Secrets) -> HeaderMap {
    let known = |name: &str| PASSED_BACK_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let passes = |name: &str| PASSED_BACK.contains(&name) || known(name);
    let mut headers = HeaderMap::new();
    let is_fit = |value: &HeaderValue| value.len() <= LONGEST && !secrets.found_in_header(value.as_bytes());
    for (name, value) in upstream.iter().filter(|(name, value)| passes(name.as_str()) && is_fit(value)) {
        headers.append(name.clone(), value.clone());
    }
    headers
}

/// A body that goes out in slices.
pub(super) struct Slices {
    length: usize,
    pieces: std::vec::IntoIter<Bytes>,
    /// Of a piece.
    rest: Bytes,
}

impl Slices {
    pub(super) fn of(body: Pieces) -> Self {
        Self { length: body.length(), pieces: body.into_iter(), rest: Bytes::new() }
    }
}

impl MessageBody for Slices {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        if self.length == 0 { BodySize::None } else { BodySize::Sized(self.length as u64) }
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            let Some(piece) = this.pieces.next() else { return Poll::Ready(None) };
            this.rest = piece;
        }
        let slice = this.rest.split_to(this.rest.len().min(SLICE));
        Poll::Ready(Some(Ok(slice)))
    }
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
            ("expect", "100-continue"),
        ]));

        let mut names: Vec<_> = passed.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        let expected =
            ["anthropic-beta", "anthropic-version", "content-type", "x-app", "x-claude-code-session-id"];
        assert_eq!(names, expected);
        assert_eq!(passed.get("anthropic-version").unwrap(), "2023-01-01");
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
        let chat = allowed(&client);
        assert_eq!(
            (sent(&chat, "tracestate"), sent(&chat, "traceparent")),
            (vec!["x=1,y=2".into()], vec!["t".into()])
        );
        assert_eq!(sent(&passed_on(&client), "anthropic-beta"), ["a", "b,c"]);
    }

    #[test]
    fn a_body_is_sent_whole_in_slices() {
        let body = Bytes::from(format!("{{\"model\":\"m\",\"a\":\"{}\"}}", "a".repeat(SLICE)));
        let edited = request::head(&body).unwrap().with_model(&body, "other");
        let expected = edited.clone().joined();
        let mut slices = Slices::of(edited);
        assert_eq!(slices.size(), BodySize::Sized(expected.len() as u64));
        let mut sent = vec![];
        let waker = futures_util::task::noop_waker();

        while let Poll::Ready(Some(Ok(slice))) =
            Pin::new(&mut slices).poll_next(&mut Context::from_waker(&waker))
        {
            assert!(!slice.is_empty() && slice.len() <= SLICE);
            sent.extend_from_slice(&slice);
        }

        assert_eq!(sent, expected);
    }
}
