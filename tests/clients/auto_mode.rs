//! Claude Code in auto mode: the server, or requests of Claude Code itself, check each action before it runs.

use std::path::Path;

use serde_json::{Value, json};

use crate::claude_code::{NEW, prepare};
use crate::installed::{self, Finished, Home};
use crate::script::{self, Conversation};
use crate::support::canned;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Answer, Dialect, Upstream};

/// An action that auto mode checks, because it uses the network.
const COMMAND: &str = "curl -s http://127.0.0.1:9/x > got.txt; echo done > done.txt";
const BETA: &str = "dangerous-tool-use-2026-09-03";
/// The expected answer to the client's classifier: a severity between 0 and 100. From 50 on the action is blocked.
const HARMLESS: &str = "<severity>5</severity>";
const FORM: &str = "<severity>N</severity>";

fn action() -> Conversation {
    Conversation {
        tool: "Bash",
        input: json!({"command": COMMAND, "description": "Fetch it"}),
        last_words: "That is all.",
    }
}

/// Classifies the action if the request asks for it.
fn judging(judgement: Value) -> Upstream {
    let upstream = Upstream::anthropic().ruled_by(move |seen| {
        let request = script::body(seen);
        let asks = script::offers(&request, "Bash")
            && script::result(&request).is_none()
            && !script::list(&request["safeguards"]).is_empty();
        asks.then(|| Answer::events(action().judged_call_events(&judgement)))
    });
    action().played_by(upstream)
}

/// Answers the client's own classifier.
fn classifying(upstream: Upstream) -> Upstream {
    let dialect = upstream.dialect();
    let upstream = upstream.ruled_by(move |seen| {
        let answer = match dialect {
            Dialect::Anthropic => canned::anthropic::whole(HARMLESS),
            Dialect::OpenAi => canned::openai::whole(HARMLESS),
        };
        is_classifier(&script::body(seen)).then(|| Answer::json(200, answer))
    });
    action().played_by(upstream)
}

fn is_classifier(request: &Value) -> bool {
    !script::offers(request, "Bash") && request.to_string().contains(FORM)
}

fn fetch(claude: &Path, home: &Home, gateway: &Gateway, variables: &[(&str, &str)]) -> Finished {
    installed::run(claude, home, |command| {
        prepare(command, "Fetch it", gateway);
        command.args(["--permission-mode", "auto"]).envs(variables.iter().copied());
    })
}

fn has_run(home: &Home) -> bool {
    home.path.join("done.txt").exists()
}

#[test]
fn an_action_that_the_server_allows_runs_without_a_further_request() {
    let Some(claude) = installed::client(NEW) else { return };
    let home = Home::new();
    let upstream = judging(json!({"type": "evaluated", "outcome": "not_flagged"}));
    let gateway = Gateway::before(&upstream).start();

    let finished = fetch(&claude, &home, &gateway, &[]);

    assert!(finished.status.success() && has_run(&home), "{finished:#?}");
    assert_eq!(finished.stderr, "");
    for seen in upstream.requests() {
        let body = script::body(&seen);
        assert!(script::offers(&body, "Bash"), "no request of a classifier of its own: {body}");
        assert!(!script::list(&body["safeguards"]).is_empty(), "{body}");
        assert!(seen.head.header("anthropic-beta").is_some_and(|betas| betas.contains(BETA)));
    }
}

#[test]
fn an_action_that_the_server_flags_does_not_run_and_the_model_reads_why() {
    let Some(claude) = installed::client(NEW) else { return };
    let home = Home::new();
    let explanation = "It reaches a host that nobody named.";
    let flagged = json!({"type": "evaluated", "outcome": "flagged", "explanation": explanation});
    let upstream = judging(flagged);
    let gateway = Gateway::before(&upstream).start();

    let finished = fetch(&claude, &home, &gateway, &[]);

    assert!(finished.status.success() && !has_run(&home), "{finished:#?}");
    let bodies = upstream.requests().iter().map(script::body).collect::<Vec<_>>();
    let result = bodies.iter().find_map(script::result).expect("a second turn");
    assert!(result["content"].to_string().contains(explanation), "{result}");
}

/// A missing classification has the same effect as "unsupported": the client refuses the action and says why.
#[test]
fn without_a_classification_the_client_says_so_and_runs_nothing() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let Some(claude) = installed::client(NEW) else { return };
        let home = Home::new();
        let upstream = action().played_by(upstream);
        let gateway = Gateway::before(&upstream).start();

        let finished = fetch(&claude, &home, &gateway, &[]);

        assert!(!finished.status.success() && !has_run(&home), "{finished:#?}");
        assert!(finished.stderr.contains("can't check actions in this session"), "{finished:#?}");
        let said: Value = serde_json::from_str(&finished.stdout).expect("JSON");
        assert_eq!((&said["result"], &said["is_error"]), (&json!("That is all."), &json!(false)), "{said}");
        assert_eq!(upstream.count(), 2, "the call and its result");
    }
}

/// The later requests of a session that ask the server for verdicts, and whether an action has run. The session has two actions,
/// and both get this answer.
fn after(status: Option<&Value>) -> Option<(Vec<bool>, bool)> {
    let claude = installed::client(NEW)?;
    let home = Home::new();
    let status = status.cloned();
    let upstream = Upstream::anthropic().ruled_by(move |seen| {
        let request = script::body(seen);
        if !script::offers(&request, "Bash") {
            return None;
        }
        let number = request.to_string().matches("\"tool_result\"").count();
        let status =
            status.clone().map(|status| status.to_string().replace(script::CALL_ID, "toolu_9ScriptedCall"));
        let events = match &status {
            Some(status) => action().checked_call_events(&serde_json::from_str(status).expect("JSON")),
            None => action().call_events(),
        };
        let own = |event: Vec<u8>| {
            let text =
                String::from_utf8(event).expect("text").replace(script::CALL_ID, "toolu_9ScriptedCall");
            text.replace("9ScriptedCall", &format!("{number}ScriptedCall"))
                .replace("msg_01ScriptedCall", &format!("msg_{number}ScriptedCall"))
                .into_bytes()
        };
        (number < 2).then(|| Answer::events(events.into_iter().map(own).collect()))
    });
    let gateway = Gateway::before(&upstream).start();
    fetch(&claude, &home, &gateway, &[]);
    let bodies = upstream.requests().iter().map(script::body).collect::<Vec<_>>();
    let turns = bodies.iter().filter(|body| script::offers(body, "Bash")).skip(1);
    Some((turns.map(|body| !script::list(&body["safeguards"]).is_empty()).collect(), has_run(&home)))
}

/// What follows each answer (docs/auto-mode.md). An unjudged action does not run, and no answer ends the server's check.
#[test]
fn after_every_answer_the_session_asks_again() {
    let call = |verdict: Value| Some(json!({"type": "available", "tool_uses": {script::CALL_ID: verdict}}));
    let unavailable = |reason: &str| call(json!({"type": "unavailable", "reason": reason}));
    for (answer, runs) in [
        (call(json!({"type": "evaluated", "outcome": "not_flagged"})), true),
        (call(json!({"type": "evaluated", "outcome": "flagged", "explanation": "no"})), false),
        (unavailable("error"), false),
        (unavailable("input_too_long"), false),
        (Some(json!({"type": "unavailable", "reason": "error"})), false),
        (Some(json!({"type": "unsupported"})), false),
        (None, false),
    ] {
        let Some((asks, has_run)) = after(answer.as_ref()) else { return };
        assert_eq!(has_run, runs, "{answer:?}");
        assert!(asks.len() >= 2 && asks.iter().all(|asks| *asks), "{answer:?}: {asks:?}");
    }
}

/// A model that gives every call this verdict.
fn referee(verdict: &'static str, reason: &'static str) -> Upstream {
    Upstream::openai().ruled_by(move |seen| {
        let text = script::body(seen)["messages"].to_string().replace("\\\"", "\"");
        let (_, rest) = text.rsplit_once("\"check\":\"")?;
        let answer = json!({"check": rest.get(..16)?, "verdict": verdict, "reason": reason});
        Some(Answer::json(200, canned::openai::whole(&answer.to_string())))
    })
}

/// Runs the action over a provider that cannot judge, with a judge at another one.
fn with_judge(referee: &Upstream) -> Option<(Finished, Home, Upstream)> {
    let claude = installed::client(NEW)?;
    let home = Home::new();
    let upstream = action().played_by(Upstream::openai());
    let setup = Gateway::before(&upstream).provider("referee", referee);
    let gateway = setup.toml("[safeguards]\njudge = \"referee:mini\"").start();
    let finished = fetch(&claude, &home, &gateway, &[]);
    assert!(
        upstream.requests().iter().all(|seen| !is_classifier(&script::body(seen))),
        "no check of its own"
    );
    Some((finished, home, upstream))
}

/// Requirement: over a model that cannot judge, a harmless action runs without a notice and without a classifier of the client's.
#[test]
fn an_action_that_the_gateways_judge_allows_runs() {
    let referee = referee("allow", "");
    let Some((finished, home, upstream)) = with_judge(&referee) else { return };
    assert!(finished.status.success() && has_run(&home), "{finished:#?}");
    assert_eq!((finished.stderr.as_str(), upstream.count(), referee.count()), ("", 2, 1), "{finished:#?}");
}

/// Requirement: an action that the judge blocks does not run, and the model reads the judge's reason.
#[test]
fn an_action_that_the_gateways_judge_blocks_does_not_run() {
    let reason = "It downloads from a host that nobody named";
    let referee = referee("block", "It downloads from a host that nobody named.");
    let Some((finished, home, upstream)) = with_judge(&referee) else { return };
    assert!(finished.status.success() && !has_run(&home), "{finished:#?}");
    let bodies = upstream.requests().iter().map(script::body).collect::<Vec<_>>();
    let result = bodies.iter().find_map(script::result).expect("a second turn");
    assert!(result["content"].to_string().contains(reason), "{result}");
}

#[test]
fn the_clients_own_classifier_gets_its_answer() {
    for upstream in [Upstream::anthropic(), Upstream::openai()] {
        let Some(claude) = installed::client(NEW) else { return };
        let home = Home::new();
        let upstream = classifying(upstream);
        let gateway = Gateway::before(&upstream).start();

        let finished = fetch(&claude, &home, &gateway, &[("CLAUDE_CODE_AUTO_MODE_SERVER", "0")]);

        assert!(finished.status.success() && has_run(&home), "{finished:#?}");
        let requests = upstream.requests();
        let asked = requests.iter().filter(|seen| is_classifier(&script::body(seen))).count();
        assert_eq!((asked, requests.len()), (1, 3), "one verdict is enough");
    }
}
