//! Reads the boot clock and the wall clock, both in milliseconds. Waits use the boot clock, which only moves forward.
//! Times that people read or that are stored on disk use the wall clock.

#[cfg(test)]
pub(crate) mod virtual_time;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

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

/// A time relative to an export of state, in milliseconds; negative for a time before the export. Times of the boot
/// clock have no meaning in another boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(i64);

/// Converts the times of an export to the boot clock of the process that imports it. Imported times are bounded, so
/// that no export can make a wait longer than the gateway itself would.
#[derive(Clone, Copy, Debug)]
pub struct ImportClock {
    /// When the export was made, on the clock of this boot; negative if that was before the boot.
    exported: i64,
    now: Millis,
}

impl Offset {
    /// The offset of a time of the boot clock from `now`.
    pub fn from_time(time: Millis, now: Millis) -> Self {
        Self(time.cast_signed().saturating_sub(now.cast_signed()))
    }
}

impl ImportClock {
    /// For an export that was made `elapsed` milliseconds before `now`.
    pub fn new(now: Millis, elapsed: Millis) -> Self {
        Self { exported: now.cast_signed().saturating_sub_unsigned(elapsed), now }
    }

    /// The current time.
    pub fn now(self) -> Millis {
        self.now
    }

    /// A time that is over: `now` at the latest.
    pub fn past(self, offset: Offset) -> Millis {
        self.until(offset, Duration::ZERO)
    }

    /// A time that lies at most `longest` ahead.
    pub fn until(self, offset: Offset, longest: Duration) -> Millis {
        let time = self.exported.saturating_add(offset.0).max(0).cast_unsigned();
        time.min(self.now.saturating_add(millis(longest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: an imported wait ends when it would have ended, also after a reboot, and is bounded.
    #[test]
    fn an_offset_is_the_same_moment_on_another_boot_clock() {
        let (over, running) = (Offset::from_time(400, 1_000), Offset::from_time(6_000, 1_000));
        let clock = ImportClock::new(50_000, 2_000);
        assert_eq!((clock.past(over), clock.until(running, Duration::from_secs(60))), (47_400, 53_000));
        assert_eq!(clock.until(running, Duration::from_secs(1)), 51_000, "a wait is bounded");
        assert_eq!(clock.past(running), 50_000, "evidence is never newer than now");

        let rebooted = ImportClock::new(100, 2_000);
        assert_eq!((rebooted.past(over), rebooted.until(running, Duration::from_secs(60))), (0, 3_100));
        for extreme in [i64::MIN, i64::MAX] {
            assert!(ImportClock::new(1_000, Millis::MAX).past(Offset(extreme)) <= 1_000);
        }
    }
}
