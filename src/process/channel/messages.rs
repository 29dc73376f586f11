//! The messages between the master and a worker.

use serde::{Deserialize, Serialize};

use crate::process::control::{ControlReply, ResetTarget, Status};

/// From the master to a worker. A message that a worker of another version does not know is ignored there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WorkerOrder {
    /// Prepare to serve on the listeners that are the message's descriptors, beginning with the attached state of an earlier
    /// worker. Answer with [`WorkerMessage::Ready`].
    Start(StartReason),
    /// Accept connections. The master is prepared for commands to this worker.
    Serve,
    /// Answer with [`WorkerMessage::Pong`], if all threads run.
    Ping,
    /// Answer with [`WorkerMessage::Status`].
    Status,
    /// Read the configuration again, and answer with [`WorkerMessage::Reloaded`].
    Reload,
    /// Reset the health of these providers, and answer with [`WorkerMessage::HealthReset`].
    ResetHealth(ResetTarget),
    /// Make a one-time link to the dashboard, and answer with [`WorkerMessage::DashboardLink`].
    DashboardLink,
    /// Answer with [`WorkerMessage::State`].
    ExportState,
    /// Accept no more connections, serve the open ones without a limit of time, then exit. The second one limits the time to
    /// `limits.drain`.
    Retire,
    /// Drain within `limits.drain`, then exit.
    Stop,
    /// End the requests in flight, then exit.
    StopNow,
}

/// Why a worker is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum StartReason {
    /// The gateway starts.
    First,
    /// `vdm server restart` or SIGUSR2.
    Restart,
    /// The worker before it ended unexpectedly.
    Respawn,
}

/// From a worker to the master. A message that a master of another version does not know is ignored there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WorkerMessage {
    /// The configuration is valid; these are the parts of it that the master needs.
    Hello(Hello),
    /// The worker cannot start, and exits.
    Failed(StartFailure),
    /// It can serve, and waits for [`WorkerOrder::Serve`].
    Ready(Box<Status>),
    Pong,
    Status(Box<Status>),
    Reloaded(ControlReply),
    HealthReset(ControlReply),
    DashboardLink(ControlReply),
    /// The attachment is what the next worker should begin with.
    State,
    /// So many requests are in flight, and so many connections are open, while it drains.
    Draining {
        in_flight: usize,
        connections: usize,
    },
}

/// What the master needs to know of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) version: String,
    pub(crate) host: String,
    /// Zero for any free one.
    pub(crate) port: u16,
    pub(crate) log_level: String,
    /// Empty in a message of an earlier version.
    #[serde(default)]
    pub(crate) log_format: String,
    /// `limits.worker-liveness`; a worker that does not answer for so long is replaced.
    pub(crate) liveness_seconds: f64,
}

/// Why a worker cannot start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StartFailure {
    /// For the user who started it.
    pub(crate) lines: Vec<String>,
    pub(crate) exit_code: u8,
}
