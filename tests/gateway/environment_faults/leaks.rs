//! What failed calls leave behind: nothing.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Relay, before};
use crate::support::await_that;
use crate::support::canned::anthropic;
use crate::support::gateway::Gateway;
use crate::support::tls::{Farewell, TlsFront};
use crate::support::upstream::{Answer, Deaf, Ending, Upstream};

#[cfg(target_os = "linux")]
fn descriptors(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.run.pid())).expect("Linux").count()
}

/// Requirement (issue 15, 5): failed calls of every kind give back their descriptors and permits. The gateway serves as
/// before when the fault is over, without a restart.
#[test]
#[cfg(target_os = "linux")]
fn failed_calls_give_back_their_descriptors_and_permits() {
    // Without kept connections: those would lead past the fault.
    let answer = Answer::events(anthropic::text(&["Hello ", "there!"])).ending(Ending::Close);
    let upstream = Upstream::anthropic().always(answer);
    let (deaf, cut) = (Deaf::new(), Upstream::anthropic().always(Answer::hang_up().ending(Ending::Reset)));
    let broken = Upstream::anthropic().always(Answer::bare("SSH-2.0-OpenSSH_9.9\r\n"));
    let silent = Upstream::anthropic().always(Answer::silence());
    let tls = TlsFront::before(upstream.address(), Farewell::CloseNotify);
    let faults: [SocketAddr; 5] =
        [deaf.address, cut.address(), broken.address(), silent.address(), tls.address];

    let relay = Relay::new(upstream.address());
    let gateway = before(&format!("http://{}", relay.address), "anthropic")
        .limit("provider-in-flight", 1)
        .limit("provider-queue", 0)
        .limit("in-flight", 1)
        .limit("first-byte-timeout", 0.1)
        .start();
    for _ in 0..5 {
        assert_eq!(gateway.ask("hi").text(), "Hello there!");
    }
    let before = descriptors(&gateway);
    for fault in faults {
        relay.lead_to(fault);
        for _ in 0..20 {
            let reply = gateway.ask("hi");
            // With one permit, a lost one would be a 503.
            assert!([502, 504].contains(&reply.status()), "{fault}: {reply}");
        }
    }
    await_that("the descriptors are closed", || {
        std::thread::sleep(Duration::from_millis(100));
        descriptors(&gateway) <= before + 2
    });
    relay.lead_to(upstream.address());
    assert_eq!(gateway.ask("hi").text(), "Hello there!", "{}", gateway.log());
}
