//! The log has one line for each change of state, and none for an unchanged state.

use super::{Switch, both, failure, provider, streamed, without_repeats};
use crate::support::await_that;
use crate::support::gateway::Gateway;

/// Lines about the provider, not about one request, since the gateway started.
fn state_lines(gateway: &Gateway, provider: &str, since: usize) -> Vec<String> {
    let log = gateway.log();
    let about_a_state = |line: &&str| line.contains(provider) && !line.contains(" req_");
    log.lines().skip(since).filter(about_a_state).map(str::to_owned).collect()
}

/// Waits until the log is complete for all requests so far: the line of the last one.
fn settled(gateway: &Gateway, requests: usize) {
    await_that("every request has its line", || gateway.log().matches(" calls=").count() >= requests);
}

#[test]
fn the_failure_and_the_recovery_of_a_model_are_one_line_each() {
    for upstream in both() {
        let (dialect, switch) = (upstream.dialect(), Switch::default());
        let upstream = switch.control(upstream);
        let gateway = without_repeats(&upstream).limit("cooldown", 0.3).start();
        let name = provider(&upstream);
        let since = gateway.log().lines().count();
        let lines = |requests| {
            settled(&gateway, requests);
            state_lines(&gateway, name, since)
        };
        for _ in 0..2 {
            assert_eq!(streamed(&gateway, "broken").status(), 200);
        }
        assert_eq!(lines(2), Vec::<String>::new());
        switch.set(failure(dialect, 503));
        for _ in 0..15 {
            assert_eq!(streamed(&gateway, "broken").status(), 503);
        }
        let failing = lines(17);
        assert_eq!(failing.len(), 1, "{failing:#?}");
        assert!(failing[0].contains("broken"), "{failing:#?}");
        for _ in 0..15 {
            assert_eq!(streamed(&gateway, "broken").status(), 503);
        }
        assert_eq!(lines(32), failing, "the state has not changed");
        switch.heal();
        let mut requests = 32;
        await_that("the recovery is logged", || {
            assert_eq!(streamed(&gateway, "broken").status(), 200);
            requests += 1;
            lines(requests).len() > 1
        });
        for _ in 0..3 {
            assert_eq!(streamed(&gateway, "broken").status(), 200);
        }
        let recovered = lines(requests + 3);
        assert_eq!(recovered.len(), 2, "{recovered:#?}");
        assert!(recovered[1].contains("broken"), "{recovered:#?}");
    }
}

#[test]
fn a_refused_key_is_one_line() {
    for upstream in both() {
        let upstream = upstream.refusing("sk-of-mine-refused");
        let gateway = without_repeats(&upstream).keys(["sk-of-mine-refused", "sk-of-mine-good"]).start();
        let since = gateway.log().lines().count();
        for _ in 0..6 {
            assert_eq!(gateway.ask("hi").status(), 200);
        }
        settled(&gateway, 6);
        let lines = state_lines(&gateway, provider(&upstream), since);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(!gateway.log().contains("sk-of-mine"), "{lines:#?}");
    }
}
