//! The configuration of a worker that replaces a failed one: if the one on disk is invalid, the last good one, a copy of which
//! the master sends.

use crate::config::{Config, ConfigError, Overrides, SavedFiles};
use crate::process::channel::Channel;
use crate::process::channel::messages::WorkerOrder;

/// A configuration to start with.
pub(super) struct Loaded {
    pub(super) config: Config,
    /// The errors of the configuration on disk, if `config` is the last good one.
    pub(super) errors: Vec<ConfigError>,
}

/// Whether the master has a copy of the last good configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastGood {
    Sent,
    None,
}

/// # Errors
/// Those of the configuration on disk, if there is no other one.
pub(super) fn load(
    overrides: &Overrides,
    last_good: LastGood,
    channel: &Channel,
) -> Result<Loaded, Vec<ConfigError>> {
    // Received first, so that the master never waits for the files.
    let copy = if last_good == LastGood::Sent { receive(channel) } else { None };
    let errors = match Config::load(overrides) {
        Ok(config) => return Ok(Loaded { config, errors: vec![] }),
        Err(errors) => errors,
    };
    match copy.map(|copy| Config::load_copy(overrides, copy)) {
        Some(Ok(config)) => Ok(Loaded { config, errors }),
        Some(Err(_)) | None => Err(errors),
    }
}

fn receive(channel: &Channel) -> Option<SavedFiles> {
    loop {
        let packet = channel.receive::<WorkerOrder>().ok()??;
        if matches!(packet.message, Some(WorkerOrder::LastGood)) {
            return SavedFiles::parse(&packet.attachment);
        }
    }
}
