//! `vdm server reload`: a new configuration for the running gateway, without effect on requests in flight.

use std::thread;
use std::time::{Duration, Instant};

use super::{Ended, paused, provider};
use crate::support::PATIENCE;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::{Answer, Piece, Upstream};

fn reload(gateway: &Gateway) -> Ended {
    Ended::of(&mut gateway.server(&["reload"]))
}

#[test]
fn a_stream_of_a_removed_provider_continues_to_its_end() {
    let (old, events) = paused();
    let new = Upstream::openai();
    let gateway = Gateway::bare().toml(&provider("old", &old, "sk-old")).start();
    let mut exchange = gateway.messages(&prompt("old:m", "hi")).open();
    exchange.event_named("content_block_delta");
    gateway.run.write("test.toml", &provider("new", &new, "sk-new"));

    let told = reload(&gateway);

    for line in ["provider 'new' is new", "provider 'old' is gone", "names without a prefix go to 'new'"] {
        assert!(told.results().contains(line), "{}", told.stdout);
    }
    assert_eq!(gateway.ask("hi").status(), 200);
    assert_eq!(new.keys_seen(), ["sk-new"]);
    let lost = gateway.messages(&prompt("old:m", "hi")).reply();
    assert_eq!((lost.status(), lost.error_type().as_str()), (404, "not_found_error"));
    old.permit();
    assert_eq!(exchange.finish().body, events.concat());
}

#[test]
fn a_stream_continues_through_a_change_of_its_own_provider() {
    let (upstream, events) = paused();
    let other = Upstream::anthropic();
    let gateway = Gateway::bare().toml(&provider("p", &upstream, "sk-a")).start();
    let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
    exchange.event_named("content_block_delta");
    gateway.run.write("test.toml", &provider("p", &other, "sk-b"));

    let told = reload(&gateway);

    assert!(told.results().contains("changed: p.base-url = "), "{}", told.stdout);
    assert!(!format!("{}{}{}", told.stdout, told.stderr, gateway.log()).contains("sk-"), "no key is told");
    assert_eq!(gateway.ask("hi").status(), 200);
    assert_eq!(other.keys_seen(), ["sk-b"]);
    upstream.permit();
    assert_eq!(exchange.finish().body, events.concat());
    assert_eq!(upstream.keys_seen(), ["sk-a"]);
}

#[test]
fn a_request_keeps_the_fallbacks_of_its_first_route() {
    let two = Upstream::openai();
    for after in ["", "fallbacks = ['three:c']\n[one.aliases]\nfast = 'three:a'\n"] {
        let held = Answer::pieces(vec![Piece::Permit]);
        let (one, three) = (Upstream::openai().answering(held), Upstream::openai());
        let others = provider("two", &two, "sk-two") + &provider("three", &three, "sk-three");
        let file = |own: &str| format!("{others}{}max-retries = 0\n{own}", provider("one", &one, "sk-one"));
        let before = "fallbacks = ['two:b']\n[one.aliases]\nfast = 'a'\n";
        let gateway = Gateway::bare().toml(&file(before)).start();
        let waiting = gateway.messages(&prompt("one:fast", "hi")).send();
        assert_eq!(one.request(0).json()["model"], "a");
        gateway.run.write("test.toml", &file(after));

        reload(&gateway).results();
        one.permit();

        let reply = waiting.finish();
        assert_eq!((reply.status(), reply.text().as_str()), (200, "Hello there!"), "{after:?}: {reply}");
        assert_eq!((one.count(), three.count()), (1, 0), "{after:?}");
    }
    let models: Vec<_> = two.requests().iter().map(|seen| seen.json()["model"].clone()).collect();
    assert_eq!(models, ["b", "b"]);
}

#[test]
fn an_invalid_file_changes_nothing_and_is_reported_like_validate_does() {
    let upstream = Upstream::openai();
    let gateway = Gateway::bare().toml(&provider("p", &upstream, "sk-a")).start();
    gateway.run.write("test.toml", "[p]\napi-kye = 'sk-b'\n[limits]\ndrain = 'soon'\n");

    let refused = reload(&gateway);
    let validated = Ended::of(&mut gateway.run.vdm(&["config", "validate", "--config", "test.toml"]));

    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    let paths = |text: &str| {
        text.lines().filter(|line| line.contains("test.toml")).map(after_path).collect::<Vec<_>>()
    };
    assert_eq!(paths(&refused.stderr), paths(&validated.stderr));
    assert_eq!(paths(&refused.stderr).len(), 2, "{}", refused.stderr);
    assert!(refused.stderr.ends_with("vdm: nothing was changed\n"), "{}", refused.stderr);
    assert_eq!(gateway.ask("hi").status(), 200);
    assert_eq!(upstream.keys_seen(), ["sk-a"]);
}

fn after_path(line: &str) -> String {
    line.split_once("test.toml").map(|(_, rest)| rest.to_owned()).unwrap_or_default()
}

#[test]
fn keys_are_replaced_and_the_state_of_the_others_is_kept() {
    let refused = Answer::json(429, "{}").header("retry-after", "60");
    let upstream = Upstream::openai().answering_key("cooled", refused);
    let gateway = Gateway::bare().toml(&provider("p", &upstream, "cooled old")).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    assert_eq!(upstream.keys_seen(), ["cooled", "old"]);
    gateway.run.write("test.toml", &provider("p", &upstream, "cooled new"));

    reload(&gateway).results();

    for _ in 0..3 {
        assert_eq!(gateway.ask("hi").status(), 200);
    }
    assert_eq!(upstream.keys_seen(), ["cooled", "old", "new", "new", "new"]);
}

#[test]
fn keys_in_a_key_file_are_replaced_too() {
    let upstream = Upstream::openai();
    let base_url = upstream.base_url();
    let file = format!("[p]\napi-key-file = 'key'\nbase-url = '{base_url}'\napi-format = 'openai'\n");
    let gateway = Gateway::bare().file("key", "sk-old").toml(&file).start();
    assert_eq!(gateway.ask("hi").status(), 200);
    gateway.run.write("key", "sk-new");

    let told = reload(&gateway);

    assert!(told.results().contains("changed: p.api-key = <"), "{}", told.stdout);
    assert_eq!(gateway.ask("hi").status(), 200);
    assert_eq!(upstream.keys_seen(), ["sk-old", "sk-new"]);
}

#[test]
fn an_unchanged_provider_keeps_its_connection() {
    let upstream = Upstream::openai();
    let gateway = Gateway::bare().toml(&provider("p", &upstream, "sk-a")).start();
    // Each thread has its own connections.
    let settled = || {
        for _ in 0..16 {
            assert_eq!(gateway.ask("hi").status(), 200);
        }
        upstream.connections()
    };
    let before = settled();
    gateway.run.write("test.toml", &(provider("p", &upstream, "sk-a") + "[p.aliases]\nx = 'y'\n"));

    assert!(reload(&gateway).results().contains("changed: p.aliases.x = \"y\", was not set"));

    assert_eq!(gateway.messages(&prompt("x", "hi")).reply().status(), 200);
    assert_eq!(upstream.request(16).json()["model"], "y");
    assert!(settled() <= before.max(threads()), "at most one connection for each thread");
}

fn threads() -> usize {
    thread::available_parallelism().map_or(2, usize::from)
}

#[test]
fn the_gateway_key_can_change() {
    let upstream = Upstream::openai();
    let file = |key: &str| format!("proxy-api-key = '{key}'\n{}", provider("p", &upstream, "sk-a"));
    let gateway = Gateway::bare().start();
    let ask = |key: &str| gateway.messages(&prompt(MODEL, "hi")).header("x-api-key", key).reply().status();
    gateway.run.write("test.toml", &file("first"));
    reload(&gateway).results();
    assert_eq!((ask("first"), ask("second"), ask("")), (200, 401, 401));

    gateway.run.write("test.toml", &file("second"));
    reload(&gateway).results();

    assert_eq!((ask("first"), ask("second")), (401, 200));
}

#[test]
fn a_raised_limit_applies_to_waiting_requests() {
    let (upstream, events) = paused();
    let file = |limit: u32| {
        let limits = format!("[limits]\nprovider-in-flight = {limit}\nprovider-queue-wait = 60\n");
        limits + &provider("p", &upstream, "sk-a")
    };
    let gateway = Gateway::bare().start();
    gateway.run.write("test.toml", &file(1));
    reload(&gateway).results();
    let mut first = gateway.messages(&prompt(MODEL, "hi")).open();
    first.event_named("content_block_delta");
    let mut second = gateway.messages(&prompt(MODEL, "hi")).send();
    let until = Instant::now() + PATIENCE;
    while !gateway.get("/health?format=json").raw().contains("\"waiting\":1") {
        assert!(Instant::now() < until, "nobody waits:\n{}", gateway.log());
        thread::sleep(Duration::from_millis(10));
    }
    gateway.run.write("test.toml", &file(2));

    reload(&gateway).results();

    second.event_named("content_block_delta");
    upstream.permit();
    upstream.permit();
    assert_eq!((first.finish().body, second.finish().body), (events.concat(), events.concat()));
}

#[test]
fn settings_that_need_a_restart_are_reported_until_then_and_others_apply() {
    let upstream = Upstream::openai();
    let gateway = Gateway::bare().start();
    let file = "log-level = 'WARNING'\n[limits]\nwatch-interval = 9\n".to_owned();
    gateway.run.write("test.toml", &(file + &provider("p", &upstream, "sk-a")));
    for _ in 0..2 {
        let told = reload(&gateway);
        for line in ["limits.watch-interval = 9, was 0.25", "log-level = \"WARNING\", was \"INFO\""] {
            assert!(told.results().contains(&format!("needs a restart: {line}")), "{}", told.stdout);
        }
        assert_eq!(gateway.ask("hi").status(), 200);
    }
    Ended::of(&mut gateway.server(&["restart"])).results();
    assert!(reload(&gateway).results().contains("nothing has changed"));
}

#[test]
fn a_raised_drain_timeout_applies_and_its_end_is_reported() {
    for (drain, whole) in [(60.0, true), (3.5, false)] {
        let (upstream, events) = paused();
        let mut gateway = Gateway::before(&upstream).limit("drain", 0.1).start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        gateway.run.write("test.toml", &format!("[limits]\ndrain = {drain}\n"));
        let told = reload(&gateway);
        assert!(told.results().contains("changed: limits.drain = "), "{}", told.stdout);
        gateway.run.signal("TERM");
        // Longer than the old value and all tolerances.
        thread::sleep(Duration::from_millis(if whole { 4500 } else { 0 }));
        if whole {
            upstream.permit();
        }
        let reply = exchange.finish();
        if whole {
            assert_eq!(reply.body, events.concat());
        } else {
            assert!(reply.complete && reply.raw().contains("event: error"), "{reply}");
        }
        assert_eq!(gateway.run.wait().code(), Some(0));
        let log = gateway.log();
        assert!(!log.contains("cancelled") && !log.contains("left"), "{log}");
    }
}

#[test]
fn a_file_that_blocks_on_reading_delays_neither_requests_nor_shutdown() {
    let upstream = Upstream::openai();
    let mut gateway = Gateway::bare().toml(&provider("p", &upstream, "sk-a")).start();
    gateway.run.pipe("vandamme-config.toml");

    // From another directory, without such a file.
    let [refused, again] =
        [(); 2].map(|()| Ended::of(gateway.server(&["reload"]).current_dir("/").env("HOME", "/")));

    assert_eq!((refused.code, again.code), (Some(1), Some(1)));
    assert!(refused.stderr.contains("could not be read within"), "{}", refused.stderr);
    assert!(again.stderr.contains("is still being read"), "{}", again.stderr);
    assert_eq!(gateway.ask("hi").status(), 200);
    gateway.run.signal("TERM");
    assert_eq!(gateway.run.wait().code(), Some(0));
}

#[test]
fn sighup_reloads() {
    let upstream = Upstream::openai();
    let gateway = Gateway::bare().start();
    gateway.run.write("test.toml", &provider("p", &upstream, "sk-a"));

    gateway.run.signal("HUP");

    gateway.run.await_log("reloaded: provider 'p' is new");
    assert_eq!(gateway.ask("hi").status(), 200);
    gateway.run.write("test.toml", "prot = 1\n");
    gateway.run.signal("HUP");
    gateway.run.await_log("not reloaded, nothing has changed: ");
    assert_eq!(gateway.ask("hi").status(), 200);
}

#[test]
fn reloads_run_one_after_the_other_while_requests_continue() {
    let upstreams = [Upstream::openai(), Upstream::anthropic()];
    let gateway = Gateway::bare().toml(&provider("p", &upstreams[0], "sk-0")).start();
    thread::scope(|scope| {
        let reloads: Vec<_> = (0..6)
            .map(|turn| {
                let (gateway, upstream) = (&gateway, &upstreams[turn % 2]);
                scope.spawn(move || {
                    // Replaced atomically, because another reload may read it at the same time.
                    let name = format!("{turn}.toml");
                    gateway.run.write(&name, &provider("p", upstream, &format!("sk-{turn}")));
                    gateway.run.rename(&name, "test.toml");
                    reload(gateway).results().to_owned()
                })
            })
            .collect();
        for _ in 0..20 {
            assert_eq!(gateway.ask("hi").status(), 200);
        }
        reloads.into_iter().for_each(|reload| drop(reload.join().expect("no panic")));
    });
    gateway.run.write("test.toml", &provider("p", &upstreams[0], "sk-last"));
    reload(&gateway).results();
    assert_eq!(gateway.ask("hi").status(), 200);
    assert_eq!(upstreams[0].keys_seen().last().map(String::as_str), Some("sk-last"));
}

#[test]
fn a_removed_fallback_is_skipped() {
    let failing = |answer: fn(Answer) -> Answer| {
        Upstream::openai().always(answer(Answer::json(500, "{\"error\":{\"message\":\"broken\"}}")))
    };
    let (one, two) = (failing(|answer| answer), failing(Answer::head_on_permit));
    let (three, four) = (Upstream::openai(), Upstream::openai());
    let [one_, two_, four_] = [("one", &one), ("two", &two), ("four", &four)]
        .map(|(name, upstream)| provider(name, upstream, "sk-a"));
    let chain = "fallbacks = [\"two:m\", \"three:m\", \"four:m\"]\n";
    let before = format!("{one_}{chain}{two_}{four_}{}", provider("three", &three, "sk-a"));
    let gateway = Gateway::bare().env("MAX_RETRIES", "0").toml(&before).start();
    let waiting = gateway.messages(&prompt("one:m", "hi")).send();
    two.request(0);
    gateway.run.write("test.toml", &format!("{one_}{two_}{four_}"));
    reload(&gateway).results();

    two.permit();

    assert_eq!(waiting.finish().text(), "Hello there!");
    assert_eq!((three.count(), four.count()), (0, 1));
}
