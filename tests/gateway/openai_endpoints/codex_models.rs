//! `GET /v1/models?client_version=`: Codex's catalogue beside the list for OpenAI's clients, and the entity tags of lists.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::await_that;
use crate::support::gateway::{Gateway, Setup};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Upstream};

const CODEX: &str = "/v1/models?client_version=0.171.0";
const LIST: &str = r#"{"object":"list","data":[{"id":"gpt-5.5","object":"model"},{"id":"text-embedding-3-small"},{"id":"own","context_length":4321,"architecture":{"input_modalities":["text"],"output_modalities":["text"]}}]}"#;

fn listing(list: &str) -> Upstream {
    let answer = Answer::json(200, list);
    Upstream::openai().ruled_first(move |seen| seen.target().contains("/models").then(|| answer.clone()))
}

fn slugs(reply: &Reply) -> Vec<String> {
    let models = reply.json()["models"].as_array().cloned().unwrap_or_default();
    models.iter().filter_map(|model| Some(model["slug"].as_str()?.to_owned())).collect()
}

fn model(reply: &Reply, slug: &str) -> Value {
    let models = reply.json()["models"].as_array().cloned().unwrap_or_default();
    models.into_iter().find(|model| model["slug"] == slug).unwrap_or_else(|| panic!("no {slug} in {reply}"))
}

/// Requirement: `models` stands beside `data`, with what Codex must know: context window, efforts, the type of `apply_patch`,
/// truncation.
#[test]
fn codex_gets_its_catalogue_beside_the_list() {
    let upstream = listing(LIST);
    let gateway = Gateway::before(&upstream).start();
    let reply = gateway.get(CODEX);
    assert_eq!(reply.json()["data"], gateway.get("/v1/models").json()["data"]);
    let gpt = model(&reply, "gpt-5.5");
    let efforts: Vec<&Value> = gpt["supported_reasoning_levels"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|level| &level["effort"])
        .collect();
    assert_eq!(efforts, ["low", "medium", "high", "xhigh"]);
    assert_eq!((&gpt["apply_patch_tool_type"], &gpt["visibility"]), (&json!("freeform"), &json!("list")));
    assert_eq!(gpt["truncation_policy"], json!({"mode": "tokens", "limit": 10_000}));
    let own = model(&reply, "own");
    assert_eq!((&own["context_window"], &own["input_modalities"]), (&json!(4321), &json!(["text"])));
    // Every name that is routed: an alias, and a name with its provider.
    assert_eq!(
        model(&reply, "sonnet")["description"].as_str().map(|text| text.starts_with("openai:")),
        Some(true)
    );
    assert_eq!(model(&reply, "openai:gpt-5.5")["visibility"], "hide");
    assert!(!slugs(&reply).iter().any(|slug| slug.contains("embedding")), "it holds no conversation");
    assert!(gateway.get("/v1/models").json().get("models").is_none(), "only Codex gets it");
}

/// Requirement: Codex does not wait for a provider, and gets its aliases without one.
#[test]
fn codex_gets_aliases_although_the_provider_is_silent() {
    for answer in [Answer::silence(), Answer::json(500, "{}")] {
        let upstream = Upstream::openai().always(answer);
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        let reply = gateway.get(CODEX);
        assert_eq!((reply.status(), &reply.json()["data"]), (200, &json!([])), "{reply}");
        assert!(slugs(&reply).contains(&"sonnet".to_owned()), "{reply}");
    }
}

/// Requirement: the first answer has the models of all providers that answer in time, and a silent one delays it by 3 s at most.
#[test]
fn the_first_catalogue_waits_for_the_lists_of_all_providers() {
    let slow = |list: &'static str| {
        Upstream::openai().ruled_first(move |seen| {
            seen.target()
                .contains("/models")
                .then(|| Answer::json(200, list).head_after(Duration::from_millis(400)))
        })
    };
    let (first, second) = (slow(LIST), slow(r#"{"data":[{"id":"other-chat"}]}"#));
    let silent = Upstream::openai().always(Answer::silence());
    for third in [None, Some(&silent)] {
        let mut setup = Gateway::before(&first).provider("other", &second);
        if let Some(third) = third {
            setup = setup.provider("third", third);
        }
        let gateway = setup.start();
        let begun = Instant::now();
        let replies: Vec<Reply> = std::thread::scope(|scope| {
            let call = || scope.spawn(|| gateway.get(CODEX));
            let first = call();
            // The others come while the lists are on their way.
            std::thread::sleep(Duration::from_millis(100));
            let calls = [first, call(), call()];
            calls.into_iter().map(|call| call.join().expect("a reply")).collect()
        });
        for reply in &replies {
            let slugs = slugs(reply);
            for slug in ["gpt-5.5", "own", "sonnet", "other:other-chat"] {
                assert!(slugs.contains(&slug.to_owned()), "{slug}: {slugs:?}");
            }
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    assert_eq!(second.count(), 2, "one call for each gateway");
}

/// Requirement: the answer has at most 1 MiB, which is all that Codex reads.
#[test]
fn a_large_catalogue_is_cut_to_what_codex_reads() {
    let models: Vec<Value> = (0..4000)
        .map(|number| json!({"id": format!("model-{number}"), "description": "d".repeat(100)}))
        .collect();
    let upstream = listing(&json!({ "data": models }).to_string());
    let gateway = Gateway::before(&upstream).start();
    let reply = gateway.get(CODEX);
    assert!(reply.body.len() <= 1 << 20, "{}", reply.body.len());
    assert!(slugs(&reply).len() > 300, "{}", slugs(&reply).len());
}

#[test]
fn names_of_other_providers_have_their_prefix() {
    let (one, two) = (listing(LIST), listing(r#"{"data":[{"id":"m-2"}]}"#));
    let gateway = Setup::default().provider("openai", &one).provider("two", &two).start();
    await_that("the second list is known", || slugs(&gateway.get(CODEX)).contains(&"two:m-2".to_owned()));
    let reply = gateway.get(CODEX);
    assert_eq!(model(&reply, "two:m-2")["visibility"], "list");
    assert!(
        !slugs(&reply).contains(&"m-2".to_owned()),
        "without a prefix it would go to the default provider"
    );
}

/// Requirement: `ETag`, and 304 for a client that has the list.
#[test]
fn a_list_that_the_client_has_is_not_sent_again() {
    let upstream = listing(LIST);
    let gateway = Gateway::before(&upstream).start();
    gateway.get(CODEX);
    for path in [CODEX, "/v1/models", "/v1/models?format=anthropic", "/v1/models?format=raw"] {
        let reply = gateway.get(path);
        let tag = reply.header("etag").unwrap_or_else(|| panic!("no tag: {reply}")).to_owned();
        let again = |known: &str| gateway.call("GET", path).header("if-none-match", known).reply();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let reply = again(&known);
            assert_eq!((reply.status(), reply.header("etag")), (304, Some(&*tag)), "{path} {known}: {reply}");
            assert_eq!((reply.raw().as_str(), reply.header("content-length")), ("", None), "{reply}");
        }
        assert_eq!(again("\"other\"").raw(), reply.raw());
    }
}
