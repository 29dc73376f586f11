//! The sources of a configuration outside of the compiled-in file.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything outside the compiled-in file that a configuration depends on.
#[derive(Clone, Default)]
pub struct Overrides {
    /// `--host`
    pub host: Option<String>,
    /// `--port`; zero takes any free one.
    pub port: Option<u16>,
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--verbose`: log at DEBUG.
    pub verbose: Option<Verbose>,
    /// The gateway of `vdm wrap`: on a loopback address it speaks plain HTTP, whatever the files say.
    pub sessions: Option<ForSessions>,
    pub environment: BTreeMap<String, String>,
    /// Where `.env` and `vandamme-config.toml` are looked for.
    pub working_directory: PathBuf,
    /// Where `.config/vandamme-proxy/vandamme-config.toml` is looked for.
    pub home: Option<PathBuf>,
}

/// The gateway serves the sessions of `vdm wrap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForSessions;

/// `--verbose` was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verbose;

impl Overrides {
    /// The environment, working directory and home of this process. Text that is not UTF-8 is replaced here and
    /// refused where it is used.
    pub fn of_process() -> Self {
        let variables = std::env::vars_os();
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self {
            environment: variables.map(|(name, value)| (text(name), text(value))).collect(),
            working_directory: std::env::current_dir().unwrap_or_default(),
            home: std::env::home_dir(),
            ..Self::default()
        }
    }
}
