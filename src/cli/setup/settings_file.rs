//! The file to write: replaced atomically, readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::answers::Setting;
use super::{START, dotenv, toml};

/// The file, with its text when setup began.
pub(super) struct SettingsFile {
    /// The path as given.
    named: PathBuf,
    /// The path without links.
    path: PathBuf,
    before: Option<String>,
}

impl SettingsFile {
    pub(super) fn open(path: PathBuf) -> Result<Self, String> {
        let named = std::path::absolute(&path).unwrap_or(path);
        // A link is kept, and its target is written.
        let path = fs::canonicalize(&named).unwrap_or_else(|_| named.clone());
        let before = read(&path)?;
        Ok(Self { named, path, before })
    }

    pub(super) fn is_toml(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "toml")
    }

    /// Whether a value with this provenance is in this file.
    pub(super) fn is_in(&self, place: &str) -> bool {
        [&self.named, &self.path].iter().any(|path| {
            place.strip_prefix(&*path.to_string_lossy()).is_some_and(|rest| rest.starts_with(':'))
        })
    }

    /// The command that starts a gateway which reads this file, if there is one.
    pub(super) fn start_command(&self) -> String {
        let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', "'\\''"));
        let is_plain = |path: &Path| {
            let text = path.to_string_lossy();
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+~".contains(&byte))
        };
        let shown = |path: &Path| if is_plain(path) { path.display().to_string() } else { quoted(path) };
        match self.named.parent() {
            _ if self.is_toml() => format!("{START} --config {}", shown(&self.named)),
            Some(directory) if self.named.file_name().is_some_and(|name| name == ".env") => {
                format!("cd {} && {START}", shown(directory))
            }
            Some(_) | None => START.to_owned(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// On an error the file is unchanged.
    pub(super) fn write(&self, settings: &[Setting]) -> Result<(), String> {
        let text = self.edited(settings)?;
        if read(&self.path)? != self.before {
            return Err(format!("{} has been changed by somebody else meanwhile", self.path.display()));
        }
        replace(&self.path, &text)
    }

    fn edited(&self, settings: &[Setting]) -> Result<String, String> {
        let mut text = self.before.clone().unwrap_or_default();
        for Setting { variable, path, value } in settings {
            text = match self.is_toml() {
                true => toml::with(&text, path, value.expose())
                    .map_err(|why| format!("cannot edit {}: {why}", self.path.display()))?,
                false => dotenv::with(&text, variable, value.expose()),
            };
        }
        Ok(text)
    }
}

fn read(path: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// Replaces the file at once, or leaves it unchanged. Only its owner can read it.
///
/// # Errors
/// Why it cannot be written.
pub(in crate::cli) fn replace(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    let mut name = path.to_owned().into_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let new = PathBuf::from(name);
    let written = private(&new).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&new, path)).map_err(|error| {
        drop(fs::remove_file(&new));
        failed(error)
    })
}

/// A new file that only its owner can read.
fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}
