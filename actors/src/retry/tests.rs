//! Tests the decision after each kind of failed call.

use super::*;
use crate::outcome::LimitScope;

fn attempts(max_repeats: u32) -> Attempts {
    let mut attempts = Attempts::default();
    attempts.start_target(max_repeats);
    attempts
}

fn failed(outcome: Outcome) -> FailedCall {
    let retry = outcome.treatment().retry;
    FailedCall { outcome, retry, after: None, can_fix: Fixable::No, request: RetryContext::default() }
}

fn limited(wait: Option<u64>) -> Outcome {
    Outcome::RateLimited { wait: wait.map(Duration::from_secs), scope: LimitScope::Model }
}

fn next(attempts: &mut Attempts, outcome: Outcome, left: usize) -> Next {
    attempts.next(failed(outcome), left, 0.0)
}

#[test]
fn a_passing_failure_is_repeated_on_the_same_key_as_often_as_configured() {
    let mut attempts = attempts(2);
    let seen = [(); 3].map(|()| next(&mut attempts, Outcome::ServerError, 0));
    let pauses = [500, 1000].map(|millis| Next::SameKey(Duration::from_millis(millis)));
    assert_eq!(seen, [pauses[0], pauses[1], Next::GiveUp]);
}

#[test]
fn a_key_failure_is_not_counted_as_a_repeat_but_the_whole_is_bounded() {
    let mut attempts = attempts(0);
    let seen = [(); 6].map(|()| next(&mut attempts, Outcome::KeyRejected, 0));
    assert_eq!(seen[..5], [Next::NextKey; 5]);
    assert_eq!(seen[5], Next::GiveUp);
}

#[test]
fn a_clients_own_retry_is_not_repeated_on_the_same_key() {
    let request = RetryContext { is_client_retry: true, ..RetryContext::default() };
    let failure = FailedCall { request, ..failed(Outcome::ServerError) };
    assert_eq!(attempts(2).next(failure, 0, 0.0), Next::GiveUp);
    assert_eq!(attempts(2).next(failure, 1, 0.0), Next::NextTarget);
    let key = FailedCall { request, ..failed(Outcome::KeyRejected) };
    assert_eq!(attempts(2).next(key, 0, 0.0), Next::NextKey);
}

#[test]
fn a_failing_key_or_target_gets_one_call() {
    let request = RetryContext { is_known_to_fail: true, ..RetryContext::default() };
    for outcome in [Outcome::ServerError, Outcome::KeyRejected, limited(None)] {
        let failure = FailedCall { request, ..failed(outcome) };
        assert_eq!(attempts(2).next(failure, 0, 0.0), Next::GiveUp, "{outcome:?}");
        assert_eq!(attempts(2).next(failure, 2, 0.0), Next::NextTarget, "{outcome:?}");
    }
}

#[test]
fn a_session_waits_for_its_key_up_to_five_seconds_and_twice() {
    let request = RetryContext { has_session: true, ..RetryContext::default() };
    let mut attempts = attempts(0);
    let short = FailedCall { request, ..failed(limited(Some(5))) };
    assert_eq!(attempts.next(short, 0, 0.0), Next::SameKey(Duration::from_secs(5)));
    assert_eq!(attempts.next(short, 0, 1.0), Next::SameKey(Duration::from_secs(6)));
    assert_eq!(attempts.next(short, 0, 0.0), Next::NextKey);
    let long = FailedCall { request, ..failed(limited(Some(6))) };
    assert_eq!(self::attempts(2).next(long, 0, 0.0), Next::NextKey);
    assert_eq!(next(&mut self::attempts(2), limited(Some(1)), 0), Next::NextKey, "no session");
}

#[test]
fn a_request_is_fixed_three_times_at_most_even_for_a_client_that_retries() {
    let mut attempts = attempts(0);
    let fixable = FailedCall { can_fix: Fixable::Yes, ..failed(Outcome::RequestRefused) };
    let seen = [(); 4].map(|()| attempts.next(fixable, 0, 0.0));
    assert_eq!(seen, [Next::Fixed, Next::Fixed, Next::Fixed, Next::GiveUp]);
}

/// Requirement: a target that serves a model over neither API gives way to the next one.
#[test]
fn a_model_that_cannot_be_fixed_here_may_be_served_elsewhere() {
    let mut attempts = attempts(0);
    let unserved = FailedCall { can_fix: Fixable::Yes, ..failed(Outcome::NotServedHere) };
    let seen = [(); 4].map(|()| attempts.next(unserved, 1, 0.0));
    assert_eq!(seen, [Next::Fixed, Next::Fixed, Next::Fixed, Next::NextTarget]);
}

#[test]
fn a_silent_provider_is_left_at_once_and_never_repeated() {
    assert_eq!(next(&mut attempts(2), Outcome::Silent, 0), Next::GiveUp);
    assert_eq!(next(&mut attempts(2), Outcome::Silent, 1), Next::NextTarget);
}

#[test]
fn the_upstreams_own_pause_is_kept_unless_it_is_long() {
    let after = |secs| FailedCall { after: Some(Duration::from_secs(secs)), ..failed(Outcome::ServerError) };
    assert_eq!(attempts(2).next(after(3), 0, 0.5), Next::SameKey(Duration::from_secs(3)));
    assert_eq!(attempts(2).next(after(60), 0, 0.5), Next::GiveUp);
}

#[test]
fn the_backoff_grows_to_its_cap_and_jitter_only_shortens_it() {
    let mut attempts = attempts(9);
    let mut last = Duration::ZERO;
    for jitter in [0.0, 1.0, 0.5, 0.0, 0.0] {
        let Next::SameKey(pause) = attempts.next(failed(Outcome::ServerError), 0, jitter) else {
            panic!("gave up")
        };
        assert!(pause <= BACKOFF_CAP && pause > last, "{pause:?}");
        last = pause;
    }
}

#[test]
fn what_fails_here_may_succeed_elsewhere_as_long_as_there_is_another_target() {
    let mut attempts = attempts(1);
    assert!(matches!(next(&mut attempts, Outcome::ServerError, 1), Next::SameKey(_)));
    assert_eq!(next(&mut attempts, Outcome::ServerError, 1), Next::NextTarget);
    attempts.start_target(1);
    assert!(matches!(next(&mut attempts, Outcome::ServerError, 0), Next::SameKey(_)));
    assert_eq!(next(&mut attempts, Outcome::ServerError, 0), Next::GiveUp);
    assert_eq!(attempts.calls(), 4);
}

#[test]
fn a_failure_of_the_request_itself_causes_no_other_call() {
    for outcome in [Outcome::RequestRefused, Outcome::Cancelled, Outcome::NotCounted] {
        assert_eq!(next(&mut attempts(2), outcome, 3), Next::GiveUp, "{outcome:?}");
    }
    assert_eq!(next(&mut attempts(2), Outcome::NotServedHere, 3), Next::NextTarget);
}

#[test]
fn a_call_is_kept_for_every_target_and_no_more_than_the_budget_is_spent() {
    let mut attempts = attempts(9);
    let seen = [(); 4].map(|()| next(&mut attempts, Outcome::KeyRejected, 2));
    assert_eq!(seen, [Next::NextKey, Next::NextKey, Next::NextKey, Next::NextTarget]);
    assert_eq!(next(&mut attempts, Outcome::KeyRejected, 1), Next::NextTarget);
    assert_eq!(attempts.elsewhere(1), Next::NextTarget);
    assert_eq!(next(&mut attempts, Outcome::KeyRejected, 7), Next::GiveUp);
    assert_eq!(attempts.elsewhere(1), Next::GiveUp);
}
