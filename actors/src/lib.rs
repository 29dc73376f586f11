//! Whatever owns state.

pub mod secret;
pub mod settings;
