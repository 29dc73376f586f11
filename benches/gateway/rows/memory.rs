//! The memory of an open stream.

use std::thread::sleep;
use std::time::Duration;

use super::{Goals, Trio};
use crate::Trouble;
use crate::contender::{Contender, Limits, Running};
use crate::load::{Habit, Load};
use crate::replies::Shape;
use crate::stage::{Stage, Task, Way};
use crate::table::Row;

pub(super) const WORK: &str = "memory per open stream, 5,000 open";
const ROUNDS: usize = 2;
const STREAMS: u32 = 5000;
const OPENED_WITHIN: Duration = Duration::from_secs(1);
/// Measures before and after, so that memory of short use is not counted.
const REST: Duration = Duration::from_millis(400);

pub(super) fn row(stage: &Stage) -> Result<Row, Trouble> {
    let held =
        Trio::of_rounds(ROUNDS, |contender| per_stream(contender, &stage.start(contender, Limits::High)?))?;
    let goals = Goals { goal: "≤ 36 KiB", wanted: ["≤ 80 KiB", "≤ 50 KiB"] };
    Ok(held.row(WORK, &goals, |kibibytes| format!("{kibibytes:.0} KiB")))
}

/// KiB of an open stream, of a contender that has just been started.
pub(super) fn per_stream(contender: Contender, fresh: &Running) -> Result<f64, Trouble> {
    let warm_up = Task::short(Way::Translation, Shape::Burst);
    let crowd = warm_up.load(contender, fresh).start();
    sleep(REST);
    crowd.stop()?;
    let before = fresh.resident()?;
    let load = Load {
        clients: STREAMS as usize,
        stagger: OPENED_WITHIN / STREAMS,
        habit: Habit::Holds,
        ..Task::short(Way::Translation, Shape::Open).load(contender, fresh)
    };
    let crowd = load.start().await_seen(u64::from(STREAMS))?;
    sleep(REST);
    let after = fresh.resident()?;
    crowd.stop()?;
    Ok(after.saturating_sub(before) as f64 / f64::from(STREAMS))
}
