//! The endpoints for aliases, profiles, top models and the test of a connection.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::gateway::{Gateway, Setup, free_port};
use crate::support::upstream::{Answer, Upstream};

const CATALOGUE: &str = r#"{"data":[
    {"id":"a/first","name":"The First","context_length":128000,"pricing":{"prompt":"0.0000025","completion":"0.00001"}},
    {"id":"b/cheap","context_length":8000,"pricing":{"prompt":"0.0000001","completion":"0.0000003"}},
    {"id":"b/long","context_length":2000000},{"id":"c/preview"}]}"#;

fn ids(told: &Value) -> Vec<&str> {
    let models = told["models"].as_array().map(Vec::as_slice).unwrap_or_default();
    models.iter().filter_map(|model| model["id"].as_str()).collect()
}

/// Next to a provider that does not matter here.
fn before_catalogue(catalogue: &Upstream) -> Setup {
    Gateway::bare()
        .env("OPENAI_API_KEY", "k")
        .env("OPENAI_BASE_URL", format!("http://127.0.0.1:{}", free_port()))
        .env("OPENROUTER_BASE_URL", catalogue.base_url())
        .env("TOP_MODELS_SOURCE", "openrouter")
}

/// Checklist 43: `/v1/aliases` has aliases, suggested and total.
/// Requirement: `/v1/aliases` returns `object`, `aliases`, `suggested`, `total`; 200 also when the suggestion
/// source is down.
/// Requirement: `GET /v1/aliases` lists only registered providers, with `total` equal to the number of entries.
#[test]
fn aliases_are_listed_by_provider_and_suggestions_separately() {
    let catalogue = Upstream::openai().always(Answer::json(200, CATALOGUE));
    let gateway = before_catalogue(&catalogue)
        .provider("mine", &catalogue)
        .env("MINE_ALIAS_FAST", "m-1")
        .toml("[mine.aliases]\nDocs = '!openai:ds'")
        .start();

    let told = gateway.get("/v1/aliases").json();

    assert_eq!(
        (&told["object"], &told["aliases"]["mine"]),
        (&json!("list"), &json!({"fast": "m-1", "docs": "!openai:ds"}))
    );
    assert!(told["aliases"]["openai"]["haiku"].is_string() && told["aliases"].get("poe").is_none(), "{told}");
    let counted: usize = told["aliases"]
        .as_object()
        .expect("a map")
        .values()
        .filter_map(Value::as_object)
        .map(serde_json::Map::len)
        .sum();
    assert_eq!(told["total"], counted);
    // The suggestions arrive with the catalogue, for which the reply does not wait.
    let until = Instant::now() + PATIENCE;
    let expected = json!({"top": "a/first", "top-cheap": "b/cheap", "top-longctx": "b/long"});
    while gateway.get("/v1/aliases/").json()["suggested"]["default"] != expected {
        assert!(Instant::now() < until, "no suggestions");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(catalogue.count(), 1);
}

/// Requirement: `/profiles` and `/v1/profiles` return `object:"list"`.
/// Requirement: Given a local `["#main"]` with no keys, then profile main has no aliases and no timeout and
/// source local.
/// Requirement: `GET /v1/models?provider=top` returns the profile's aliases as models; `GET /profiles` is sorted
/// by name.
#[test]
fn profiles_are_listed_by_name_with_settings_and_source() {
    let user = "['#mine']\ntimeout = 7.5\nmax-retries = 0\n['#mine'.aliases]\nhaiku = 'openai:gpt-4o'";
    let gateway = Gateway::bare()
        .env("OPENAI_API_KEY", "k")
        .file(".config/vandamme-proxy/vandamme-config.toml", user)
        .file("vandamme-config.toml", "['#here']\n['#ever']\ntimeout = 0")
        .toml("['#last'.aliases]\nx = 'openai:y'\n[defaults]\ndefault-provider = 'mine'")
        .start();
    for path in ["/profiles", "/v1/profiles", "/v1/profiles/"] {
        let told = gateway.get(path).json();
        let data = told["data"].as_array().expect("a list");
        let names: Vec<_> = data.iter().filter_map(|profile| profile["name"].as_str()).collect();
        assert_eq!(names, ["ever", "here", "last", "main", "mine", "top"]);
        let sources: Vec<_> = data.iter().filter_map(|profile| profile["source"].as_str()).collect();
        assert_eq!(sources, ["local", "local", "given", "package", "user", "package"]);
        assert_eq!(
            data[4],
            json!({"name": "mine", "timeout": 7.5, "max_retries": 0, "alias_count": 1,
                "aliases": {"haiku": "openai:gpt-4o"}, "source": "user", "default": true})
        );
        assert_eq!((&data[0]["timeout"], &data[1]["timeout"]), (&json!(0.0), &Value::Null));
        assert!(data[5]["inactive"].as_str().is_some_and(|why| why.contains("_API_KEY")), "{}", data[5]);
    }
}

/// Requirement: Profile name as provider lists its aliases with `alias` and target `id`.
/// Requirement: `GET /v1/models?provider=top` returns the profile's aliases as models; `GET /profiles` is sorted
/// by name.
#[test]
fn a_profile_as_provider_lists_its_aliases() {
    let upstream = Upstream::openai();
    let setup = Gateway::before(&upstream).toml("['#team'.aliases]\nfast = 'openai:m-1'");
    let gateway = setup.start();
    let expected = json!({"object": "list", "data": [
        {"id": "openai:m-1", "alias": "fast", "owned_by": "openai", "object": "model", "created": 0}]});
    for name in ["team", "TEAM", "%23team"] {
        assert_eq!(gateway.get(&format!("/v1/models?provider={name}")).json(), expected);
    }
    let claude = gateway.get("/v1/models?provider=team&format=anthropic").json();
    assert_eq!(
        (&claude["data"][0]["id"], &claude["data"][0]["type"]),
        (&json!("openai:m-1"), &json!("model"))
    );
    let inactive = gateway.get("/v1/models?provider=top");
    assert_eq!(inactive.status(), 404);
    assert!(inactive.raw().contains("profile 'top' is inactive"), "{inactive}");

    let gateway = setup.env("VDM_DEFAULT_PROVIDER", "team").start();
    assert_eq!(gateway.get("/v1/models").json(), expected);
    assert_eq!(upstream.count(), 0);
}

/// Checklist 39: `/top-models` has the original's shape, with exclusion by substring and the suggested aliases.
/// Checklist 40: two calls within the TTL cause one download.
#[test]
fn the_catalogue_is_fetched_without_a_key_and_cached() {
    let catalogue = Upstream::openai().always(Answer::json(200, CATALOGUE));
    let gateway = before_catalogue(&catalogue).env("TOP_MODELS_EXCLUDE", "preview, nothing").start();

    let told = gateway.get("/top-models").json();

    assert_eq!(
        (&told["object"], &told["source"], &told["cached"]),
        (&json!("top_models"), &json!("openrouter"), &json!(false))
    );
    assert_eq!(ids(&told), ["a/first", "b/cheap", "b/long"]);
    assert_eq!(
        told["models"][0]["pricing"],
        json!({"input_per_million": 2.5, "output_per_million": 10.0, "average_per_million": 6.25})
    );
    assert_eq!((&told["providers"], &told["sub_providers"]), (&json!(["openrouter"]), &json!(["a", "b"])));
    assert_eq!(told["meta"], json!({"excluded_rules": ["preview", "nothing"]}));
    assert!(told["last_updated"].as_str().is_some_and(|time| time.ends_with('Z')), "{told}");
    // The filter is applied before the limit. Suggestions must be among the listed models.
    let one = gateway.get("/top-models?limit=1&sub_provider=B&include_cache_info=true").json();
    assert_eq!((ids(&one), &one["suggested_aliases"]), (vec!["b/cheap"], &json!({"top-cheap": "b/cheap"})));
    assert_eq!(one["meta"]["cache_ttl_seconds"], 86_400);
    assert_eq!(one["cached"], true);
    assert!(one["age_seconds"].is_u64() && told["age_seconds"].is_null(), "{one}");
    assert_eq!(ids(&gateway.get("/top-models?provider=openrouter").json()).len(), 3);
    assert_eq!(ids(&gateway.get("/top-models?provider=poe").json()).len(), 0);
    let seen = catalogue.only_request();
    assert_eq!((seen.target(), seen.key()), ("/v1/models", ""));
    assert!(seen.head.header("user-agent").is_some_and(|agent| agent.starts_with("vandamme-proxy/")));
    assert_eq!(gateway.get("/top-models?refresh=true").status(), 200);
    assert_eq!(catalogue.count(), 2);
}

#[test]
fn a_configured_ranking_selects_and_orders_the_models() {
    let catalogue = Upstream::openai().always(Answer::json(200, CATALOGUE));
    let gateway = before_catalogue(&catalogue)
        .env("TOP_MODELS_SOURCE", "manual_rankings")
        .env("TOP_MODELS_RANKINGS_FILE", "best.toml")
        .file("best.toml", "version = 1\n[[models]]\nid = 'b/long'\n[[models]]\nid = 'x/unknown'\n[[models]]\nid = 'a/first'")
        .start();
    let told = gateway.get("/top-models?include_cache_info=1").json();
    assert_eq!((ids(&told), &told["source"]), (vec!["b/long", "a/first"], &json!("manual_rankings")));
    assert!(told["meta"]["rankings_file"].as_str().is_some_and(|file| file.ends_with("best.toml")), "{told}");

    for (file, expected) in [("absent.toml", "cannot read"), ("bad.toml", "[[models]]")] {
        let gateway = before_catalogue(&catalogue)
            .env("TOP_MODELS_SOURCE", "manual_rankings")
            .env("TOP_MODELS_RANKINGS_FILE", file)
            .file("bad.toml", "models = 7")
            .start();
        let said = gateway.run.await_log("TOP_MODELS_RANKINGS_FILE");
        assert_eq!(gateway.get("/top-models").json()["models"], json!([]));
        assert!(
            said.contains("environment variable TOP_MODELS_RANKINGS_FILE: ") && said.contains(expected),
            "{said}"
        );
    }
}

/// Checklist 42: the manual ranking works out of the box with the embedded list.
#[test]
fn the_manual_ranking_has_an_embedded_list() {
    let models = r#"{"data": [{"id": "x/unknown"}, {"id": "openai/gpt-6.2-astra"}, {"id": "anthropic/claude-opus-5.5"}]}"#;
    let catalogue = Upstream::openai().always(Answer::json(200, models));
    let gateway = before_catalogue(&catalogue).env("TOP_MODELS_SOURCE", "manual_rankings").start();
    let told = gateway.get("/top-models?include_cache_info=true").json();
    assert_eq!(ids(&told), ["anthropic/claude-opus-5.5", "openai/gpt-6.2-astra"]);
    assert_eq!((&told["source"], &told["meta"]["rankings_file"]), (&json!("manual_rankings"), &json!(null)));
}

/// Checklist 41: with `TOP_MODELS_SOURCE=disabled`, `/top-models` is 200 and empty, and `/v1/aliases` works.
/// Requirement: Colon targets and cache purity (15, 17). 8. Anthropic-format streaming rotation (28). 9. Proxy
/// key never leaves (32), all endpoints guarded (33), no key to the wrong host (38). 10. CLI truthfulness: wrap
/// exit code (43), health (36), validate (40), `.env` (5).
#[test]
fn without_the_setting_no_catalogue_is_fetched() {
    let catalogue = Upstream::openai().always(Answer::json(200, CATALOGUE));
    let unnamed = Gateway::bare().env("OPENAI_API_KEY", "k").env("OPENROUTER_BASE_URL", catalogue.base_url());
    for setup in [unnamed, before_catalogue(&catalogue).env("TOP_MODELS_SOURCE", "disabled")] {
        let gateway = setup.start();
        let told = gateway.get("/top-models?refresh=true").json();
        assert_eq!(
            (&told["source"], &told["models"], &told["suggested_aliases"]),
            (&json!("disabled"), &json!([]), &json!({}))
        );
        assert_eq!(gateway.get("/v1/aliases").json()["suggested"], json!({}));
    }
    assert_eq!(catalogue.count(), 0);
    // A configured key makes it an ordinary provider, which is called.
    let gateway = Gateway::bare().provider("openrouter", &catalogue).start();
    assert_eq!(ids(&gateway.get("/top-models").json()).len(), 4);
    assert_eq!(catalogue.keys_seen(), ["sk-test"]);
}

/// Checklist 40: offline serves the stale copy with `cached: true` and its age, else a 502 JSON error.
/// Checklist 43: `/v1/aliases` works when the source of suggestions is down.
/// Requirement: `/v1/aliases` returns `object`, `aliases`, `suggested`, `total`; 200 also when the suggestion
/// source is down.
/// Requirement: `/top-models?limit=0` and `51` are rejected; source failure is JSON 502/504, not plain text.
#[test]
fn without_the_catalogue_the_cached_list_is_returned_or_else_an_error() {
    let catalogue = Upstream::openai().answering(Answer::json(200, CATALOGUE));
    for _ in 0..3 {
        catalogue.then(Answer::json(500, "{}"));
    }
    let gateway = before_catalogue(&catalogue).start();
    assert_eq!(gateway.get("/top-models").header("x-vdm-cache"), None);
    let stale = gateway.get("/top-models?refresh=true");
    assert_eq!((stale.header("x-vdm-cache"), &stale.json()["cached"]), (Some("stale"), &json!(true)));
    assert!(stale.json()["age_seconds"].is_u64(), "{stale}");
    assert_eq!(ids(&stale.json()).len(), 4);

    let nobody = before_catalogue(&catalogue)
        .env("OPENROUTER_BASE_URL", format!("http://127.0.0.1:{}", free_port()))
        .start()
        .get("/top-models");
    assert_eq!((nobody.status(), nobody.error_type().as_str()), (502, "api_error"));
    assert!(nobody.error_message().contains("TOP_MODELS_SOURCE=disabled"), "{nobody}");
    let silent = Upstream::openai().always(Answer::silence());
    let gateway = before_catalogue(&silent).env("TOP_MODELS_TIMEOUT_SECONDS", "0.3").start();
    assert_eq!(gateway.get("/top-models").status(), 504);
    assert_eq!(gateway.get("/v1/aliases").json()["suggested"], json!({}));
}

#[test]
fn a_connection_is_tested_with_a_short_question() {
    for (upstream, name) in [(Upstream::openai(), "openai"), (Upstream::anthropic(), "anthropic")] {
        let gateway = Gateway::before(&upstream).start();
        let told = gateway.get("/test-connection");
        assert_eq!((told.status(), told.header("cache-control")), (200, Some("no-cache")));
        let told = told.json();
        assert_eq!((&told["status"], &told["provider"]), (&json!("success"), &json!(name)));
        assert_eq!(told["model_used"], format!("{name}:haiku"));
        assert!(told["response_id"].is_string() && told["timestamp"].is_string(), "{told}");
        let asked = upstream.only_request().json();
        assert_eq!(asked["messages"][0]["content"], "Hello", "{asked}");
    }
    let two = Upstream::openai();
    let gateway = Gateway::bare().env("OPENAI_API_KEY", "k").provider("two", &two).start();
    let told = gateway.get("/test-connection?provider=TWO&model=m-9").json();
    assert_eq!((&told["status"], &told["model_used"]), (&json!("success"), &json!("two:m-9")));
    assert_eq!(two.only_request().json()["model"], "m-9");
    assert_eq!(gateway.get("/test-connection?provider=nobody").status(), 404);
    assert_eq!(gateway.call("HEAD", "/test-connection").reply().status(), 405);
}

#[test]
fn a_provider_without_aliases_is_tested_with_its_first_listed_model() {
    let list = Answer::json(200, r#"{"data":[{"id":"vendor/m:free"},{"id":"m-2"}]}"#);
    let upstream =
        Upstream::openai().ruled_first(move |seen| seen.target().contains("/models").then(|| list.clone()));
    let gateway = Gateway::bare().provider("mine", &upstream).start();
    let told = gateway.get("/test-connection?provider=mine").json();
    assert_eq!((&told["status"], &told["model_used"]), (&json!("success"), &json!("!mine:vendor/m:free")));
    assert_eq!(upstream.request(1).json()["model"], "vendor/m:free");
}

/// Requirement: `/test-connection` with a failing upstream → 503 `status:"failed"`.
#[test]
fn a_failed_test_says_why_and_what_to_do() {
    let refusal = r#"{"error":{"message":"no such key sk-test","type":"invalid_request_error","code":"invalid_api_key"}}"#;
    let upstream = Upstream::openai().always(Answer::json(401, refusal));
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
    let told = gateway.get("/test-connection");
    assert_eq!(told.status(), 503);
    let body = told.json();
    assert_eq!((&body["status"], &body["upstream_status"]), (&json!("failed"), &json!(401)));
    assert_eq!(body["error_type"], "authentication_error");
    assert_eq!(body["suggestions"].as_array().map(Vec::len), Some(4));
    assert!(!told.raw().contains("sk-test"), "{told}");

    let gateway = Gateway::bare().env("OPENAI_API_KEY", "!PASSTHRU").start();
    let told = gateway.get("/test-connection");
    assert_eq!((told.status(), &told.json()["status"]), (200, &json!("skipped")));
    assert_eq!(told.json()["auth_mode"], "passthrough");
}

/// Requirement: `/top-models?limit=0` and `51` are rejected; source failure is JSON 502/504, not plain text.
/// Checklist 39: a limit outside of 1 to 50 is 422.
/// Requirement: Same for `/test-connection`, `/v1/models`, `/profiles`; `/health` stays open.
#[test]
fn all_of_these_endpoints_require_the_gateway_key() {
    let upstream = Upstream::openai();
    let gateway = Gateway::before(&upstream).env("PROXY_API_KEY", "sk-gateway").start();
    for path in ["/v1/aliases", "/profiles", "/v1/profiles", "/top-models", "/test-connection"] {
        assert_eq!(gateway.get(path).status(), 401, "{path}");
        let admitted = gateway.call("GET", path).header("x-api-key", "sk-gateway").reply();
        assert_eq!(admitted.status(), 200, "{path}: {admitted}");
        assert_eq!(
            gateway.call("POST", path).header("x-api-key", "sk-gateway").reply().status(),
            405,
            "{path}"
        );
    }
    for query in ["limit=0", "limit=51", "limit=x", "refresh=maybe", "include_cache_info=7"] {
        let path = format!("/top-models?{query}");
        let refused = gateway.call("GET", &path).header("x-api-key", "sk-gateway").reply();
        assert_eq!(
            (refused.status(), refused.error_type().as_str()),
            (422, "invalid_request_error"),
            "{query}"
        );
    }
}
