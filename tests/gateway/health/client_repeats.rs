//! Retries of failed calls: none if the client itself retries, and never more than the budget.

use std::thread;
use std::time::Instant;

use super::{both, failure};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::upstream::Upstream;

#[test]
fn a_request_that_its_client_retries_is_not_retried_by_the_gateway() {
    for stream in [true, false] {
        for upstream in both() {
            let answer = failure(upstream.dialect(), 500);
            let upstream = upstream.always(answer);
            let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "2").start();
            let body = if stream { prompt(MODEL, "hi") } else { whole_prompt(MODEL, "hi") };
            let ask = || gateway.messages(&body).header("x-claude-code-session-id", "mine").reply();
            assert_eq!((ask().status(), upstream.count()), (500, 3));
            // Claude Code says `x-stainless-retry-count: 0` on its retries, too.
            assert_eq!((ask().status(), upstream.count()), (500, 4));
        }
    }
}

#[test]
fn a_session_in_the_metadata_identifies_the_clients_retry_as_well() {
    let answer = failure(crate::support::upstream::Dialect::Anthropic, 500);
    let upstream = Upstream::anthropic().always(answer);
    let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "2").start();
    let mut body = prompt(MODEL, "hi");
    body["metadata"] =
        serde_json::json!({"user_id": "user_0af1_account__session_2c5bd53c-8a4d-4a3b-9c55-0b9d4c1d9e6f"});
    assert_eq!((gateway.messages(&body).reply().status(), upstream.count()), (500, 3));
    assert_eq!((gateway.messages(&body).reply().status(), upstream.count()), (500, 4));
}

#[test]
fn retries_of_many_failing_requests_stay_within_the_budget() {
    const REQUESTS: usize = 60;
    for upstream in both() {
        let answer = failure(upstream.dialect(), 500);
        let upstream = upstream.always(answer);
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "2").start();
        let since = Instant::now();
        thread::scope(|scope| {
            for number in 1..=REQUESTS {
                let gateway = &gateway;
                scope.spawn(move || assert_eq!(gateway.ask(&"x".repeat(number)).status(), 500));
            }
        });
        // 20 % of the requests of ten seconds, and one a second.
        let seconds = usize::try_from(since.elapsed().as_secs()).expect("small");
        let most = REQUESTS + REQUESTS / 5 + 10 + seconds + 10;
        assert!((REQUESTS..=most).contains(&upstream.count()), "{} of {most}", upstream.count());
    }
}

#[test]
fn one_failing_request_gets_all_its_retries() {
    for upstream in both() {
        let answer = failure(upstream.dialect(), 503);
        let upstream = upstream.always(answer);
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "2").start();
        assert_eq!((gateway.ask("hi").status(), upstream.count()), (503, 3));
    }
}
