//! Ids of tool calls: whatever ids a vendor sends, every other vendor accepts the client's ids, and the vendor receives
//! its own again.

use serde_json::{Value, json};

use crate::support::canned::{anthropic, openai};
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Seen, Upstream};

const ODD: [&str; 3] = ["functions.Bash:0", "call_Q1|fc_0f", "call 2"];

/// An upstream that calls three tools, streamed or whole as the client requested.
fn calling() -> Upstream {
    Upstream::openai().ruled_by(|seen| {
        let call = |(at, id): (usize, &&str)| {
            json!({"index": at, "id": id, "type": "function", "function": {"name": "Bash", "arguments": "{\"a\":1}"}})
        };
        let calls: Vec<Value> = ODD.iter().enumerate().map(call).collect();
        Some(if seen.json()["stream"] == true {
            Answer::events(openai::stream(calls.iter().map(openai::tool).collect(), "tool_calls"))
        } else {
            let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
            Answer::json(200, openai::completion(&message, "tool_calls"))
        })
    })
}

/// A Messages request whose history has calls of these ids, and their results.
fn with_history(model: &str, ids: &[String]) -> Value {
    let calls = ids.iter().map(|id| json!({"type": "tool_use", "id": id, "name": "Bash", "input": {}}));
    let results = ids.iter().map(|id| json!({"type": "tool_result", "tool_use_id": id, "content": "ok"}));
    json!({"model": model, "max_tokens": 64, "stream": false, "messages": [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": calls.collect::<Vec<_>>()},
        {"role": "user", "content": results.collect::<Vec<_>>()},
    ]})
}

/// The same for Chat Completions.
fn chat_with_history(model: &str, ids: &[&str]) -> Value {
    let call =
        |id: &&str| json!({"id": id, "type": "function", "function": {"name": "Bash", "arguments": "{}"}});
    let mut messages = vec![
        json!({"role": "user", "content": "go"}),
        json!({"role": "assistant", "content": null, "tool_calls": ids.iter().map(call).collect::<Vec<_>>()}),
    ];
    messages.extend(ids.iter().map(|id| json!({"role": "tool", "tool_call_id": id, "content": "ok"})));
    json!({"model": model, "max_tokens": 64, "messages": messages})
}

/// The ids of calls and results that an upstream of the Messages API received.
fn ids_of_messages(seen: &Seen) -> (Vec<String>, Vec<String>) {
    let body = seen.json();
    let of = |turn: usize, member: &str| {
        let blocks = body["messages"][turn]["content"].as_array().expect("blocks");
        blocks.iter().map(|block| block[member].as_str().expect("an id").to_owned()).collect()
    };
    (of(1, "id"), of(2, "tool_use_id"))
}

/// The same of Chat Completions.
fn ids_of_chat(seen: &Seen) -> (Vec<String>, Vec<String>) {
    let body = seen.json();
    let id = |value: &Value| value.as_str().expect("an id").to_owned();
    let messages = body["messages"].as_array().expect("messages");
    let calls = messages.iter().flat_map(|message| message["tool_calls"].as_array().into_iter().flatten());
    let results = messages.iter().filter(|message| message["role"] == "tool");
    (calls.map(|call| id(&call["id"])).collect(), results.map(|it| id(&it["tool_call_id"])).collect())
}

fn is_anthropics(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[test]
fn a_vendor_receives_its_own_ids_after_a_change_of_model_and_a_restart() {
    let (kimi, claude) = (calling(), Upstream::anthropic());
    let setup = Gateway::bare().provider("kimi", &kimi).provider("anthropic", &claude);
    for streamed in [true, false] {
        let gateway = setup.start();
        let mut first = json!({"model": "kimi:kimi-k2", "max_tokens": 64, "messages": [{"role": "user", "content": "go"}]});
        first["stream"] = json!(streamed);
        let content = gateway.messages(&first).reply().content();
        let ids: Vec<String> =
            content.iter().map(|it| it["id"].as_str().expect("an id").to_owned()).collect();
        assert_eq!(ids.len(), 3);
        assert!(ids.iter().all(|id| is_anthropics(id)), "{ids:?}");

        let asked = with_history("anthropic:claude-sonnet-4-5", &ids);
        assert_eq!(gateway.messages(&asked).reply().status(), 200);
        let seen = claude.request(claude.count() - 1);
        assert_eq!(ids_of_messages(&seen), (ids.clone(), ids.clone()), "they stay as they are");
        gateway.stop();

        let gateway = setup.start();
        let asked = with_history("kimi:kimi-k2", &ids);
        assert_eq!(gateway.messages(&asked).reply().status(), 200);
        let own = ODD.map(str::to_owned).to_vec();
        assert_eq!(ids_of_chat(&kimi.request(kimi.count() - 1)), (own.clone(), own));
    }
}

#[test]
fn invalid_ids_of_a_history_are_replaced_in_pairs_for_anthropic() {
    let upstream = Upstream::anthropic();
    let gateway = Gateway::before(&upstream).start();
    let mut ids: Vec<String> = ODD.map(str::to_owned).to_vec();
    ids.extend(["x".repeat(90), "toolu_01".to_owned()]);

    let body = with_history("claude-sonnet-4-5", &ids);
    assert_eq!(gateway.messages(&body).reply().status(), 200);
    let seen = upstream.request(0);
    let (calls, results) = ids_of_messages(&seen);
    assert_eq!(calls, results);
    assert!(calls.iter().all(|id| is_anthropics(id)), "{calls:?}");
    assert_eq!(calls[4], "toolu_01");
    let mended = ids
        .iter()
        .zip(&calls)
        .fold(body.to_string(), |text, (id, new)| text.replace(&format!("\"{id}\""), &format!("\"{new}\"")));
    assert_eq!(seen.text(), mended, "nothing else changes");

    let known: Vec<&str> = ids.iter().map(String::as_str).collect();
    let chat = chat_with_history("claude-sonnet-4-5", &known);
    assert_eq!(gateway.call("POST", "/v1/chat/completions").json(&chat).reply().status(), 200);
    assert_eq!(ids_of_messages(&upstream.request(1)), (calls.clone(), calls));
}

#[test]
fn a_vendor_receives_its_own_unusual_ids_until_another_one_refuses_them() {
    let upstream = Upstream::anthropic().ruled_by(|seen| {
        let is_strict = seen.json()["model"] == "strict";
        let message = "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'";
        let refusal = || Answer::json(400, anthropic::error("invalid_request_error", message));
        (is_strict && seen.text().contains("functions.Bash:0")).then(refusal)
    });
    let gateway = Gateway::bare().provider("mycorp", &upstream).start();
    let ids = vec!["functions.Bash:0".to_owned()];

    let body = with_history("mycorp:kimi", &ids);
    assert_eq!(gateway.messages(&body).reply().status(), 200);
    assert_eq!(ids_of_messages(&upstream.request(0)), (ids.clone(), ids.clone()));

    let body = with_history("mycorp:strict", &ids);
    for count in [3, 4] {
        assert_eq!(gateway.messages(&body).reply().status(), 200);
        assert_eq!(upstream.count(), count, "what was refused once is mended from then on");
        let (calls, results) = ids_of_messages(&upstream.request(count - 1));
        assert!(calls == results && is_anthropics(&calls[0]), "{calls:?}");
    }
}

#[test]
fn mistral_receives_ids_of_nine_letters_and_digits_by_configuration_and_by_refusal() {
    let strict = |seen: &Seen| {
        let (calls, _) = ids_of_chat(seen);
        let odd =
            calls.into_iter().find(|id| id.len() != 9 || !id.bytes().all(|it| it.is_ascii_alphanumeric()))?;
        let message = format!("Tool call id was {odd} but must be a-z, A-Z, 0-9, with a length of 9.");
        let body =
            json!({"object": "error", "message": message, "type": "invalid_request_error", "code": "3280"});
        Some(Answer::json(400, body.to_string()))
    };
    let ids = ["toolu_01AbC", "D681PevKs", "functions.Bash:0"];
    for (name, toml, refusals) in
        [("mycorp", "[mycorp]\ntool-ids = \"mistral\"", 0), ("mycorp", "", 1), ("mistral", "", 0)]
    {
        let upstream = Upstream::openai().ruled_by(strict);
        let gateway = Gateway::bare().provider(name, &upstream).toml(toml).start();
        let model = format!("{name}:large");
        let body = chat_with_history(&model, &ids);
        assert_eq!(gateway.call("POST", "/v1/chat/completions").json(&body).reply().status(), 200);
        assert_eq!(upstream.count(), 1 + refusals);

        let given = ids.map(str::to_owned).to_vec();
        assert_eq!(gateway.messages(&with_history(&model, &given)).reply().status(), 200);
        assert_eq!(upstream.count(), 2 + refusals);
        let sent: Vec<_> = upstream.requests()[refusals..].iter().map(ids_of_chat).collect();
        assert_eq!(sent[0], sent[1], "the same id wherever it comes from");
        let (calls, results) = &sent[0];
        assert_eq!((calls, calls[1].as_str()), (results, "D681PevKs"));
    }
}
