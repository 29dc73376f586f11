//! The control socket: the command line sends commands to a running gateway of the same user. No other user has access.
//!
//! A command and its answer are one line of JSON each. The answer to [`ControlCommand::Stop`] has several lines: the gateway
//! sends one whenever the number of requests in flight changes, and closes the connection when it exits.

pub(crate) mod client;
pub(crate) mod listener;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// The version of the protocol. It increases with every change that an older command line or gateway would misread.
const VERSION: u32 = 1;
/// Maximum length of a question, in bytes.
const QUESTION: usize = 4 << 10;
/// Maximum length of one line of an answer, in bytes. The list of changes after a reload can be long.
const ANSWER: usize = 1 << 20;

/// The wire format of a question.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    version: u32,
    ask: ControlCommand,
}

/// The wire format of one line of an answer.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    version: u32,
    #[serde(flatten)]
    said: ControlReply,
}

/// A command to a running gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ControlCommand {
    /// Report the status.
    Status,
    /// Run at least as long as the process that sends the command.
    Join,
    /// Reload the configuration.
    Reload,
    /// Make a one-time link to the dashboard.
    DashboardLink,
    /// Reset the health of providers and keys.
    ResetHealth(ResetTarget),
    /// Drain, then exit.
    Stop,
    /// Abort requests, then exit.
    StopNow,
    /// Replace the program with the one on disk, with the same command line. If that one cannot start, nothing changes.
    Restart,
}

/// The gateway's answer to a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ControlReply {
    Status(Box<Status>),
    /// The gateway stops; `in_flight` requests still run.
    Stopping {
        in_flight: usize,
    },
    /// A new worker serves.
    Restarted(Box<Status>),
    /// Joined; the gateway listens at this address.
    Joined {
        address: SocketAddr,
    },
    Reloaded(Reloaded),
    HealthReset(HealthReset),
    /// The token of a one-time link to the dashboard.
    DashboardLink {
        token: String,
    },
    /// Refused; human-readable reasons, one per entry.
    Refused(Vec<String>),
}

/// The state of a running gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
    /// The SHA-256 of the listener's certificate, in hexadecimal; `None` for plain HTTP.
    #[serde(default)]
    pub(crate) certificate: Option<String>,
    pub(crate) version: String,
    /// Start time, in milliseconds since 1970.
    pub(crate) started: u64,
    pub(crate) uptime_seconds: u64,
    pub(crate) state: State,
    pub(crate) in_flight: usize,
    pub(crate) providers: Vec<String>,
    pub(crate) default_provider: Option<String>,
    /// Started by `vdm wrap`; the gateway exits with its last session.
    pub(crate) wrapped: bool,
    /// `None` for a gateway without a master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) worker: Option<WorkerStatus>,
}

/// The processes that a master runs; [`Status::pid`] is the master's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WorkerStatus {
    /// `None` while a new worker starts.
    pub(crate) pid: Option<u32>,
    /// The number of workers that were replaced because they ended unexpectedly or did not answer. Restarts by
    /// command do not count.
    #[serde(rename = "restarts")]
    pub(crate) replacements: u64,
    /// Earlier workers that still serve requests.
    pub(crate) draining: Vec<DrainingWorker>,
}

/// A worker that accepts no more connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DrainingWorker {
    pub(crate) pid: u32,
    pub(crate) in_flight: usize,
    pub(crate) connections: usize,
}

/// The providers and keys whose health is reset. Without a provider all of them are, without a key the whole provider is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResetTarget {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    /// The id of a key, as logs and reports show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

impl ResetTarget {
    /// Reads a JSON object. An empty text means everything.
    pub(crate) fn from_json(bytes: &[u8]) -> serde_json::Result<Self> {
        if bytes.trim_ascii().is_empty() { Ok(Self::default()) } else { serde_json::from_slice(bytes) }
    }
}

/// The providers whose health was reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HealthReset {
    pub(crate) reset: Vec<ResetProvider>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ResetProvider {
    pub(crate) provider: String,
    /// The ids of the keys.
    pub(crate) keys: Vec<String>,
}

/// The result of a reload: human-readable lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    pub(crate) changed: Vec<String>,
    /// Changed settings that take effect after a restart.
    pub(crate) needs_restart: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

impl Status {
    pub(crate) fn scheme(&self) -> &'static str {
        if self.certificate.is_some() { "https" } else { "http" }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme(), self.address)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Running,
    /// No worker serves: a new one starts, or the current one does not answer.
    Starting,
    /// Requests in flight finish; new ones are refused.
    Stopping,
}

/// The file name of the socket of the gateway for the sessions of this name.
pub(crate) fn name_for_sessions(name: &str) -> String {
    format!("session-{name}.sock")
}

/// The file name of the socket of the gateway at this address.
pub(crate) fn name(address: SocketAddr) -> String {
    let ip = address.ip();
    if ip.is_ipv6() {
        format!("[{ip}]-{}.sock", address.port())
    } else {
        format!("{ip}-{}.sock", address.port())
    }
}
