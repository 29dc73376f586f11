//! Claude Code's own settings, whose `env` goes before the environment that it was started with (seen with 1.0.128 and
//! 2.1.330), while those of `--settings` go before the other files.

use std::ffi::OsString;
use std::fs;
use std::io::{Result, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::environment::Changes;
use crate::cli::print_to_stderr;
use crate::process::directory;

/// The largest file of settings that is looked at.
const LARGEST: u64 = 1 << 20;

/// Whether something is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Real,
    Shown,
}

/// Overrides settings of Claude Code that would keep it from using the gateway.
pub(super) fn overrule(changes: &Changes, arguments: &mut Vec<OsString>, effect: Effect) {
    let found = places().into_iter().find_map(|file| Some((conflict(changes, &file)?, file)));
    let Some((name, file)) = found else { return };
    let given = |argument: &OsString| {
        argument == "--settings" || argument.to_string_lossy().starts_with("--settings=")
    };
    if arguments.iter().any(given) {
        print_to_stderr(format_args!(
            "vdm: {} sets {name}, which overrides the gateway's value; remove it there, or leave out --settings\n",
            file.display()
        ));
        return;
    }
    match written(changes, effect) {
        Ok(settings) => {
            arguments.splice(0..0, ["--settings".into(), settings]);
        }
        Err(error) => print_to_stderr(format_args!(
            "vdm: {} sets {name}, which overrides the gateway's value, and --settings cannot be written: {error}\n",
            file.display()
        )),
    }
}

/// The settings files that Claude Code reads in this directory.
fn places() -> Vec<PathBuf> {
    let own = std::env::var_os("CLAUDE_CONFIG_DIR").map(PathBuf::from);
    let own = own.or_else(|| Some(std::env::home_dir()?.join(".claude")));
    let own = own.map(|directory| directory.join("settings.json"));
    own.into_iter().chain([".claude/settings.json".into(), ".claude/settings.local.json".into()]).collect()
}

/// A variable that this file sets and that the gateway needs otherwise.
fn conflict(changes: &Changes, file: &Path) -> Option<String> {
    let is_large = fs::metadata(file).ok()?.len() > LARGEST;
    let text = if is_large { return None } else { fs::read_to_string(file).ok()? };
    let settings: Value = serde_json::from_str(&text).ok()?;
    let set = settings.get("env")?.as_object()?;
    changes.names().find(|name| set.contains_key(*name)).map(str::to_owned)
}

/// What stands behind `--settings`: a text, or a file of this user alone where it has a key, since everybody can read a
/// command line.
fn written(changes: &Changes, effect: Effect) -> Result<OsString> {
    let settings = changes.as_settings().to_string();
    if !changes.has_secret() {
        return Ok(settings.into());
    }
    let name: String = Sha256::digest(&settings).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    if effect == Effect::Shown {
        return Ok(format!("settings-{name}.json").into());
    }
    let path = directory::create()?.join(format!("settings-{name}.json"));
    if fs::read_to_string(&path).is_ok_and(|known| known == settings) {
        return Ok(path.into());
    }
    // Whole under its name or not at all: another session may read it meanwhile.
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let _left_over = fs::remove_file(&fresh);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(settings.as_bytes())?;
    fs::rename(&fresh, &path)?;
    Ok(path.into())
}
