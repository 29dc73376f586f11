//! Stores the learned rules of a provider: the fixups that requests for a model need, each for a limited time. Pure.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vandamme_protocol::compat::Fixup;

use crate::clock::{self, ImportClock, Millis, Offset};

/// The most models; beyond that, the model whose last rule expires first is removed.
const MAX_MODELS: usize = 64;
/// The most fixups per model; beyond that, the oldest is removed.
const MAX_FIXUPS: usize = 16;

/// The learned rules of one provider, by model.
#[derive(Clone, Debug, Default)]
pub(super) struct LearnedRules {
    models: HashMap<Arc<str>, ModelRules>,
    ttl: Duration,
}

/// The rules of one model. Expired rules are kept until they are learned again, so that each is logged only once.
#[derive(Clone, Debug, Default)]
struct ModelRules {
    rules: Vec<LearnedRule>,
    /// The fixups that have not expired, and the time at which the first of them expires.
    fixups: Option<Arc<[Fixup]>>,
    next_expiry: Millis,
}

#[derive(Clone, Debug)]
struct LearnedRule {
    fixup: Fixup,
    until: Millis,
}

/// A learned rule as reports show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedRuleView {
    pub model: Arc<str>,
    pub fixup: Fixup,
    /// The time until it expires.
    pub left: Duration,
}

/// The rules of one model, as exported. Expired rules are included, since they have been logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ExportedRules {
    model: String,
    /// The oldest first.
    rules: Vec<ExportedRule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ExportedRule {
    fixup: Fixup,
    until: Offset,
}

/// Whether a rule has been logged before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    New,
    Known,
}

impl LearnedRules {
    /// Whether no rule is in force.
    pub(super) fn is_empty(&self, now: Millis) -> bool {
        self.models.values().all(|model_rules| model_rules.rules.iter().all(|rule| rule.until <= now))
    }

    pub(super) fn new(ttl: Duration) -> Self {
        Self { models: HashMap::new(), ttl }
    }

    /// Sets the lifetime of rules learned from now on.
    pub(super) fn set_ttl(&mut self, ttl: Duration) {
        self.ttl = ttl;
    }

    /// The fixups that requests for `model` need; almost always none.
    pub(super) fn recall(&mut self, now: Millis, model: &str) -> Option<Arc<[Fixup]>> {
        let model_rules = self.models.get_mut(model)?;
        if model_rules.fixups.is_some() && model_rules.next_expiry <= now {
            model_rules.refresh(now);
        }
        model_rules.fixups.clone()
    }

    pub(super) fn learn(&mut self, now: Millis, model: &Arc<str>, fixup: Fixup) -> Novelty {
        self.make_room_for(model);
        let until = now.saturating_add(clock::millis(self.ttl));
        let model_rules = self.models.entry(model.clone()).or_default();
        let before = model_rules.rules.len();
        model_rules.rules.retain(|rule| rule.fixup != fixup);
        let novelty = if model_rules.rules.len() < before { Novelty::Known } else { Novelty::New };
        if model_rules.rules.len() >= MAX_FIXUPS {
            model_rules.rules.remove(0);
        }
        model_rules.rules.push(LearnedRule { fixup, until });
        model_rules.refresh(now);
        novelty
    }

    pub(super) fn view(&self, now: Millis) -> Vec<LearnedRuleView> {
        let all = self.models.iter().flat_map(|(model, model_rules)| {
            let valid = model_rules.rules.iter().filter(move |rule| rule.until > now);
            valid.map(move |LearnedRule { fixup, until }| LearnedRuleView {
                model: model.clone(),
                fixup: fixup.clone(),
                left: Duration::from_millis(until - now),
            })
        });
        let mut all: Vec<_> = all.collect();
        all.sort_by(|one, other| one.model.cmp(&other.model));
        all
    }

    pub(super) fn export(&self, now: Millis) -> Vec<ExportedRules> {
        let export = |(model, model_rules): (&Arc<str>, &ModelRules)| {
            let rules = model_rules.rules.iter().map(|rule| ExportedRule {
                fixup: rule.fixup.clone(),
                until: Offset::from_time(rule.until, now),
            });
            ExportedRules { model: model.to_string(), rules: rules.collect() }
        };
        let mut all: Vec<_> = self.models.iter().map(export).collect();
        all.sort_by(|one, other| one.model.cmp(&other.model));
        all
    }

    /// Adds the rules of models that have none yet, as long as there is room.
    pub(super) fn import(&mut self, exported: Vec<ExportedRules>, clock: ImportClock) {
        for ExportedRules { model, rules } in exported {
            if self.models.len() >= MAX_MODELS {
                return;
            }
            let rules = rules.into_iter().filter(|rule| rule.fixup.is_complete()).take(MAX_FIXUPS);
            let rules: Vec<_> = rules
                .map(|rule| LearnedRule { until: clock.until(rule.until, self.ttl), fixup: rule.fixup })
                .collect();
            self.models.entry(model.into()).or_insert_with(|| {
                let mut model_rules = ModelRules { rules, ..ModelRules::default() };
                model_rules.refresh(clock.now());
                model_rules
            });
        }
    }

    fn make_room_for(&mut self, model: &Arc<str>) {
        if self.models.len() < MAX_MODELS || self.models.contains_key(model) {
            return;
        }
        let last_expiry = |model_rules: &ModelRules| model_rules.rules.iter().map(|rule| rule.until).max();
        let oldest = self.models.iter().min_by_key(|(_, model_rules)| last_expiry(model_rules));
        if let Some(oldest) = oldest.map(|(model, _)| model.clone()) {
            self.models.remove(&oldest);
        }
    }
}

impl ModelRules {
    fn refresh(&mut self, now: Millis) {
        let valid = || self.rules.iter().filter(|rule| rule.until > now);
        let fixups: Arc<[Fixup]> = valid().map(|rule| rule.fixup.clone()).collect();
        self.next_expiry = valid().map(|rule| rule.until).min().unwrap_or(Millis::MAX);
        self.fixups = (!fixups.is_empty()).then_some(fixups);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixup(name: &str) -> Fixup {
        Fixup::param(name).unwrap()
    }

    fn learned_rules() -> LearnedRules {
        LearnedRules::new(Duration::from_millis(100))
    }

    fn recalled(learned_rules: &mut LearnedRules, now: Millis, model: &str) -> Vec<Fixup> {
        learned_rules.recall(now, model).map(|fixups| fixups.to_vec()).unwrap_or_default()
    }

    #[test]
    fn each_rule_expires_and_applies_to_its_model_only() {
        let (mut learned_rules, model) = (learned_rules(), "m".into());
        learned_rules.learn(0, &model, fixup("a"));
        learned_rules.learn(50, &model, fixup("b"));

        assert_eq!(recalled(&mut learned_rules, 99, "m"), [fixup("a"), fixup("b")]);
        assert_eq!(recalled(&mut learned_rules, 100, "m"), [fixup("b")]);
        assert_eq!(
            learned_rules.view(100).iter().map(|view| view.left.as_millis()).collect::<Vec<_>>(),
            [50]
        );
        assert!(!learned_rules.is_empty(149) && learned_rules.is_empty(150));
        assert!(learned_rules.recall(150, "m").is_none() && learned_rules.view(150).is_empty());
        assert!(learned_rules.recall(0, "other").is_none());
    }

    #[test]
    fn a_rule_that_is_learned_again_is_not_new_even_after_it_expired() {
        let (mut learned_rules, model) = (learned_rules(), "m".into());

        assert_eq!(learned_rules.learn(0, &model, fixup("a")), Novelty::New);
        assert_eq!(learned_rules.learn(10, &model, fixup("a")), Novelty::Known);
        assert_eq!(learned_rules.learn(500, &model, fixup("a")), Novelty::Known);
        assert_eq!(recalled(&mut learned_rules, 550, "m"), [fixup("a")]);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes() {
        let mut learned_rules = learned_rules();
        for number in 0..MAX_MODELS as u64 + 1 {
            learned_rules.learn(number, &number.to_string().into(), fixup("a"));
        }
        assert_eq!(learned_rules.models.len(), MAX_MODELS);
        assert!(learned_rules.recall(0, "0").is_none() && learned_rules.recall(0, "1").is_some());

        for number in 0..MAX_FIXUPS + 1 {
            learned_rules.learn(0, &"1".into(), fixup(&format!("p{number}")));
        }
        let fixups = recalled(&mut learned_rules, 0, "1");
        assert_eq!((fixups.len(), &fixups[0]), (MAX_FIXUPS, &fixup("p1")));
    }
}
