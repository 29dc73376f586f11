//! The cost of faults. Without the feature `faults` the endpoint that injects them must not exist.

#[cfg(not(feature = "faults"))]
mod shipped {
    use crate::support::gateway::Gateway;
    use crate::support::upstream::Upstream;
    use crate::support::wire::find;

    #[test]
    fn the_endpoint_of_faults_is_a_404() {
        let upstream = Upstream::openai();
        let gateway = Gateway::before(&upstream).start();
        for target in ["/faults/panic?actor=router", "/faults/hang?actor=router&seconds=1"] {
            let reply = gateway.call("POST", target).reply();
            assert_eq!((reply.status(), reply.error_type().as_str()), (404, "not_found_error"));
        }
    }

    #[test]
    fn the_ordinary_binary_has_no_faults_endpoint() {
        let binary = std::fs::read(env!("CARGO_BIN_EXE_vdm")).expect("vdm is built");
        assert!(find(&binary, b"/v1/messages").is_some(), "the search finds text that the binary contains");
        assert!(find(&binary, b"/faults/").is_none());
    }
}

#[cfg(feature = "faults")]
mod faults {
    use std::thread;
    use std::time::{Duration, Instant};

    use crate::support::canned::{anthropic, openai};
    use crate::support::client::prompt;
    use crate::support::gateway::{Gateway, MODEL};
    use crate::support::upstream::{Answer, Piece, Upstream};
    use crate::support::{PATIENCE, await_that};

    fn strike(gateway: &Gateway, what: &str) {
        let reply = gateway.call("POST", &format!("/faults/{what}")).reply();
        assert!((200..300).contains(&reply.status()), "{what}: {reply}");
    }

    /// Repeats the request until the answer is complete. A lost message of an actor may fail the requests before.
    fn await_recovery(gateway: &Gateway) {
        let until = Instant::now() + PATIENCE;
        while gateway.ask("are you there?").status() != 200 {
            assert!(Instant::now() < until, "no recovery:\n{}", gateway.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// A stream that pauses after its first word until the test continues it.
    fn paused() -> (Upstream, Vec<Vec<u8>>) {
        let events = anthropic::text(&["first", "second"]);
        let mut pieces: Vec<Piece> = events[..4].iter().cloned().map(Piece::Bytes).collect();
        pieces.push(Piece::Permit);
        pieces.extend(events[4..].iter().cloned().map(Piece::Bytes));
        (Upstream::anthropic().answering(Answer::pieces(pieces)), events)
    }

    #[test]
    fn an_actor_that_panics_in_a_message_continues_without_effect_on_streams() {
        for actor in ["router", "ledger", "catalog", "signatures", "provider:anthropic"] {
            let (upstream, events) = paused();
            let gateway = Gateway::before(&upstream).start();
            let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
            exchange.event_named("content_block_delta");
            strike(&gateway, &format!("panic?actor={actor}"));
            await_recovery(&gateway);
            upstream.permit();
            assert_eq!(exchange.finish().body, events.concat(), "{actor}");
            assert_eq!(gateway.get("/health").status(), 200);
        }
    }

    #[test]
    fn an_actor_that_panics_repeatedly_is_available_after_each_panic() {
        for actor in ["router", "ledger", "provider:openai"] {
            let upstream = Upstream::openai();
            let gateway = Gateway::before(&upstream).start();
            for _ in 0..8 {
                strike(&gateway, &format!("panic?actor={actor}"));
                await_recovery(&gateway);
            }
        }
    }

    #[test]
    fn a_panic_is_logged_with_the_actors_name() {
        let upstream = Upstream::openai();
        let gateway = Gateway::before(&upstream).start();
        strike(&gateway, "panic?actor=provider:openai");
        gateway.run.await_log("provider:openai");
    }

    #[test]
    fn the_state_of_keys_survives_a_panic_of_the_provider() {
        let upstream = Upstream::openai().refusing("dead");
        let gateway = Gateway::before(&upstream).keys(["dead", "good"]).start();
        assert_eq!(gateway.ask("hi").status(), 200);
        assert_eq!(upstream.keys_seen(), ["dead", "good"]);
        strike(&gateway, "panic?actor=provider:openai");
        await_recovery(&gateway);
        gateway.ask("hi");
        assert_eq!(
            upstream.keys_seen().iter().filter(|key| *key == "dead").count(),
            1,
            "{:?}",
            upstream.keys_seen()
        );
    }

    #[test]
    fn permits_are_neither_lost_nor_leaked_when_the_provider_dies() {
        let (upstream, _) = paused();
        let gateway = Gateway::before(&upstream)
            .limit("provider-in-flight", 1)
            .limit("provider-queue-wait", 0.3)
            .start();
        let mut exchange = gateway.messages(&prompt(MODEL, "hi")).open();
        exchange.event_named("content_block_delta");
        strike(&gateway, "panic?actor=provider:anthropic");
        assert_eq!(gateway.ask("no room").status(), 503, "the stream still has its place");
        upstream.permit();
        assert_eq!(exchange.finish().text(), "firstsecond");
        await_recovery(&gateway);
    }

    #[test]
    fn a_hung_provider_is_replaced_without_effect_on_others() {
        let (upstream, events) = paused();
        let other = Upstream::openai();
        let gateway = Gateway::before(&upstream).provider("openai", &other).start();
        let ask = |model: &str| gateway.messages(&prompt(model, "hi"));
        let mut exchange = ask("anthropic:m").open();
        exchange.event_named("content_block_delta");
        strike(&gateway, "hang?actor=provider:anthropic&seconds=3600");
        assert_eq!(ask("openai:m").reply().status(), 200, "the neighbour");
        let until = Instant::now() + PATIENCE;
        while ask("anthropic:m").reply().status() != 200 {
            assert!(Instant::now() < until, "not replaced:\n{}", gateway.log());
        }
        upstream.permit();
        assert_eq!(exchange.finish().body, events.concat(), "a stream in flight");
    }

    #[test]
    fn a_hung_ledger_is_replaced() {
        let upstream = Upstream::openai();
        let gateway = Gateway::before(&upstream).start();
        strike(&gateway, "hang?actor=ledger&seconds=3600");
        await_recovery(&gateway);
    }

    #[test]
    fn a_hung_catalog_loses_only_its_cache() {
        let list = Answer::json(200, r#"{"data":[{"id":"m"}]}"#);
        let upstream = Upstream::openai().always(list);
        let gateway = Gateway::before(&upstream).start();
        assert_eq!(gateway.get("/v1/models").status(), 200);
        strike(&gateway, "hang?actor=catalog&seconds=3600");
        assert_eq!(gateway.get("/v1/models").json()["data"][0]["id"], "m");
        let until = Instant::now() + PATIENCE;
        let mut asked = 1;
        // The replacement caches again.
        while upstream.count() > asked {
            asked = upstream.count();
            assert_eq!(gateway.get("/v1/models").status(), 200);
            assert!(Instant::now() < until, "not replaced:\n{}", gateway.log());
        }
    }

    #[test]
    fn a_request_that_waits_for_a_dead_actor_is_answered() {
        let upstream = Upstream::openai();
        let gateway = Gateway::before(&upstream).start();
        strike(&gateway, "hang?actor=provider:openai&seconds=3600");
        let reply = gateway.ask("hi");
        if reply.status() != 200 {
            assert!(reply.status() >= 500, "{reply}");
            assert!(["api_error", "overloaded_error"].contains(&reply.error_type().as_str()), "{reply}");
        }
    }

    /// Requirement (issue 15, 6): a request that waits for a permit keeps its place, however often other actors are replaced.
    #[test]
    fn a_waiting_request_keeps_its_place_while_other_actors_are_replaced() {
        let (upstream, events) = paused();
        let limited = Gateway::before(&upstream).limit("provider-in-flight", 1);
        let gateway = limited.limit("provider-queue-wait", 120).start();
        let mut first = gateway.messages(&prompt(MODEL, "first")).open();
        first.event_named("content_block_delta");
        let waiting =
            || gateway.get("/health?format=json").json()["providers"]["anthropic"]["waiting"].as_u64();
        let second = gateway.messages(&prompt(MODEL, "second")).send();
        await_that("the second one waits", || waiting() == Some(1));
        let third = gateway.messages(&prompt(MODEL, "third")).send();
        await_that("the third one waits", || waiting() == Some(2));
        for (number, actor) in ["ledger", "catalog", "ledger", "catalog"].into_iter().enumerate() {
            strike(&gateway, &format!("hang?actor={actor}&seconds=3600"));
            await_that("it is replaced", || gateway.log().matches("does not respond").count() > number);
            assert_eq!(waiting(), Some(2), "{}", gateway.log());
        }

        upstream.permit();
        assert_eq!(first.finish().body, events.concat());

        assert!(upstream.request(1).text().contains("second"), "first come, first served");
        assert_eq!((second.finish().status(), third.finish().status()), (200, 200));
    }

    #[test]
    fn a_panic_in_a_converter_fails_only_that_stream() {
        let scripts = [
            (Upstream::anthropic(), anthropic::text(&["first", "second"])),
            (Upstream::openai(), openai::text(&["first", "second"])),
        ];
        for (upstream, events) in scripts {
            let paced = events.into_iter().flat_map(|event| [Piece::Bytes(event), Piece::Permit]).collect();
            let upstream = upstream.answering(Answer::pieces(paced));
            let gateway = Gateway::before(&upstream).start();
            strike(&gateway, "panic?actor=converter");
            // The head has arrived, so a converter handles the rest.
            let exchange = gateway.messages(&prompt(MODEL, "hi")).open();
            for _ in 0..20 {
                upstream.permit();
            }
            let reply = exchange.finish();
            assert_eq!((reply.status(), reply.error_type().as_str()), (200, "api_error"), "{reply}");
            assert_eq!(gateway.ask("again").text(), "Hello there!");
        }
    }

    #[test]
    fn the_upstream_connection_of_a_panicked_converter_is_closed() {
        let pause = Piece::Pause(Duration::from_millis(20));
        let events = anthropic::text(&["first", "second", "third"]);
        let mut pieces: Vec<Piece> =
            events[..6].iter().flat_map(|event| [Piece::Bytes(event.clone()), pause.clone()]).collect();
        pieces.push(Piece::Silence);
        let upstream = Upstream::anthropic().answering(Answer::pieces(pieces));
        let gateway = Gateway::before(&upstream).limit("idle-timeout", 5).start();
        strike(&gateway, "panic?actor=converter");
        assert_eq!(gateway.ask("hi").error_type(), "api_error");
        upstream.closed(0);
    }

    #[test]
    fn a_panic_in_a_handler_is_a_500_in_the_format_of_the_clients_api() {
        let upstream = Upstream::openai();
        let gateway = Gateway::before(&upstream).start();
        let reply = gateway.call("POST", "/faults/panic?actor=handler").reply();
        assert_eq!((reply.status(), reply.error_type().as_str()), (500, "api_error"), "{reply}");
        assert!(reply.header("request-id").is_some(), "{reply}");
        assert!(!reply.raw().contains("panic"), "{reply}");
        assert_eq!(gateway.ask("hi").status(), 200);
    }
}
