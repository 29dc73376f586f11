//! Routing by role: which model serves a request, and how this is reported.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::canned::openai;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, Setup, fresh_directory};
use crate::support::upstream::{Answer, Upstream};

const CLASS: &str = "x-claude-code-request-class";
const TYPE: &str = "x-claude-code-agent-type";

const ROUTING: &str = r#"
    [routing]
    web-search = "big:searches"
    compaction = "big:compacts"
    auxiliary = "big:small"
    image = "big:sees"
    long-context = "big:long"
    long-context-threshold = 5000
    think = "big:thinks"
    background = ["other:cheap", "big:spare"]
    [routing.subagent]
    "*" = "big:delegate"
    Explore = "other:explorer"
"#;

struct Scene {
    main: Upstream,
    other: Upstream,
    setup: Setup,
}

fn scene(toml: &str) -> Scene {
    scene_with(toml, Upstream::openai())
}

fn scene_with(toml: &str, other: Upstream) -> Scene {
    let main = Upstream::anthropic();
    let setup = Gateway::bare().env("MAX_RETRIES", "0").env("VDM_DEFAULT_PROVIDER", "big").toml(toml);
    let setup = setup.provider("big", &main).provider("other", &other);
    Scene { main, other, setup }
}

impl Scene {
    /// The models that were requested, in order, of the two providers.
    fn models(&self) -> [Vec<String>; 2] {
        [&self.main, &self.other].map(|upstream| {
            let model =
                |seen: &crate::support::upstream::Seen| seen.json()["model"].as_str().map(str::to_owned);
            upstream.requests().iter().filter_map(model).collect()
        })
    }
}

fn with(mut body: Value, members: Value) -> Value {
    for (key, value) in members.as_object().expect("members") {
        body[key] = value.clone();
    }
    body
}

fn image() -> Value {
    json!([{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "text", "text": "What is it?"}]}])
}

/// Requirement: requests go to the model of their role, by Claude Code's hint headers, else by the body; `x-vdm-route`, the log of
/// requests and the history name the role.
#[test]
fn requests_go_to_the_model_of_their_role() {
    let scene = scene(ROUTING);
    let gateway = scene.setup.clone().env("VDM_ROUTE_HEADER", "1").start();
    let long = "many words ".repeat(4000);
    let none: &[(&str, &str)] = &[];
    let cases = [
        ("", "sonnet", json!({}), none),
        ("subagent.Explore", "sonnet", json!({}), &[(CLASS, "subagent"), (TYPE, "Explore")]),
        ("subagent", "sonnet", json!({}), &[(CLASS, "subagent"), (TYPE, "Plan")]),
        ("auxiliary", "sonnet", json!({}), &[(CLASS, "auxiliary")]),
        ("compaction", "sonnet", json!({}), &[(CLASS, "compaction")]),
        (
            "web-search",
            "sonnet",
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            none,
        ),
        ("image", "sonnet", json!({"messages": image()}), none),
        ("long-context", "sonnet", json!({"messages": [{"role": "user", "content": long}]}), none),
        ("think", "sonnet", json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}), none),
        ("background", "claude-haiku-4-5-20251001", json!({}), none),
        ("", "big:haiku", json!({"messages": image()}), none),
    ];
    for (role, model, members, headers) in cases {
        let call = gateway.messages(&with(prompt(model, "hi"), members));
        let reply = headers.iter().fold(call, |call, (name, value)| call.header(name, value)).reply();
        assert_eq!(reply.status(), 200, "{role}: {reply}");
        let route = reply.header("x-vdm-route").unwrap_or_default().to_owned();
        let told = route.starts_with(&format!("the request has the role '{role}' ("));
        assert_eq!(told, !role.is_empty(), "{role}: {route}");
    }
    let logs = gateway.get("/metrics/logs").json();
    let roles: Vec<_> =
        logs["traces"].as_array().expect("traces").iter().map(|trace| trace["role"].clone()).collect();
    assert!(roles.contains(&json!("subagent.Explore")) && roles.contains(&Value::Null), "{logs}");
    let [main, other] = scene.models();
    assert_eq!(
        main,
        ["sonnet", "delegate", "small", "compacts", "searches", "sees", "long", "thinks", "haiku"],
        "the names without a role are unchanged"
    );
    assert_eq!(other, ["explorer", "cheap"]);
}

/// Requirement: the classifier of auto mode keeps its model, although its class is `auxiliary`.
#[test]
fn the_permission_classifier_keeps_its_model() {
    let scene = scene(ROUTING);
    let gateway = scene.setup.clone().start();
    let system =
        json!([{"type": "text", "text": "You are a security monitor for autonomous AI coding agents.\n"}]);
    let body = with(prompt("claude-sonnet-5", "hi"), json!({"system": system, "max_tokens": 64}));
    assert_eq!(gateway.messages(&body).header(CLASS, "auxiliary").reply().status(), 200);
    assert_eq!(scene.models()[0], ["claude-sonnet-5"]);
}

/// Requirement: Chat Completions clients are routed by role where their requests have the shape.
#[test]
fn chat_completions_are_routed_by_role() {
    let scene = scene(ROUTING);
    let gateway = scene.setup.clone().start();
    let image = json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]);
    let long = "many words ".repeat(4000);
    for members in [
        json!({"messages": [{"role": "user", "content": image}]}),
        json!({"messages": [{"role": "user", "content": long}]}),
        json!({"reasoning_effort": "high"}),
        json!({"model": "haiku"}),
    ] {
        let body = json!({"model": "sonnet", "messages": [{"role": "user", "content": "hi"}]});
        let reply = gateway.call("POST", "/v1/chat/completions").json(&with(body, members)).reply();
        assert_eq!(reply.status(), 200, "{reply}");
    }
    assert_eq!(
        scene.models(),
        [vec!["sees", "long", "thinks"], vec!["cheap"]]
            .map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())
    );
}

/// Requirement: the targets of a role are each the fallback of the one before.
#[test]
fn a_role_falls_back_to_its_next_target() {
    let refusal = Answer::json(503, openai::error("not now", "x", "y"));
    let scene = scene_with(ROUTING, Upstream::openai().always(refusal));
    let gateway = scene.setup.clone().start();
    assert_eq!(gateway.messages(&prompt("haiku", "hi")).reply().status(), 200);
    assert_eq!(scene.other.count(), 1);
    let asked: Vec<Value> = scene.main.requests().iter().map(|seen| seen.json()["model"].clone()).collect();
    assert_eq!(asked, ["spare"]);
}

/// Requirement: `vdm explain` says with headers, tokens and a body what the gateway does.
#[test]
fn explain_names_the_role_and_its_route() {
    let scene = scene(ROUTING);
    let directory = fresh_directory();
    let body = directory.join("body.json");
    fs::write(&body, with(prompt("sonnet", "hi"), json!({"messages": image()})).to_string()).unwrap();
    let explained = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vdm"));
        command.arg("explain").args(arguments).env_clear().current_dir(&directory);
        fs::write(directory.join("vandamme-config.toml"), ROUTING).unwrap();
        for (name, url) in [("BIG", &scene.main), ("OTHER", &scene.other)] {
            command
                .env(format!("{name}_API_KEY"), "k")
                .env(format!("{name}_API_FORMAT"), "openai")
                .env(format!("{name}_BASE_URL"), url.base_url());
        }
        let output = command.env("VDM_DEFAULT_PROVIDER", "big").output().expect("vdm is built");
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let body = body.to_str().unwrap();
    for (arguments, role, target) in [
        (
            &["sonnet", "--header", "X-Claude-Code-Agent-Type: Explore"][..],
            "subagent.Explore",
            "other:explorer",
        ),
        (&["sonnet", "--header", "x-claude-code-request-class:auxiliary"], "auxiliary", "big:small"),
        (&["sonnet", "--image"], "image", "big:sees"),
        (&["sonnet", "--body", body], "image", "big:sees"),
        (&["sonnet", "--tokens", "5001"], "long-context", "big:long"),
        (&["sonnet", "--think"], "think", "big:thinks"),
        (&["sonnet", "--web-search"], "web-search", "big:searches"),
        (&["my-haiku"], "background", "other:cheap, then big:spare"),
    ] {
        let (told, errors) = explained(arguments);
        assert!(
            told.contains(&format!("\n  the request has the role '{role}' (")),
            "{arguments:?}: {told}{errors}"
        );
        assert!(told.ends_with(&format!("→ {target}\n")), "{arguments:?}: {told}{errors}");
    }
    let (told, _) = explained(&["sonnet", "--tokens", "5000"]);
    assert!(told.ends_with("→ big:sonnet\n") && !told.contains("role"), "{told}");
    let (told, _) = explained(&["big:haiku", "--image"]);
    assert!(
        told.contains(
            "[routing] does not apply to 'big:haiku', which names its model, provider or profile itself\n"
        ),
        "{told}"
    );
    let (told, _) = explained(&["haiku", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()[0]["role"], "background");
    let (_, errors) = explained(&["haiku", "--header", "nothing"]);
    assert!(errors.contains("write NAME:VALUE"), "{errors}");
    let (_, errors) = explained(&["haiku", "--body", "absent.json"]);
    assert!(errors.contains("absent.json: cannot read this file"), "{errors}");
}

/// Requirement: a reload changes the rules, and one with a mistake changes nothing.
#[test]
fn a_reload_changes_the_rules() {
    let mut scene = scene("");
    scene.setup = scene.setup.file("vandamme-config.toml", "[routing]\nbackground = \"big:first\"");
    let ask = |gateway: &Gateway| assert_eq!(gateway.messages(&prompt("haiku", "hi")).reply().status(), 200);
    let gateway = scene.setup.clone().start();
    ask(&gateway);
    let reload = |toml: &str| {
        gateway.run.write("vandamme-config.toml", toml);
        let reloaded = gateway.server(&["reload"]).output().expect("vdm is built");
        format!("{}{}", String::from_utf8_lossy(&reloaded.stdout), String::from_utf8_lossy(&reloaded.stderr))
    };
    let told = reload("[routing]\nbackground = \"big:second\"");
    assert!(told.contains("routing.background"), "{told}");
    ask(&gateway);
    let told = reload("[routing]\nbackgrund = \"big:third\"");
    assert!(told.contains("there is no such role; did you mean \"background\"?"), "{told}");
    ask(&gateway);
    assert_eq!(scene.models()[0], ["first", "second", "second"]);
}
