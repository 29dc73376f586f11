//! How many client connections there may be: in all, and from one address.

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
    /// As many as the process has descriptors for.
    most: usize,
    /// The limit has been reached, and somebody has been told.
    full: AtomicBool,
    /// The process has run out of descriptors, or nearly so.
    exhausted: AtomicBool,
    /// Touched when a connection opens and when it closes, never by a request.
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place among the open ones, freed by its drop.
pub(super) struct Slot {
    limiter: Arc<ConnectionLimiter>,
    address: Option<IpAddr>,
    pub(super) class: Class,
}

/// What a connection is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Ordinary,
    /// It is beyond the limit: it asks for the gateway's health, or is closed.
    Reserved,
}

/// Where a new connection stands.
pub(super) enum Claim {
    Granted(Slot),
    /// The limit has been reached. It becomes an ordinary one if another one makes room.
    Full(Slot),
    /// Its address has as many as one may have.
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

    /// Takes note of whether the process has descriptors left; `true` when that has changed.
    pub(crate) fn note(&self, supply: Supply) -> bool {
        let exhausted = supply == Supply::Exhausted;
        self.exhausted.swap(exhausted, Ordering::AcqRel) != exhausted
    }

    pub(super) fn claim(self: &Arc<Self>, peer: Option<IpAddr>, limits: &Limits) -> Claim {
        let address = peer.map(counted_as);
        if let Some(address) = address
            && !self.count(address, limits.connections_per_address)
        {
            return Claim::Refused;
        }
        let open = self.open.fetch_add(1, Ordering::AcqRel) + 1;
        let slot = Slot { limiter: self.clone(), address, class: Class::Ordinary };
        let limit = self.limit(limits);
        if self.exhausted.load(Ordering::Acquire) || open > limit {
            if !self.full.swap(true, Ordering::AcqRel) {
                log::warn!(
                    "{} client connections are open, the most there may be (limits.connections): the longest idle ones are closed for new ones",
                    open - 1
                );
            }
            return Claim::Full(slot);
        }
        if open.saturating_mul(10) < limit.saturating_mul(9) {
            self.full.store(false, Ordering::Release);
        }
        Claim::Granted(slot)
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

impl Slot {
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

impl Drop for Slot {
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

/// A network gives out IPv6 addresses by the 2^64, so those count together.
fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}
