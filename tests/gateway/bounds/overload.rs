//! More requests than the gateway admits: those that it admits succeed as before, the others are refused at once.
//!
//! `scripts/overload` prints the goodput of each load. The test asserts protocol facts only.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::canned::anthropic;
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Answer, Upstream};

/// The requests that the provider serves at the same time, and the time for each.
const PLACES: usize = 8;
const SERVICE_TIME: Duration = Duration::from_millis(200);
/// The time for each load.
const WINDOW: Duration = Duration::from_secs(2);
/// The pause of a client after a refusal, shorter than any real client's.
const PAUSE: Duration = Duration::from_millis(200);

/// The replies within a window.
#[derive(Debug, Default)]
struct Goodput {
    served: AtomicUsize,
    refused: AtomicUsize,
}

/// Sends requests from this number of clients, each one after the other, and checks every reply.
fn load(gateway: &Gateway, clients: usize) -> Goodput {
    let goodput = Goodput::default();
    let end = Instant::now() + WINDOW;
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| send_until(end, gateway, &goodput));
        }
    });
    goodput
}

fn send_until(end: Instant, gateway: &Gateway, goodput: &Goodput) {
    while Instant::now() < end {
        let reply = gateway.ask("hi");
        if reply.status() == 200 {
            assert_eq!(reply.text(), "served", "{reply}");
            goodput.served.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        assert_eq!((reply.status(), reply.error_type().as_str()), (503, "api_error"), "{reply}");
        assert!((1..=5).contains(&reply.integer("retry-after")), "{reply}");
        goodput.refused.fetch_add(1, Ordering::Relaxed);
        thread::sleep(PAUSE);
    }
}

fn bounded(setup: Setup, limit: &str) -> Setup {
    if limit == "in-flight" {
        return setup.limit("in-flight", PLACES);
    }
    setup
        .limit("provider-in-flight", PLACES)
        .limit("provider-queue", PLACES)
        .limit("provider-queue-wait", 0.5)
}

/// Requirement (issue 15, 5): beyond saturation, every request has one reply: 200 with the whole answer, or 503
/// `api_error` with `retry-after`. Refused requests cause no call, and admitted ones no more calls than requests.
#[test]
fn beyond_saturation_admitted_requests_succeed_and_the_others_are_refused() {
    for name in ["in-flight", "provider-queue"] {
        let answer = Answer::events(anthropic::text(&["served"])).head_after(SERVICE_TIME);
        let upstream = Upstream::anthropic().always(answer);
        let gateway = bounded(Gateway::before(&upstream), name).start();
        let mut served = 0;
        for times in [1, 3, 6] {
            let goodput = load(&gateway, times * PLACES);
            let (ok, refused) = (goodput.served.into_inner(), goodput.refused.into_inner());
            served += ok;
            println!(
                "{name}: {times} x saturation: {:.0} replies/s, {:.0} refusals/s",
                ok as f64 / WINDOW.as_secs_f64(),
                refused as f64 / WINDOW.as_secs_f64()
            );
            assert!(
                ok > 0 && (times > 2) == (refused > 0),
                "{name}, {times}: {ok} served, {refused} refused"
            );
            assert_eq!(upstream.count(), served, "{name}: a refused request caused a call");
        }
        assert_eq!(gateway.ask("hi").text(), "served");
    }
}
