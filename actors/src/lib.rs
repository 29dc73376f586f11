//! Whatever owns state.

pub mod attempts;
pub mod clock;
pub mod converter;
#[cfg(feature = "faults")]
pub mod faults;
mod keeper;
pub mod ledger;
pub mod observe;
pub mod provider;
pub mod roster;
pub mod router;
pub mod secret;
pub mod settings;
pub mod snapshot;
pub mod supervisor;
#[cfg(test)]
mod testing;
pub mod upstream;
