//! CPU time of a contender per event if every event arrives alone, which is mostly the cost of system calls.

use std::time::Duration;

use super::cost::per_mark;
use super::{Goals, Trio};
use crate::Trouble;
use crate::load::Load;
use crate::replies::Shape;
use crate::stage::{Stage, Task, Way};
use crate::table::Row;

pub(super) const WORK: &str = "translated, one event per wake-up";
const ROUNDS: usize = 2;
const CLIENTS: u32 = 16;
const INTERVAL: Duration = Duration::from_millis(20);
/// All streams are open before the measurement begins, and end after it.
const EVENTS: usize = 175;
const WARM: Duration = Duration::from_millis(400);
const MEASURED: Duration = Duration::from_secs(3);

pub(super) fn row(stage: &Stage) -> Result<Row, Trouble> {
    let task = Task::short(Way::Translation, Shape::Paced { interval: INTERVAL, events: EVENTS });
    let costs = Trio::of_rounds(ROUNDS, |contender| {
        let running = stage.running(contender);
        let load = Load { stagger: INTERVAL / CLIENTS, ..task.load(contender, running) };
        per_mark(&load, running, (WARM, MEASURED))
    })?;
    let goals = Goals { goal: "≤ 1.15", wanted: ["≤ 1.5 × bare", "≤ 1.15 × bare"] };
    Ok(costs.row(WORK, &goals, |cost| format!("{cost:.1} µs")))
}
