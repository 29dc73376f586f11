//! Every exit code of `vdm`, on one page.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; for a server: asked to stop, and stopped in order.
    Ok = 0,
    /// The configuration has a mistake (every one was told), the gateway that was asked about does not run, is not
    /// healthy or did not stop in time, a name that was to be explained leads nowhere, or a provider that was asked does not
    /// answer or is not known.
    Failed = 1,
    /// The command line makes no sense, or what was asked is refused on purpose (OAuth subscriptions).
    Usage = 2,
    /// The address cannot be bound: the port is in use, or the host is not ours.
    Bind = 3,
    /// Our own fault.
    Internal = 70,
    /// The tool to be wrapped is there, but cannot be run.
    NotExecutable = 126,
    /// The tool to be wrapped is not there. Otherwise `wrap` ends as the tool does.
    NotFound = 127,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
