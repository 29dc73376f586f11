//! Why a model name leads where it leads: what was decided on the way, for people.

use std::fmt;

use super::fallbacks::LeftOut;

/// One decision. Names are as they stand in the request or in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'s> {
    /// A mark of Claude Code's that is no part of the name was taken off.
    Unmarked { mark: &'s str, name: &'s str },
    /// `!`: no alias applies.
    Literal { name: &'s str },
    /// The name's first part is a provider.
    Prefix { provider: &'s str, name: &'s str },
    /// The name's first part is a profile.
    Profile { profile: &'s str, name: &'s str },
    /// The default profile is asked first.
    DefaultProfile { profile: &'s str },
    /// Nothing in the profile fits.
    NotInProfile { profile: &'s str, name: &'s str },
    /// No prefix, or one that is part of a model's id.
    Default { provider: &'s str, name: &'s str },
    /// An alias stands for something else. `owner` is a provider or a profile.
    Alias { owner: &'s str, alias: &'s str, target: &'s str, fit: Fit },
    /// An alias would fit, but the name is a model's own.
    Kept { name: &'s str, alias: &'s str, why: Kept },
    /// If that fails, it goes here next: `target` as configured, which leads to this model of that provider.
    Fallback { target: &'s str, provider: &'s str, model: &'s str },
    /// A fallback that is not used.
    LeftOut { target: &'s str, why: &'s LeftOut },
}

/// How an alias fits a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// But for case, and `_` for `-`.
    Whole,
    /// The name contains it.
    Part,
}

/// Why a name is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// An alias of the provider stands for it.
    IsATarget,
    /// The provider lists it.
    IsListed,
    /// The provider itself serves the ids that start with `claude-`.
    ServesClaude,
}

impl fmt::Display for Step<'_> {
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
            Self::Alias { owner, alias, target, fit: Fit::Whole } => {
                write!(f, "alias '{alias}' of '{owner}' stands for '{target}'")
            }
            Self::Alias { owner, alias, target, fit: Fit::Part } => {
                write!(f, "the name contains alias '{alias}' of '{owner}', which stands for '{target}'")
            }
            Self::Kept { name, alias, why } => {
                let why = match why {
                    Kept::IsATarget => "an alias of the provider stands for it",
                    Kept::IsListed => "the provider lists it",
                    Kept::ServesClaude => "the provider serves Claude itself",
                };
                write!(f, "'{name}' contains alias '{alias}', but stays: {why}")
            }
            Self::Fallback { target, provider, model } => {
                write!(f, "if that fails: '{target}', which is {provider}:{model}")
            }
            Self::LeftOut { target, why } => write!(f, "fallback '{target}' is left out: {why}"),
        }
    }
}
