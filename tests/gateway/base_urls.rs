//! Base URLs with one `/v1` too many, without `/v1`, or with an extra slash; and paths without an endpoint.

use crate::support::canned::anthropic;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

const MESSAGES: [&str; 5] =
    ["/v1/v1/messages", "//v1/messages", "/messages", "/v1//messages/", "/v1/v1/v1/messages?beta=true"];
const CHAT: [&str; 4] =
    ["/chat/completions", "/v1/v1/chat/completions", "//v1/chat/completions", "//chat//completions/"];

#[test]
fn common_mistakes_in_the_base_url_are_served() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    for path in MESSAGES {
        let reply = gateway.call("POST", path).json(&prompt(MODEL, "hi")).reply();
        assert_eq!((reply.status(), reply.text().as_str()), (200, "Hello there!"), "{path}: {reply}");
    }
    for path in CHAT {
        let reply = gateway.call("POST", path).json(&whole_prompt(MODEL, "hi")).reply();
        assert_eq!(reply.status(), 200, "{path}: {reply}");
        assert_eq!(reply.json()["object"], "chat.completion", "{path}");
        assert!(reply.header("x-request-id").is_some(), "{path}");
    }
    assert_eq!(upstream.count(), MESSAGES.len() + CHAT.len());
    let counting = Gateway::before(&Upstream::openai()).start();
    let call = counting.call("POST", "/v1/v1/messages/count_tokens").json(&whole_prompt(MODEL, "hi"));
    assert!(call.reply().json()["input_tokens"].is_u64());
}

#[test]
fn lists_of_models_are_served_at_such_paths_too() {
    let list = Answer::json(200, r#"{"data":[{"id":"vendor/m-1:free","object":"model"}]}"#);
    let upstream = Upstream::openai().always(list);
    let gateway = Gateway::before(&upstream).start();
    for path in ["/models", "/v1/v1/models", "//v1/models"] {
        assert_eq!(gateway.get(path).json()["data"][0]["id"], "vendor/m-1:free", "{path}");
    }
    for path in ["/models/vendor%2Fm-1:free?provider=openai", "/v1/v1/models/vendor/m-1:free?provider=openai"]
    {
        assert_eq!(gateway.get(path).json()["id"], "vendor/m-1:free", "{path}");
    }
    let wrong = gateway.call("POST", "/models").json(&whole_prompt(MODEL, "hi")).reply();
    assert_eq!((wrong.status(), wrong.header("allow")), (405, Some("GET, HEAD")));
    let wrong = gateway.call("GET", "/chat/completions").reply();
    assert_eq!((wrong.status(), wrong.header("allow")), (405, Some("POST")));
    assert!(is_openais(&wrong), "{wrong}");
}

#[test]
fn such_paths_require_the_gateway_key_like_the_endpoint() {
    let upstream = Upstream::anthropic().always(Answer::events(anthropic::text(&["a"])));
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-gateway-0123").start();
    let open = Gateway::before(&upstream).start();
    for path in MESSAGES.into_iter().chain(CHAT).chain(["/v1/v1/messages/count_tokens"]) {
        let call = gateway.call("POST", path).json(&whole_prompt(MODEL, "hi"));
        assert_eq!(call.reply().status(), 401, "{path}");
        assert_eq!(call.header("x-api-key", "sk-wrong").reply().status(), 401, "{path}");
        let foreign = open.call("POST", path).json(&whole_prompt(MODEL, "hi"));
        assert_eq!(foreign.header("origin", "https://evil.example").reply().status(), 403, "{path}");
    }
    for path in ["/models", "/v1/v1/models/m"] {
        assert_eq!(gateway.get(path).status(), 401, "{path}");
    }
    assert_eq!(upstream.count(), 0);
}

fn is_openais(reply: &Reply) -> bool {
    let body = reply.json();
    body.get("type").is_none() && body["error"]["type"] == "invalid_request_error"
}

#[test]
fn any_other_path_is_a_404_that_names_the_base_url_and_is_not_retried() {
    let gateway = Gateway::bare().start();
    let host = gateway.address.to_string();
    let of = |path: &str, headers: &[(&str, &str)]| {
        let call = gateway.call("POST", path).json(&whole_prompt(MODEL, "hi"));
        headers.iter().fold(call, |call, (name, value)| call.header(name, value)).reply()
    };
    for path in ["/v2/messages", "/anthropic/v1/messages", "/v1/messages/batches", "/v1", "/nothing"] {
        let reply = of(path, &[]);
        assert_eq!((reply.status(), reply.header("x-should-retry")), (404, Some("false")), "{reply}");
        let (kind, message) = reply.error();
        assert_eq!(kind, "not_found_error", "{path}");
        let base = format!("http://{host} for Anthropic clients and http://{host}/v1 for OpenAI clients");
        assert!(message.contains(path) && message.contains(&base), "{message}");
    }
    let agent = ("user-agent", "OpenAI/Python 2.8.0");
    for (path, headers) in [
        ("/v1/threads", &[][..]),
        ("/embeddings", &[]),
        ("/openai/v1/x", &[agent]),
        ("/v1/images/generations", &[]),
    ] {
        let reply = of(path, headers);
        assert_eq!((reply.status(), reply.header("x-should-retry")), (404, Some("false")), "{reply}");
        assert!(is_openais(&reply), "{path}: {reply}");
        assert!(reply.json()["error"]["code"].is_null(), "no model is unknown: {reply}");
    }
    let anthropics = of("/v1/files", &[("anthropic-version", "2023-06-01")]);
    assert_eq!(anthropics.error_type(), "not_found_error");
    let odd = gateway.call("GET", "/x").replacing_host("<script>").reply();
    assert!(odd.raw().contains("HOST:PORT") && !odd.raw().contains("<script>"), "{odd}");
    let head = gateway.call("HEAD", "/x").reply();
    assert_eq!((head.status(), head.raw().as_str()), (404, ""));
}
