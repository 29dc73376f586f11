//! The resources of a process and its children, as the kernel counts them.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use crate::Trouble;

/// CPU time of all threads. `utime` and `stime` in `stat` have steps of 10 ms, which is too coarse for rows of seconds.
pub(crate) fn cpu(root: u32) -> Result<Duration, Trouble> {
    let mut nanoseconds = 0;
    for process in tree(root)? {
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            let booked = fs::read_to_string(task?.path().join("schedstat"))?;
            let running = booked.split(' ').next().ok_or("an empty schedstat")?;
            nanoseconds += running.parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Resident memory, KiB.
pub(crate) fn resident(root: u32) -> Result<u64, Trouble> {
    let mut total = 0;
    for process in tree(root)? {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        total += line.trim().trim_end_matches(" kB").parse::<u64>()?;
    }
    Ok(total)
}

/// The process and all its descendants.
fn tree(root: u32) -> Result<Vec<u32>, Trouble> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(process) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        // It may have ended in the meantime.
        let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let parent = fields.split(' ').nth(1).ok_or("a stat without parent")?.parse()?;
        children.entry(parent).or_default().push(process);
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(children.get(process).into_iter().flatten().copied().collect::<Vec<_>>());
        next += 1;
    }
    Ok(found)
}
