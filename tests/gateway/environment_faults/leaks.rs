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

/// Resident memory, in MiB.
#[cfg(target_os = "linux")]
fn resident(gateway: &Gateway) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.run.pid())).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a running process");
    let kib: usize = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kib / 1024
}

/// Requirement (issue 15, 5): failed calls of every kind give back their descriptors, permits and memory. The gateway
/// serves as before when the fault is over, without a restart.
#[test]
#[cfg(target_os = "linux")]
fn failed_calls_give_back_descriptors_permits_and_memory() {
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
    let (before, memory) = (descriptors(&gateway), resident(&gateway));
    // All failures together would keep 100 MiB.
    let text = "x".repeat(1 << 20);
    for fault in faults {
        relay.lead_to(fault);
        for _ in 0..20 {
            let reply = gateway.ask(&text);
            // With one permit, a lost one would be a 503.
            assert!([502, 504].contains(&reply.status()), "{fault}: {reply}");
        }
    }
    await_that("the descriptors are closed", || {
        std::thread::sleep(Duration::from_millis(100));
        descriptors(&gateway) <= before + 2
    });
    let kept = resident(&gateway).saturating_sub(memory);
    assert!(kept < 60, "{kept} MiB are kept");
    relay.lead_to(upstream.address());
    assert_eq!(gateway.ask("hi").text(), "Hello there!", "{}", gateway.log());
}
