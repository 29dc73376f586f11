//! File descriptors: as many as the system allows, and what happens when they run out.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use vandamme_actors::settings::Limits;

/// What the process needs beside connections: files, pipes, threads' pollers, name resolution.
const OWN: u64 = 64;
/// Held open, and given away when there are no others.
const RESERVE: usize = 16;

/// The limit of open files, as it was found or set.
pub(crate) struct Descriptors {
    /// `None` when there is none.
    limit: Option<u64>,
    /// Requests in flight, each of which needs one to an upstream.
    in_flight: u64,
}

impl Descriptors {
    /// Raises the soft limit to the hard limit. Says so if that is not enough for `limits.connections`.
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

    /// How many client connections there are descriptors for, with those to upstreams.
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

/// Descriptors that are kept for when there are no others.
#[derive(Default)]
pub(crate) struct Reserve(Vec<OwnedFd>);

impl Reserve {
    /// Fills it. If the process has run out of descriptors, gives all of them away.
    pub(crate) fn refill(&mut self) -> Supply {
        if fill(&mut self.0).is_err_and(|error| is_exhaustion(&error)) {
            self.0.clear();
            return Supply::Exhausted;
        }
        // One more than it holds was only tried out.
        self.0.truncate(RESERVE);
        Supply::Enough
    }
}

/// One more than the reserve: that it can be opened shows that there are others.
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
