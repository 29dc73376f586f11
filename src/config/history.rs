//! Where the history is kept.

use std::path::{Path, PathBuf};

use super::layer::Section;
use super::overrides::Overrides;

/// The directory below those of the user.
const DIRECTORY: &str = "vandamme-proxy";
const FILE: &str = "history.db";

/// The database file; `None` if the history is kept in memory.
pub(super) fn file(root: Section<'_>, overrides: &Overrides) -> Option<PathBuf> {
    if root.flag("history") == Some(false) {
        return None;
    }
    let directory = match root.text("state-dir") {
        Some(directory) => in_home(directory.text.trim(), overrides)?,
        None => default_directory(overrides)?,
    };
    Some(directory.join(FILE))
}

/// `~` is the home; a relative path begins in the working directory.
fn in_home(path: &str, overrides: &Overrides) -> Option<PathBuf> {
    match path.strip_prefix("~/") {
        Some(rest) => Some(overrides.home.as_ref()?.join(rest)),
        None => Some(overrides.working_directory.join(path)),
    }
}

fn default_directory(overrides: &Overrides) -> Option<PathBuf> {
    let absolute = |name: &str| {
        let value = overrides.environment.get(name)?;
        // systemd separates several directories by colons.
        let first = value.split(':').next().unwrap_or_default();
        Some(PathBuf::from(first)).filter(|path| path.is_absolute())
    };
    let of_user = || absolute("XDG_STATE_HOME").map(|state| state.join(DIRECTORY));
    let of_home = || overrides.home.as_deref().map(|home: &Path| home.join(".local/state").join(DIRECTORY));
    absolute("STATE_DIRECTORY").or_else(of_user).or_else(of_home)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Requirement: the state directory is that of the systemd unit, else `XDG_STATE_HOME`, else below the home.
    #[test]
    fn the_directory_is_that_of_the_service_or_the_user() {
        let directory = |variables: &[(&str, &str)], home: Option<&str>| {
            let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let environment: BTreeMap<String, String> = environment.collect();
            let home = home.map(PathBuf::from);
            default_directory(&Overrides { environment, home, ..Overrides::default() })
        };
        let state = ("XDG_STATE_HOME", "/x");
        for (variables, home, expected) in [
            (&[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), state][..], Some("/h"), Some("/var/lib/a")),
            (&[state], Some("/h"), Some("/x/vandamme-proxy")),
            (&[("XDG_STATE_HOME", "relative")], Some("/h"), Some("/h/.local/state/vandamme-proxy")),
            (&[], Some("/h"), Some("/h/.local/state/vandamme-proxy")),
            (&[], None, None),
        ] {
            assert_eq!(directory(variables, home), expected.map(PathBuf::from), "{variables:?}");
        }
    }
}
