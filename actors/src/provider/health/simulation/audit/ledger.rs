//! Records the results of one provider's calls, and checks whether each cooldown follows from them.

use std::collections::HashMap;

use super::super::MINUTE;
use super::super::upstream::CallTarget;
use super::{AuditRecord, AuditedCooldown, ConditionId, Cooldowns, LONGEST_COOLDOWN, LONGEST_GUESS, Seen};
use crate::clock::{Millis, millis};
use crate::outcome::{HealthEffect, KeyEffect, LimitScope, Outcome};
use crate::provider::health::condition::HealthCondition;
use crate::provider::health::{CallReport, Health};

/// The narrowest subject of an outcome, according to the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutcomeScope {
    Nothing,
    Key,
    KeyAndModel,
    Model,
    Host,
}

impl From<Outcome> for OutcomeScope {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::OutOfCredit
            | Outcome::KeyRejected
            | Outcome::RateLimited { scope: LimitScope::Account, .. } => Self::Key,
            Outcome::RateLimited { scope: LimitScope::Model, .. } | Outcome::KeyForbidden => {
                Self::KeyAndModel
            }
            Outcome::Overloaded | Outcome::ServerError | Outcome::BrokenReply => Self::Model,
            Outcome::Unreachable | Outcome::Silent => Self::Host,
            Outcome::Answered
            | Outcome::RequestRefused
            | Outcome::RequestTooLarge
            | Outcome::NotServedHere
            | Outcome::TryAgain
            | Outcome::ReplyTooLarge
            | Outcome::SendAborted
            | Outcome::LocalFault
            | Outcome::Cancelled
            | Outcome::NotCounted => Self::Nothing,
        }
    }
}

/// Whether the call started after the last change of this subject.
fn is_current(changed: &HashMap<ConditionId, Millis>, report: &CallReport, about: ConditionId) -> bool {
    changed.get(&about).is_none_or(|&at| report.began >= at)
}

impl AuditRecord {
    /// Checks that the health reflects the report: a failing key and model at once, a model after three requests in a
    /// row, and that a success is preferred again.
    pub(super) fn is_reflected(&self, target: CallTarget, report: &CallReport, health: &Health) -> bool {
        let CallTarget { key, model, .. } = target;
        let whole = &health.keys[key].whole;
        let with_model = health.keys[key].models.get(&report.model);
        let is_old = |about| !is_current(&self.changed, report, about);
        let of_key = match report.outcome.treatment().key {
            KeyEffect::LimitsModel | KeyEffect::RejectsModel => {
                with_model.is_some_and(|known| !known.is_clear())
                    || is_old(ConditionId::KeyAndModel(key, model))
            }
            KeyEffect::LimitsKey | KeyEffect::OutOfCredit | KeyEffect::Rejects => {
                !whole.is_clear() || is_old(ConditionId::Key(key))
            }
            KeyEffect::Works => {
                let is_clear = |known: Option<&HealthCondition>, about, seen: Option<Seen>| {
                    let is_smaller = seen.is_some_and(|seen| seen.continues_for_larger_requests(report));
                    known.is_none_or(HealthCondition::is_clear) || is_old(about) || is_smaller
                };
                is_clear(Some(whole), ConditionId::Key(key), self.keys[key])
                    && is_clear(
                        with_model,
                        ConditionId::KeyAndModel(key, model),
                        self.keys_with_models[key][model],
                    )
            }
            KeyEffect::None => true,
        };
        let of_host = match report.outcome.treatment().health {
            HealthEffect::HostWorks | HealthEffect::ModelWorks | HealthEffect::ModelFails => {
                health.host.is_clear() || is_old(ConditionId::Host)
            }
            HealthEffect::HostFails | HealthEffect::None => true,
        };
        let failed = self.models[model].iter().rev().take(3);
        let recent = failed.filter(|(_, at)| at + 4 * MINUTE > report.at).count();
        let of_model = recent < 3 || health.models.get(&report.model).is_some_and(|known| !known.is_clear());
        of_key && of_host && of_model
    }

    /// Adds the report to the record.
    pub(super) fn read(&mut self, target: CallTarget, report: &CallReport) {
        match report.outcome.treatment().health {
            HealthEffect::ModelFails | HealthEffect::HostFails => {
                let failed = &mut self.models[target.model];
                let is_repeat = failed.iter().any(|&(request, _)| request == report.request);
                if is_current(&self.changed, report, ConditionId::Model(target.model)) && !is_repeat {
                    failed.push((report.request, report.at));
                }
            }
            HealthEffect::ModelWorks => {
                if is_current(&self.changed, report, ConditionId::Model(target.model)) {
                    self.models[target.model].retain(|&(_, at)| at > report.began);
                }
            }
            HealthEffect::None | HealthEffect::HostWorks => {}
        }
        match report.outcome.treatment().health {
            HealthEffect::HostFails => self.hosts.push((target.model, report.at)),
            HealthEffect::HostWorks | HealthEffect::ModelWorks | HealthEffect::ModelFails => {
                self.hosts.retain(|&(_, at)| at > report.began);
            }
            HealthEffect::None => {}
        }
    }

    pub(super) fn check_change(
        &mut self,
        report: &CallReport,
        about: ConditionId,
        cooldown: Option<AuditedCooldown>,
        before: &Cooldowns,
    ) {
        let last = self.changed.insert(about, report.at);
        let is_old = last.is_some_and(|last| report.began < last);
        assert!(
            !is_old,
            "{about:?} changes because of a call that started before its last change: {report:?}"
        );
        let before_it = match about {
            ConditionId::Key(key) => self.keys[key],
            ConditionId::KeyAndModel(key, model) => self.keys_with_models[key][model],
            ConditionId::Model(_) | ConditionId::Host => None,
        };
        let seen = match cooldown {
            None => {
                let is_smaller = before_it.is_some_and(|seen| seen.continues_for_larger_requests(report));
                assert!(!is_smaller, "a small request ends the wait of large ones: {report:?}");
                None
            }
            Some(cooldown) => {
                self.check_cooldown(about, report, cooldown.until - cooldown.since, before);
                let wait = if let Outcome::RateLimited { wait, .. } = report.outcome { wait } else { None };
                let until = wait.map(|wait| report.at + millis(wait));
                // While one wait follows another, the checks get further apart.
                let is_running = |seen: &Seen| seen.until.is_some_and(|until| until > report.at);
                let checks = before_it.filter(is_running).map_or(0, |seen| seen.checks + 1);
                Some(Seen { outcome: report.outcome, size: report.size, at: report.at, until, checks })
            }
        };
        match about {
            ConditionId::Key(key) => self.keys[key] = seen,
            ConditionId::KeyAndModel(key, model) => self.keys_with_models[key][model] = seen,
            ConditionId::Model(_) => {}
            ConditionId::Host => {
                let over = self.host_cools_until.map(|until| until.min(report.at));
                self.host_cools_until = cooldown.map(|cooldown| cooldown.until).or(over);
            }
        }
    }

    /// Checks that a cooldown has the right subject, follows enough failures, and is not too long.
    fn check_cooldown(&self, about: ConditionId, report: &CallReport, pause: Millis, before: &Cooldowns) {
        let scope = OutcomeScope::from(report.outcome);
        let (is_allowed, longest) = match about {
            ConditionId::Key(_) => (scope == OutcomeScope::Key, LONGEST_COOLDOWN),
            ConditionId::KeyAndModel(..) => (scope == OutcomeScope::KeyAndModel, LONGEST_COOLDOWN),
            ConditionId::Model(model) => {
                let is_about = matches!(scope, OutcomeScope::Model | OutcomeScope::Host);
                (is_about && (!before.is_clear(about) || self.models[model].len() >= 3), LONGEST_GUESS)
            }
            ConditionId::Host => {
                let recent = |&&(_, at): &&(usize, Millis)| at + MINUTE >= report.at;
                let mut models: Vec<_> = self.hosts.iter().filter(recent).map(|&(model, _)| model).collect();
                models.sort_unstable();
                models.dedup();
                (scope == OutcomeScope::Host && (!before.is_clear(about) || models.len() >= 2), LONGEST_GUESS)
            }
        };
        assert!(
            is_allowed,
            "{about:?} has a cooldown after too few failures: {report:?}, {:?}, {:?}",
            self.models, self.hosts
        );
        let is_guess = matches!(report.outcome, Outcome::RateLimited { wait: None, .. });
        let longest = if is_guess { LONGEST_GUESS } else { longest };
        assert!(pause <= longest, "{about:?} has a cooldown of {pause} ms: {report:?}");
    }
}
