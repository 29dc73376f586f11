//! Requests for a path that no endpoint has. A base URL that ends in `/v1` where the client adds it, lacks `/v1` where the
//! client does not, or has a slash too many is a common mistake with one possible meaning: such a request is served.
//! Every other path is a 404 that names the base URLs.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::connection::{self, Security};
use super::{
    RequestId, chat_completions, count_tokens, messages, models, printable, render_error, wrong_method,
};
use crate::gateway::Gateway;

/// Segments of paths that only OpenAI's API has.
const OPENAI_PATHS: [&str; 14] = [
    "assistants",
    "audio",
    "batches",
    "chat",
    "completions",
    "conversations",
    "embeddings",
    "files",
    "fine_tuning",
    "images",
    "moderations",
    "responses",
    "threads",
    "vector_stores",
];

/// An endpoint that a path means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meant {
    Messages,
    CountTokens,
    ChatCompletions,
    Models,
    Model(String),
}

impl Meant {
    /// The endpoint of this path, with or without `/v1` in front.
    fn parse(path: &str) -> Option<Self> {
        match &segments(path)[..] {
            ["messages"] => Some(Self::Messages),
            ["messages", "count_tokens"] => Some(Self::CountTokens),
            ["chat", "completions"] => Some(Self::ChatCompletions),
            ["models"] => Some(Self::Models),
            ["models", id @ ..] => {
                let id = id.join("/");
                Some(Self::Model(percent_encoding::percent_decode_str(&id).decode_utf8().ok()?.into_owned()))
            }
            _ => None,
        }
    }
}

/// The path's segments without empty ones and without `v1` in front.
fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).skip_while(|segment| *segment == "v1").collect()
}

pub(super) async fn serve(
    request: HttpRequest,
    payload: web::Payload,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let Some(meant) = Meant::parse(request.path()) else { return not_found(&request) };
    let method = request.method();
    let reads = *method == Method::GET || *method == Method::HEAD;
    match meant {
        Meant::Models if reads => models::list(request, gateway).await,
        Meant::Model(id) if reads => models::one(request, gateway, id.into()).await,
        Meant::Models | Meant::Model(_) => wrong_method(request, "GET, HEAD").await,
        Meant::Messages | Meant::CountTokens | Meant::ChatCompletions if *method != Method::POST => {
            wrong_method(request, "POST").await
        }
        Meant::Messages => messages::create(request, payload, gateway).await,
        Meant::CountTokens => count_tokens::count(request, payload, gateway).await,
        Meant::ChatCompletions => chat_completions::create(request, payload, gateway).await,
    }
}

/// The API whose errors the client of this request understands.
pub(super) fn dialect(path: &str, headers: &HeaderMap) -> Api {
    let named = endpoint_name(path);
    if named == Some("messages") || headers.contains_key("anthropic-version") {
        return Api::Messages;
    }
    if named.is_some() || is_openai_client(headers) { Api::ChatCompletions } else { Api::Messages }
}

/// The first segment that names an endpoint of either API. Other segments may come before it, as in `/openai/v1/files`.
fn endpoint_name(path: &str) -> Option<&str> {
    path.split('/').find(|segment| *segment == "messages" || OPENAI_PATHS.contains(segment))
}

/// OpenAI's SDKs name themselves.
fn is_openai_client(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
    agent.starts_with(b"OpenAI/")
        || agent.starts_with(b"AsyncOpenAI/")
        || headers.keys().any(|name| name.as_str().starts_with("openai-"))
}

fn not_found(request: &HttpRequest) -> HttpResponse {
    let id = RequestId::new();
    let api = dialect(request.path(), request.headers());
    // In OpenAI's API the kind for 404 says that a model is unknown.
    let kind = match api {
        Api::Messages => ErrorKind::NotFound,
        Api::ChatCompletions => ErrorKind::InvalidRequest,
    };
    let (method, path) = (request.method(), printable(request.path()));
    let base = base_url(request.headers(), connection::security(request));
    let unserved = if endpoint_name(request.path()) == Some("responses") {
        "; the Responses API is not available here, use Chat Completions"
    } else {
        ""
    };
    let message = format!(
        "no endpoint at {method} {path}{unserved}; the base URL is {base} for Anthropic clients and {base}/v1 for OpenAI clients"
    );
    let mut response = render_error::shaped(api, (404, kind), &message, id.as_str());
    render_error::final_refusal(&mut response);
    if *method == Method::HEAD {
        return response.drop_body().map_into_boxed_body();
    }
    response
}

/// The gateway's URL as this client reached it. Behind a proxy that ends TLS the scheme is unknown.
fn base_url(headers: &HeaderMap, security: Security) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:[]-_".contains(&byte);
    if host.is_empty() || host.len() > 200 || !host.bytes().all(is_plain) {
        return "http://HOST:PORT".to_owned();
    }
    let is_forwarded = headers.contains_key("x-forwarded-proto") || headers.contains_key("forwarded");
    let scheme = if is_forwarded || security == Security::Tls { "https" } else { "http" };
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_path_means_an_endpoint_whatever_stands_for_v1() {
        for (path, meant) in [
            ("/v1/v1/messages", Meant::Messages),
            ("//v1/messages", Meant::Messages),
            ("/messages", Meant::Messages),
            ("/v1//messages//", Meant::Messages),
            ("/v1/v1/v1/messages/count_tokens", Meant::CountTokens),
            ("/chat/completions", Meant::ChatCompletions),
            ("//v1/v1//chat/completions/", Meant::ChatCompletions),
            ("/models", Meant::Models),
            ("/v1/v1/models/", Meant::Models),
            ("/models/vendor/m%3Afree", Meant::Model("vendor/m:free".to_owned())),
        ] {
            assert_eq!(Meant::parse(path), Some(meant), "{path}");
        }
        for path in
            ["/", "/v1", "/v2/messages", "/v1/messages/batches", "/anthropic/v1/messages", "/messages/v1"]
        {
            assert_eq!(Meant::parse(path), None, "{path}");
        }
    }

    #[test]
    fn an_error_is_in_the_dialect_of_the_client() {
        let of = |path: &str, header: (&'static str, &'static str)| {
            let request = TestRequest::with_uri(path).append_header(header).to_http_request();
            dialect(request.path(), request.headers())
        };
        let none = ("accept", "*/*");
        for path in [
            "/v1/responses",
            "/embeddings",
            "/v1/v1/images/generations",
            "/chat",
            "/v1/chat/nothing",
            "/openai/v1/chat/completions",
            "/api/v1/chat/completions",
            "/openai/deployments/x/chat/completions",
            "/v1/threads/t/messages",
        ] {
            assert_eq!(of(path, none), Api::ChatCompletions, "{path}");
        }
        for path in ["/", "/nothing", "/v1/messages/batches", "/anthropic/v1/messages/batches"] {
            assert_eq!(of(path, none), Api::Messages, "{path}");
        }
        assert_eq!(of("/v1/files", ("anthropic-version", "2023-06-01")), Api::Messages);
        assert_eq!(
            of("/openai/v1/nothing", ("user-agent", "AsyncOpenAI/Python 2.8.0")),
            Api::ChatCompletions
        );
        assert_eq!(of("/nothing", ("openai-organization", "o")), Api::ChatCompletions);
    }

    #[test]
    fn a_base_url_repeats_no_odd_host() {
        let of = |host: &str| {
            let request = TestRequest::default().insert_header(("host", host)).to_http_request();
            base_url(request.headers(), Security::Plain)
        };
        assert_eq!(of("127.0.0.1:8082"), "http://127.0.0.1:8082");
        assert_eq!(of("[::1]:8082"), "http://[::1]:8082");
        for odd in ["", "<b>", "a b", &"x".repeat(300)] {
            assert_eq!(of(odd), "http://HOST:PORT", "{odd}");
        }
    }
}
