//! Requests for paths without an endpoint. Common mistakes in base URLs have only one possible meaning: `/v1` twice, no `/v1`,
//! or an extra slash. Such requests are served. Every other path is answered with a 404 that names the base URLs.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use vandamme_actors::openai_endpoint::OpenAiEndpoint;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::cloud_doors;
use super::cloud_request::CloudPath;
use super::connection::{self, Security};
use super::{
    RequestId, chat_completions, client_api, count_tokens, messages, models, openai_endpoints, printable,
    render_error, responses, wrong_method,
};
use crate::gateway::Gateway;

/// An endpoint that a path means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meant {
    Messages,
    CountTokens,
    ChatCompletions,
    Responses,
    Endpoint(OpenAiEndpoint),
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
            ["responses"] => Some(Self::Responses),
            ["models"] => Some(Self::Models),
            ["models", id @ ..] => {
                let id = id.join("/");
                Some(Self::Model(percent_encoding::percent_decode_str(&id).decode_utf8().ok()?.into_owned()))
            }
            other => OpenAiEndpoint::from_path(&other.join("/")).map(Self::Endpoint),
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
    let Some(meant) = Meant::parse(request.path()) else {
        return match CloudPath::parse(request.uri().path()) {
            Some(path) => cloud_doors::serve_path(path, request, payload, gateway).await,
            None => not_found(&request),
        };
    };
    let method = request.method();
    let reads = *method == Method::GET || *method == Method::HEAD;
    match meant {
        Meant::Models if reads => models::list(request, gateway).await,
        Meant::Model(id) if reads => models::one(request, gateway, id.into()).await,
        Meant::Models | Meant::Model(_) => wrong_method(request, "GET, HEAD").await,
        // A WebSocket.
        Meant::Responses if *method == Method::GET => responses::connect(request, payload, gateway).await,
        Meant::Messages
        | Meant::CountTokens
        | Meant::ChatCompletions
        | Meant::Responses
        | Meant::Endpoint(_)
            if *method != Method::POST =>
        {
            wrong_method(request, "POST").await
        }
        Meant::Messages => messages::create(request, payload, gateway).await,
        Meant::CountTokens => count_tokens::count(request, payload, gateway).await,
        Meant::ChatCompletions => chat_completions::create(request, payload, gateway).await,
        Meant::Responses => responses::create(request, payload, gateway).await,
        Meant::Endpoint(OpenAiEndpoint::ResponsesInputTokens) => {
            count_tokens::count_input(request, payload, gateway).await
        }
        Meant::Endpoint(endpoint) => openai_endpoints::serve(endpoint, request, payload, gateway).await,
    }
}

/// Whether the path is that of a kept response or conversation in OpenAI's API.
fn keeps_state(path: &str) -> bool {
    matches!(segments(path)[..], ["responses", _, ..] | ["conversations", ..])
}

fn not_found(request: &HttpRequest) -> HttpResponse {
    let id = RequestId::new();
    let api = client_api::infer(request.path(), request.headers());
    // In OpenAI's API the kind for 404 says that a model is unknown.
    let kind = match api {
        Api::Messages => ErrorKind::NotFound,
        Api::ChatCompletions | Api::Responses => ErrorKind::InvalidRequest,
    };
    let (method, path) = (request.method(), printable(request.path()));
    let base = base_url(request.headers(), connection::security(request));
    let message = if keeps_state(request.path()) {
        format!(
            "no endpoint at {method} {path}: this gateway keeps no responses and no conversations; send the whole conversation with each POST /v1/responses"
        )
    } else {
        format!(
            "no endpoint at {method} {path}; the base URL is {base} for Anthropic clients and {base}/v1 for OpenAI clients"
        )
    };
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
    fn a_path_finds_its_endpoint_with_or_without_v1() {
        for (path, meant) in [
            ("/v1/v1/messages", Meant::Messages),
            ("//v1/messages", Meant::Messages),
            ("/messages", Meant::Messages),
            ("/v1//messages//", Meant::Messages),
            ("/v1/v1/v1/messages/count_tokens", Meant::CountTokens),
            ("/chat/completions", Meant::ChatCompletions),
            ("//v1/v1//chat/completions/", Meant::ChatCompletions),
            ("/embeddings", Meant::Endpoint(OpenAiEndpoint::Embeddings)),
            ("/v1/v1/audio//speech", Meant::Endpoint(OpenAiEndpoint::Speech)),
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
