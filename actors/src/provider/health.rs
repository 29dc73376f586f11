//! Owns the health of a provider's keys, models and host, and chooses the key of each request. Pure: the caller passes
//! in time and random numbers.
//!
//! Health is a preference. A key, model or host that is known to fail is skipped while a better one is left, and called
//! anyway if none is. Only the upstream's own wait for a key and model refuses a request without a call.

mod choice;
mod condition;
mod disabled;
mod exported;
mod models;
mod reset;
mod view;

use std::sync::Arc;
use std::time::Duration;

pub use self::choice::AffinityHash;
pub use self::choice::Alternatives;
pub(super) use self::choice::{Chosen, KeyChoice, KeyRequest, SessionWait, preferred_index};
use self::condition::{CallEvidence, HealthCondition, Pauses};
pub use self::disabled::KeySwitch;
pub(super) use self::exported::ExportedHealth;
use self::models::ModelConditions;
pub use self::reset::ResetScope;
pub use self::view::{ConditionView, KeyView, ModelView};
use crate::clock::{Millis, millis};
use crate::outcome::{HealthEffect, KeyEffect, Outcome};
use crate::secret::{ApiKey, KeyId};
use crate::settings::Limits;

/// The age from which a fault no longer counts against the host.
const HOST_WINDOW: Duration = Duration::from_secs(60);
/// The least number of models on which a fault must appear to count against the host.
const HOST_MODELS: usize = 2;
/// The time over which traffic returns after a cooldown of the whole provider.
const RAMP: Duration = Duration::from_secs(30);
/// A key with this many limited models counts as limited for all models, if other keys are left.
const LIMITED_MODELS: usize = 3;

/// The size of a request with regard to rate limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// The size of the body, in bytes.
    pub body: usize,
    /// The most tokens that the request asks for; 0 if it names no limit.
    pub max_tokens: u64,
}

impl Size {
    /// Whether a limit that refused `other` is likely to refuse this request as well: it is at least half as large.
    fn is_comparable_to(self, other: Self) -> bool {
        self.body.saturating_mul(2) >= other.body && self.max_tokens.saturating_mul(2) >= other.max_tokens
    }
}

/// The result of a call with one of the keys.
#[derive(Clone, Debug)]
pub(crate) struct CallReport {
    pub(crate) outcome: Outcome,
    pub(crate) key: KeyId,
    pub(crate) model: Arc<str>,
    /// When the call started and when its result was known, on the boot clock.
    pub(crate) began: Millis,
    pub(crate) at: Millis,
    /// The client's request; its repeats count once.
    pub(crate) request: u64,
    pub(crate) size: Size,
    /// The lease, which may have marked a condition as on probe.
    pub(crate) lease: u64,
    /// The upstream's error in short, without secrets.
    pub(crate) message: Box<str>,
}

/// A change of state that is worth a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StateChange {
    pub(super) subject: Subject,
    pub(super) into: SubjectState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Key(KeyId),
    KeyAndModel(KeyId, Arc<str>),
    Model(Arc<str>),
    Host,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SubjectState {
    Preferred,
    CoolingDown { kind: CooldownKind, cause: Outcome, pause: Duration, message: Arc<str> },
}

/// Whether the previous cooldown had the same cause, without a success since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CooldownKind {
    New,
    Extended,
}

/// The health of a provider's keys, models and host.
#[derive(Clone, Debug)]
pub(super) struct Health {
    keys: Vec<KeyHealth>,
    /// The index of the next key in turn.
    turn: usize,
    models: ModelConditions,
    host: HealthCondition,
    /// Models that have shown a fault of the host since the host last worked.
    host_faults: Vec<(Arc<str>, Millis)>,
    /// When the host's last cooldown ended; traffic ramps up from then on.
    ramp: Option<Millis>,
    pauses: Pauses,
    /// When an operator last reset everything; 0 for never.
    reset: Millis,
}

#[derive(Clone, Debug)]
struct KeyHealth {
    key: ApiKey,
    whole: HealthCondition,
    models: ModelConditions,
    /// When an operator last reset this key; 0 for never.
    reset: Millis,
    /// An operator has disabled it: it is never lent.
    is_disabled: bool,
}

impl Health {
    /// Starts without any knowledge. Without keys the client's own key is used, about which nothing is stored.
    pub(super) fn new(keys: &[ApiKey], limits: &Limits) -> Self {
        let key = |key: &ApiKey| KeyHealth {
            key: key.clone(),
            whole: HealthCondition::default(),
            models: ModelConditions::default(),
            reset: 0,
            is_disabled: false,
        };
        Self {
            keys: keys.iter().map(key).collect(),
            turn: 0,
            models: ModelConditions::default(),
            host: HealthCondition::default(),
            host_faults: vec![],
            ramp: None,
            pauses: Pauses { guess: limits.cooldown, cap: limits.cooldown_cap },
            reset: 0,
        }
    }

    /// The same health for these keys. Keys that exist in both keep their state.
    pub(super) fn with_keys(&self, keys: &[ApiKey], limits: &Limits) -> Self {
        let mut health = Self::new(keys, limits);
        for key in &mut health.keys {
            if let Some(known) = self.keys.iter().find(|known| known.key.id() == key.key.id()) {
                key.clone_from(known);
            }
        }
        let next = self.keys.get(self.turn).map(|key| key.key.id());
        health.turn = health.keys.iter().position(|key| Some(key.key.id()) == next).unwrap_or_default();
        health.models = self.models.clone();
        health.host = self.host.clone();
        health.host_faults.clone_from(&self.host_faults);
        health.ramp = self.ramp;
        health.reset = self.reset;
        health
    }

    /// The index of the next key in turn.
    pub(super) fn turn(&self) -> usize {
        self.turn
    }

    /// Sets the number of keys taken in turn.
    pub(super) fn set_turn(&mut self, turn: usize) {
        self.turn = turn.checked_rem(self.keys.len()).unwrap_or_default();
    }

    /// Releases every mark, since the leases that hold them report to another incarnation.
    pub(super) fn release_all(&mut self) {
        self.conditions().for_each(HealthCondition::release_all);
    }

    /// Whether every key is equally good for every model.
    pub(super) fn is_clear(&self, now: Millis) -> bool {
        let is_clear = |key: &KeyHealth| !key.is_disabled && key.whole.is_clear() && key.models.are_clear();
        let keys = self.keys.iter().all(is_clear);
        keys && self.models.are_clear() && self.host.is_clear() && self.share(now) >= 1.0
    }

    /// Drops conditions that have had no new evidence for a while.
    pub(super) fn forget_old(&mut self, now: Millis) {
        for key in &mut self.keys {
            key.models.forget_old(now);
            if key.whole.is_forgotten(now) {
                key.whole = HealthCondition::default();
            }
        }
        self.models.forget_old(now);
        if self.host.is_forgotten(now) {
            self.host = HealthCondition::default();
        }
    }

    /// The share of traffic that the provider gets after a cooldown of the whole provider, if there is an alternative.
    fn share(&self, now: Millis) -> f64 {
        let Some(since) = self.ramp.filter(|&since| since <= now) else { return 1.0 };
        let passed = (now - since) as f64 / RAMP.as_millis() as f64;
        (0.1 + 0.9 * passed).min(1.0)
    }

    /// The number of cooldowns and of failures in a row that the result of this call may change.
    pub(super) fn failures(&self, report: &CallReport) -> usize {
        let CallReport { key, model, .. } = report;
        let key = self.keys.iter().find(|known| known.key.id() == *key);
        let of_key = key.map(|key| [Some(&key.whole), key.models.get(model)]);
        let of_target = [self.models.get(model), Some(&self.host)];
        let conditions = of_key.into_iter().flatten().chain(of_target).flatten();
        conditions.map(HealthCondition::failures).sum::<usize>() + self.host_faults.len()
    }

    /// Applies the result of a call, and releases what its lease has marked. Returns the changes of state.
    pub(super) fn note(&mut self, report: &CallReport, jitter: f64) -> Vec<StateChange> {
        self.conditions().for_each(|condition| condition.release(report.lease));
        if self.is_from_before_reset(report) {
            return vec![];
        }
        let evidence = CallEvidence {
            now: report.at,
            began: report.began,
            request: report.request,
            size: report.size,
            outcome: report.outcome,
            message: &report.message,
            jitter,
        };
        let treatment = report.outcome.treatment();
        let mut changes = vec![];
        self.note_key(report, treatment.key, &evidence, &mut changes);
        self.note_health(report, treatment.health, &evidence, &mut changes);
        changes
    }

    fn note_key(
        &mut self,
        report: &CallReport,
        effect: KeyEffect,
        evidence: &CallEvidence<'_>,
        changes: &mut Vec<StateChange>,
    ) {
        let pauses = self.pauses;
        let Some(key) = self.keys.iter_mut().find(|key| key.key.id() == report.key) else { return };
        let CallReport { key: id, model, at, began, size, .. } = report;
        let whole = Subject::Key(*id);
        let with_model = Subject::KeyAndModel(*id, model.clone());
        match effect {
            KeyEffect::None => {}
            KeyEffect::Works => {
                let of_model = key.models.get_mut(model).map(|known| (with_model, known));
                let both = [Some((whole, &mut key.whole)), of_model];
                for (subject, condition) in both.into_iter().flatten() {
                    if condition.succeed(*at, *began, *size) {
                        changes.push(StateChange { subject, into: SubjectState::Preferred });
                    }
                }
            }
            KeyEffect::LimitsKey | KeyEffect::OutOfCredit | KeyEffect::Rejects => {
                fail(&mut key.whole, whole, evidence, pauses, changes);
            }
            KeyEffect::LimitsModel | KeyEffect::RejectsModel => {
                fail(key.models.entry(model, *at), with_model, evidence, pauses, changes);
            }
        }
    }

    fn note_health(
        &mut self,
        report: &CallReport,
        effect: HealthEffect,
        evidence: &CallEvidence<'_>,
        changes: &mut Vec<StateChange>,
    ) {
        let CallReport { model, at, began, size, .. } = report;
        if matches!(effect, HealthEffect::ModelWorks)
            && let Some(known) = self.models.get_mut(model)
            && known.succeed(*at, *began, *size)
        {
            changes
                .push(StateChange { subject: Subject::Model(model.clone()), into: SubjectState::Preferred });
        }
        if matches!(effect, HealthEffect::ModelFails | HealthEffect::HostFails) {
            let subject = Subject::Model(model.clone());
            fail(self.models.entry(model, *at), subject, evidence, self.pauses, changes);
        }
        match effect {
            HealthEffect::None => {}
            // A reply of any kind proves that the host works.
            HealthEffect::HostWorks | HealthEffect::ModelWorks | HealthEffect::ModelFails => {
                self.host_faults.retain(|&(_, fault)| fault > *began);
                let end = self.host.cooldown().map(|cooldown| cooldown.until.min(*at));
                if self.host.succeed(*at, *began, *size) {
                    self.ramp = end;
                    changes.push(StateChange { subject: Subject::Host, into: SubjectState::Preferred });
                }
            }
            HealthEffect::HostFails => self.note_host_fault(report, evidence, changes),
        }
    }

    fn note_host_fault(
        &mut self,
        report: &CallReport,
        evidence: &CallEvidence<'_>,
        changes: &mut Vec<StateChange>,
    ) {
        let horizon = report.at.saturating_sub(millis(HOST_WINDOW));
        self.host_faults.retain(|(model, at)| *at >= horizon && *model != report.model);
        // Further models add no information.
        self.host_faults.truncate(HOST_MODELS);
        self.host_faults.push((report.model.clone(), report.at));
        let is_known = !self.host.is_clear();
        if is_known || self.host_faults.len() >= HOST_MODELS {
            fail(&mut self.host, Subject::Host, evidence, self.pauses, changes);
            self.ramp = self.host.cooldown().map(|cooldown| cooldown.until).or(self.ramp);
        }
    }

    fn conditions(&mut self) -> impl Iterator<Item = &mut HealthCondition> {
        let keys = self.keys.iter_mut();
        let of_keys = keys.flat_map(|key| key.models.iter_mut().chain([&mut key.whole]));
        of_keys.chain(self.models.iter_mut()).chain([&mut self.host])
    }
}

fn fail(
    condition: &mut HealthCondition,
    subject: Subject,
    evidence: &CallEvidence<'_>,
    pauses: Pauses,
    changes: &mut Vec<StateChange>,
) {
    let before = condition.cooldown().map(|cooldown| cooldown.cause.label());
    if !condition.fail(evidence, pauses) {
        return;
    }
    if let Some(cooldown) = condition.cooldown() {
        let pause = Duration::from_millis(cooldown.until.saturating_sub(cooldown.since));
        let kind =
            if before == Some(cooldown.cause.label()) { CooldownKind::Extended } else { CooldownKind::New };
        let into = SubjectState::CoolingDown {
            kind,
            cause: cooldown.cause,
            pause,
            message: cooldown.message.clone(),
        };
        changes.push(StateChange { subject, into });
    }
}

#[cfg(test)]
mod released;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
