//! Every exit code of `vdm`, on one page.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; for a server: asked to stop, and stopped in order.
    Ok = 0,
    /// The configuration has a mistake (every one was told), the gateway that was asked about does not run, is not
    /// healthy or did not stop in time, a name that was to be explained leads nowhere, a provider that was asked does not
    /// answer or is not known, or setup ended without writing anything.
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

impl Exit {
    pub const ALL: [Self; 7] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Bind,
        Self::Internal,
        Self::NotExecutable,
        Self::NotFound,
    ];

    pub fn number(self) -> u8 {
        self as u8
    }

    /// For the manual page.
    pub fn about(self) -> &'static str {
        match self {
            Self::Ok => "Done; a server was asked to stop, and stopped in order.",
            Self::Failed => {
                "The configuration has a mistake (all are told), the gateway that was asked does not run, is not healthy \
                 or did not stop in time, a name leads nowhere, a provider does not answer, or setup wrote nothing."
            }
            Self::Usage => "The command line makes no sense, or what was asked is refused on purpose.",
            Self::Bind => {
                "The address cannot be listened on: the port is in use, or the host is not this machine."
            }
            Self::Internal => "A fault of vdm itself.",
            Self::NotExecutable => "The tool to be wrapped is there, but cannot be run.",
            Self::NotFound => "The tool to be wrapped is not there. Otherwise wrap ends as the tool does.",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}
