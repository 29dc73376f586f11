//! The start of workers: what they report, and the listener that they get.

use log::LevelFilter;
use rustix::process::Pid;

use super::restart::RestartProgress;
use super::worker::{Role, Worker};
use super::{BoundListeners, Launch, Master, PidFile};
use crate::process::channel::messages::{Hello, StartFailure, StartReason, WorkerOrder};
use crate::process::control::Status;
use crate::telemetry;

impl Master {
    /// Gives a worker whose configuration is valid the listener.
    pub(super) fn on_hello(&mut self, pid: Pid, reason: StartReason, hello: Hello) {
        match reason {
            StartReason::First => {
                self.start_logs(&hello);
                let bound = self
                    .launch
                    .passed
                    .take()
                    .map_or_else(|| BoundListeners::new(&hello.host, hello.port), Ok);
                match bound {
                    Ok(bound) => self.bound = Some(bound),
                    Err(line) => {
                        self.end = Some(Err(StartFailure { lines: vec![line], exit_code: 3 }));
                        return;
                    }
                }
                self.hello = Some(hello);
                self.start(pid, reason);
            }
            StartReason::Respawn => {
                self.hello = Some(hello);
                self.start(pid, reason);
            }
            StartReason::Restart => self.on_candidate_hello(hello),
        }
    }

    /// Lets a worker serve on the listeners.
    pub(super) fn start(&mut self, pid: Pid, reason: StartReason) {
        let bound = self.restart.as_ref().and_then(RestartProgress::bound).or(self.bound.as_ref());
        let descriptors = bound.map(BoundListeners::descriptors);
        let state = if reason == StartReason::First { vec![] } else { self.state.clone() };
        let Some(worker) = self.workers.iter().find(|worker| worker.pid == pid) else { return };
        match descriptors {
            Some(Ok(descriptors)) => worker.send_with(WorkerOrder::Start(reason), state, descriptors),
            Some(Err(error)) => {
                log::error!("worker {} cannot be given the listener: {error}", worker.raw_pid());
                worker.kill();
            }
            None => worker.kill(),
        }
    }

    /// A worker can serve. It accepts connections when the master is prepared for commands to it.
    pub(super) fn serve(&mut self, pid: Pid, reason: StartReason, status: Status) {
        if let Some(worker) = self.worker(pid) {
            worker.enter(Role::Serving);
        }
        self.respawn.cancel();
        self.queries.last = Some(status);
        match reason {
            StartReason::First => {
                let pid_file = self.launch.pid_file.as_ref().map_or(Ok(()), PidFile::write);
                if let Err(failure) = pid_file.and_then(|()| self.open_control()) {
                    self.end = Some(Err(failure));
                    return;
                }
                self.report_start();
                self.notify_ready();
            }
            StartReason::Respawn => {
                log::info!("worker {} serves", pid.as_raw_nonzero());
                self.notify_ready();
            }
            StartReason::Restart => self.commit_restart(pid),
        }
        if let Some(worker) = self.worker(pid) {
            worker.send(WorkerOrder::Serve);
        }
    }

    pub(super) fn report_start(&mut self) {
        if let Some(starter) = self.launch.starter.take() {
            // A starter that is gone does not wait for it.
            let _ = starter.send(&Ok::<(), StartFailure>(()), &[], &[]);
        }
    }

    /// Starts a worker of this very program, though another one may be on disk by now.
    pub(super) fn spawn(&mut self, reason: StartReason) -> Result<(), StartFailure> {
        let Launch { program, arguments, .. } = &self.launch;
        let file = if reason == StartReason::Restart { program.on_disk() } else { program.running() };
        let worker = Worker::spawn(program, file, arguments, reason, &self.sender).map_err(|error| {
            StartFailure::internal(format!(
                "the worker process cannot be started: {}: {error}",
                program.on_disk().display()
            ))
        })?;
        self.workers.push(worker);
        Ok(())
    }

    pub(super) fn start_logs(&mut self, hello: &Hello) {
        let level = hello.log_level.parse().unwrap_or(LevelFilter::Info);
        self.logs = Some(telemetry::start(level, self.launch.log_target.with_format(&hello.log_format)));
        telemetry::report_missing_journal();
    }
}
