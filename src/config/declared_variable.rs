//! The declaration of an environment variable.

use super::value_type::ValueType;

/// A variable for the gateway or for all providers.
pub(super) struct DeclaredVariable {
    pub(super) name: &'static str,
    /// The description, with the default in brackets.
    pub(super) about: &'static str,
    pub(super) kind: ValueType,
    /// The path of its value in the merged tree.
    pub(super) path: &'static [&'static str],
}
