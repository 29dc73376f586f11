//! Checks which key a request gets, and whether every skipped key or target is skipped for a reason.

use super::super::upstream::CallTarget;
use super::super::{KEYS, MINUTE, MODELS, World};
use super::{Audit, AuditRecord, AuditedKeyRequest, ConditionId, LONGEST_DETOUR, RAMP, SHORT_WAIT};
use crate::clock::{Millis, millis};
use crate::outcome::Outcome;
use crate::provider::health::condition::HealthCondition;
use crate::provider::health::{Alternatives, Health, KeyChoice, SessionWait, preferred_index};
use crate::retry::{FailedCall, Next, RetryContext};

fn is_cooling_down(known: Option<&HealthCondition>, now: Millis) -> bool {
    known.and_then(HealthCondition::cooldown).is_some_and(|cooldown| cooldown.until > now)
}

fn has_cooldown(known: Option<&HealthCondition>) -> bool {
    known.and_then(HealthCondition::cooldown).is_some()
}

impl AuditRecord {
    /// Whether calls have shown that this key is worse than another one.
    fn is_skipped(&self, key: usize, health: &Health, key_request: &AuditedKeyRequest<'_>) -> bool {
        let (now, model) = (key_request.request.now, key_request.request.model);
        let (whole, with_model) = (&health.keys[key].whole, health.keys[key].models.get(model));
        if self.seems_limited(key, health, now) {
            return true;
        }
        let has_failed = self.keys[key].is_some() || self.keys_with_models[key][key_request.model].is_some();
        let is_probed = self.probes.values().any(|probe| {
            let is_of_model = probe.model == key_request.model && has_cooldown(with_model);
            probe.key == key && (is_of_model || has_cooldown(Some(whole)))
        });
        has_failed && (is_cooling_down(Some(whole), now) || is_cooling_down(with_model, now) || is_probed)
    }

    /// Whether three models are limited with this key at once.
    fn seems_limited(&self, key: usize, health: &Health, now: Millis) -> bool {
        let is_limited = |at: usize| {
            let known = health.keys[key].models.get(&format!("m{at}"));
            let seen = self.keys_with_models[key][at];
            is_cooling_down(known, now)
                && seen.is_some_and(|seen| matches!(seen.outcome, Outcome::RateLimited { .. }))
        };
        (0..MODELS).filter(|&at| is_limited(at)).count() >= 3
    }

    /// Whether the model or the host is worse than another target.
    fn is_passed_over(&self, health: &Health, key_request: &AuditedKeyRequest<'_>) -> bool {
        let (now, model) = (key_request.request.now, health.models.get(key_request.request.model));
        let is_model_tried =
            has_cooldown(model) && self.probes.values().any(|probe| probe.model == key_request.model);
        let is_host_tried = has_cooldown(Some(&health.host)) && !self.probes.is_empty();
        is_cooling_down(model, now)
            || is_cooling_down(Some(&health.host), now)
            || is_model_tried
            || is_host_tried
    }

    /// Whether traffic is ramping up after a cooldown of the host.
    fn is_ramping_up(&self, key_request: &AuditedKeyRequest<'_>) -> bool {
        self.host_cools_until.is_some_and(|until| key_request.request.now < until + RAMP)
    }

    /// The end of the upstream's own wait for this key and a request of this size.
    fn stated_wait_end(&self, key: usize, key_request: &AuditedKeyRequest<'_>) -> Option<Millis> {
        let (size, now) = (key_request.request.size, key_request.request.now);
        let seen = [self.keys[key], self.keys_with_models[key][key_request.model]];
        seen.into_iter().flatten().filter_map(|seen| seen.wait_end(size, now)).max()
    }

    /// Whether the key has no credit or is rejected.
    fn is_refused(&self, key: usize) -> bool {
        let seen = [self.keys[key]].into_iter().chain(self.keys_with_models[key]);
        seen.flatten().any(super::Seen::is_refusal)
    }
}

impl Audit {
    pub(in super::super) fn check_choice(
        &mut self,
        key_request: &AuditedKeyRequest<'_>,
        choice: &KeyChoice,
        health: &Health,
        world: &World,
    ) {
        let request = key_request.request;
        let left: Vec<_> =
            (0..KEYS).filter(|&at| !request.tried.contains(&key_request.keys[at].id())).collect();
        let own = request.session.and_then(|session| {
            preferred_index(session, left.iter().map(|&at| key_request.keys[at].id())).map(|at| left[at])
        });
        let ledger = &self.ledgers[key_request.provider];
        let about = format!("{choice:?} for m{} of provider {}", key_request.model, key_request.provider);
        match choice {
            KeyChoice::WaitUntil(until) => {
                assert!(request.patience == SessionWait::MayWait, "waits again: {about}");
                assert!(until.saturating_sub(request.now) <= SHORT_WAIT, "waits too long: {about}");
                assert!(
                    own.and_then(|own| ledger.stated_wait_end(own, key_request)).is_some(),
                    "the upstream named no wait: {about}"
                );
            }
            KeyChoice::PassedOver => {
                assert!(request.alternatives == Alternatives::Left, "the last target is refused: {about}");
                let is_better = ledger.is_passed_over(health, key_request)
                    || left.iter().all(|&key| ledger.is_skipped(key, health, key_request));
                assert!(is_better || ledger.is_ramping_up(key_request), "passed over for no reason: {about}");
                if !is_better {
                    self.count("passed over while traffic comes back");
                }
                self.count("passed over");
            }
            KeyChoice::AllTried => assert_eq!(request.tried.len(), KEYS, "{about}"),
            KeyChoice::Disabled => unreachable!("no operator disables keys on this day"),
            KeyChoice::RateLimited { wait } => {
                ledger.check_rate_limited(key_request, &left, millis(*wait), &about)
            }
            KeyChoice::Key(chosen) => {
                let key = key_request.keys.iter().position(|key| key.id() == chosen.key.id()).unwrap();
                ledger.check_key(key_request, own, key, health, &about);
                if chosen.is_known_to_fail {
                    let is_known = ledger.is_passed_over(health, key_request)
                        || ledger.is_skipped(key, health, key_request);
                    assert!(
                        is_known || ledger.stated_wait_end(key, key_request).is_some(),
                        "not known to fail: {about}"
                    );
                }
                if chosen.is_probe {
                    self.begin_probe(key_request, key, &about);
                }
            }
        }
        self.watch_detour(key_request, own, choice, health, world);
    }

    fn begin_probe(&mut self, key_request: &AuditedKeyRequest<'_>, key: usize, about: &str) {
        self.count("probes");
        let ledger = &mut self.ledgers[key_request.provider];
        let conditions = [
            ConditionId::Key(key),
            ConditionId::KeyAndModel(key, key_request.model),
            ConditionId::Model(key_request.model),
            ConditionId::Host,
        ];
        let changed = conditions.iter().filter_map(|about| ledger.changed.get(about)).max().copied();
        // Another cooldown may have started and ended since.
        let is_same = |probe: &super::AuditedProbe| {
            (probe.key, probe.model) == (key, key_request.model) && Some(probe.began) >= changed
        };
        let is_second = ledger.probes.values().any(is_same);
        let matters = key_request.request.alternatives == Alternatives::Left;
        assert!(!(is_second && matters), "a second probe: {about}");
        let (model, began) = (key_request.model, key_request.request.now);
        ledger.probes.insert(key_request.request.lease, super::AuditedProbe { key, model, began });
    }

    /// Checks how long sessions are moved to another key although their own key would serve them.
    fn watch_detour(
        &mut self,
        key_request: &AuditedKeyRequest<'_>,
        own: Option<usize>,
        choice: &KeyChoice,
        health: &Health,
        world: &World,
    ) {
        let (Some(key), true) = (own, key_request.request.tried.is_empty()) else { return };
        let now = key_request.request.now;
        let target = CallTarget { provider: key_request.provider, key, model: key_request.model };
        let is_detour = match choice {
            KeyChoice::Key(chosen) => chosen.key.id() != key_request.keys[key].id(),
            KeyChoice::PassedOver => true,
            // Such refusals are checked elsewhere.
            KeyChoice::WaitUntil(_)
            | KeyChoice::RateLimited { .. }
            | KeyChoice::AllTried
            | KeyChoice::Disabled => return,
        };
        if !is_detour {
            return;
        }
        // A cooldown because of other models is not a detour.
        let is_about_others =
            self.ledgers[key_request.provider].seems_limited(key, health, now) || !health.host.is_clear();
        let since = world.upstream.borrow_mut().healthy_since(target, key_request.request.size, now);
        let Some(since) = since.filter(|_| !is_about_others) else {
            self.detours.remove(&target);
            return;
        };
        let (first, last) = self.detours.entry(target).or_insert((now, now));
        // After a long time without requests the cooldown may be over, and another request may be probing the key.
        let is_new = *first < since || now - *last > 2 * MINUTE;
        (*first, *last) = (if is_new { now } else { *first }, now);
        assert!(now - *first <= LONGEST_DETOUR, "{target:?} works and is not used for {} ms", now - *first);
    }

    /// Checks a retry decision: a key that is known to fail gets one call, a client's own retry is not repeated, and a
    /// session waits for its key twice before it moves.
    pub(in super::super) fn check_decision(
        &mut self,
        failed: &FailedCall,
        next: Next,
        short_waits: u32,
        spent: usize,
    ) {
        let wait = if let Outcome::RateLimited { wait, .. } = failed.outcome { wait } else { None };
        if wait.is_none_or(|wait| millis(wait) > SHORT_WAIT) || !failed.request.has_session {
            let is_repeat = matches!(next, Next::SameKey(_));
            let is_on = is_repeat || next == Next::NextKey;
            let RetryContext { is_known_to_fail, is_client_retry, .. } = failed.request;
            assert!(!(is_on && is_known_to_fail), "a second call to a key that is known to fail: {failed:?}");
            assert!(!(is_repeat && is_client_retry), "the client repeats it already: {failed:?}");
            assert!(!(is_on && failed.outcome == Outcome::Silent), "a silent provider is called again");
            return;
        }
        match next {
            Next::SameKey(_) => self.count("short waits of sessions"),
            Next::Fixed | Next::NextKey | Next::NextTarget | Next::GiveUp => {
                assert!(
                    short_waits >= 2 || spent >= 6,
                    "moves despite a short wait: {next:?} after {short_waits}"
                );
                self.count("sessions that moved after two short waits");
            }
        }
    }
}

impl AuditRecord {
    /// Checks that a session gets its own key unless that key is worse, and waits for it if the wait is short.
    fn check_key(
        &self,
        key_request: &AuditedKeyRequest<'_>,
        own: Option<usize>,
        key: usize,
        health: &Health,
        about: &str,
    ) {
        let Some(own) = own.filter(|&own| own != key) else { return };
        let request = key_request.request;
        let is_short =
            self.stated_wait_end(own, key_request).is_some_and(|until| until - request.now <= SHORT_WAIT);
        let may_wait = request.patience == SessionWait::MayWait && !self.is_refused(own);
        let own_key_has_cooldown = has_cooldown(health.keys[own].models.get(request.model))
            || has_cooldown(Some(&health.keys[own].whole));
        assert!(
            !(is_short && may_wait && own_key_has_cooldown),
            "a session leaves its key {own} despite a short wait: {about}"
        );
        let is_worse =
            self.is_skipped(own, health, key_request) || self.stated_wait_end(own, key_request).is_some();
        assert!(is_worse, "a session leaves its key {own} for no reason: {about}");
    }

    /// Checks that only the upstream's own wait refuses a request, and that single calls check whether a long wait is
    /// over.
    fn check_rate_limited(
        &self,
        key_request: &AuditedKeyRequest<'_>,
        left: &[usize],
        wait: Millis,
        about: &str,
    ) {
        let now = key_request.request.now;
        assert!(key_request.request.alternatives == Alternatives::None, "another target is left: {about}");
        let stated: Vec<_> = left.iter().filter_map(|&key| self.stated_wait_end(key, key_request)).collect();
        let soonest = stated.iter().min();
        assert!(
            soonest.is_some_and(|&until| wait <= until.saturating_sub(now)),
            "the upstream named no wait of this length: {about}"
        );
        for &key in left {
            let is_refused = self.is_refused(key);
            let Some(until) = self.stated_wait_end(key, key_request) else {
                assert!(is_refused, "key {key} could be called: {about}");
                continue;
            };
            let called = match self.keys[key] {
                Some(_) => self.last_calls[key].into_iter().max().unwrap_or_default(),
                None => self.last_calls[key][key_request.model],
            };
            let seen = [self.keys[key], self.keys_with_models[key][key_request.model]].into_iter().flatten();
            let next_check = seen.map(|seen| seen.at.max(called) + seen.next_check()).max();
            let is_checked = until - now <= MINUTE || next_check.is_some_and(|next_check| now <= next_check);
            assert!(is_checked, "no call checks whether the wait of key {key} is over: {about}");
        }
    }
}
