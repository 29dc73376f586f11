//! What the kernel knows about processes.

use std::fs;

use crate::Trouble;

/// Resident memory of one process, KiB.
pub(crate) fn resident(process: u32) -> Result<u64, Trouble> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The children of a process, zombies included.
pub(crate) fn children(process: u32) -> Result<Vec<u32>, Trouble> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(child) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        // It may have ended since.
        let Ok(stat) = fs::read_to_string(format!("/proc/{child}/stat")) else { continue };
        let parent = stat.rsplit(") ").next().and_then(|fields| fields.split(' ').nth(1));
        if parent.is_some_and(|parent| parent == process.to_string()) {
            found.push(child);
        }
    }
    Ok(found)
}
