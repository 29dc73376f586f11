//! Limits failed logins, for each client address and in total.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Failures are forgotten after this time.
const WINDOW: Duration = Duration::from_secs(60);
/// The most failures within it, from one address and from all.
const PER_ADDRESS: usize = 5;
const IN_TOTAL: usize = 50;

/// The failures of the last minute. Their number is bounded by [`IN_TOTAL`], since no attempt is made beyond it.
#[derive(Default)]
pub(super) struct Throttle {
    failures: Vec<(IpAddr, Instant)>,
}

impl Throttle {
    /// Whether this address may try. If not, returns the time until it may.
    pub(super) fn check(&mut self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        self.failures.retain(|(_, at)| now.duration_since(*at) < WINDOW);
        let network = network(peer);
        let own = || self.failures.iter().filter(|(address, _)| *address == network);
        let oldest = if self.failures.len() >= IN_TOTAL {
            self.failures.first()
        } else if own().count() >= PER_ADDRESS {
            own().next()
        } else {
            None
        };
        oldest.map_or(Ok(()), |(_, at)| Err(WINDOW.saturating_sub(now.duration_since(*at))))
    }

    pub(super) fn failed(&mut self, peer: IpAddr, now: Instant) {
        self.failures.push((network(peer), now));
    }
}

/// One client may have a whole /64 of IPv6.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        address @ IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: failures are counted for each network, and in total, and are forgotten after a minute.
    #[test]
    fn failures_are_limited_for_each_network_and_in_total() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let v6 = |text: &str| text.parse::<IpAddr>().unwrap();
        for host in 0..PER_ADDRESS {
            assert_eq!(throttle.check(v6(&format!("2001:db8::{host}")), now), Ok(()));
            throttle.failed(v6(&format!("2001:db8::{host}")), now);
        }
        assert_eq!(throttle.check(v6("2001:db8::ffff"), now), Err(WINDOW));
        assert_eq!(throttle.check(v6("2001:db8:0:1::1"), now), Ok(()));
        for host in PER_ADDRESS..IN_TOTAL {
            throttle.failed(IpAddr::from([10, 0, 0, host as u8]), now);
        }
        assert_eq!(throttle.check(v6("192.0.2.1"), now + WINDOW / 2), Err(WINDOW / 2));
        assert_eq!(throttle.check(v6("192.0.2.1"), now + WINDOW), Ok(()));
        assert!(throttle.failures.is_empty());
    }
}
