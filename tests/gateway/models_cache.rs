//! Lists of models between runs: the cache on disk, in the format of the Python original.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, fresh_directory};
use crate::support::upstream::{Answer, Seen, Upstream};

const PATH: &str = "/v1/models";
const LIST: &str = r#"{"data":[{"id":"m-1"}],"object":"list"}"#;

/// A cache directory, removed when this value is dropped.
struct Cache(PathBuf);

impl Cache {
    fn new() -> Self {
        Self(fresh_directory())
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }

    /// Waits for the only file of the provider.
    fn file(&self) -> PathBuf {
        let until = Instant::now() + PATIENCE;
        loop {
            if let [file] = &files(&self.0.join("models/openai"))[..] {
                return file.clone();
            }
            assert!(Instant::now() < until, "no list is kept in {}", self.0.display());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn kept(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).expect("readable")).expect("JSON")
    }

    /// The list as if it had been fetched then.
    fn date(&self, time: &str) {
        let mut kept = self.kept();
        kept["last_updated"] = time.into();
        std::fs::write(self.file(), kept.to_string()).expect("writable");
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

/// The files that are written completely.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

fn hours_ago(hours: i64) -> String {
    (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours)).to_string()
}

/// The cache directory after one run of a gateway.
fn filled(upstream: &Upstream) -> Cache {
    let cache = Cache::new();
    let gateway = Gateway::before(upstream).env("CACHE_DIR", cache.path()).start();
    assert_eq!(gateway.get(PATH).status(), 200);
    cache.file();
    cache
}

/// Checklist 44.
#[test]
fn a_list_survives_a_restart() {
    let upstream = Upstream::openai().always(Answer::json(200, LIST));
    let cache = filled(&upstream);

    let gateway = Gateway::before(&upstream).env("CACHE_DIR", cache.path()).start();
    let list = gateway.get("/v1/models?format=raw");

    assert_eq!((list.raw().as_str(), list.header("x-vdm-cache")), (LIST, None));
    assert_eq!(upstream.count(), 1);
    let kept = cache.kept();
    assert_eq!((&kept["schema_version"], &kept["provider"]), (&1.into(), &"openai".into()));
    assert_eq!(kept["base_url"], upstream.base_url());
    assert_eq!(kept["response"]["data"][0]["id"], "m-1");
    assert!(kept["last_updated"].as_str().is_some_and(|time| time.ends_with('Z')), "{kept}");
    assert!(!kept.to_string().contains("sk-test"));
}

#[test]
fn discovery_knows_the_models_of_the_last_run_at_once() {
    let upstream = Upstream::openai().always(Answer::json(200, LIST));
    let cache = filled(&upstream);
    cache.date(&hours_ago(30 * 24));

    let gateway = Gateway::before(&upstream).env("CACHE_DIR", cache.path()).start();
    let list = gateway.call("GET", "/v1/models?limit=1000").header("anthropic-version", "2023-06-01").reply();

    assert!(list.raw().contains(r#""id":"claude-vdm/openai:m-1""#), "{list}");
}

#[test]
fn routing_knows_the_models_of_the_last_run() {
    let list = r#"{"data":[{"id":"docs-writer"}]}"#;
    let upstream = Upstream::openai()
        .ruled_first(move |seen| seen.target().contains("/models").then(|| Answer::json(200, list)));
    let cache = filled(&upstream);
    let setup = Gateway::before(&upstream).env("CACHE_DIR", cache.path()).env("OPENAI_ALIAS_DOCS", "ds");

    // A name with a provider prefix that contains an alias, but is a model of that provider.
    let sent = |gateway: &Gateway| {
        let before = upstream.count();
        let reply = gateway.messages(&prompt("openai:docs-writer", "hi")).reply();
        assert_eq!(reply.status(), 200, "{reply}");
        upstream.request(before).json()["model"].as_str().expect("a model").to_owned()
    };
    let gateway = setup.start();
    let until = Instant::now() + PATIENCE;
    while sent(&gateway) != "docs-writer" {
        assert!(Instant::now() < until, "the list is not known");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::fs::remove_file(cache.file()).expect("ours");
    assert_eq!(sent(&setup.start()), "ds");
}

/// Checklist 45, 46: a list beyond its time is returned as stale, with a header.
#[test]
fn an_old_list_is_returned_as_stale_while_a_new_one_is_fetched() {
    let upstream = Upstream::openai().answering(Answer::json(200, LIST));
    let cache = filled(&upstream);
    cache.date(&hours_ago(20));
    upstream.then(Answer::json(200, r#"{"data":[{"id":"new"}]}"#));

    let gateway = Gateway::before(&upstream).env("CACHE_DIR", cache.path()).start();
    let old = gateway.get(PATH);

    assert_eq!((old.header("x-vdm-cache"), &old.json()["data"][0]["id"]), (Some("stale"), &"m-1".into()));
    let until = Instant::now() + PATIENCE;
    while gateway.get(PATH).json()["data"][0]["id"] != "new" {
        assert!(Instant::now() < until, "the new list never comes");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(upstream.count(), 2);
}

#[test]
fn a_very_old_list_is_returned_only_if_the_provider_does_not_answer() {
    let upstream = Upstream::openai().answering(Answer::json(200, LIST));
    let cache = filled(&upstream);
    cache.date(&hours_ago(20));
    upstream.then(Answer::json(200, r#"{"data":[{"id":"new"}]}"#));
    upstream.then(Answer::json(500, "{}"));
    let setup = Gateway::before(&upstream)
        .env("CACHE_DIR", cache.path())
        .env("MODELS_CACHE_TTL_HOURS", "19.5")
        .env("MAX_RETRIES", "0");

    let gateway = setup.start();
    let asked = gateway.get(PATH);
    assert_eq!((asked.header("x-vdm-cache"), &asked.json()["data"][0]["id"]), (None, &"new".into()));
    let until = Instant::now() + PATIENCE;
    while cache.kept()["response"]["data"][0]["id"] != "new" {
        assert!(Instant::now() < until, "the new list is not kept");
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(gateway);

    cache.date(&hours_ago(1000));
    let gateway = setup.start();
    let stale = gateway.get(PATH);
    assert_eq!((stale.header("x-vdm-cache"), &stale.json()["data"][0]["id"]), (Some("stale"), &"new".into()));
}

/// Checklist 45: a corrupt file counts as missing.
#[test]
fn an_invalid_file_is_ignored_and_replaced() {
    let upstream = Upstream::openai().always(Answer::json(200, LIST));
    let cache = filled(&upstream);
    let file = cache.file();
    std::fs::write(&file, "{\"schema_version\": 1, \"resp").expect("writable");

    let gateway = Gateway::before(&upstream).env("CACHE_DIR", cache.path()).start();
    assert_eq!(gateway.get(PATH).status(), 200);

    let until = Instant::now() + PATIENCE;
    while serde_json::from_slice::<Value>(&std::fs::read(&file).expect("readable")).is_err() {
        assert!(Instant::now() < until, "the file stays broken");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(upstream.count(), 2);
}

#[test]
fn an_unwritable_disk_is_one_warning() {
    let upstream = Upstream::openai().always(Answer::json(200, LIST));
    let cache = Cache::new();
    let file = cache.0.join("file");
    std::fs::write(&file, "").expect("writable");
    let gateway = Gateway::before(&upstream).env("CACHE_DIR", file.to_str().expect("UTF-8")).start();
    for _ in 0..3 {
        assert_eq!(gateway.get("/v1/models?refresh=true").status(), 200);
    }
    gateway.run.await_log("set CACHE_DIR, or MODELS_CACHE_ENABLED=false");
    let log = gateway.stop();
    assert_eq!(log.matches("cannot store model lists").count(), 1, "{log}");
}

#[test]
fn nothing_is_written_if_caching_is_off() {
    let upstream = Upstream::openai().always(Answer::json(200, LIST));
    let cache = Cache::new();
    for setup in [
        Gateway::before(&upstream).env("MODELS_CACHE_ENABLED", "false"),
        Gateway::before(&upstream).keys(["!PASSTHRU"]),
    ] {
        let gateway = setup.env("CACHE_DIR", cache.path()).start();
        let list = gateway.call("GET", PATH).header("x-api-key", "sk-own").reply();
        assert_eq!(list.status(), 200, "{list}");
        gateway.stop();
    }
    let demo = Gateway::bare().env("CACHE_DIR", cache.path()).start();
    assert_eq!(demo.get(PATH).status(), 200);
    demo.stop();
    assert!(!cache.0.join("models").exists());
}

/// The target of a name that contains an alias, by the gateway and by `vdm explain`.
fn ways(upstream: &Upstream, cache: &Cache) -> [String; 2] {
    let base = upstream.base_url();
    let environment =
        [("OPENAI_API_KEY", "sk-test"), ("OPENAI_BASE_URL", base.as_str()), ("CACHE_DIR", cache.path())];
    let mut explain = Command::new(env!("CARGO_BIN_EXE_vdm"));
    explain.args(["explain", "--json", "openai:my-haiku-9"]).env_clear().envs(environment);
    let explained = explain.current_dir(cache.path()).output().expect("vdm is built");
    let explained: Value = serde_json::from_slice(&explained.stdout).expect("JSON alone");

    let setup = Gateway::bare().env("VDM_ROUTE_HEADER", "1");
    let gateway = environment.iter().fold(setup, |setup, (name, value)| setup.env(name, *value)).start();
    let until = Instant::now() + PATIENCE;
    loop {
        let reply = gateway.messages(&prompt("openai:my-haiku-9", "hi")).reply();
        let route = reply.header("x-vdm-route").expect("asked for").to_owned();
        let gone = route.rsplit("-> openai:").next().unwrap_or_default().to_owned();
        let explained = explained[0]["upstream_model"].as_str().unwrap_or_default().to_owned();
        // The disk is read in the background after the start.
        if gone == explained || Instant::now() > until {
            return [gone, explained];
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_model_listed_by_the_last_run_keeps_its_name_and_explain_reports_it() {
    let list = r#"{"data":[{"id":"my-haiku-9"}],"object":"list"}"#;
    let listing = move |seen: &Seen| seen.target().ends_with("/models").then(|| Answer::json(200, list));
    let upstream = Upstream::openai().ruled_by(listing);
    let empty = Cache::new();
    assert_eq!(ways(&upstream, &empty), ["gpt-6-luna", "gpt-6-luna"]);
    let cache = filled(&upstream);
    assert_eq!(ways(&upstream, &cache), ["my-haiku-9", "my-haiku-9"]);
}
