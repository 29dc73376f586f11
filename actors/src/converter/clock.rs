//! The deadlines of a reply. One timer, moved only when it fires: what happens in between just notes the time.

use std::future::Future as _;
use std::pin::Pin;
use std::task::Context as Task;
use std::time::Duration;

use actix_rt::time::{Instant, Sleep, sleep_until};

use crate::settings::Limits;

/// After the reply's end the upstream has this long to close its side properly.
const LINGER: Duration = Duration::from_secs(5);

/// When the upstream and the gateway last sent something, and when the next action is due.
pub(super) struct Clock {
    timer: Pin<Box<Sleep>>,
    ping: Duration,
    idle: Option<Duration>,
    end: Option<Instant>,
    last_event: Instant,
    /// Bytes since then that completed no event.
    part: u64,
    /// So many of them within `idle` are no silence.
    enough: u64,
    pub(super) last_sent: Instant,
    linger: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    Idle,
    Total,
    Linger,
}

impl Clock {
    pub(super) fn new(limits: &Limits) -> Self {
        let now = Instant::now();
        let mut clock = Self {
            timer: Box::pin(sleep_until(now)),
            ping: limits.ping_interval,
            idle: limits.idle_timeout,
            end: limits.total_timeout.map(|total| now + total),
            last_event: now,
            part: 0,
            enough: limits
                .idle_timeout
                .map_or(0, |idle| (idle.as_secs_f64() * limits.event_min_rate as f64) as u64),
            last_sent: now,
            linger: None,
        };
        clock.set();
        clock
    }

    fn set(&mut self) {
        let next = self.next();
        self.timer.as_mut().reset(next);
    }

    fn next(&self) -> Instant {
        let times = [
            Some(self.last_sent + self.ping),
            self.idle.map(|idle| self.last_event + idle),
            self.end,
            self.linger,
        ];
        times.into_iter().flatten().min().unwrap_or(self.last_sent + self.ping)
    }

    /// The action that is due now. If none is, registers for the next one.
    pub(super) fn poll(&mut self, task: &mut Task<'_>) -> Due {
        loop {
            if self.timer.as_mut().poll(task).is_pending() {
                return Due::Nothing;
            }
            let now = Instant::now();
            let reached = |time: Option<Instant>| time.is_some_and(|time| time <= now);
            if reached(self.linger) {
                return Due::Linger;
            }
            if reached(self.end) {
                return Due::Total;
            }
            if reached(self.idle.map(|idle| self.last_event + idle)) {
                return Due::Idle;
            }
            let ping = self.last_sent + self.ping <= now;
            if ping {
                self.last_sent = now;
            }
            self.set();
            if ping {
                return Due::Ping;
            }
        }
    }

    /// The upstream has completed an event or a comment.
    pub(super) fn event_received(&mut self) {
        self.last_event = Instant::now();
        self.part = 0;
    }

    /// The upstream has sent bytes of an incomplete event. One byte now and then is silence; a large event
    /// that takes its time is not.
    pub(super) fn part_received(&mut self, bytes: usize) {
        self.part += bytes as u64;
        if bytes > 0 && self.part >= self.enough {
            self.event_received();
        }
    }

    /// From now on only the formal end is waited for, and not long.
    pub(super) fn linger(&mut self) {
        self.linger = Some(Instant::now() + LINGER);
        self.set();
    }
}
