//! When the embedded provider answers.

use super::base_url::ListenAddress;
use super::builder::Builder;

/// When the embedded provider answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemoMode {
    /// `VDM_DEMO=1`: beside whatever is configured.
    Forced,
    /// No provider is registered, and only this machine can reach the listener.
    Fallback,
    Off,
}

impl DemoMode {
    pub(super) fn new(asked: Option<bool>, builder: &Builder<'_>, listener: &ListenAddress) -> Self {
        match asked {
            Some(true) => Self::Forced,
            None if builder.registered.is_empty() && listener.is_loopback() => Self::Fallback,
            Some(false) | None => Self::Off,
        }
    }
}
