//! Stores the learned rules of a provider: the fixups that requests for a model need, each for a limited time. Pure.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use vandamme_protocol::compat::Fixup;

use crate::clock::{self, Millis};

/// The most models; beyond that, the model whose rules expire next is removed.
const MODELS: usize = 64;
/// The most fixups per model; beyond that, the oldest is removed.
const EDITS: usize = 16;

/// The learned rules of one provider, by model.
#[derive(Clone, Debug, Default)]
pub(super) struct LearnedRules {
    models: HashMap<Arc<str>, LearnedRule>,
    ttl: Duration,
}

/// The rules of one model. Expired rules are kept until they are learned again, so that each is logged only once.
#[derive(Clone, Debug, Default)]
struct LearnedRule {
    learnt: Vec<Learnt>,
    /// The fixups that have not expired, and the time at which the first of them expires.
    edits: Option<Arc<[Fixup]>>,
    ends: Millis,
}

#[derive(Clone, Debug)]
struct Learnt {
    edit: Fixup,
    until: Millis,
}

/// A learned rule as reports show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedRuleView {
    pub model: Arc<str>,
    pub edit: Fixup,
    /// The time until it expires.
    pub left: Duration,
}

/// Whether a rule has been logged before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Novelty {
    New,
    Known,
}

impl LearnedRules {
    /// Whether no rule is in force.
    pub(super) fn are_none(&self, now: Millis) -> bool {
        self.models.values().all(|lesson| lesson.learnt.iter().all(|learnt| learnt.until <= now))
    }

    pub(super) fn new(ttl: Duration) -> Self {
        Self { models: HashMap::new(), ttl }
    }

    /// Sets the lifetime of rules learned from now on.
    pub(super) fn keep_for(&mut self, ttl: Duration) {
        self.ttl = ttl;
    }

    /// The fixups that requests for `model` need; almost always none.
    pub(super) fn recall(&mut self, now: Millis, model: &str) -> Option<Arc<[Fixup]>> {
        let lesson = self.models.get_mut(model)?;
        if lesson.edits.is_some() && lesson.ends <= now {
            lesson.sort_out(now);
        }
        lesson.edits.clone()
    }

    pub(super) fn learn(&mut self, now: Millis, model: &Arc<str>, edit: Fixup) -> Novelty {
        self.make_room_for(model);
        let until = now.saturating_add(clock::millis(self.ttl));
        let lesson = self.models.entry(model.clone()).or_default();
        let before = lesson.learnt.len();
        lesson.learnt.retain(|learnt| learnt.edit != edit);
        let novelty = if lesson.learnt.len() < before { Novelty::Known } else { Novelty::New };
        if lesson.learnt.len() >= EDITS {
            lesson.learnt.remove(0);
        }
        lesson.learnt.push(Learnt { edit, until });
        lesson.sort_out(now);
        novelty
    }

    pub(super) fn view(&self, now: Millis) -> Vec<LearnedRuleView> {
        let all = self.models.iter().flat_map(|(model, lesson)| {
            let holding = lesson.learnt.iter().filter(move |learnt| learnt.until > now);
            holding.map(move |Learnt { edit, until }| LearnedRuleView {
                model: model.clone(),
                edit: edit.clone(),
                left: Duration::from_millis(until - now),
            })
        });
        let mut all: Vec<_> = all.collect();
        all.sort_by(|one, other| one.model.cmp(&other.model));
        all
    }

    fn make_room_for(&mut self, model: &Arc<str>) {
        if self.models.len() < MODELS || self.models.contains_key(model) {
            return;
        }
        let last = |lesson: &LearnedRule| lesson.learnt.iter().map(|learnt| learnt.until).max();
        let next = self.models.iter().min_by_key(|(_, lesson)| last(lesson));
        if let Some(forgotten) = next.map(|(model, _)| model.clone()) {
            self.models.remove(&forgotten);
        }
    }
}

impl LearnedRule {
    fn sort_out(&mut self, now: Millis) {
        let holding = || self.learnt.iter().filter(|learnt| learnt.until > now);
        let edits: Arc<[Fixup]> = holding().map(|learnt| learnt.edit.clone()).collect();
        self.ends = holding().map(|learnt| learnt.until).min().unwrap_or(Millis::MAX);
        self.edits = (!edits.is_empty()).then_some(edits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(name: &str) -> Fixup {
        Fixup::param(name).unwrap()
    }

    fn learned_rules() -> LearnedRules {
        LearnedRules::new(Duration::from_millis(100))
    }

    fn recalled(learned_rules: &mut LearnedRules, now: Millis, model: &str) -> Vec<Fixup> {
        learned_rules.recall(now, model).map(|edits| edits.to_vec()).unwrap_or_default()
    }

    #[test]
    fn each_rule_expires_and_applies_to_its_model_only() {
        let (mut learned_rules, model) = (learned_rules(), "m".into());
        learned_rules.learn(0, &model, edit("a"));
        learned_rules.learn(50, &model, edit("b"));

        assert_eq!(recalled(&mut learned_rules, 99, "m"), [edit("a"), edit("b")]);
        assert_eq!(recalled(&mut learned_rules, 100, "m"), [edit("b")]);
        assert_eq!(
            learned_rules.view(100).iter().map(|view| view.left.as_millis()).collect::<Vec<_>>(),
            [50]
        );
        assert!(!learned_rules.are_none(149) && learned_rules.are_none(150));
        assert!(learned_rules.recall(150, "m").is_none() && learned_rules.view(150).is_empty());
        assert!(learned_rules.recall(0, "other").is_none());
    }

    #[test]
    fn a_rule_that_is_learned_again_is_not_new_even_after_it_expired() {
        let (mut learned_rules, model) = (learned_rules(), "m".into());

        assert_eq!(learned_rules.learn(0, &model, edit("a")), Novelty::New);
        assert_eq!(learned_rules.learn(10, &model, edit("a")), Novelty::Known);
        assert_eq!(learned_rules.learn(500, &model, edit("a")), Novelty::Known);
        assert_eq!(recalled(&mut learned_rules, 550, "m"), [edit("a")]);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes() {
        let mut learned_rules = learned_rules();
        for number in 0..MODELS as u64 + 1 {
            learned_rules.learn(number, &number.to_string().into(), edit("a"));
        }
        assert_eq!(learned_rules.models.len(), MODELS);
        assert!(learned_rules.recall(0, "0").is_none() && learned_rules.recall(0, "1").is_some());

        for number in 0..EDITS + 1 {
            learned_rules.learn(0, &"1".into(), edit(&format!("p{number}")));
        }
        let edits = recalled(&mut learned_rules, 0, "1");
        assert_eq!((edits.len(), &edits[0]), (EDITS, &edit("p1")));
    }
}
