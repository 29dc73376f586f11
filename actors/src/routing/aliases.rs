//! A table of aliases, and which of them fits a name.

use std::collections::BTreeMap;

use crate::settings::{EVERY_NAME, Fallbacks};

/// The aliases of one provider or profile. Case counts for nothing, and `_` is as good as `-`.
#[derive(Clone, Debug, Default)]
pub(super) struct Aliases {
    /// By folded name; the value is the name as configured, and its target.
    by_name: BTreeMap<String, (String, String)>,
    /// By folded name, of aliases and of models.
    fallbacks: Fallbacks,
}

/// An alias that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AliasMatch<'a> {
    pub(super) alias: &'a str,
    pub(super) target: &'a str,
    pub(super) kind: MatchKind,
}

/// How an alias fits a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchKind {
    /// But for case, and `_` for `-`.
    Whole,
    /// The name contains it.
    Part,
}

fn folded(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

impl Aliases {
    /// Of two names that differ only in their folding, the first in alphabetical order counts.
    pub(super) fn new(aliases: &BTreeMap<String, String>, fallbacks: &Fallbacks) -> Self {
        let mut by_name = BTreeMap::new();
        for (name, target) in aliases {
            by_name.entry(folded(name)).or_insert_with(|| (name.clone(), target.clone()));
        }
        let fallbacks = fallbacks.iter().map(|(name, targets)| (folded(name), targets.clone())).collect();
        Self { by_name, fallbacks }
    }

    /// The alias that is this name.
    pub(super) fn whole(&self, name: &str) -> Option<AliasMatch<'_>> {
        let (alias, target) = self.by_name.get(&folded(name))?;
        Some(AliasMatch { alias, target, kind: MatchKind::Whole })
    }

    /// The longest alias that stands in this name; of equals the first in alphabetical order.
    pub(super) fn part(&self, name: &str) -> Option<AliasMatch<'_>> {
        let name = folded(name);
        let mut best: Option<(&String, &(String, String))> = None;
        for (alias, entry) in self.by_name.iter().filter(|(alias, _)| name.contains(alias.as_str())) {
            if best.is_none_or(|(known, _)| alias.len() > known.len()) {
                best = Some((alias, entry));
            }
        }
        best.map(|(_, (alias, target))| AliasMatch { alias, target, kind: MatchKind::Part })
    }

    /// Whether this model is the target of an alias.
    pub(super) fn stands_for(&self, model: &str) -> bool {
        self.by_name.values().any(|(_, target)| target.trim_start_matches('!').eq_ignore_ascii_case(model))
    }

    /// What is to be tried when a request under this name fails, if something is said about it.
    pub(super) fn fallbacks(&self, name: &str) -> Option<&[String]> {
        if self.fallbacks.is_empty() {
            return None;
        }
        self.fallbacks.get(&folded(name)).map(Vec::as_slice)
    }

    /// The same for names about which nothing is said.
    pub(super) fn fallbacks_of_all(&self) -> Option<&[String]> {
        self.fallbacks.get(EVERY_NAME).map(Vec::as_slice)
    }

    /// The names that have fallbacks, with these.
    pub(super) fn all_fallbacks(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.fallbacks.iter().map(|(name, targets)| (name.as_str(), targets.as_slice()))
    }

    /// Names as configured, with their targets.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.by_name.values().map(|(name, target)| (name.as_str(), target.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, &str)]) -> Aliases {
        let aliases = entries.iter().map(|&(name, target)| (name.into(), target.into())).collect();
        Aliases::new(&aliases, &Fallbacks::new())
    }

    /// Requirement: `POE_ALIAS_MY_ALIAS=t`: `my-alias`, `my_alias`, `oh-my-alias-model` → poe t.
    /// Requirement: `POE_ALIAS_FAST=sonnet-x`, `POE_ALIAS_FASTER=y`: `my-faster-model` → y (longest wins).
    /// Requirement: Exact beats longer substring: alias `haiku` and alias `haiku-long`, model `haiku` → the
    /// first.
    #[test]
    fn the_whole_name_counts_before_a_part_and_a_long_part_before_a_short_one() {
        let table =
            table(&[("my-alias", "1"), ("summary", "2"), ("summary2", "3"), ("ab", "4"), ("bc", "5")]);
        assert_eq!(table.whole("MY_ALIAS").map(|hit| hit.target), Some("1"));
        assert_eq!(table.whole("my"), None);
        assert_eq!(table.whole("summary").map(|hit| hit.target), Some("2"));
        assert_eq!(table.part("my-summary2-model").map(|hit| hit.target), Some("3"));
        assert_eq!(table.part("oh_my_alias_model").map(|hit| hit.target), Some("1"));
        assert_eq!(table.part("summary22").map(|hit| hit.target), Some("3"));
        assert_eq!(table.part("abc").map(|hit| hit.alias), Some("ab"));
        assert_eq!(table.part("none"), None);
    }
}
