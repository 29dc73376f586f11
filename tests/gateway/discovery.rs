//! Claude Code's model discovery: `GET /v1/models` of a Messages client without a provider.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::client::prompt;
use crate::support::gateway::Gateway;
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

fn discover(gateway: &Gateway, query: &str) -> Reply {
    let target = format!("/v1/models?limit=1000{query}");
    gateway.call("GET", &target).header("anthropic-version", "2023-06-01").reply()
}

fn ids(list: &Reply) -> Vec<String> {
    assert_eq!(list.status(), 200, "{list}");
    let models = list.json()["data"].as_array().cloned().unwrap_or_default();
    models.iter().map(|model| model["id"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Repeats the request until the list has this id, because the catalog is filled in the background.
fn discover_until(gateway: &Gateway, id: &str) -> Reply {
    let until = Instant::now() + PATIENCE;
    loop {
        let list = discover(gateway, "");
        if ids(&list).iter().any(|told| told == id) {
            return list;
        }
        assert!(Instant::now() < until, "{id} never comes: {list}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn entry(list: &Reply, id: &str) -> Value {
    let models = list.json()["data"].as_array().cloned().unwrap_or_default();
    models.into_iter().find(|model| model["id"] == id).unwrap_or_else(|| panic!("no {id}: {list}"))
}

fn listing(upstream: Upstream, list: &'static str) -> Upstream {
    upstream.ruled_first(move |seen| seen.target().contains("/models").then(|| Answer::json(200, list)))
}

const CHATS: &str = r#"{"data":[{"id":"m-1","created":1700000000},{"id":"vendor/m-2","name":"Em Two"},{"id":"haiku"},{"id":"claude-x"}]}"#;
const CLAUDES: &str = r#"{"data":[{"type":"model","id":"claude-a-1","display_name":"Claude A"},{"type":"model","id":"other"}]}"#;

#[test]
fn all_aliases_profiles_and_models_are_listed_under_names_that_route_to_them() {
    let (claude, chat) = (listing(Upstream::anthropic(), CLAUDES), listing(Upstream::openai(), CHATS));
    let gateway = Gateway::before(&claude)
        .provider("mine", &chat)
        .toml("[mine.aliases]\nhaiku = 'm-1'\nfar = 'poe:x'\n['#team'.aliases]\nopus = 'mine:haiku'")
        .start();
    let first = ids(&discover(&gateway, ""));
    assert_eq!(first[0], "claude-vdm/team:opus", "profiles come first: {first:?}");
    assert!(first.contains(&"claude-vdm/mine:haiku".to_owned()), "{first:?}");
    // Its target's provider has no key. The same applies to these profiles.
    assert!(!first.iter().any(|id| id.ends_with(":far") || id.contains("/top:")), "{first:?}");

    discover_until(&gateway, "claude-vdm/mine:m-1");
    let list = discover_until(&gateway, "claude-a-1");

    let told = ids(&list);
    // The bare id if it routes to this provider, unlike `claude-x` at a provider that is not the default.
    for id in ["claude-vdm/anthropic:other", "claude-vdm/mine:vendor/m-2", "claude-vdm/mine:claude-x"] {
        assert!(told.contains(&id.to_owned()), "{id}: {told:?}");
    }
    // Hidden by the alias of the same name.
    assert_eq!(told.iter().filter(|id| id.ends_with("mine:haiku")).count(), 1, "{told:?}");
    assert_eq!(entry(&list, "claude-vdm/mine:haiku")["description"], "alias of mine:m-1");
    assert_eq!(entry(&list, "claude-vdm/team:opus")["description"], "alias of mine:m-1");
    assert_eq!(entry(&list, "claude-vdm/mine:vendor/m-2")["display_name"], "Em Two (mine)");
    assert_eq!(entry(&list, "claude-vdm/mine:m-1")["created_at"], "2023-11-14T22:13:20Z");
    assert_eq!(entry(&list, "claude-a-1")["display_name"], "Claude A");
    for (id, upstream, model) in [
        ("claude-vdm/mine:vendor/m-2", &chat, "vendor/m-2"),
        ("claude-vdm/mine:claude-x", &chat, "claude-x"),
        ("claude-vdm/team:opus", &chat, "m-1"),
        ("claude-vdm/anthropic:other", &claude, "other"),
        ("claude-a-1", &claude, "claude-a-1"),
    ] {
        let before = upstream.count();
        assert_eq!(gateway.messages(&prompt(id, "hi")).reply().status(), 200, "{id}");
        assert_eq!(upstream.request(before).json()["model"], model, "{id}");
    }
}

#[test]
fn a_reply_has_the_model_id_of_the_request() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).start();
    let id = "claude-vdm/openai:m-1";

    let streamed = gateway.messages(&prompt(id, "hi")).reply();
    let mut body = prompt(id, "hi");
    body["stream"] = false.into();
    let told = gateway.messages(&body).reply();

    assert!(streamed.raw().contains(&format!("\"model\":\"{id}\"")), "{streamed}");
    assert_eq!(told.json()["model"], id);
}

#[test]
fn a_provider_that_does_not_answer_causes_no_delay() {
    let upstream = Upstream::openai().always(Answer::silence());
    let gateway = Gateway::before(&upstream).start();
    for _ in 0..20 {
        let list = discover(&gateway, "");
        assert!(ids(&list).contains(&"claude-vdm/openai:haiku".to_owned()), "{list}");
        assert_eq!(list.header("location"), None);
    }
    // It is called in the background, with one request at a time.
    upstream.request(0);
    assert_eq!(upstream.count(), 1);
}

#[test]
fn a_list_of_one_clients_key_is_not_shared() {
    let upstream = listing(Upstream::anthropic(), CLAUDES);
    let gateway = Gateway::before(&upstream).keys(["!PASSTHRU"]).start();
    let own = gateway.call("GET", "/v1/models?provider=anthropic").header("x-api-key", "sk-mine").reply();
    assert_eq!(own.status(), 200);

    let told = ids(&discover(&gateway, ""));

    assert!(told.iter().all(|id| id.starts_with("claude-vdm/anthropic:")), "{told:?}");
    assert!(!told.contains(&"claude-vdm/anthropic:other".to_owned()), "{told:?}");
    assert_eq!(upstream.keys_seen(), ["sk-mine"]);
}

#[test]
fn the_list_has_pages_and_requires_the_gateway_key() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-gateway").start();
    let ask = |query: &str| {
        let call = gateway.call("GET", &format!("/v1/models?{query}")).header("x-api-key", "sk-gateway");
        call.header("anthropic-version", "2023-06-01").reply()
    };
    let all = ids(&ask("limit=1000"));
    assert!(all.len() >= 3, "{all:?}");
    let mut paged = vec![];
    let mut query = "limit=2".to_owned();
    loop {
        let page = ask(&query);
        paged.extend(ids(&page));
        if page.json()["has_more"] == false {
            break;
        }
        query = format!("limit=2&after_id={}", page.json()["last_id"].as_str().expect("an id"));
    }
    assert_eq!(paged, all);
    assert_eq!(discover(&gateway, "").status(), 401);
    assert_eq!(ask("after_id=nowhere").status(), 400);
}
