//! Simulates the provider's actor for one request: lends a key and reads the lease's reports.

use std::cell::Cell;
use std::time::Duration;

use super::super::World;
use super::super::audit::AuditedKeyRequest;
use super::super::upstream::CallTarget;
use super::Exchange;
use crate::clock::{Millis, millis};
use crate::outcome::Outcome;
use crate::provider::health::{Alternatives, CallReport, Chosen, KeyChoice, KeyRequest, SessionWait, Size};
use crate::retry::with_jitter;

pub(super) enum SimulatedNoLease {
    RateLimited(Duration),
    PassedOver,
    AllTried,
    Gone,
}

/// A key lent for one request; dropped without a report, it reports `Cancelled`.
pub(super) struct SimulatedLease<'w> {
    world: &'w World,
    pub(super) target: CallTarget,
    pub(super) is_known_to_fail: bool,
    pub(super) alternatives: Alternatives,
    /// 0 if the lease is not a probe.
    pub(super) number: u64,
    incarnation: u64,
    pub(super) began: Millis,
    pub(super) request: u64,
    size: Size,
    is_reported: Cell<bool>,
}

impl SimulatedLease<'_> {
    pub(super) fn report(&self, outcome: Outcome) {
        self.is_reported.set(true);
        let provider = &self.world.providers[self.target.provider];
        // An older incarnation's marks do not belong to the actor that reads the report.
        let lease = if self.incarnation == provider.incarnation.get() { self.number } else { 0 };
        let report = CallReport {
            outcome,
            key: provider.keys[self.target.key].id(),
            model: self.world.models[self.target.model].clone(),
            began: self.began,
            at: self.world.time.now(),
            request: self.request,
            size: self.size,
            lease,
            message: "".into(),
        };
        self.world.audit.borrow_mut().note(
            self.target,
            &report,
            &mut provider.health.borrow_mut(),
            self.world,
        );
    }

    pub(super) fn draw_retry(&self) -> bool {
        let now = self.world.time.now();
        let is_drawn = self.world.providers[self.target.provider].budget.draw(now);
        if is_drawn {
            self.world.audit.borrow_mut().count_retry(self.target.provider, now);
        }
        is_drawn
    }
}

impl Drop for SimulatedLease<'_> {
    fn drop(&mut self) {
        // After a failed assertion there is nothing left to check.
        if !self.is_reported.get() && !std::thread::panicking() {
            self.report(Outcome::Cancelled);
        }
    }
}

impl<'x> Exchange<'x> {
    /// Requests a lease as the provider's actor would grant it, which makes a session wait for its key.
    pub(super) async fn lease(
        &mut self,
        provider: usize,
        alternatives: Alternatives,
        tried: &[usize],
    ) -> Result<SimulatedLease<'x>, SimulatedNoLease> {
        let (world, size) = (self.world, self.request.size);
        let known = &world.providers[provider];
        let tried: Vec<_> = tried.iter().map(|&at| known.keys[at].id()).collect();
        let mut patience = SessionWait::MayWait;
        loop {
            known.leases.set(known.leases.get() + 1);
            let lease = known.leases.get();
            let now = world.time.now();
            let request = KeyRequest {
                now,
                model: &world.models[self.request.model],
                session: self.request.session,
                tried: &tried,
                size,
                alternatives,
                patience,
                lease,
                chance: world.fraction(),
            };
            let choice = {
                let health = &mut known.health.borrow_mut();
                health.forget_old(now);
                let choice = health.choose(&request);
                let model = self.request.model;
                let key_request = AuditedKeyRequest { provider, model, request: &request, keys: &known.keys };
                world.audit.borrow_mut().check_choice(&key_request, &choice, health, world);
                choice
            };
            match choice {
                KeyChoice::Key(Chosen { key, is_known_to_fail, is_probe }) => {
                    let at = known.keys.iter().position(|known| known.id() == key.id()).unwrap();
                    return Ok(SimulatedLease {
                        world,
                        target: CallTarget { provider, key: at, model: self.request.model },
                        is_known_to_fail,
                        alternatives,
                        number: if is_probe { lease } else { 0 },
                        incarnation: known.incarnation.get(),
                        began: now,
                        request: 0,
                        size,
                        is_reported: false.into(),
                    });
                }
                KeyChoice::PassedOver => return Err(SimulatedNoLease::PassedOver),
                KeyChoice::RateLimited { wait } => return Err(SimulatedNoLease::RateLimited(wait)),
                KeyChoice::AllTried => return Err(SimulatedNoLease::AllTried),
                KeyChoice::Disabled => unreachable!("no operator disables keys on this day"),
                KeyChoice::WaitUntil(until) => {
                    patience = SessionWait::HasWaited;
                    let wait = with_jitter(Duration::from_millis(until - now), world.fraction());
                    self.hold_until(now + millis(wait)).await?;
                }
            }
        }
    }

    async fn hold_until(&self, until: Millis) -> Result<(), SimulatedNoLease> {
        self.world.audit.borrow_mut().count("waits for a session's key");
        self.sleep_until(until).await.map_err(|_| SimulatedNoLease::Gone)
    }
}
