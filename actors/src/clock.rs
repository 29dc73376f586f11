//! Reads the boot clock and the wall clock, both in milliseconds. Waits use the boot clock, which only moves forward.
//! Times that people read or that are stored on disk use the wall clock.

#[cfg(test)]
pub(crate) mod virtual_time;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Milliseconds on one of the clocks below.
pub type Millis = u64;

/// The boot clock keeps counting while the machine is suspended.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// Milliseconds since the machine started.
pub fn boot() -> Millis {
    #[cfg(test)]
    if let Some(now) = virtual_time::now() {
        return now;
    }
    let time = clock_gettime(CLOCK);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or_default() * 1000 + nanos.unwrap_or_default() / 1_000_000
}

/// Milliseconds since the Unix epoch.
pub fn wall() -> Millis {
    #[cfg(test)]
    if let Some(now) = virtual_time::now() {
        return now;
    }
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// A duration in whole milliseconds.
pub fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
