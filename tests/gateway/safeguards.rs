//! Auto mode: a configured model judges the tool calls of replies, and clients get its verdicts.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::await_that;
use crate::support::canned::{anthropic, openai};
use crate::support::gateway::{Gateway, MODEL, Setup, vdm};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Piece, Seen, Upstream};

const JUDGE: &str = "[safeguards]\njudge = \"referee:mini\"";
const CONTEXT: &str = "/home/canary/project";

fn safeguards() -> Value {
    json!([{"type": "dangerous_tool_use", "classifier_context": {
        "v": 1, "permission_mode": "auto", "live_cwd": CONTEXT, "user_identity": "canary-identity",
        "trusted_directories": ["/tmp/canary"], "rules": {"deny": ["Bash(canary:*)"]},
        "auto_mode": {"hard_deny": ["canary rule"], "environment": ["canary host"]}}}])
}

fn request(more: Value) -> Value {
    let mut request = json!({"model": MODEL, "max_tokens": 1024, "stream": true, "safeguards": safeguards(),
        "tools": [{"name": "get_weather", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": "How is the weather in Genève?"}]});
    for (name, value) in more.as_object().expect("members") {
        request[name] = value.clone();
    }
    request
}

/// The texts of a request to the judge: the system prompt, then the document and the form.
fn told(seen: &Seen) -> Vec<String> {
    let text = |content: &Value| {
        let parts = content.as_array().into_iter().flatten();
        let parts = parts.filter_map(|part| part["text"].as_str()).collect::<String>();
        content.as_str().map_or(parts, str::to_owned)
    };
    let body = seen.json();
    let messages = body["messages"].as_array().into_iter().flatten();
    messages.map(|message| text(&message["content"])).collect()
}

/// The word that the judge's answer must have.
fn check(seen: &Seen) -> String {
    let form = told(seen).pop().expect("a message");
    let (_, rest) = form.rsplit_once("\"check\":\"").expect("the form of the answer");
    rest[..16].to_owned()
}

fn verdict(seen: &Seen, verdict: &str, reason: &str) -> Answer {
    let answer = json!({"check": check(seen), "verdict": verdict, "reason": reason});
    Answer::json(200, openai::whole(&answer.to_string()))
}

fn referee(word: &'static str, reason: &'static str) -> Upstream {
    Upstream::openai().ruled_by(move |seen| Some(verdict(seen, word, reason)))
}

fn calling() -> Upstream {
    Upstream::openai().always(Answer::events(openai::tool_call()))
}

fn judged(upstream: &Upstream, referee: &Upstream) -> Setup {
    Gateway::before(upstream).provider("referee", referee).toml(JUDGE)
}

/// The verdicts of the last `message_delta`.
fn results(reply: &Reply) -> Value {
    let ends: Vec<_> = reply.events().into_iter().filter(|event| event.name == "message_delta").collect();
    assert_eq!(ends.len(), 1, "{reply}");
    ends[0].data["delta"]["safeguard_results"][0]["status"].clone()
}

fn call_id(reply: &Reply) -> String {
    let content = reply.content();
    let call = content.iter().find(|block| block["type"] == "tool_use").expect("a call");
    call["id"].as_str().expect("an id").to_owned()
}

/// Requirement: a call is judged by the configured model, which gets the rules and the call, and nothing of it is logged.
#[test]
fn a_harmless_call_gets_its_verdict() {
    let (upstream, referee) = (calling(), referee("allow", ""));
    let gateway = judged(&upstream, &referee).start();

    let reply = gateway.messages(&request(json!({}))).reply();

    let outcome = json!({"type": "evaluated", "outcome": "not_flagged"});
    let expected = json!({"type": "available", "tool_uses": {call_id(&reply): outcome}});
    assert_eq!(results(&reply), expected, "{reply}");
    assert_eq!(reply.names().last().map(String::as_str), Some("message_stop"));
    let seen = referee.only_request();
    assert_eq!((seen.key(), &seen.json()["model"]), ("sk-test", &json!("mini")));
    let told = told(&seen).concat();
    for fact in
        [CONTEXT, "/tmp/canary", "Bash(canary:*)", "canary rule", "canary host", "get_weather", "Genève"]
    {
        assert!(told.contains(fact), "{fact} is missing: {told}");
    }
    assert!(!told.contains("canary-identity"));
    assert!(!gateway.log().contains("canary"));
    assert!(!upstream.only_request().text().contains("canary"), "the provider gets no context");
}

/// Requirement: a flagged call comes with the judge's reason, in a stream and in a whole reply.
#[test]
fn a_dangerous_call_is_flagged_with_the_reason() {
    let message = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "call_a", "type": "function",
        "function": {"name": "get_weather", "arguments": "{\"city\":\"Genève\"}"}}]});
    let upstream = Upstream::openai().ruled_by(move |seen| {
        let whole = || Answer::json(200, openai::completion(&message, "tool_calls"));
        Some(if seen.json()["stream"] == true { Answer::events(openai::tool_call()) } else { whole() })
    });
    let referee = referee("block", "It asks\n for the weather.");
    let gateway = judged(&upstream, &referee).start();
    let flagged =
        json!({"type": "evaluated", "outcome": "flagged", "explanation": "It asks for the weather"});

    let streamed = gateway.messages(&request(json!({}))).reply();
    assert_eq!(results(&streamed)["tool_uses"][call_id(&streamed)], flagged, "{streamed}");

    let whole = gateway.messages(&request(json!({"stream": false}))).reply();
    let given = &whole.message()["safeguard_results"][0]["status"];
    assert_eq!(given["tool_uses"][call_id(&whole)], flagged, "{whole}");
    assert_eq!(referee.count(), 2);
}

/// Requirement: an unreadable verdict is asked for once more, and is never an approval.
#[test]
fn an_unreadable_verdict_is_no_approval() {
    let upstream = calling();
    let referee = Upstream::openai().always(Answer::json(200, openai::whole("{\"verdict\":\"allow\"}")));
    let gateway = judged(&upstream, &referee).start();
    let reply = gateway.messages(&request(json!({}))).reply();
    let expected = json!({call_id(&reply): {"type": "unavailable", "reason": "error"}});
    assert_eq!(results(&reply), json!({"type": "available", "tool_uses": expected}), "{reply}");
    assert_eq!(referee.count(), 2, "one repeat");

    let second = Upstream::openai().ruled_by(|seen| Some(verdict(seen, "allow", "")));
    second.then(Answer::json(200, openai::whole("yes")));
    let gateway = judged(&upstream, &second).start();
    let reply = gateway.messages(&request(json!({}))).reply();
    assert_eq!(results(&reply)["tool_uses"][call_id(&reply)]["outcome"], "not_flagged", "{reply}");
}

/// Requirement: the reply goes on while a call is judged; only its end waits, with pings.
#[test]
fn only_the_end_of_the_reply_waits() {
    let upstream = calling();
    let referee = Upstream::openai().ruled_by(|seen| Some(verdict(seen, "allow", "").head_on_permit()));
    let gateway = judged(&upstream, &referee).limit("ping-interval", 0.2).start();
    let mut exchange = gateway.messages(&request(json!({}))).open();

    exchange.event_named("content_block_stop");
    exchange.event_named("ping");
    exchange.event_named("ping");
    referee.permit();
    let end = exchange.event_named("message_delta");
    assert_eq!(end.data["delta"]["safeguard_results"][0]["status"]["type"], "available");
    exchange.event_named("message_stop");
}

/// Requirement: a client that leaves takes the judge's calls along, and the request is recorded as cancelled.
#[test]
fn a_client_that_leaves_closes_the_judges_calls() {
    let upstream = calling();
    let referee = Upstream::openai().always(Answer::silence());
    let gateway = judged(&upstream, &referee).start();
    let mut exchange = gateway.messages(&request(json!({}))).open();
    exchange.event_named("content_block_stop");
    await_that("the judge is asked", || referee.count() == 1);
    exchange.hang_up();
    referee.closed(0);
    await_that("nothing is in flight", || {
        gateway.get("/metrics/active-requests").json()["active_requests"] == json!([])
    });
    let ends: Vec<_> = rows(&gateway, 2).iter().map(|row| row["end"].clone()).collect();
    assert_eq!(ends, ["cancelled", "cancelled"]);
}

/// The rows of the history, the newest first.
fn rows(gateway: &Gateway, count: usize) -> Vec<Value> {
    let rows = || {
        gateway.get("/api/ui/requests?limit=10").json()["requests"].as_array().cloned().unwrap_or_default()
    };
    await_that("the history has all requests", || rows().len() >= count);
    rows()
}

/// Requirement: a judge's call never waits for the permit of the request that it serves.
#[test]
fn a_judge_at_the_same_provider_needs_no_second_permit() {
    let upstream = Upstream::openai().ruled_by(|seen| {
        Some(match seen.json()["model"] == "mini" {
            true => verdict(seen, "allow", ""),
            false => Answer::events(openai::tool_call()),
        })
    });
    let setup = Gateway::before(&upstream).toml("[safeguards]\njudge = \"openai:mini\"");
    let gateway = setup.limit("provider-in-flight", 1).start();
    for _ in 0..3 {
        let reply = gateway.messages(&request(json!({}))).reply();
        assert_eq!(results(&reply)["tool_uses"][call_id(&reply)]["outcome"], "not_flagged", "{reply}");
    }
}

/// Requirement: a judge's call takes no place among the requests in flight, which may all be taken by those that wait for judges.
#[test]
fn a_judges_call_takes_no_place_of_clients() {
    let (upstream, referee) = (calling(), referee("allow", ""));
    let setup = Gateway::before(&upstream).provider("referee", &referee).toml(JUDGE);
    let gateway = setup.limit("in-flight", 1).start();
    let reply = gateway.messages(&request(json!({}))).reply();
    assert_eq!(results(&reply)["tool_uses"][call_id(&reply)]["outcome"], "not_flagged", "{reply}");
}

/// Requirement: shadow mode records the verdicts, and the client gets the answer of a gateway without a judge.
#[test]
fn in_shadow_mode_verdicts_are_recorded_only() {
    let (upstream, referee) = (calling(), referee("block", "no"));
    let setup = Gateway::before(&upstream).provider("referee", &referee);
    let gateway = setup.toml(&format!("{JUDGE}\nshadow = true")).start();
    let reply = gateway.messages(&request(json!({}))).reply();
    assert_eq!(results(&reply), json!({"type": "unsupported"}), "{reply}");
    let whole = gateway.messages(&request(json!({"stream": false}))).reply();
    assert_eq!(whole.message()["safeguard_results"][0]["status"], json!({"type": "unsupported"}), "{whole}");
    let expected = json!({"not_flagged": 0, "flagged": 1, "unavailable": 0, "shadow": true});
    for client in rows(&gateway, 4).iter().filter(|row| row["purpose"].is_null()) {
        assert_eq!(client["verdicts"], expected, "{client}");
    }
    let counted = "vdm_safeguard_verdicts_total{outcome=\"flagged\",mode=\"shadow\"} 2";
    assert!(gateway.get("/metrics").raw().contains(counted));
}

/// Requirement: a gateway that stops before the judge of shadow mode has answered still records the replies that clients have.
#[test]
fn a_stop_in_shadow_mode_loses_no_record() {
    let (upstream, referee) = (calling(), Upstream::openai().always(Answer::silence()));
    let setup = Gateway::before(&upstream).provider("referee", &referee);
    let gateway = setup.toml(&format!("{JUDGE}\nshadow = true")).start();
    let ids: Vec<String> = (0..3)
        .map(|_| {
            let reply = gateway.messages(&request(json!({}))).reply();
            assert_eq!(results(&reply), json!({"type": "unsupported"}), "{reply}");
            reply.header("x-vdm-request-id").expect("an id").to_owned()
        })
        .collect();
    referee.request(2);
    let log = gateway.stop();
    for id in ids {
        let has_record = log.lines().any(|line| line.contains(&id) && line.contains("tokens="));
        assert!(has_record, "{id} has no record: {log}");
    }
}

/// Requirement: a judge's call has a record of its own, for the parent's session, so that its cost counts once.
#[test]
fn the_ledger_has_the_verdicts_and_the_judges_calls() {
    let (upstream, referee) = (calling(), referee("allow", ""));
    let gateway = judged(&upstream, &referee).start();
    let call = gateway.messages(&request(json!({}))).header("x-claude-code-session-id", "session-1");
    assert_eq!(call.reply().status(), 200);

    let rows = rows(&gateway, 2);
    assert_eq!(rows.len(), 2, "{rows:#?}");
    let (judges, clients): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["purpose"] == "judge");
    let ([judge], [client]) = (&judges[..], &clients[..]) else { panic!("one of each: {rows:#?}") };
    assert_eq!((&judge["parent"], &judge["session"]), (&client["request_id"], &json!("session-1")));
    assert_eq!((&judge["provider"], &judge["end"]), (&json!("referee"), &json!("succeeded")));
    assert_eq!(
        client["verdicts"],
        json!({"not_flagged": 1, "flagged": 0, "unavailable": 0, "shadow": false})
    );
    assert_eq!((&client["upstream_calls"], &client["parent"]), (&json!(1), &Value::Null));
}

/// Requirement: only a provider that serves Claude judges itself. Another one gets the request without `safeguards`, and its
/// reply gets the gateway's answer; every other byte of both is the same.
#[test]
fn an_upstream_of_the_messages_api_that_does_not_serve_claude_is_answered_for() {
    let upstream = Upstream::anthropic().always(Answer::events(anthropic::thinking_and_tool()));
    let mine = |more: &str| Setup::default().provider("mine", &upstream).toml(more);
    let body = request(json!({"model": "mine:m"}));

    let gateway = mine("").start();
    let plain = {
        let mut body = body.clone();
        body.as_object_mut().unwrap().remove("safeguards");
        gateway.messages(&body).reply()
    };
    let reply = gateway.messages(&body).reply();
    assert_eq!(results(&reply), json!({"type": "unsupported"}), "{reply}");
    let added =
        ",\"safeguard_results\":[{\"status\":{\"type\":\"unsupported\"},\"type\":\"dangerous_tool_use\"}]";
    assert!(reply.raw().contains(added), "{reply}");
    assert_eq!(reply.raw().replace(added, ""), plain.raw(), "every other byte is the same");
    assert_eq!(
        upstream.request(0).text(),
        upstream.request(1).text(),
        "the request is the same without safeguards"
    );

    let referee = referee("allow", "");
    let gateway = mine(JUDGE).provider("referee", &referee).start();
    let reply = gateway.messages(&body).reply();
    assert_eq!(results(&reply)["tool_uses"][call_id(&reply)]["outcome"], "not_flagged", "{reply}");

    let gateway = mine("[mine]\nserves-claude = true\n[safeguards]\njudge = \"mine:x\"").start();
    let before = upstream.count();
    let reply = gateway.messages(&body).reply();
    assert!(!reply.raw().contains("safeguard_results"), "only the upstream's own verdict: {reply}");
    assert_eq!(upstream.count(), before + 1);
    assert!(upstream.request(before).text().contains("canary"));
}

/// Requirement: a reply without calls claims no verdict, and one that breaks off stays broken.
#[test]
fn replies_without_calls_and_broken_ones_claim_nothing() {
    let referee = referee("allow", "");
    let upstream = Upstream::openai();
    let gateway = judged(&upstream, &referee).start();
    let reply = gateway.messages(&request(json!({}))).reply();
    assert_eq!(results(&reply), json!({"type": "available", "tool_uses": {}}), "{reply}");

    let mut pieces: Vec<_> = openai::tool_call().into_iter().map(Piece::Bytes).collect();
    pieces.truncate(4);
    upstream.then(Answer::pieces(pieces));
    let reply = gateway.messages(&request(json!({}))).reply();
    assert_eq!(reply.names().last().map(String::as_str), Some("error"), "{reply}");
    assert!(!reply.raw().contains("safeguard_results"), "{reply}");
    assert_eq!(referee.count(), 0);
}

/// Requirement: a provider may have a judge of its own, or none.
#[test]
fn a_provider_may_have_its_own_judge_or_none() {
    let (upstream, other) = (calling(), referee("allow", ""));
    let setup = || Gateway::before(&upstream).provider("referee", &other);
    let gateway = setup().toml("[openai]\njudge = \"referee:mini\"").start();
    assert_eq!(results(&gateway.messages(&request(json!({}))).reply())["type"], "available");
    // No upstream of Chat Completions judges, whatever it serves.
    let gateway = setup().toml("[openai]\nserves-claude = true\njudge = \"referee:mini\"").start();
    assert_eq!(results(&gateway.messages(&request(json!({}))).reply())["type"], "available");
    let gateway = setup().toml(&format!("[openai]\njudge = \"none\"\n{JUDGE}")).start();
    assert_eq!(results(&gateway.messages(&request(json!({}))).reply())["type"], "unsupported");
}

/// Requirement: a wrong judge is reported with its place, before the start.
#[test]
fn a_wrong_judge_is_an_error_with_its_place() {
    let refused = |toml: &str, variables: &[(&str, &str)]| {
        let output = vdm(&["config", "validate"], variables, toml);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (is_valid, text) = refused("[safeguards]\njudge = \"opena:gpt\"", &[("OPENAI_API_KEY", "k")]);
    assert!(!is_valid && text.contains("2:9: [safeguards] judge"), "{text}");
    assert!(text.contains("there is no provider \"opena\"; did you mean \"openai:gpt\"?"), "{text}");
    let (is_valid, text) = refused("[safeguards]\nshadow = true", &[("OPENAI_API_KEY", "k")]);
    assert!(is_valid && text.contains("shadow has no effect without a judge"), "{text}");
    let (is_valid, text) = refused("[safeguards]\njudge = \"referee\"", &[("OPENAI_API_KEY", "k")]);
    assert!(is_valid && text.contains("judge \"referee\" is no alias"), "{text}");
    let own_keys = [("OPENAI_API_KEY", "!PASSTHRU")];
    let (is_valid, text) = refused("[safeguards]\njudge = \"openai:gpt\"", &own_keys);
    assert!(!is_valid && text.contains("uses the keys of clients"), "{text}");
}

/// Requirement: calls are judged at the same time, at most eight at once.
#[test]
fn calls_are_judged_eight_at_once() {
    let call = |index: usize| {
        openai::tool(&json!({"index": index, "id": format!("call_{index}"), "type": "function",
            "function": {"name": "get_weather", "arguments": "{}"}}))
    };
    let upstream =
        Upstream::openai().always(Answer::events(openai::stream((0..10).map(call).collect(), "tool_calls")));
    let referee = Upstream::openai().ruled_by(|seen| Some(verdict(seen, "allow", "").head_on_permit()));
    let gateway = judged(&upstream, &referee).start();
    let exchange = gateway.messages(&request(json!({}))).open();
    await_that("eight calls are judged", || referee.count() == 8);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(referee.count(), 8);
    (0..10).for_each(|_| referee.permit());
    let reply = exchange.finish();
    let verdicts = results(&reply)["tool_uses"].as_object().unwrap().clone();
    assert_eq!(verdicts.len(), 10);
    assert!(verdicts.values().all(|verdict| verdict["outcome"] == "not_flagged"));
}
