//! The pages in a browser: `tests/dashboard/run.mjs` drives headless Chromium, once for everything. `scripts/check` installs what it
//! needs; without it this test is skipped with a notice, and fails in CI.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::support::await_that;
use crate::support::client::prompt;
use crate::support::upstream::{Answer, Seen};

/// The longest run. Each check in it has a bound of its own.
const LONGEST: Duration = Duration::from_secs(600);

fn in_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().flat_map(|name| places.iter().map(move |place| place.join(name))).find(|file| file.is_file())
}

/// Node, the browser and the directory of the modules; `None` with a notice if one is missing.
fn tools() -> Option<(PathBuf, PathBuf, PathBuf)> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients/dashboard");
    let node = in_path(&["node"]);
    let browser = in_path(&["chromium", "chromium-browser", "google-chrome"]);
    let has_modules = modules.join("node_modules/playwright-core").exists();
    if let (Some(node), Some(browser), true) = (node, browser, has_modules) {
        return Some((node, browser, modules));
    }
    let notice = "the dashboard is not tested in a browser: run `scripts/check tools clients`";
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{notice}");
    // Written directly: output of the print macros is displayed only for failed tests.
    let _written = writeln!(std::io::stderr(), "skipped: {notice}");
    None
}

/// Sends requests, and waits until they are counted; their sums, for the script.
fn traffic(gateway: &Gateway, upstream: &Upstream) -> serde_json::Value {
    let mut sums =
        json!({"requests": 0, "failed": 0, "input": 0, "output": 0, "models": {}, "provider": "anthropic"});
    let add = |sums: &mut serde_json::Value, name: &str, more: u64| {
        sums[name] = (sums[name].as_u64().unwrap_or_default() + more).into();
    };
    for (model, count, streamed) in
        [(MODEL, 9, false), ("other-model", 2, false), ("model-three", 4, true), ("=cmd", 1, false)]
    {
        for _ in 0..count {
            let body = if streamed { prompt(model, "hi") } else { whole_prompt(model, "hi") };
            let usage = gateway.messages(&body).reply().usage();
            // One of the scripted replies writes a count as 9.0.
            let of = |name: &str| usage[name].as_f64().unwrap_or_default() as u64;
            let input =
                of("input_tokens") + of("cache_read_input_tokens") + of("cache_creation_input_tokens");
            add(&mut sums, "input", input);
            add(&mut sums, "output", of("output_tokens"));
        }
        add(&mut sums, "requests", count);
        sums["models"][model] = count.into();
    }
    let refusal = "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"no\"}}";
    upstream.then(Answer::json(400, refusal));
    assert_eq!(gateway.ask_whole("hi").status(), 400);
    add(&mut sums, "requests", 1);
    add(&mut sums, "failed", 1);
    await_that("the requests are counted", || {
        let reply = gateway.call("GET", "/api/ui/snapshot").header("x-api-key", ADMIN).reply();
        reply.json()["providers"][0]["requests"] == 17
    });
    sums
}

/// Checklist 3, 4, 7, 9, 11, 12, 28–31, 34–38: the pages in a browser, in both themes, at 360 and 1440 px.
#[test]
fn the_pages_work_in_a_browser() {
    let Some((node, browser, modules)) = tools() else { return };
    let models: Vec<_> = (1..=120).map(|number| json!({"id": format!("listed-{number}")})).collect();
    let models = json!({"data": models, "has_more": false}).to_string();
    let upstream = Upstream::anthropic().ruled_first(move |seen: &Seen| {
        if seen.target().starts_with("/v1/models") {
            return Some(Answer::json(200, models.clone()));
        }
        if seen.target().starts_with("/v1/messages/count_tokens") {
            return Some(Answer::json(200, "{\"input_tokens\": 1234}"));
        }
        // A request of the flow that cancels it.
        (seen.json()["model"] == "slow-model").then(Answer::silence)
    });
    let gateway = with_admin_key(&upstream).start();
    let sums = traffic(&gateway, &upstream);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dashboard/run.mjs");
    let mut child = Command::new(node)
        .arg(script)
        .env("HOME", gateway.run.path(""))
        .env("VDM_URL", format!("http://{}", gateway.address))
        .env("VDM_ADMIN", ADMIN)
        .env("VDM_MODULES", modules)
        .env("VDM_CHROMIUM", browser)
        .env("VDM_EXPECTED", sums.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .expect("node runs");
    let until = Instant::now() + LONGEST;
    while child.try_wait().expect("it is ours").is_none() {
        if Instant::now() > until {
            child.kill().expect("it is ours");
        }
        thread::sleep(Duration::from_millis(100));
    }
    let finished = child.wait_with_output().expect("it has ended");
    let (output, errors) =
        (String::from_utf8_lossy(&finished.stdout), String::from_utf8_lossy(&finished.stderr));
    println!("{output}");
    assert!(finished.status.success(), "{output}{errors}");
    assert!(output.matches("ok ").count() > 15, "{output}");
}
