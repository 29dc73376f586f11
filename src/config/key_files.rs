//! Reads key files, such as the secrets of a container, into a layer of keys.

use std::fs::Metadata;

use config::ValueKind;

use super::client_keys;
use super::environment::prefix;
use super::error::{ConfigError, Diagnostics};
use super::layer::{Layer, LocatedText, Section};
use super::source_files::{SourceFile, SourceFiles, Unreadable};

/// The largest file, in bytes.
const LARGEST: u64 = 64 << 10;
/// Directories of secrets that container runtimes mount, readable by all users of the container.
const MOUNTED: [&str; 2] = ["/run/secrets", "/var/run/secrets"];

/// Reads the files that `merged` names.
pub(super) struct KeyFiles<'a> {
    merged: &'a Layer,
    files: &'a SourceFiles,
    layer: Layer,
    report: &'a mut Diagnostics,
}

impl<'a> KeyFiles<'a> {
    /// The layer of all keys.
    pub(super) fn read(merged: &'a Layer, files: &'a SourceFiles, report: &'a mut Diagnostics) -> Layer {
        let mut reading = Self { merged, files, layer: Layer::default(), report };
        for name in merged.providers() {
            reading.of_provider(name);
        }
        reading.of_the_gateway("proxy-api-key", "proxy-api-key-file");
        reading.of_the_gateway("admin-key", "admin-key-file");
        reading.of_clients();
        reading.layer
    }

    fn of_provider(&mut self, name: &str) {
        let section = self.merged.root().section("providers").section(name);
        let Some(file) = section.text("api-key-file") else { return };
        if let Some(error) = both(section, "api-key", file) {
            return self.report.errors.push(error);
        }
        match self.words(file.text) {
            Ok(keys) => self.layer.put(&["providers", name, "api-key"], ValueKind::from(keys), file.text),
            // Many programs have variables of this form; only a base URL shows that this one is for vdm.
            Err(refusal) if section.text("base-url").is_none() => {
                let missing = format!("{}_BASE_URL", prefix(name));
                self.report.warning(file.place, format!("{refusal}; to use {name}, set {missing} too"));
            }
            Err(refusal) => self.report.error(file.place, refusal),
        }
    }

    fn of_the_gateway(&mut self, name: &str, in_file: &str) {
        let root = self.merged.root();
        let Some(file) = root.text(in_file) else { return };
        if let Some(error) = both(root, name, file) {
            return self.report.errors.push(error);
        }
        match self.words(file.text) {
            Ok(key) if key.contains(' ') => {
                let text = format!("{} holds several words, but {name} is one key", file.text);
                self.report.error(file.place, text);
            }
            Ok(key) => self.layer.put(&[name], ValueKind::from(key), file.text),
            Err(refusal) => self.report.error(file.place, refusal),
        }
    }

    fn of_clients(&mut self) {
        for (name, entry) in self.merged.root().section(client_keys::TABLE).texts() {
            let Some(path) = client_keys::file(entry.text) else { continue };
            match self.words(path).and_then(|key| client_keys::hashed(&key)) {
                Ok(hash) => self.layer.put(&[client_keys::TABLE, name], ValueKind::from(hash), path),
                Err(refusal) => self.report.error(entry.place, refusal),
            }
        }
    }

    /// The words of a file, joined by blanks, without lines that start with `#`. The text is never repeated in an error.
    fn words(&mut self, path: &str) -> Result<String, String> {
        let read = self.files.regular(path, LARGEST);
        let file = read.map_err(|unreadable| match unreadable {
            Unreadable::Failed(error) => format!("cannot read the key file {path}: {error}"),
            Unreadable::NotRegular => format!("the key file {path} is no regular file"),
            Unreadable::TooLong => {
                format!("the key file {path} has more than {LARGEST} bytes; is it the right one?")
            }
        })?;
        let text = std::str::from_utf8(&file.bytes);
        let text = text.map_err(|_| format!("cannot read the key file {path}: it is not UTF-8 text"))?;
        let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
        let words: Vec<_> =
            lines.filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace).collect();
        if words.is_empty() {
            return Err(format!("the key file {path} contains no key; write a key into it, or several"));
        }
        self.report.warnings.extend(open_to_all(path, self.files, &file));
        Ok(words.join(" "))
    }
}

fn both(section: Section<'_>, key: &str, file: LocatedText<'_>) -> Option<ConfigError> {
    let stated = section.text(key).filter(|stated| !stated.text.trim().is_empty())?;
    let text = format!("the key is set twice: here as a file and by {}; take one away", stated.place);
    Some(ConfigError::new(file.place, text))
}

/// A warning, if every user of this machine can read the file.
pub(super) fn open_to_all(name: &str, files: &SourceFiles, file: &SourceFile) -> Option<String> {
    let (full, metadata) = (files.directory().join(name), file.metadata.as_ref()?);
    let is_mounted = MOUNTED.iter().any(|mounted| full.starts_with(mounted));
    let is_open = is_open_to_all(metadata) && !is_mounted;
    is_open.then(|| format!("everybody on this machine can read {name}; chmod 600 {name}"))
}

#[cfg(unix)]
fn is_open_to_all(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_open_to_all(_: &Metadata) -> bool {
    false
}
