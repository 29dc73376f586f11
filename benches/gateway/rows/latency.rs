//! The delay that a contender adds to the first event.

use std::thread::sleep;
use std::time::Duration;

use super::{Goals, Trio};
use crate::Trouble;
use crate::contender::{Contender, Running};
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
    let added =
        Trio::of_rounds(ROUNDS, |contender| added((contender, stage.running(contender)), stage.upstream()))?;
    let goals = Goals { goal: "≤ 0.3 ms", wanted: ["≤ 0.8 ms", "≤ 0.4 ms"] };
    Ok(added.row(WORK, &goals, |added| format!("{added:.2} ms")))
}

/// Milliseconds that a contender adds to the first event, p50.
pub(super) fn added((contender, running): (Contender, &Running), upstream: &Running) -> Result<f64, Trouble> {
    let task = Task::short(Way::Translation, Shape::Paced { interval: INTERVAL, events: EVENTS });
    let direct = first_word(task.direct(upstream))?;
    Ok(first_word(task.load(contender, running))? - direct)
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
