//! Which API a client uses, by the path and the headers of a request that has no endpoint, or that no endpoint accepts.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use vandamme_actors::settings::Api;

/// Segments of paths that only OpenAI's API has.
const OPENAI_PATHS: [&str; 15] = [
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
    "rerank",
    "responses",
    "threads",
    "vector_stores",
];

/// The API whose errors the client of this request understands.
pub(super) fn infer(path: &str, headers: &HeaderMap) -> Api {
    let named = endpoint_name(path);
    if named == Some("messages") || headers.contains_key("anthropic-version") {
        return Api::Messages;
    }
    if named.is_some() || is_openai_client(headers) { Api::ChatCompletions } else { Api::Messages }
}

/// The first segment that names an endpoint of either API. Other segments may come before it, as in `/openai/v1/files`.
pub(super) fn endpoint_name(path: &str) -> Option<&str> {
    path.split('/').find(|segment| *segment == "messages" || OPENAI_PATHS.contains(segment))
}

/// Whether an `authorization` is a signature of AWS's, which is no key.
pub(super) fn is_signature(authorization: &HeaderValue) -> bool {
    authorization.as_bytes().starts_with(b"AWS4-HMAC-SHA256")
}

/// OpenAI's SDKs name themselves.
fn is_openai_client(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
    agent.starts_with(b"OpenAI/")
        || agent.starts_with(b"AsyncOpenAI/")
        || headers.keys().any(|name| name.as_str().starts_with("openai-"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn an_error_is_in_the_dialect_of_the_client() {
        let of = |path: &str, header: (&'static str, &'static str)| {
            let request = TestRequest::with_uri(path).append_header(header).to_http_request();
            infer(request.path(), request.headers())
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
}
