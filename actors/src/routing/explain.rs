//! Why a model name leads where it leads: what was decided on the way, for people.

use std::fmt;

use super::aliases::MatchKind;
use super::unroutable::SkippedFallback;

/// One decision. Names are as they stand in the request or in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutingStep<'s> {
    /// A mark of Claude Code's that is no part of the name was taken off.
    Unmarked { mark: &'s str, name: &'s str },
    /// `!`: no alias applies.
    Literal { name: &'s str },
    /// The name's first part is a provider.
    Prefix { provider: &'s str, name: &'s str },
    /// The name's first part is a profile.
    Profile { profile: &'s str, name: &'s str },
    /// The default profile is requested first.
    DefaultProfile { profile: &'s str },
    /// Nothing in the profile fits.
    NotInProfile { profile: &'s str, name: &'s str },
    /// No prefix, or one that is part of a model's id.
    Default { provider: &'s str, name: &'s str },
    /// An alias stands for something else. `owner` is a provider or a profile.
    Alias { owner: &'s str, alias: &'s str, target: &'s str, kind: MatchKind },
    /// An alias would kind, but the name is a model's own.
    AliasSkipped { name: &'s str, alias: &'s str, why: AliasSkipped },
    /// If that fails, it goes here next: `target` as configured, which leads to this model of that provider.
    Fallback { target: &'s str, provider: &'s str, model: &'s str },
    /// A fallback that is not used.
    SkippedFallback { target: &'s str, why: &'s SkippedFallback },
}

/// Why a name is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasSkipped {
    /// An alias of the provider stands for it.
    IsATarget,
    /// The provider lists it.
    IsListed,
    /// The provider itself serves the ids that start with `claude-`.
    ServesClaude,
}

impl fmt::Display for RoutingStep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmarked { mark, name } => write!(f, "'{mark}' is taken off: '{name}'"),
            Self::Literal { name } => write!(f, "'!' means '{name}' as it is, without aliases"),
            Self::Prefix { provider, name } => write!(f, "the prefix names provider '{provider}': '{name}'"),
            Self::Profile { profile, name } => write!(f, "the prefix names profile '{profile}': '{name}'"),
            Self::DefaultProfile { profile } => write!(f, "no prefix: profile '{profile}' is the default"),
            Self::NotInProfile { profile, name } => {
                write!(f, "profile '{profile}' has no alias for '{name}'")
            }
            Self::Default { provider, name } => {
                write!(f, "no prefix: '{name}' goes to the default provider '{provider}'")
            }
            Self::Alias { owner, alias, target, kind: MatchKind::Whole } => {
                write!(f, "alias '{alias}' of '{owner}' stands for '{target}'")
            }
            Self::Alias { owner, alias, target, kind: MatchKind::Part } => {
                write!(f, "the name contains alias '{alias}' of '{owner}', which stands for '{target}'")
            }
            Self::AliasSkipped { name, alias, why } => {
                let why = match why {
                    AliasSkipped::IsATarget => "an alias of the provider stands for it",
                    AliasSkipped::IsListed => "the provider lists it",
                    AliasSkipped::ServesClaude => "the provider serves Claude itself",
                };
                write!(f, "'{name}' contains alias '{alias}', but stays: {why}")
            }
            Self::Fallback { target, provider, model } => {
                write!(f, "if that fails: '{target}', which is {provider}:{model}")
            }
            Self::SkippedFallback { target, why } => write!(f, "fallback '{target}' is left out: {why}"),
        }
    }
}
