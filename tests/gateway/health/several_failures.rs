//! Several calls of one request failed in different ways: the client receives the most useful error.

use super::{both, failure, limited, without_repeats};

#[test]
fn of_two_failures_the_client_receives_the_more_useful_one() {
    let cases = [
        (401, 429, 429),
        (429, 401, 429),
        (402, 429, 429),
        (429, 402, 429),
        (401, 500, 500),
        (500, 401, 500),
        (402, 503, 503),
        (401, 402, 402),
        (402, 401, 402),
    ];
    for (first, second, expected) in cases {
        for upstream in both() {
            let dialect = upstream.dialect();
            let upstream = upstream
                .answering_key("k1", failure(dialect, first))
                .answering_key("k2", failure(dialect, second));
            let gateway = without_repeats(&upstream).keys(["k1", "k2"]).start();
            let reply = gateway.ask("hi");
            assert_eq!(reply.status(), expected, "{first}, {second}: {reply}");
            assert_eq!(reply.error_message(), format!("failed with {expected}"), "{first}, {second}");
        }
    }
}

#[test]
fn of_two_limits_the_client_receives_the_shorter_wait() {
    for keys in [["long", "short"], ["short", "long"]] {
        for upstream in both() {
            let dialect = upstream.dialect();
            let upstream = upstream
                .answering_key("long", limited(dialect, "40"))
                .answering_key("short", limited(dialect, "8"));
            let gateway = without_repeats(&upstream).keys(keys).start();
            let reply = gateway.ask_whole("hi");
            assert_eq!((reply.status(), reply.error_type().as_str()), (429, "rate_limit_error"), "{reply}");
            assert!((7..=10).contains(&reply.integer("retry-after")), "{reply}");
        }
    }
}
