//! The control socket: how the command line talks to a running gateway of the same user, and nobody else does. One line of
//! JSON each way; only the answer to [`ControlCommand::Stop`] has more, one whenever the number of requests in flight changes, and ends
//! when the process does.

pub(crate) mod client;
pub(crate) mod listener;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Raised when an older command line would misunderstand an answer, or an older gateway a question.
const VERSION: u32 = 1;
/// The longest question.
const QUESTION: usize = 4 << 10;
/// The longest line of an answer: what a reload has changed may be long.
const ANSWER: usize = 1 << 20;

/// A question as it goes over the socket.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    version: u32,
    ask: ControlCommand,
}

/// An answer as it goes over the socket.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    version: u32,
    #[serde(flatten)]
    said: ControlReply,
}

/// What a running gateway can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ControlCommand {
    /// How it is.
    Status,
    /// Live at least as long as the process that asks.
    Join,
    /// Read the configuration again, and go on with it.
    Reload,
    /// Reset the health of providers and keys.
    ResetHealth(ResetTarget),
    /// Finish what is in flight, and go.
    Stop,
    /// End what is in flight, and go.
    StopNow,
    /// Replace the program by the one on disk, with the same command line, unless that cannot start.
    Restart,
}

/// What it answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ControlReply {
    Status(Box<Status>),
    /// It stops, with so many requests in flight.
    Stopping {
        in_flight: usize,
    },
    /// A new worker serves.
    Restarted(Box<Status>),
    /// It does, and listens here.
    Joined {
        address: SocketAddr,
    },
    Reloaded(Reloaded),
    HealthReset(HealthReset),
    /// It does not do what was asked: one line each for a person.
    Refused(Vec<String>),
}

/// A running gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
    /// The SHA-256 of the listener's certificate, in hexadecimal; `None` for plain HTTP.
    #[serde(default)]
    pub(crate) certificate: Option<String>,
    pub(crate) version: String,
    /// When it started, in milliseconds since 1970.
    pub(crate) started: u64,
    pub(crate) uptime_seconds: u64,
    pub(crate) state: State,
    pub(crate) in_flight: usize,
    pub(crate) providers: Vec<String>,
    pub(crate) default_provider: Option<String>,
    /// It was started by `vdm wrap`, and goes with its last session.
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
    /// How often a worker has been replaced because it ended unexpectedly or did not answer.
    pub(crate) restarts: u64,
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

/// What a reload has done, one line each for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    pub(crate) changed: Vec<String>,
    /// What has changed in the configuration and will only hold after a restart.
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
    /// No worker serves: one starts, or does not answer.
    Starting,
    /// It lets requests in flight finish, and takes no new ones.
    Stopping,
}

/// What the socket is called of the gateway that lives for the sessions of this name.
pub(crate) fn name_for_sessions(name: &str) -> String {
    format!("session-{name}.sock")
}

/// What the socket of the gateway at this address is called.
pub(crate) fn name(address: SocketAddr) -> String {
    let ip = address.ip();
    if ip.is_ipv6() {
        format!("[{ip}]-{}.sock", address.port())
    } else {
        format!("{ip}-{}.sock", address.port())
    }
}
