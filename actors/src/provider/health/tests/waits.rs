//! Waits that the upstream has asked for.

use super::*;

#[test]
fn only_the_upstreams_own_wait_refuses_and_only_comparable_requests() {
    let mut bench = bench(&["a"]);
    bench.fail(MODEL, limited(30));
    bench.advance(10);
    let Err(KeyChoice::RateLimited { wait }) = bench.take_with(MODEL, |_| {}) else {
        panic!("the wait is over too early")
    };
    assert_eq!(wait, Duration::from_secs(20));
    bench.take_with("other", |_| {}).expect("another model");
    bench.take_with(MODEL, |request| request.size.body = 499).expect("a smaller body");
    bench.take_with(MODEL, |request| request.size.max_tokens = 49).expect("fewer tokens");
    bench.take_with(MODEL, |request| request.size = Size { body: 500, max_tokens: 50 }).expect_err("half");
    bench.advance(20);
    bench.take_with(MODEL, |_| {}).expect("the wait is over");
}

#[test]
fn beyond_a_minute_single_calls_check_whether_the_wait_is_over() {
    let mut bench = bench(&["a"]);
    bench.fail(MODEL, limited(280));
    let mut checked = vec![];
    for second in 1..=220 {
        bench.advance(1);
        if let Ok(taken) = bench.take_with(MODEL, |_| {}) {
            assert!(bench.take_with(MODEL, |_| {}).is_err(), "one at a time");
            bench.report(&taken, limited(280 - second));
            checked.push(second);
        }
    }
    assert_eq!(checked, [10, 30, 70, 150]);
    bench.advance(9);
    assert!(bench.take_with(MODEL, |_| {}).is_err());
}

#[test]
fn a_successful_check_ends_the_wait() {
    let mut bench = bench(&["a"]);
    bench.fail(MODEL, limited(280));
    bench.advance(10);
    let check = bench.take();
    bench.report(&check, Outcome::Answered);
    bench.take();
}

#[test]
fn a_small_success_does_not_end_the_wait_of_large_requests() {
    let mut bench = bench(&["a"]);
    bench.fail(MODEL, limited(30));
    bench.advance(1);
    let small = bench.take_with(MODEL, |request| request.size.body = 10).unwrap();
    bench.report(&small, Outcome::Answered);
    assert!(matches!(bench.take_with(MODEL, |_| {}), Err(KeyChoice::RateLimited { .. })));
}

#[test]
fn a_new_wait_restarts_its_checks() {
    let mut bench = bench(&["a"]);
    bench.fail(MODEL, limited(100));
    for pause in [10, 20] {
        bench.advance(pause);
        let check = bench.take();
        bench.report(&check, limited(100 - pause));
    }
    bench.advance(200);
    bench.fail(MODEL, limited(280));
    bench.advance(10);
    bench.take_with(MODEL, |_| {}).expect("the first check comes after ten seconds");
}
