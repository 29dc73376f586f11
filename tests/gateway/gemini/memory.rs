//! The memory of thought signatures: whose it is, how long it lasts, and what its loss costs.

use std::thread;
use std::time::Duration;

use super::{BOTH, Delivery, MODEL, Talk, before, call, expected, signatures, two_calls, upstream};
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::Upstream;

/// What the second turn carries when these settings hold.
fn remembered(setup: impl FnOnce(Setup) -> Setup) -> Vec<(String, Option<serde_json::Value>)> {
    let upstream = upstream(&two_calls());
    let gateway = setup(before(&upstream)).start();
    let talk = Talk::new(Delivery::Streamed);
    let reply = talk.say(&gateway, &[]);
    // The shortest memory that is asked for is over by then.
    thread::sleep(Duration::from_millis(20));
    talk.answer(&gateway, &reply.content());
    signatures(&upstream, 1)
}

/// Requirement: Two client keys with equal tool-call ids do not see each other's signatures.
#[test]
fn another_caller_with_the_same_call_gets_no_signature() {
    for delivery in BOTH {
        let upstream = upstream(&two_calls());
        let gateway = before(&upstream).start();
        let mine = Talk::new(delivery).showing("sk-mine");
        let reply = mine.say(&gateway, &[]);
        mine.clone().showing("sk-other").answer(&gateway, &reply.content());
        Talk::new(delivery).answer(&gateway, &reply.content());
        mine.answer(&gateway, &reply.content());
        assert_eq!(signatures(&upstream, 1), expected(None));
        assert_eq!(signatures(&upstream, 2), expected(None));
        assert_eq!(signatures(&upstream, 3), expected(Some("SIG-A")));
    }
}

#[test]
fn another_provider_gets_no_signature_remembered_or_carried() {
    for talk in [Talk::new(Delivery::Streamed), Talk::new(Delivery::Streamed).thinking()] {
        let (first, second) = (upstream(&two_calls()), Upstream::openai());
        let gateway = before(&first).provider("second", &second).start();
        let reply = talk.say(&gateway, &[]);
        talk.with(&format!("second:{MODEL}")).answer(&gateway, &reply.content());
        assert_eq!(signatures(&second, 0), expected(None));
    }
}

/// Requirement: TTL, size limit with eviction of the oldest tenth, most recent match wins.
#[test]
fn the_memory_lasts_as_long_and_holds_as_much_as_is_configured() {
    assert_eq!(remembered(|setup| setup), expected(Some("SIG-A")));
    assert_eq!(remembered(|setup| setup.limit("signatures-ttl", 0.001)), expected(None));
    assert_eq!(remembered(|setup| setup.env("THOUGHT_SIGNATURE_CACHE_TTL", "0.001")), expected(None));
    assert_eq!(
        remembered(|setup| setup.env("THOUGHT_SIGNATURE_CLEANUP_INTERVAL", "0.01")),
        expected(Some("SIG-A"))
    );

    let calls = ["call_a", "call_b", "call_c"].map(|id| call(id, Some(id)));
    let upstream = upstream(&calls);
    let gateway = before(&upstream).env("THOUGHT_SIGNATURE_MAX_CACHE_SIZE", "2").start();
    let talk = Talk::new(Delivery::Whole);
    let reply = talk.say(&gateway, &[]);
    talk.answer(&gateway, &reply.content());
    let known: Vec<bool> =
        signatures(&upstream, 1).iter().map(|(_, signature)| signature.is_some()).collect();
    assert_eq!(known, [false, true, true], "the oldest is forgotten");
}

#[test]
fn it_can_be_turned_off() {
    assert_eq!(remembered(|setup| setup.env("GEMINI_THOUGHT_SIGNATURES_ENABLED", "false")), expected(None));
    assert_eq!(
        remembered(|setup| setup.toml("[defaults]\ngemini-thought-signatures = false")),
        expected(None)
    );
    assert_eq!(remembered(|setup| setup.toml("[openai]\nmiddleware = []")), expected(None));

    let upstream = upstream(&two_calls());
    let gateway = before(&upstream).env("GEMINI_THOUGHT_SIGNATURES_ENABLED", "0").start();
    let reply = Talk::new(Delivery::Streamed).thinking().say(&gateway, &[]);
    assert!(reply.content().iter().all(|block| block["type"] != "thinking"), "{reply}");
}

#[test]
fn a_provider_can_name_its_middleware_for_models_of_any_name() {
    for (toml, signature) in [("", None), ("[openai]\nmiddleware = [\"gemini\"]", Some("SIG-A"))] {
        let upstream = upstream(&two_calls());
        let gateway = before(&upstream).toml(toml).start();
        let talk = Talk::new(Delivery::Streamed).with("test-model");
        let reply = talk.say(&gateway, &[]);
        talk.answer(&gateway, &reply.content());
        assert_eq!(signatures(&upstream, 1), expected(signature), "{toml}");
    }
}

#[test]
fn a_middleware_that_nobody_knows_is_a_mistake_with_its_place() {
    let finished = Gateway::bare()
        .env("OPENAI_API_KEY", "sk-test")
        .toml("[openai]\nmiddleware = [\"gemini\", \"gemmini\"]")
        .run_to_end();
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.output.contains("test.toml:3:"), "{}", finished.output);
    assert!(finished.output.contains("expected \"gemini\", found \"gemmini\""), "{}", finished.output);
}

#[test]
fn the_memory_is_swept_though_nobody_asks() {
    let upstream = upstream(&two_calls());
    let gateway = before(&upstream).limit("signatures-ttl", 0.2).limit("signatures-sweep", 0.05).start();
    let talk = Talk::new(Delivery::Streamed);
    let reply = talk.say(&gateway, &[]);
    thread::sleep(Duration::from_millis(600));
    talk.answer(&gateway, &reply.content());
    assert_eq!(signatures(&upstream, 1), expected(None));
}

#[cfg(feature = "faults")]
mod supervision {
    use super::*;

    fn strike(gateway: &Gateway, what: &str) {
        let reply = gateway.call("POST", &format!("/faults/{what}")).reply();
        assert!((200..300).contains(&reply.status()), "{what}: {reply}");
    }

    #[test]
    fn a_memory_that_dies_or_hangs_costs_what_it_knew_and_no_request() {
        for (what, times) in [
            ("panic?actor=signatures", 1),
            ("panic?actor=signatures", 8),
            ("hang?actor=signatures&seconds=30", 1),
        ] {
            let upstream = upstream(&two_calls());
            let gateway = before(&upstream).start();
            let talk = Talk::new(Delivery::Streamed);
            let reply = talk.say(&gateway, &[]);
            for _ in 0..times {
                strike(&gateway, what);
            }
            talk.answer(&gateway, &reply.content());
            assert_eq!(signatures(&upstream, 1), expected(None), "{what}");
            if times > 1 || what.starts_with("hang") {
                gateway.run.await_log("actor signatures");
                gateway.run.await_log("restarted");
            }
            let reply = talk.say(&gateway, &[]);
            talk.answer(&gateway, &reply.content());
            assert_eq!(signatures(&upstream, 3), expected(Some("SIG-A")), "{what}");
        }
    }

    #[test]
    fn what_a_client_carries_itself_survives_the_memory() {
        let upstream = upstream(&two_calls());
        let gateway = before(&upstream).start();
        let talk = Talk::new(Delivery::Streamed).thinking();
        let reply = talk.say(&gateway, &[]);
        strike(&gateway, "panic?actor=signatures");
        talk.answer(&gateway, &reply.content());
        assert_eq!(signatures(&upstream, 1), expected(Some("SIG-A")));
    }
}
