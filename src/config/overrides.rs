//! The sources of a configuration apart from the built-in defaults: command line, environment, directories.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ::config::ValueKind;

use super::error::Diagnostics;
use super::file;
use super::layer::Layer;
use super::value_type::ValueType;

/// The name of a file of variables.
const DOTENV: &str = ".env";

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

    /// The layer of the command line.
    pub(super) fn layer(&self, report: &mut Diagnostics) -> Layer {
        let mut layer = Layer::default();
        if let Some(host) = &self.host {
            match ValueType::Host.check_variable(host) {
                Ok(value) => layer.put(&["host"], value, "--host"),
                Err(refusal) => report.error("--host", refusal),
            }
        }
        if let Some(port) = self.port {
            layer.put(&["port"], ValueKind::I64(port.into()), "--port");
        }
        if self.verbose.is_some() {
            layer.put(&["log-level"], ValueKind::from("DEBUG"), "--verbose");
        }
        layer
    }

    /// The files of the configuration and `.env`, whether they exist or not.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let local = self.working_directory.join(file::NAME);
        let user = self.home.as_deref().map(file::user_path);
        let given = self.config.as_ref().map(|path| self.working_directory.join(path));
        self.dotenv_files().into_iter().chain([local]).chain(user).chain(given).collect()
    }

    /// The files of variables; later ones override.
    pub(super) fn dotenv_files(&self) -> Vec<PathBuf> {
        let user = self.home.as_deref().map(|home| file::user_path(home).with_file_name(DOTENV));
        let local = self.working_directory.join(DOTENV);
        user.into_iter().filter(|user| *user != local).chain([local.clone()]).collect()
    }
}
