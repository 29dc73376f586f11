//! Explains a route: the steps from a model name to its target, as text for users.

use std::fmt;

use super::aliases::MatchKind;
use super::unroutable::SkippedFallback;
use crate::roles::RoleReason;

/// One step. Names are spelled as in the request or in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutingStep<'s> {
    /// A mark of Claude Code that is not part of the name was removed.
    Unmarked { mark: &'s str, name: &'s str },
    /// `!`: no alias applies.
    Literal { name: &'s str },
    /// The name's first part is a provider.
    Prefix { provider: &'s str, name: &'s str },
    /// The name's first part is a profile.
    Profile { profile: &'s str, name: &'s str },
    /// The default profile is searched first.
    DefaultProfile { profile: &'s str },
    /// The profile has no alias for the name.
    NotInProfile { profile: &'s str, name: &'s str },
    /// No prefix, or one that is part of a model's id.
    Default { provider: &'s str, name: &'s str },
    /// An alias resolves to its target. `owner` is a provider or a profile.
    Alias { owner: &'s str, alias: &'s str, target: &'s str, kind: MatchKind },
    /// The name contains an alias, but is the name of a model itself.
    AliasSkipped { name: &'s str, alias: &'s str, why: AliasSkipped },
    /// The next target if that fails: `target` as configured, and the model and provider that it resolves to.
    Fallback { target: &'s str, provider: &'s str, model: &'s str },
    /// A fallback that is not used.
    SkippedFallback { target: &'s str, why: &'s SkippedFallback },
    /// The request has a role with a rule, in `[routing]` or of the profile `owner`. `target` is the list as configured.
    Role { role: &'s str, why: &'s RoleReason, owner: Option<&'s str>, target: &'s str },
    /// A target of the role leads nowhere; this one comes after it.
    NextTarget { target: &'s str },
    /// The name selects its model itself, so its role does not matter.
    RolesSkipped { name: &'s str },
}

/// Why an alias that a name contains is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AliasSkipped {
    /// The name is the target of an alias of the provider.
    IsATarget,
    /// The provider lists a model of this name.
    IsListed,
    /// The provider itself serves the ids that start with `claude-`.
    ServesClaude,
}

impl fmt::Display for RoutingStep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmarked { mark, name } => write!(f, "'{mark}' is removed: '{name}'"),
            Self::Literal { name } => write!(f, "'!' selects exactly '{name}', without aliases"),
            Self::Prefix { provider, name } => write!(f, "the prefix names provider '{provider}': '{name}'"),
            Self::Profile { profile, name } => write!(f, "the prefix names profile '{profile}': '{name}'"),
            Self::DefaultProfile { profile } => write!(f, "no prefix: profile '{profile}' is the default"),
            Self::NotInProfile { profile, name } => {
                write!(f, "profile '{profile}' has no alias for '{name}'")
            }
            Self::Default { provider, name } => {
                write!(f, "no prefix: '{name}' uses the default provider '{provider}'")
            }
            Self::Alias { owner, alias, target, kind: MatchKind::Whole } => {
                write!(f, "alias '{alias}' of '{owner}' resolves to '{target}'")
            }
            Self::Alias { owner, alias, target, kind: MatchKind::Part } => {
                write!(f, "the name contains alias '{alias}' of '{owner}', which resolves to '{target}'")
            }
            Self::AliasSkipped { name, alias, why } => {
                let why = match why {
                    AliasSkipped::IsATarget => "it is the target of an alias",
                    AliasSkipped::IsListed => "the provider lists this model",
                    AliasSkipped::ServesClaude => "the provider serves Claude itself",
                };
                write!(f, "'{name}' contains alias '{alias}', which is not used: {why}")
            }
            Self::Fallback { target, provider, model }
                if target.split_once(':') == Some((provider, model)) =>
            {
                write!(f, "if that fails: {target}")
            }
            Self::Fallback { target, provider, model } => {
                write!(f, "if that fails: '{target}', which resolves to {provider}:{model}")
            }
            Self::SkippedFallback { target, why } => write!(f, "fallback '{target}' is not used: {why}"),
            Self::Role { role, why, owner: None, target } => {
                write!(f, "the request has the role '{role}' ({why}), which [routing] sends to '{target}'")
            }
            Self::Role { role, why, owner: Some(owner), target } => {
                write!(
                    f,
                    "the request has the role '{role}' ({why}), which profile '{owner}' sends to '{target}'"
                )
            }
            Self::NextTarget { target } => write!(f, "the next target of the role is '{target}'"),
            Self::RolesSkipped { name } => {
                write!(
                    f,
                    "[routing] does not apply to '{name}', which names its model, provider or profile itself"
                )
            }
        }
    }
}
