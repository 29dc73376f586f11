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
