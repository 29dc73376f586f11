//! A running gateway in words.

use std::fmt::Write as _;

use crate::process::control::client::Running;
use crate::process::control::{
    DrainingWorker, HealthReset, Reloaded, ResetProvider, State, Status, WorkerStatus,
};

pub(super) fn described(status: &Status) -> String {
    let Status { pid, version, uptime_seconds, state, in_flight, .. } = status;
    let state = match state {
        State::Running => "is running",
        State::Starting => "has no worker that answers; it starts one",
        State::Stopping => "is stopping",
    };
    let mut text = format!(
        "{} {state}: vdm {version}, pid {pid}, for {}, {} in flight",
        status.url(),
        duration(*uptime_seconds),
        requests(*in_flight)
    );
    let is_default = |name: &String| status.default_provider.as_ref() == Some(name);
    let providers = status.providers.iter();
    let providers: Vec<_> = providers
        .map(|name| if is_default(name) { format!("{name} (default)") } else { name.clone() })
        .collect();
    let providers = if providers.is_empty() { "none".to_owned() } else { providers.join(", ") };
    // Writing to a string cannot fail.
    let _ = write!(text, "\nproviders: {providers}");
    if !status.config_errors.is_empty() {
        text.push_str("\nconfiguration: the last good one is in use, because the one on disk is invalid:");
        for error in &status.config_errors {
            let _ = write!(text, "\n  {error}");
        }
    }
    if let Some(worker) = &status.worker {
        let _ = write!(text, "\n{}", processes(*pid, worker));
    }
    text
}

fn processes(master: u32, worker: &WorkerStatus) -> String {
    let serving = worker.pid.map_or_else(|| "none".to_owned(), |pid| pid.to_string());
    let mut text = format!("processes: master {master}, worker {serving}");
    match worker.replacements {
        0 => {}
        1 => text.push_str(", replaced once"),
        times => {
            let _ = write!(text, ", replaced {times} times");
        }
    }
    for DrainingWorker { pid, in_flight, connections } in &worker.draining {
        let in_flight = requests(*in_flight);
        let _ = write!(text, "\ndraining: worker {pid}, {in_flight} in flight, {connections} connections");
    }
    text
}

pub(super) fn reload_report(reloaded: &Reloaded, running: &Running) -> String {
    let Reloaded { changed, needs_restart, .. } = reloaded;
    let mut lines: Vec<String> = changed.iter().map(|line| format!("changed: {line}")).collect();
    lines.extend(needs_restart.iter().map(|line| format!("needs a restart: {line}")));
    if lines.is_empty() {
        lines.push(format!("{} has reloaded; nothing has changed", running.status.url()));
    }
    lines.join("\n")
}

/// One line for each provider; the ids of its keys in parentheses.
pub(super) fn reset_report(reset: &HealthReset) -> String {
    let line = |ResetProvider { provider, keys }: &ResetProvider| match keys.is_empty() {
        true => format!("{provider}: reset"),
        false => format!("{provider}: reset (keys {})", keys.join(", ")),
    };
    reset.reset.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn requests(count: usize) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{count} requests") }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        86400.. => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}
