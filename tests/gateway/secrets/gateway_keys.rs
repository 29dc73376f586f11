//! Gateway keys: no current or former one is sent to an upstream, whatever a reload changes.

use std::io::Write as _;

use serde_json::json;

use super::{reload_with_gateway_key, with_gateway_key};
use crate::support::client::{Exchange, connect, prompt};
use crate::support::gateway::MODEL;
use crate::support::upstream::{Answer, Upstream};

const KEYS: [&str; 3] = ["gateway-key-the-first-1", "gateway-key-the-second-2", "gateway-key-the-third-3"];

fn config(front: &Upstream, own: &Upstream) -> String {
    let provider = |name: &str, key: &str, upstream: &Upstream| {
        format!(
            "[{name}]\napi-key = '{key}'\nbase-url = '{}'\napi-format = 'anthropic'\nmax-retries = 0\n",
            upstream.base_url()
        )
    };
    format!(
        "{}[front.fallbacks]\n\"*\" = ['own:m']\n{}",
        provider("front", "sk-front-0123456789", front),
        provider("own", "!PASSTHRU", own)
    )
}

fn assert_unseen(upstream: &Upstream) {
    for seen in upstream.requests() {
        let all = format!("{:?} {}", seen.head, seen.text());
        assert!(KEYS.iter().all(|key| !all.contains(key)), "{all}");
    }
}

#[test]
fn a_key_replaced_during_an_upload_is_not_forwarded() {
    let [front, own] = [Upstream::anthropic(), Upstream::anthropic()];
    for header in [("x-api-key", KEYS[0].to_owned()), ("authorization", format!("Bearer {}", KEYS[0]))] {
        let gateway = with_gateway_key(KEYS[0]).toml(&config(&front, &own)).start();
        let request = gateway.messages(&prompt("own:m", "hi")).header(header.0, &header.1).bytes();
        let mut stream = connect(gateway.address);
        stream.write_all(&request[..request.len() - 5]).expect("the gateway takes it");
        // A request in flight has been admitted.
        let admitted = || {
            let totals = gateway.call("GET", "/metrics/active-requests").header("x-api-key", KEYS[0]);
            totals.reply().json()["active_requests"].as_array().is_some_and(|rows| !rows.is_empty())
        };
        while !admitted() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        KEYS[1..].iter().for_each(|key| reload_with_gateway_key(&gateway, key));
        stream.write_all(&request[request.len() - 5..]).expect("the gateway takes it");
        let reply = Exchange::new(stream).finish();
        assert_eq!((reply.status(), reply.error_type().as_str()), (401, "authentication_error"), "{reply}");
    }
    assert_eq!(own.count(), 0);
}

#[test]
fn a_key_replaced_during_a_fallback_is_not_forwarded() {
    for stream in [true, false] {
        let front = Upstream::anthropic();
        let own = Upstream::anthropic();
        let gateway = with_gateway_key(KEYS[0]).toml(&config(&front, &own)).start();
        front.then(Answer::json(500, "{}").head_on_permit());
        let body = json!({"model": MODEL, "max_tokens": 9, "stream": stream,
                          "messages": [{"role": "user", "content": "hi"}]});
        let call = gateway.messages(&body).header("x-api-key", KEYS[0]).send();
        front.request(0);
        KEYS[1..].iter().for_each(|key| reload_with_gateway_key(&gateway, key));
        front.permit();
        let reply = call.finish();
        assert!((400..=599).contains(&reply.status()), "{reply}");
        assert_eq!(own.count(), 0);
        assert_unseen(&front);
    }
}

#[test]
fn no_header_and_no_query_contains_a_gateway_key() {
    let [front, own] = [Upstream::anthropic(), Upstream::anthropic()];
    let gateway = with_gateway_key(KEYS[0]).toml(&config(&front, &own)).start();
    KEYS[1..].iter().for_each(|key| reload_with_gateway_key(&gateway, key));
    for model in ["front:m", "own:m"] {
        for key in KEYS {
            let call = gateway
                .call("POST", &format!("/v1/messages?beta=true&key={key}"))
                .json(&prompt(model, "hi"))
                .header("x-vdm-proxy-key", KEYS[2])
                .header("x-api-key", "client-key-0123456789")
                .header("x-litellm-key", key)
                .header("x-forward-auth", &format!("Token {key}"))
                .header("anthropic-beta", key)
                .header("x-app", "cli");
            assert_eq!(call.reply().status(), 200, "{model}");
        }
    }
    for upstream in [&front, &own] {
        assert_eq!(upstream.count(), 3);
        assert_unseen(upstream);
        assert!(upstream.requests().iter().all(|seen| seen.head.header("x-app") == Some("cli")));
    }
    assert!(own.keys_seen().iter().all(|key| key == "client-key-0123456789"));
}
