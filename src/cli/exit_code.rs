//! Every exit code of `vdm`, on one page.

use std::process::ExitCode;

use crate::config::{ConfigError, ConfigErrorKind};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Success; for a server: stopped on request.
    Ok = 0,
    /// The configuration is invalid, the gateway is not running, is not healthy or did not stop in time, a model name has no
    /// target, a provider does not answer or is unknown, or setup wrote nothing.
    Failed = 1,
    /// The command line is invalid, or uses something that vdm refuses (OAuth subscriptions).
    Usage = 2,
    /// The address cannot be bound: the port is in use, or the host is another machine's.
    Bind = 3,
    /// An internal error.
    Internal = 70,
    /// The wrapped tool cannot be executed.
    NotExecutable = 126,
    /// The wrapped tool was not found. Otherwise `wrap` exits with the tool's own code.
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

    /// The exit code of another process of vdm.
    pub(super) fn from_number(number: u8) -> Self {
        Self::ALL.into_iter().find(|exit| exit.number() == number).unwrap_or(Self::Internal)
    }

    pub(super) fn from_config_errors(errors: &[ConfigError]) -> Self {
        let refused = errors.iter().any(|error| error.kind() == ConfigErrorKind::Unsupported);
        if refused { Self::Usage } else { Self::Failed }
    }

    pub fn number(self) -> u8 {
        self as u8
    }

    /// For the manual page.
    pub fn about(self) -> &'static str {
        match self {
            Self::Ok => "Success; a server stopped on request.",
            Self::Failed => {
                "The configuration is invalid, the gateway is not running, is not healthy or did not stop in time, a \
                 model name has no target, a provider does not answer, or setup wrote nothing."
            }
            Self::Usage => "The command line is invalid, or uses something that vdm refuses.",
            Self::Bind => {
                "The address cannot be bound: the port is in use, or the host is another machine's."
            }
            Self::Internal => "An internal error of vdm.",
            Self::NotExecutable => "The wrapped tool cannot be executed.",
            Self::NotFound => {
                "The wrapped tool was not found. Otherwise wrap exits with the tool's own code."
            }
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}
