//! Many requests at once: each receives its own answer, and none delays another.

use std::thread;

use serde_json::json;

use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Seen, Upstream};

/// An upstream that returns the question as its answer.
fn echoing_anthropic() -> Upstream {
    Upstream::anthropic().ruled_by(|seen| {
        let question = asked(seen);
        Some(Answer::events(anthropic::text(&question.split_inclusive(' ').collect::<Vec<_>>())))
    })
}

fn echoing_openai() -> Upstream {
    Upstream::openai().ruled_by(|seen| {
        let question = asked(seen);
        Some(Answer::events(openai::text(&question.split_inclusive(' ').collect::<Vec<_>>())))
    })
}

fn asked(seen: &Seen) -> String {
    seen.json()["messages"][0]["content"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn every_client_receives_the_answer_to_its_own_question() {
    for upstream in [echoing_anthropic(), echoing_openai()] {
        let gateway = Gateway::before(&upstream).start();
        let ask_on_and_on = |client: u32| {
            for turn in 0..4 {
                let question = format!("client {client} asks for the {turn}th time");
                assert_eq!(gateway.ask(&question).text(), question);
            }
        };
        thread::scope(|scope| {
            for client in 0..32 {
                scope.spawn(move || ask_on_and_on(client));
            }
        });
    }
}

/// Requirement: 50 parallel requests: every log line carries its own request id; no configured key appears in any
/// log line or client-visible error.
#[test]
fn every_log_line_of_fifty_requests_names_its_own_request() {
    const KEY: &str = "sk-canary-of-the-provider";
    let refused = |seen: &Seen| {
        let message = format!("{} was refused with {KEY}", asked(seen));
        (seen.json()["model"] != MODEL).then(|| Answer::json(400, openai::error(&message, "x", "y")))
    };
    let upstream = echoing_openai().ruled_first(refused);
    let gateway = Gateway::before(&upstream).keys([KEY]).start();
    let ask = |client: u32| {
        let model = if client.is_multiple_of(2) { MODEL.to_owned() } else { format!("refused-{client}") };
        let reply = gateway.messages(&prompt(&model, &format!("client {client}"))).reply();
        assert!(!reply.raw().contains("canary"), "{reply}");
        (model, reply.header("request-id").expect("a name").to_owned())
    };
    let named: Vec<(String, String)> = thread::scope(|scope| {
        let asking: Vec<_> = (0..50).map(|client| scope.spawn(move || ask(client))).collect();
        asking.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    let log = gateway.stop();
    assert!(!log.contains("canary"), "{log}");
    let about: Vec<&str> = log.lines().filter(|line| line.contains("-> openai:")).collect();
    assert_eq!(about.len(), 50, "{log}");
    for (model, id) in named {
        let own: Vec<&&str> = about.iter().filter(|line| line.contains(&id)).collect();
        assert!(own.len() == 1 && own[0].contains(&format!(" {model} ")), "{id} {model}: {own:?}");
    }
    // Every line about one request has its id, and only one.
    for line in log.lines().filter(|line| line.contains("refused-") || line.contains(" call 1 to ")) {
        assert_eq!(line.matches("req_").count(), 1, "{line}");
    }
}

#[test]
fn a_stalled_stream_delays_no_other() {
    for upstream in [echoing_anthropic(), echoing_openai()] {
        let silent = upstream.ruled_first(|seen| (asked(seen) == "silence").then(Answer::silence));
        let gateway = Gateway::before(&silent).start();
        let stalled: Vec<_> = (0..16).map(|_| gateway.messages(&prompt(MODEL, "silence")).send()).collect();
        silent.request(15);
        assert_eq!(gateway.ask("still there?").text(), "still there?");
        drop(stalled);
    }
}

#[test]
fn a_full_stderr_delays_no_request() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("LOG_LEVEL", "DEBUG").start();
    gateway.run.stop_reading();
    // More lines than a pipe holds: with some hundred bytes a request it is full long before the end.
    for _ in 0..600 {
        let body =
            json!({"model": "nobody:m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]});
        assert_eq!(gateway.messages(&body).reply().status(), 404);
    }
    assert_eq!(gateway.ask("hi").text(), "Hello there!");
}

#[test]
fn connections_over_the_limit_are_refused_and_health_answers() {
    let upstream = Upstream::anthropic().always(Answer::silence());
    let gateway = Gateway::before(&upstream).limit("connections", 2).start();
    let mut held: Vec<_> = (0..2).map(|_| gateway.messages(&prompt(MODEL, "hi")).send()).collect();
    upstream.request(1);
    assert_eq!(gateway.get("/health").status(), 200);
    assert_eq!(gateway.ask("hi").status(), 503);
    held.clear();
    upstream.closed(0);
    upstream.closed(1);
    assert_eq!(gateway.get("/health").status(), 200);
}
