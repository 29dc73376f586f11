//! File descriptors: raises their limit, and keeps a reserve for the time when they run out.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use vandamme_actors::settings::Limits;

/// Number of descriptors for uses other than connections: files, pipes, pollers of threads, name resolution.
const OWN: u64 = 64;
/// Number of descriptors in the reserve.
const RESERVE: usize = 16;

/// The limit of open files of this process.
pub(crate) struct Descriptors {
    /// `None` if the number is unlimited.
    limit: Option<u64>,
    /// Maximum number of requests in flight. Each needs one descriptor for its upstream connection.
    in_flight: u64,
}

impl Descriptors {
    /// Raises the soft limit to the hard limit. Logs a warning if the result is too low for `limits.connections`.
    pub(crate) fn raise(limits: &Limits) -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let mut limit = current;
        if current != maximum {
            match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
                Ok(()) => limit = maximum,
                Err(error) => log::debug!("the soft limit of open files stays at {current:?}: {error}"),
            }
        }
        let descriptors = Self { limit, in_flight: limits.in_flight as u64 };
        if let Some(warning) = descriptors.warning(limits) {
            log::warn!("{warning}");
        }
        descriptors
    }

    /// The number of client connections for which descriptors are left after those for upstreams.
    pub(crate) fn connections(&self) -> usize {
        let Some(limit) = self.limit else { return usize::MAX };
        let left = limit.saturating_sub(OWN + RESERVE as u64);
        let left = left.saturating_sub(self.in_flight).max(left / 2);
        usize::try_from(left).unwrap_or(usize::MAX).max(1)
    }

    fn warning(&self, limits: &Limits) -> Option<String> {
        let (limit, enough) = (self.limit?, self.connections());
        if limits.connections <= enough {
            return None;
        }
        let connections = limits.connections as u64;
        let needed = connections + connections.min(self.in_flight) + OWN + RESERVE as u64;
        Some(format!(
            "the limit of open files ({limit}) is enough for {enough} client connections, limits.connections is {}: raise it to {needed} (LimitNOFILE= of the systemd unit, ulimit -n, --ulimit nofile= of docker), or lower limits.connections",
            limits.connections
        ))
    }
}

/// Whether the process can open more files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supply {
    Enough,
    Exhausted,
}

/// Open descriptors that are closed when the process has no others left.
#[derive(Default)]
pub(crate) struct Reserve(Vec<OwnedFd>);

impl Reserve {
    /// Fills the reserve. If the process has run out of descriptors, closes all descriptors of the reserve.
    pub(crate) fn refill(&mut self) -> Supply {
        if fill(&mut self.0).is_err_and(|error| is_exhaustion(&error)) {
            self.0.clear();
            return Supply::Exhausted;
        }
        // `fill` opens one descriptor more than the reserve keeps; close it.
        self.0.truncate(RESERVE);
        Supply::Enough
    }
}

/// Opens one descriptor more than the reserve keeps. If that succeeds, the process has free descriptors.
fn fill(reserve: &mut Vec<OwnedFd>) -> io::Result<()> {
    while reserve.len() <= RESERVE {
        reserve.push(match reserve.first() {
            Some(first) => first.try_clone()?,
            None => File::open("/dev/null")?.into(),
        });
    }
    Ok(())
}

fn is_exhaustion(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enough(limit: Option<u64>, in_flight: u64) -> usize {
        Descriptors { limit, in_flight }.connections()
    }

    #[test]
    fn connections_leave_descriptors_for_their_requests() {
        assert_eq!(enough(Some(1024), 4096), (1024 - 80) / 2);
        assert_eq!(enough(Some(20_000), 4096), 20_000 - 80 - 4096);
        assert_eq!(enough(Some(10), 4096), 1);
        assert_eq!(enough(None, 4096), usize::MAX);
    }

    #[test]
    fn a_reserve_can_be_filled_and_filled_again() {
        let mut reserve = Reserve::default();
        for _ in 0..2 {
            assert_eq!(reserve.refill(), Supply::Enough);
            assert_eq!(reserve.0.len(), RESERVE);
        }
    }
}
