//! The content of error messages: the provider, the key, the address, and what to do.

use std::io::Write as _;
use std::net::TcpListener;

use crate::support::canned::openai;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, Setup, free_port, whole_prompt};
use crate::support::upstream::{Answer, Upstream};

fn at(base_url: &str) -> Setup {
    Gateway::bare()
        .env("MY_LLM_API_KEY", "sk-test")
        .env("MY_LLM_BASE_URL", base_url)
        .env("MAX_RETRIES", "0")
        .env("REQUEST_TIMEOUT", "20")
}

#[test]
fn the_error_for_a_rejected_key_names_it_and_its_provider() {
    let refusal = openai::error("Incorrect API key provided", "invalid_request_error", "invalid_api_key");
    let upstream = Upstream::openai().always(Answer::json(401, refusal));
    let gateway = Gateway::bare().provider("alpha", &upstream).start();
    let reply = gateway.messages(&prompt("alpha:m", "hi")).reply();
    let (kind, message) = reply.error();
    assert_eq!((reply.status(), kind.as_str()), (401, "authentication_error"), "{reply}");
    assert_eq!(reply.header("x-should-retry"), Some("false"), "{reply}");
    let key = message.strip_prefix("provider 'alpha' rejected key ").unwrap_or_else(|| panic!("{message}"));
    let (id, said) = key.split_once(": ").expect("an id");
    assert!(id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{message}");
    assert_eq!(said, "Incorrect API key provided");
    assert!(!reply.raw().contains("sk-test"));

    let own = Gateway::bare().provider("alpha", &upstream).env("ALPHA_API_KEY", "!PASSTHRU").start();
    let reply = own.messages(&prompt("alpha:m", "hi")).header("x-api-key", "sk-the-clients").reply();
    assert_eq!(reply.error_message(), "Incorrect API key provided", "the client knows its own key");
}

#[test]
fn an_error_in_another_format_than_the_providers_api_is_read() {
    for (status, body, message, kind) in [
        (404, r#"{"error":{"message":"no such model"}}"#, "no such model", "not_found_error"),
        (400, r#"{"error":{"type":"x","message":"bad"}}"#, "bad", "invalid_request_error"),
        (429, r#"{"message":"slow down"}"#, "slow down", "rate_limit_error"),
        (422, r#"{"detail":"unprocessable"}"#, "unprocessable", "invalid_request_error"),
    ] {
        let upstream = Upstream::anthropic().always(Answer::json(status, body));
        let reply = Gateway::before(&upstream).start().ask("hi");
        assert_eq!(reply.status(), status, "{reply}");
        assert_eq!(reply.error(), (kind.to_owned(), message.to_owned()), "{reply}");
    }
}

#[test]
fn an_unprocessable_request_keeps_its_status() {
    let body = openai::error("unprocessable", "invalid_request_error", "x");
    let upstream = Upstream::openai().always(Answer::json(422, body));
    let reply = Gateway::before(&upstream).start().ask("hi");
    assert_eq!((reply.status(), reply.error_type().as_str()), (422, "invalid_request_error"), "{reply}");
}

#[test]
fn a_server_without_tls_is_distinguished_from_an_unreachable_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _sent = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let gateway = at(&format!("https://{host}/v1")).start();
    let reply = gateway.ask("hi");
    assert_eq!(reply.status(), 502, "{reply}");
    assert_eq!(
        reply.error_message(),
        format!("provider 'my_llm': {host} does not speak TLS; use http:// in MY_LLM_BASE_URL")
    );

    let host = format!("127.0.0.1:{}", free_port());
    let reply = at(&format!("http://{host}/v1")).start().ask("hi");
    let message = reply.error_message();
    for word in ["'my_llm'", host.as_str(), "MY_LLM_BASE_URL"] {
        assert!(message.contains(word), "{message}");
    }
    let reply = at("https://nosuch.invalid/v1").start().ask("hi");
    let message = reply.error_message();
    for word in ["'my_llm'", "nosuch.invalid", "MY_LLM_BASE_URL", "DNS"] {
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn the_error_for_a_web_page_instead_of_an_api_names_the_base_url() {
    for (status, body, hint) in [
        (404, "<html><head><title>Not Found</title></head><body>x</body></html>", true),
        (404, "<html></html>", true),
        (405, "", true),
        (400, "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>", true),
        (503, "<html><title>Down</title></html>", false),
    ] {
        for upstream in [Upstream::openai(), Upstream::anthropic()] {
            let upstream = upstream.always(Answer::whole(status, "text/html", body));
            let gateway = Gateway::bare().provider("alpha", &upstream).env("MAX_RETRIES", "0").start();
            let reply = gateway.messages(&whole_prompt("alpha:m", "hi")).reply();
            let message = reply.error_message();
            assert_eq!(reply.status(), status, "{reply}");
            assert!(
                message.starts_with(&format!("provider 'alpha' answered {status} with a web page")),
                "{message}"
            );
            let named = message.contains("ALPHA_BASE_URL") && message.contains(&upstream.base_url());
            assert_eq!(named, hint, "{message}");
        }
    }
}

#[test]
fn the_error_for_a_login_page_names_the_provider_once() {
    for status in [401, 403] {
        let upstream = Upstream::openai().always(Answer::whole(status, "text/html", "<title>Login</title>"));
        let gateway = Gateway::bare().provider("alpha", &upstream).env("MAX_RETRIES", "0").start();
        let message = gateway.messages(&whole_prompt("alpha:m", "hi")).reply().error_message();
        assert_eq!(message.matches("alpha").count(), 1, "{message}");
        let said = format!("answered {status} with a web page (\"Login\"); check its base URL");
        assert!(message.contains(&said) && message.contains("(ALPHA_BASE_URL)"), "{message}");
    }
}

#[test]
fn a_web_page_with_status_200_names_the_base_url() {
    for upstream in [Upstream::openai(), Upstream::anthropic()] {
        let upstream = upstream.always(Answer::whole(200, "text/html", "<html>Welcome</html>"));
        let reply = at(&upstream.base_url()).start().ask("hi");
        assert_eq!(
            reply.error_message(),
            format!(
                "provider 'my_llm': the upstream answered with text/html instead of a reply; check its base URL {} (MY_LLM_BASE_URL)",
                upstream.base_url()
            )
        );
    }
}

#[test]
fn the_error_for_a_server_that_requires_tls_suggests_https() {
    // An alert, as a TLS server sends it, then the end of the connection.
    for alert in [&b"\x15\x03\x01\x00\x02\x02\x46"[..], b""] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("bound").to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _read = std::io::Read::read(&mut stream, &mut [0; 16]);
                let _sent = stream.write_all(alert);
            }
        });
        let reply = at(&format!("http://{host}/v1")).start().ask("hi");
        let message = reply.error_message();
        let hint = format!("; if {host} requires TLS, use https:// in MY_LLM_BASE_URL");
        assert!(message.contains("'my_llm'") && message.ends_with(&hint), "{message}");
    }
}

#[test]
fn errors_about_an_upstream_name_the_provider() {
    let upstream = Upstream::openai().always(Answer::json(200, "[1,2"));
    let gateway = Gateway::bare().provider("alpha", &upstream).env("MAX_RETRIES", "0").start();
    let reply = gateway.messages(&whole_prompt("alpha:m", "hi")).reply();
    assert_eq!(reply.error_message(), "provider 'alpha': the upstream's reply was cut");
}

#[test]
fn the_error_for_an_unknown_claude_model_suggests_an_alias() {
    let refusal = openai::error("The model does not exist", "invalid_request_error", "model_not_found");
    let upstream = Upstream::openai().always(Answer::json(404, refusal));
    let setup = Gateway::bare().provider("alpha", &upstream).env("ALPHA_ALIAS_OPUS", "big");
    let gateway = setup.start();
    let warning = gateway.log();
    assert!(
        warning.contains("warning: provider 'alpha' has no alias for haiku and sonnet, which Claude Code requests; set ALPHA_ALIAS_HAIKU=MODEL and ALPHA_ALIAS_SONNET=MODEL"),
        "{warning}"
    );
    let ask = |model: &str| gateway.messages(&whole_prompt(model, "hi")).reply().error_message();
    let told = ask("claude-haiku-4-5-20251001");
    assert!(told.ends_with("provider 'alpha' has no alias 'haiku': set ALPHA_ALIAS_HAIKU=MODEL"), "{told}");
    for name in ["opus", "gpt-x"] {
        assert_eq!(ask(name), "The model does not exist", "{name}");
    }
    let silent = setup.toml("[alpha]\nserves-claude = true").start();
    assert!(!silent.log().contains("has no alias"), "{}", silent.log());
}

#[test]
fn the_alias_is_suggested_with_other_statuses_for_an_unknown_model() {
    for (status, said, hint) in [
        (400, "Model Not Exist", true),
        (400, "claude-haiku-4-5 is not a valid model ID", true),
        (422, "unknown model", true),
        (400, "max_tokens: too large", false),
        (500, "unknown model", false),
    ] {
        let refusal = openai::error(said, "invalid_request_error", "x");
        let upstream = Upstream::openai().always(Answer::json(status, refusal));
        let gateway = Gateway::bare().provider("alpha", &upstream).env("MAX_RETRIES", "0").start();
        let reply = gateway.messages(&whole_prompt("claude-haiku-4-5", "hi")).reply();
        let named = reply.error_message().ends_with("set ALPHA_ALIAS_HAIKU=MODEL");
        assert_eq!((reply.status(), named), (status, hint), "{reply}");
    }
}

#[test]
fn a_request_that_was_not_sent_is_not_logged_as_a_call() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let search = serde_json::json!({"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}], "tool_choice": {"type": "any"}});
    let reply = gateway.messages(&search).reply();
    assert_eq!(reply.status(), 400, "{reply}");
    assert_eq!(upstream.count(), 0);
    let log = gateway.stop();
    assert!(log.contains(" not sent to openai:"), "{log}");
    assert!(!log.contains("call 1 to") && log.contains("calls=0"), "{log}");
}
