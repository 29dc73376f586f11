//! The file with the process id of the master.

use std::fs;
use std::path::PathBuf;

use crate::process::channel::messages::StartFailure;

/// It is written when the gateway serves, so that a second one that cannot start leaves it alone.
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn write(&self) -> Result<(), StartFailure> {
        fs::write(&self.0, own()).map_err(|error| StartFailure {
            lines: vec![format!(
                "cannot write the PID file {}: {error}; choose another one with --pid-file",
                self.0.display()
            )],
            exit_code: 1,
        })
    }

    /// Removes it, unless it is another process's by now.
    pub(super) fn remove(&self) {
        if fs::read_to_string(&self.0).is_ok_and(|content| content == own()) {
            let _gone_anyway = fs::remove_file(&self.0);
        }
    }
}

fn own() -> String {
    format!("{}\n", std::process::id())
}
