//! The programs that a master starts: its own, and the one that is on disk now.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The file that this process executes, on systems that have it. It is there even if the file on disk has been replaced.
const RUNNING: &str = "/proc/self/exe";

/// How this program was called.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The path that a user would call again. A link is kept, so that a link to a new version is followed.
    path: PathBuf,
    /// The name that it was called by.
    name: OsString,
}

impl Program {
    /// # Errors
    /// If the system does not report which file this process executes.
    pub(crate) fn of_process() -> io::Result<Self> {
        let executed = std::env::current_exe()?;
        let name = std::env::args_os().next().unwrap_or_else(|| executed.clone().into_os_string());
        let path = called(&name).filter(|path| is_same_file(path, &executed)).unwrap_or(executed);
        Ok(Self { path, name })
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// The file that is on disk now.
    pub(crate) fn on_disk(&self) -> &Path {
        &self.path
    }

    /// The file that this process executes.
    pub(crate) fn running(&self) -> &Path {
        let running = Path::new(RUNNING);
        // By its path, it keeps its name in `ps` and `top`.
        if !running.exists() || is_same_file(&self.path, running) { &self.path } else { running }
    }
}

/// The file that a shell would run for this name.
fn called(name: &OsStr) -> Option<PathBuf> {
    let name = Path::new(name);
    if name.components().count() > 1 {
        return std::path::absolute(name).ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}
