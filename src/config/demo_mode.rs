//! Whether the embedded provider answers.

/// When the embedded provider answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemoMode {
    /// `VDM_DEMO=1`: beside whatever is configured.
    Forced,
    /// No provider is registered, and only this machine can reach the listener.
    Fallback,
    Off,
}
