//! Limits the number of client connections, in all and from one address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use vandamme_actors::settings::Limits;

use crate::process::descriptors::Supply;

/// Connections above the limit, for health checks.
const RESERVE: usize = 32;

/// Counts the client connections of all threads.
pub(crate) struct ConnectionLimiter {
    open: AtomicUsize,
    /// The number of connections for which the process has descriptors.
    most: usize,
    /// The limit has been reached, and this has been logged.
    full: AtomicBool,
    /// The process has run out of descriptors, or nearly so.
    exhausted: AtomicBool,
    /// Locked when a connection opens and when it closes, never by a request.
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

/// The right to have one connection open. Dropping it makes room for another connection.
pub(super) struct ConnectionSlot {
    limiter: Arc<ConnectionLimiter>,
    address: Option<IpAddr>,
    pub(super) class: Class,
}

/// What a connection can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Ordinary,
    /// The connection exceeds the limit: it serves `/health` only, and any other request is refused.
    Reserved,
}

/// Whether a new connection is accepted.
pub(super) enum SlotClaim {
    Granted(ConnectionSlot),
    /// The limit has been reached. The connection becomes an ordinary one if another one can be closed.
    Full(ConnectionSlot),
    /// Its address has reached the limit for one address.
    Refused,
}

impl ConnectionLimiter {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            open: AtomicUsize::new(0),
            most,
            full: AtomicBool::new(false),
            exhausted: AtomicBool::new(false),
            addresses: Mutex::default(),
        }
    }

    /// Records whether the process has descriptors left. Returns `true` if that has changed.
    pub(crate) fn note(&self, supply: Supply) -> bool {
        let exhausted = supply == Supply::Exhausted;
        self.exhausted.swap(exhausted, Ordering::AcqRel) != exhausted
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn claim(self: &Arc<Self>, peer: Option<IpAddr>, limits: &Limits) -> SlotClaim {
        let address = peer.map(counted_as);
        if let Some(address) = address
            && !self.count(address, limits.connections_per_address)
        {
            return SlotClaim::Refused;
        }
        let open = self.open.fetch_add(1, Ordering::AcqRel) + 1;
        let slot = ConnectionSlot { limiter: self.clone(), address, class: Class::Ordinary };
        let limit = self.limit(limits);
        let exhausted = self.exhausted.load(Ordering::Acquire);
        if exhausted || open > limit {
            if !exhausted && !self.full.swap(true, Ordering::AcqRel) {
                log::warn!(
                    "{} client connections are open, which is the limit (limits.connections); new connections replace those that are idle for longest",
                    open - 1
                );
            }
            return SlotClaim::Full(slot);
        }
        if open.saturating_mul(10) < limit.saturating_mul(9) {
            self.full.store(false, Ordering::Release);
        }
        SlotClaim::Granted(slot)
    }

    fn limit(&self, limits: &Limits) -> usize {
        limits.connections.min(self.most)
    }

    fn count(&self, address: IpAddr, most: Option<usize>) -> bool {
        let mut addresses = self.addresses.lock();
        let open = addresses.entry(address).or_default();
        if most.is_some_and(|most| *open >= most) {
            return false;
        }
        *open += 1;
        true
    }
}

impl ConnectionSlot {
    pub(super) fn fits(&self, limits: &Limits) -> bool {
        let limiter = &self.limiter;
        !limiter.exhausted.load(Ordering::Acquire)
            && limiter.open.load(Ordering::Acquire) <= limiter.limit(limits)
    }

    /// Whether more connections are open than the limit and the reserve.
    pub(super) fn exceeds_reserve(&self, limits: &Limits) -> bool {
        let most = self.limiter.limit(limits).saturating_add(RESERVE);
        self.limiter.open.load(Ordering::Acquire) > most
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.limiter.open.fetch_sub(1, Ordering::AcqRel);
        let Some(address) = self.address else { return };
        let mut addresses = self.limiter.addresses.lock();
        if let Entry::Occupied(mut open) = addresses.entry(address) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

/// A client usually has a whole IPv6 network of 2^64 addresses, so those count together.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Overrides};

    fn limits(connections: usize, per_address: usize) -> Limits {
        let overrides = Overrides { working_directory: "/absent".into(), ..Overrides::default() };
        let limits = Config::load(&overrides).unwrap().settings.limits;
        Limits { connections, connections_per_address: Some(per_address), ..limits }
    }

    fn claim(limiter: &Arc<ConnectionLimiter>, address: &str, limits: &Limits) -> SlotClaim {
        limiter.claim(Some(address.parse().unwrap()), limits)
    }

    #[test]
    fn each_address_has_its_own_limit_and_closed_connections_do_not_count() {
        let (limiter, limits) = (Arc::new(ConnectionLimiter::new(100)), limits(50, 2));
        let one = claim(&limiter, "10.0.0.1", &limits);
        let two = claim(&limiter, "::ffff:10.0.0.1", &limits);
        assert!(matches!((&one, &two), (SlotClaim::Granted(_), SlotClaim::Granted(_))));
        assert!(matches!(claim(&limiter, "10.0.0.1", &limits), SlotClaim::Refused));
        assert!(matches!(claim(&limiter, "10.0.0.2", &limits), SlotClaim::Granted(_)));
        drop(one);
        assert!(matches!(claim(&limiter, "10.0.0.1", &limits), SlotClaim::Granted(_)));
        drop(two);
        assert_eq!((limiter.open.load(Ordering::Relaxed), limiter.addresses.lock().len()), (0, 0));
    }

    #[test]
    fn ipv6_addresses_of_one_network_count_together() {
        let (limiter, limits) = (Arc::new(ConnectionLimiter::new(100)), limits(50, 1));
        let _one = claim(&limiter, "2001:db8::1", &limits);
        assert!(matches!(claim(&limiter, "2001:db8::ffff:2", &limits), SlotClaim::Refused));
        assert!(matches!(claim(&limiter, "2001:db8:0:1::1", &limits), SlotClaim::Granted(_)));
    }

    #[test]
    fn a_reserve_of_connections_is_accepted_above_the_limit() {
        let limits = limits(50, 1000);
        // Available descriptors limit the number even if the configuration allows more.
        for (most, limit) in [(100, 50), (20, 20)] {
            let limiter = Arc::new(ConnectionLimiter::new(most));
            let ordinary: Vec<_> = (0..limit).map(|_| claim(&limiter, "10.0.0.1", &limits)).collect();
            assert!(ordinary.iter().all(|claim| matches!(claim, SlotClaim::Granted(_))));
            let mut reserved = Vec::new();
            for number in 0..=RESERVE {
                let SlotClaim::Full(slot) = claim(&limiter, "10.0.0.1", &limits) else { panic!("no limit") };
                assert!(!slot.fits(&limits));
                assert_eq!(slot.exceeds_reserve(&limits), number == RESERVE);
                reserved.push(slot);
            }
        }
    }

    #[test]
    fn without_descriptors_no_connection_is_granted() {
        let (limiter, limits) = (Arc::new(ConnectionLimiter::new(100)), limits(50, 1000));
        assert!(limiter.note(Supply::Exhausted) && !limiter.note(Supply::Exhausted));
        assert!(matches!(claim(&limiter, "10.0.0.1", &limits), SlotClaim::Full(_)));
        assert!(limiter.note(Supply::Enough));
        assert!(matches!(claim(&limiter, "10.0.0.1", &limits), SlotClaim::Granted(_)));
    }
}
