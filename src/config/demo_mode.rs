//! When the embedded provider answers.

use super::builder::Builder;

/// When the embedded provider answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemoMode {
    /// `VDM_DEMO=1`: beside whatever is configured.
    Forced,
    /// No provider is registered. This holds at any address: the demo provider spends nothing and reveals nothing.
    Fallback,
    Off,
}

impl DemoMode {
    pub(super) fn new(requested: Option<bool>, builder: &Builder<'_>) -> Self {
        match requested {
            Some(true) => Self::Forced,
            None if builder.registered.is_empty() => Self::Fallback,
            Some(false) | None => Self::Off,
        }
    }
}
