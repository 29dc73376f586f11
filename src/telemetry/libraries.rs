//! Limits the log lines of libraries: a client that sends garbage makes the HTTP stack write a line each time, and must not
//! be able to fill the log.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use log::{Level, Log, Metadata, Record};

use super::OURS;

/// The most lines of libraries in one window.
const MOST: u64 = 10;
/// The length of a window, in seconds.
const WINDOW: u64 = 60;

/// Passes lines on, those of libraries up to a limit.
pub(super) struct LimitedLog<L> {
    inner: L,
    limit: Limit,
}

/// Counts the lines of libraries in the current window.
struct Limit {
    start: Instant,
    /// The number of the window.
    window: AtomicU64,
    lines: AtomicU64,
    /// Lines that were left out and not reported yet.
    left_out: AtomicU64,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admission {
    Written,
    /// Written; so many lines before it were left out.
    WrittenAfter(u64),
    /// The first one that is left out in this window.
    FirstLeftOut,
    LeftOut,
}

impl<L: Log> LimitedLog<L> {
    pub(super) fn new(inner: L) -> Self {
        Self { inner, limit: Limit::new() }
    }

    fn note(&self, text: std::fmt::Arguments<'_>) {
        self.inner
            .log(&Record::builder().level(Level::Warn).target("vandamme::telemetry").args(text).build());
    }
}

impl<L: Log> Log for LimitedLog<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if OURS.iter().any(|ours| record.target().starts_with(ours)) {
            return self.inner.log(record);
        }
        if !self.inner.enabled(record.metadata()) {
            return;
        }
        match self.limit.admit(self.limit.start.elapsed().as_secs() / WINDOW) {
            Admission::Written => self.inner.log(record),
            Admission::WrittenAfter(left_out) => {
                self.note(format_args!("{left_out} log lines of libraries were left out"));
                self.inner.log(record);
            }
            Admission::FirstLeftOut => self.note(format_args!(
                "more than {MOST} log lines of libraries within {WINDOW} s, the last one of {}: further ones are left out and counted",
                record.target()
            )),
            Admission::LeftOut => {}
        }
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

impl Limit {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            window: AtomicU64::new(0),
            lines: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    /// A line in this window. At the edge of a window two threads may admit a few lines more.
    fn admit(&self, window: u64) -> Admission {
        if self.window.swap(window, Ordering::AcqRel) != window {
            self.lines.store(0, Ordering::Release);
        }
        let lines = self.lines.fetch_add(1, Ordering::AcqRel);
        if lines < MOST {
            return match self.left_out.swap(0, Ordering::AcqRel) {
                0 => Admission::Written,
                left_out => Admission::WrittenAfter(left_out),
            };
        }
        self.left_out.fetch_add(1, Ordering::AcqRel);
        if lines == MOST { Admission::FirstLeftOut } else { Admission::LeftOut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: lines of libraries have a limit in each window; the number of those left out is reported once.
    #[test]
    fn further_lines_are_counted_and_reported_in_the_next_window() {
        let limit = Limit::new();
        assert!((0..MOST).all(|_| limit.admit(3) == Admission::Written));
        assert_eq!(limit.admit(3), Admission::FirstLeftOut);
        assert!((0..100).all(|_| limit.admit(3) == Admission::LeftOut));
        assert_eq!(limit.admit(4), Admission::WrittenAfter(101));
        assert!((1..MOST).all(|_| limit.admit(4) == Admission::Written));
        assert_eq!(limit.admit(4), Admission::FirstLeftOut);
    }
}
