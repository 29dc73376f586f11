//! `!PASSTHRU`: failures of one client's key do not affect other clients.

use super::{assert_served, both, chain, failure, health, limited};
use crate::support::client::{Call, prompt};
use crate::support::gateway::{Gateway, MODEL};
use crate::support::upstream::Upstream;

const REFUSALS: [u16; 4] = [401, 402, 403, 429];

fn with_key(gateway: &Gateway, model: &str, key: &str) -> Call {
    gateway.messages(&prompt(model, "hi")).header("x-api-key", key)
}

#[test]
fn refusals_of_one_clients_key_do_not_affect_another_client() {
    for status in REFUSALS {
        for upstream in both() {
            let dialect = upstream.dialect();
            let upstream = upstream.answering_key("sk-of-mallory", failure(dialect, status));
            let gateway = Gateway::before(&upstream).keys(["!PASSTHRU"]).start();
            for _ in 0..12 {
                let reply = with_key(&gateway, MODEL, "sk-of-mallory").reply();
                assert_eq!(reply.status(), status, "{reply}");
            }
            let before = upstream.count();
            assert_served(&with_key(&gateway, MODEL, "sk-of-alice").reply());
            assert_eq!(upstream.count(), before + 1);
            let report = health(&gateway);
            assert_eq!(report["status"], "healthy", "{status}: {report}");
        }
    }
}

#[test]
fn the_named_wait_of_one_clients_key_refuses_no_other_client() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.answering_key("sk-of-mallory", limited(dialect, "300"));
        let gateway = Gateway::before(&upstream).keys(["!PASSTHRU"]).start();
        for _ in 0..3 {
            assert_eq!(with_key(&gateway, MODEL, "sk-of-mallory").reply().status(), 429);
            assert_served(&with_key(&gateway, MODEL, "sk-of-alice").reply());
        }
    }
}

#[test]
fn refusals_of_one_clients_key_send_no_other_client_to_the_next_target() {
    for status in REFUSALS {
        for one in both() {
            let dialect = one.dialect();
            let one = one.answering_key("sk-of-mallory", failure(dialect, status));
            let two = Upstream::openai();
            let gateway = chain(&one, &two).env("ONE_API_KEY", "!PASSTHRU").start();
            for _ in 0..12 {
                drop(with_key(&gateway, "one:a", "sk-of-mallory").reply());
            }
            let before = (one.count(), two.count());
            for _ in 0..3 {
                assert_served(&with_key(&gateway, "one:a", "sk-of-alice").reply());
            }
            assert_eq!((one.count(), two.count()), (before.0 + 3, before.1), "{status}");
        }
    }
}

#[test]
fn a_client_without_a_key_uses_the_next_target() {
    for one in both() {
        let two = Upstream::openai();
        let setup = chain(&one, &two).env("ONE_API_KEY", "!PASSTHRU");
        let gateway = setup.start();
        assert_served(&gateway.messages(&prompt("one:m", "hi")).reply());
        assert_eq!((one.count(), two.count()), (0, 1));
        assert_served(&with_key(&gateway, "one:m", "sk-of-alice").reply());
        assert_eq!((one.count(), two.count()), (1, 1));
    }
}
