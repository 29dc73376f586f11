//! The delay that a contender adds to the first event.

use std::thread::sleep;
use std::time::Duration;

use super::Trio;
use crate::Trouble;
use crate::load::Load;
use crate::replies::Shape;
use crate::stage::{Stage, Task, Way};
use crate::table::{Row, median};

pub(super) const WORK: &str = "added first token, 20 paced streams, p50";
const ROUNDS: usize = 2;
const CLIENTS: u32 = 20;
const INTERVAL: Duration = Duration::from_millis(25);
const EVENTS: usize = 10;
const MEASURED: Duration = Duration::from_secs(2);

pub(super) fn row(stage: &Stage) -> Result<Row, Trouble> {
    let task = Task::short(Way::Translation, Shape::Paced { interval: INTERVAL, events: EVENTS });
    let mut direct = Vec::new();
    let first = Trio::of_rounds(ROUNDS, |contender| {
        direct.push(first_word(task.direct(stage.upstream()))?);
        first_word(task.load(contender, stage.running(contender)))
    })?;
    let added = Trio(first.0.map(|first| first - median(direct.iter().copied())));
    Ok(added.row(WORK, ["≤ 0.8 ms", "≤ 0.4 ms"], |added| format!("{added:.2} ms")))
}

/// Milliseconds to the first event, p50.
fn first_word(load: Load) -> Result<f64, Trouble> {
    let crowd = Load {
        clients: CLIENTS as usize,
        // Spreads the requests in time, not in step with the upstream's events.
        stagger: Duration::from_micros(12_300),
        ..load
    }
    .start();
    sleep(MEASURED);
    let timings = crowd.stop()?;
    Ok(median(timings.iter().map(|timing| timing.first.as_secs_f64() * 1e3)))
}
