//! The number of streams at a reader's pace that can be open at once.

use std::time::Duration;

use super::{Goals, Trio};
use crate::Trouble;
use crate::contender::{Contender, Limits, Running};
use crate::load::{Habit, Load};
use crate::replies::Shape;
use crate::stage::{Stage, Task, Way};
use crate::table::Row;

pub(super) const WORK: &str = "streams of one provider held at 20 events/s each, default settings";
/// The numbers that are tried, the highest first.
const STREAMS: [u32; 3] = [4000, 2000, 1000];
/// Each number is tried more than once, because the machine is shared.
const TRIES: usize = 3;
const INTERVAL: Duration = Duration::from_millis(50);
const EVENTS: u32 = 80;
const STARTED_WITHIN: Duration = Duration::from_secs(1);
/// The longest time, as a multiple of the upstream's: a slower stream has fallen behind.
const SLACK: f64 = 1.1;

pub(super) fn row(stage: &Stage) -> Result<Row, Trouble> {
    let held =
        Trio::of_rounds(1, |contender| most_held(contender, &stage.start(contender, Limits::Default)?))?;
    let goals = Goals { goal: "4000", wanted: ["≥ 2000", "≥ 4000"] };
    Ok(held.row(WORK, &goals, |held| format!("{held:.0}")))
}

/// The highest number of [`STREAMS`] that are in time, or 0.
pub(super) fn most_held(contender: Contender, running: &Running) -> Result<f64, Trouble> {
    let shape = Shape::Paced { interval: INTERVAL, events: EVENTS as usize };
    let load = Task::short(Way::Translation, shape).load(contender, running);
    for streams in STREAMS {
        for _ in 0..TRIES {
            if in_time(&load, streams)? {
                return Ok(f64::from(streams));
            }
        }
    }
    Ok(0.0)
}

fn in_time(load: &Load, streams: u32) -> Result<bool, Trouble> {
    let crowd = Load {
        clients: streams as usize,
        stagger: STARTED_WITHIN / streams,
        habit: Habit::Asks(1),
        ..load.clone()
    }
    .start();
    // A gateway refuses streams beyond its limits.
    let timings = match crowd.wait() {
        Ok(timings) => timings,
        Err(refused) => {
            let reason = refused.to_string();
            eprintln!("  {streams} streams: {}", reason.lines().next().unwrap_or_default());
            return Ok(false);
        }
    };
    let slowest = timings.iter().map(|timing| timing.whole).max().ok_or("no stream was held")?;
    let paced = INTERVAL * (EVENTS - 1);
    eprintln!("  {streams} streams: the slowest took {:.2} of its time", slowest.div_duration_f64(paced));
    Ok(slowest <= paced.mul_f64(SLACK))
}
