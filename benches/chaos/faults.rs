//! The faults, and how each is caused.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::Trouble;
use crate::gateway::{Gateway, IN_FLIGHT, signal};
use crate::history::Excuse;
use crate::load::{Load, World};
use crate::order::Mix;

/// Until an actor that panicked or hangs is replaced and serves.
const ACTOR_RECOVERY: Duration = Duration::from_millis(2500);
/// Until the calls that failed have ended. Health refuses no request.
const UPSTREAM_RECOVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Reload,
    Restart,
    KillWorker,
    /// The master is killed, and started again as a service manager does.
    KillMaster,
    /// The worker is killed while the configuration on disk is invalid.
    KillWhileBroken,
    PauseWorker,
    PanicActor(&'static str),
    HangActor(&'static str),
    PanicConverter,
    UpstreamDown,
    SlowHeads,
    Garbage,
    RequestFlood,
    BrokenConfiguration,
    /// The serving worker is killed while `restart` runs.
    KillDuringRestart,
    /// The serving worker is paused while `restart` runs.
    RestartWhilePaused,
    ReloadDuringRestart,
}

/// Causes the faults, one after the other.
pub(crate) struct Driver<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) world: &'a World,
    pub(crate) rng: Rng,
    pub(crate) generation: u64,
    pub(crate) actor_faults: ActorFaults,
    /// When the worker of now may have accepted its first connection.
    pub(crate) serves_since: Instant,
}

/// Whether the binary has the feature `faults`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActorFaults {
    Possible,
    Absent,
}

impl ActorFaults {
    /// Only the endpoint of the feature answers an unknown actor without a body.
    pub(crate) fn of(gateway: &Gateway) -> Result<Self, Trouble> {
        let reply = gateway.request("POST", "/faults/panic?actor=nobody")?;
        Ok(if reply.ends_with("\r\n\r\n") { Self::Possible } else { Self::Absent })
    }
}

impl Fault {
    /// One round: every fault, and reloads and restarts between the others, in a seeded order.
    pub(crate) fn round(rng: &mut Rng, actor_faults: ActorFaults) -> Vec<Self> {
        let mut faults = vec![
            Self::Reload,
            Self::Reload,
            Self::Restart,
            Self::Restart,
            Self::KillWorker,
            Self::KillMaster,
            Self::KillWhileBroken,
            Self::PauseWorker,
            Self::UpstreamDown,
            Self::SlowHeads,
            Self::Garbage,
            Self::RequestFlood,
            Self::BrokenConfiguration,
            Self::KillDuringRestart,
            Self::RestartWhilePaused,
            Self::ReloadDuringRestart,
        ];
        if actor_faults == ActorFaults::Possible {
            faults.push(Self::PanicConverter);
            let actors =
                ["router", "ledger", "catalog", "signatures", "provider:anthropic", "provider:openai"];
            faults.push(Self::PanicActor(actors[rng.usize(..actors.len())]));
            faults.push(Self::HangActor(["ledger", "provider:openai"][rng.usize(..2)]));
        }
        rng.shuffle(&mut faults);
        faults
    }
}

impl Driver<'_> {
    /// Causes a fault and waits until its cause is over. What does not work is a violation.
    pub(crate) fn cause(&mut self, fault: Fault) {
        let began = Instant::now();
        self.world.history.note(&format!("{fault:?}"));
        let caused = match fault {
            Fault::Reload => self.reload(),
            Fault::Restart => self.restart(),
            Fault::KillWorker => self.kill_worker(),
            Fault::KillMaster => self.kill_master(),
            Fault::KillWhileBroken => self.kill_while_broken(),
            Fault::PauseWorker => self.pause_worker(),
            Fault::PanicActor(actor) => self.strike(&format!("panic?actor={actor}"), Excuse::ActorFault),
            Fault::HangActor(actor) => {
                self.strike(&format!("hang?actor={actor}&seconds=600"), Excuse::ActorFault)
            }
            Fault::PanicConverter => self.strike("panic?actor=converter", Excuse::OneReply),
            Fault::UpstreamDown => self.upstream_down(),
            Fault::SlowHeads => self.slow_heads(),
            Fault::Garbage => self.garbage(),
            Fault::RequestFlood => self.request_flood(),
            Fault::BrokenConfiguration => self.broken_configuration(),
            Fault::KillDuringRestart => self.kill_during_restart(),
            Fault::RestartWhilePaused => self.restart_while_paused(),
            Fault::ReloadDuringRestart => self.reload_during_restart(),
        };
        self.world.history.count("faults");
        if matches!(fault, Fault::PanicActor(_) | Fault::PanicConverter) {
            self.world.history.count("panics");
        }
        if let Err(trouble) = caused {
            let at = began.elapsed().as_secs_f64();
            self.world.history.violate(format!("{fault:?} failed after {at:.1} s: {trouble}"));
        }
    }

    fn reload(&mut self) -> Result<(), Trouble> {
        self.generation += 1;
        self.gateway.configure(self.generation)?;
        self.gateway.server(&["reload"])?;
        self.world.history.set_applied(self.generation);
        self.world.history.count("reloads");
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Trouble> {
        self.generation += 1;
        self.gateway.configure(self.generation)?;
        let before = self.gateway.worker()?;
        self.serves_since = Instant::now();
        self.gateway.server(&["restart"])?;
        let after = self.gateway.worker()?;
        if before == after {
            return Err(format!("worker {before} still serves").into());
        }
        if self.gateway.status()?["pid"] != self.gateway.master() {
            return Err("another master".into());
        }
        self.world.history.set_applied(self.generation);
        self.world.history.count("restarts");
        Ok(())
    }

    fn kill_worker(&mut self) -> Result<(), Trouble> {
        let (worker, began) = (self.gateway.worker()?, Instant::now());
        signal(worker, "KILL")?;
        self.world.history.excuse_kill(began, self.serves_since);
        self.serves_since = began;
        let other = self.gateway.await_other_worker(worker)?;
        let after = began.elapsed().as_secs_f64();
        self.world.history.note(&format!("worker {worker} killed, {other} serves after {after:.2} s"));
        self.world.history.count("kills");
        Ok(())
    }

    /// The old worker finishes its requests. Until the new master serves, clients find no listener.
    fn kill_master(&mut self) -> Result<(), Trouble> {
        let began = Instant::now();
        let killed = self.gateway.kill_master();
        self.world.history.excuse(Excuse::MasterKilled, began, Duration::from_millis(300));
        self.serves_since = began;
        killed?;
        let after = began.elapsed().as_secs_f64();
        self.world
            .history
            .note(&format!("master killed, {} serves after {after:.2} s", self.gateway.master()));
        self.world.history.count("kills of the master");
        Ok(())
    }

    /// The new worker must serve with the last good configuration.
    fn kill_while_broken(&mut self) -> Result<(), Trouble> {
        self.gateway.write("[limits\nin-flight = many\n")?;
        let killed = self.kill_worker();
        let errors = self.gateway.status().map(|status| status["config_errors"].to_string());
        self.gateway.configure(self.generation)?;
        killed?;
        if errors? == "[]" {
            return Err("the status does not say that the last good configuration is in use".into());
        }
        // Of the same generation: with another number of generations in a round, the processes would end it with other providers.
        self.gateway.server(&["reload"])?;
        self.world.history.count("reloads");
        Ok(())
    }

    /// The restart may fail, but then its output must say so, and a worker must serve in the end.
    fn kill_during_restart(&mut self) -> Result<(), Trouble> {
        let (worker, began) = (self.gateway.worker()?, Instant::now());
        let delay = Duration::from_millis(self.rng.u64(20..600));
        let gateway = self.gateway;
        let (restarted, killed) = thread::scope(|scope| {
            let restart = scope.spawn(|| gateway.server(&["restart"]));
            sleep(delay);
            let killed = Instant::now();
            // The worker may have ended by then.
            let sent = signal(worker, "KILL").is_ok();
            (restart.join(), sent.then_some(killed))
        });
        if let Some(killed) = killed {
            self.world.history.excuse_kill(killed, self.serves_since);
        }
        self.serves_since = began;
        let restarted = restarted.map_err(|_| "the thread of the restart panicked")?;
        let outcome = restarted.map_or_else(|error| error.to_string(), |_| "restarted".to_owned());
        let other = self.gateway.await_other_worker(worker)?;
        let words = format!("worker {worker} killed after {delay:?} of a restart: {outcome}; {other} serves");
        self.world.history.note(&words);
        Ok(())
    }

    fn restart_while_paused(&mut self) -> Result<(), Trouble> {
        let worker = self.gateway.worker()?;
        let pause = Duration::from_millis(self.rng.u64(1000..4000));
        self.generation += 1;
        self.gateway.configure(self.generation)?;
        self.serves_since = Instant::now();
        let gateway = self.gateway;
        signal(worker, "STOP")?;
        let (restarted, continued) = thread::scope(|scope| {
            let restart = scope.spawn(|| gateway.server(&["restart"]));
            sleep(pause);
            let continued = signal(worker, "CONT");
            (restart.join(), continued)
        });
        continued?;
        restarted.map_err(|_| "the thread of the restart panicked")??;
        self.gateway.await_other_worker(worker)?;
        self.world.history.count("restarts");
        self.world.history.set_applied(self.generation);
        Ok(())
    }

    /// Both commands must end; one of them may be refused, but the configuration must be applied.
    fn reload_during_restart(&mut self) -> Result<(), Trouble> {
        self.generation += 1;
        self.gateway.configure(self.generation)?;
        self.serves_since = Instant::now();
        let delay = Duration::from_millis(self.rng.u64(0..500));
        let gateway = self.gateway;
        let (reloaded, restarted) = thread::scope(|scope| {
            let restart = scope.spawn(|| gateway.server(&["restart"]));
            sleep(delay);
            (gateway.server(&["reload"]), restart.join())
        });
        let restarted = restarted.map_err(|_| "the thread of the restart panicked")?;
        let text = |result: Result<String, Trouble>| {
            result.map_or_else(|error| error.to_string(), |_| "done".to_owned())
        };
        let is_applied = restarted.is_ok() || reloaded.is_ok();
        if restarted.is_ok() {
            self.world.history.count("restarts");
        }
        let words =
            format!("reload {delay:?} after a restart: {}; restart: {}", text(reloaded), text(restarted));
        self.world.history.note(&words);
        if !is_applied {
            return Err("neither was done".into());
        }
        self.world.history.set_applied(self.generation);
        Ok(())
    }

    fn pause_worker(&mut self) -> Result<(), Trouble> {
        let worker = self.gateway.worker()?;
        signal(worker, "STOP")?;
        sleep(Duration::from_secs(self.rng.u64(1..4)));
        signal(worker, "CONT")
    }

    fn strike(&mut self, what: &str, excuse: Excuse) -> Result<(), Trouble> {
        let began = Instant::now();
        let reply = self.gateway.request("POST", &format!("/faults/{what}"))?;
        self.world.history.excuse(excuse, began, ACTOR_RECOVERY);
        let is_done = reply.starts_with("HTTP/1.1 204");
        if is_done { Ok(()) } else { Err(reply.into()) }
    }

    fn upstream_down(&mut self) -> Result<(), Trouble> {
        let began = Instant::now();
        self.world.upstream.go_down();
        sleep(Duration::from_millis(self.rng.u64(500..3000)));
        self.world.upstream.come_back();
        self.world.history.excuse(Excuse::UpstreamDown, began, UPSTREAM_RECOVERY);
        Ok(())
    }

    /// Connections that never finish their head; no request may notice.
    fn slow_heads(&mut self) -> Result<(), Trouble> {
        let mut connections = Vec::new();
        for _ in 0..5000 {
            let mut stream = TcpStream::connect(self.gateway.address)?;
            stream.write_all(b"POST /v1/messages HTTP/1.1\r\nhost: ")?;
            connections.push(stream);
        }
        self.world.history.note(&format!("{} connections with unfinished heads", connections.len()));
        sleep(Duration::from_secs(2));
        Ok(())
    }

    fn garbage(&mut self) -> Result<(), Trouble> {
        for _ in 0..200 {
            let mut stream = TcpStream::connect(self.gateway.address)?;
            let bytes: Vec<u8> = (0..self.rng.usize(1..5000)).map(|_| self.rng.u8(..)).collect();
            // The gateway may close the connection while it is written.
            let _written = stream.write_all(&bytes);
        }
        Ok(())
    }

    fn request_flood(&mut self) -> Result<(), Trouble> {
        let began = Instant::now();
        let flood = Load {
            mix: Mix::Flood,
            clients: u64::try_from(IN_FLIGHT)? * 2,
            seed: self.rng.u64(..),
            pause: Duration::ZERO,
            requests: 1,
        };
        let done = flood.start(self.world).wait();
        self.world.history.excuse(Excuse::Overload, began, Duration::ZERO);
        done
    }

    /// A file that cannot be read; reload and restart must refuse it and change nothing.
    fn broken_configuration(&mut self) -> Result<(), Trouble> {
        let worker = self.gateway.worker()?;
        self.gateway.write("[limits\nin-flight = many\n")?;
        let refused = [self.gateway.server(&["reload"]), self.gateway.server(&["restart"])];
        self.gateway.configure(self.generation)?;
        if let Some(Ok(output)) = refused.into_iter().find(Result::is_ok) {
            return Err(format!("an invalid file was applied: {output}").into());
        }
        let same = self.gateway.worker()? == worker;
        if same { Ok(()) } else { Err("an invalid file replaced the worker".into()) }
    }
}
