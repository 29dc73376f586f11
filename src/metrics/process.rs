//! The families of the process, with the names that Prometheus's own client libraries use. What the system does not report is left
//! out.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::declared;
use super::exposition::{Exposition, Sample};

pub(super) fn add(started: SystemTime, exposition: &mut Exposition) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    exposition.add(&declared::CPU, [Sample::fraction(&[], seconds)]);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = number(&status, "VmRSS:").map(|kibibytes| Sample::whole(&[], kibibytes * 1024));
    exposition.add(&declared::MEMORY, memory);
    // Reading the directory opens one itself.
    let open = std::fs::read_dir("/proc/self/fd").map(|entries| entries.count().saturating_sub(1)).ok();
    exposition.add(&declared::OPEN_FDS, open.map(|open| Sample::whole(&[], open as u64)));
    let most = getrlimit(Resource::Nofile).current;
    exposition.add(&declared::MAX_FDS, most.map(|most| Sample::whole(&[], most)));
    exposition
        .add(&declared::THREADS, number(&status, "Threads:").map(|threads| Sample::whole(&[], threads)));
    let started = started.duration_since(UNIX_EPOCH).unwrap_or_default();
    exposition.add(&declared::START_TIME, [Sample::fraction(&[], started.as_secs_f64())]);
}

/// The number of a line of `/proc/self/status`.
fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_the_systems_status() {
        let status = "Name:\tvdm\nVmRSS:\t   12345 kB\nThreads:\t7\n";
        assert_eq!((number(status, "VmRSS:"), number(status, "Threads:")), (Some(12_345), Some(7)));
        assert_eq!(number(status, "VmSwap:"), None);
    }
}
