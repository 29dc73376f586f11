//! CPU time of a contender per unit of work.

use std::thread::sleep;
use std::time::Duration;

use super::{Goals, Trio};
use crate::Trouble;
use crate::contender::{Contender, Running};
use crate::load::Load;
use crate::stage::{Stage, Task};
use crate::table::Row;

const ROUNDS: usize = 5;
const WARM: Duration = Duration::from_millis(200);
const MEASURED: Duration = Duration::from_millis(1000);
const GOAL: &str = "≤ 1.25; with PGO ≤ 1.15";

pub(super) struct Work {
    pub(super) name: &'static str,
    pub(super) task: Task,
    pub(super) clients: usize,
    pub(super) wanted: [&'static str; 2],
}

impl Work {
    pub(super) fn row(&self, stage: &Stage) -> Result<Row, Trouble> {
        let costs = Trio::of_rounds(ROUNDS, |contender| self.cost(contender, stage.running(contender)))?;
        let nginx = costs.medians[0];
        let goals = Goals { goal: GOAL, wanted: self.wanted };
        let mut row = costs.row(self.name, &goals, |cost| format!("{:.1} × ({cost:.0} µs)", cost / nginx));
        row.nginx = format!("{nginx:.0} µs");
        Ok(row)
    }

    /// Microseconds of CPU time for each request.
    pub(super) fn cost(&self, contender: Contender, running: &Running) -> Result<f64, Trouble> {
        let load = Load { clients: self.clients, ..self.task.load(contender, running) };
        Ok(per_mark(&load, running, (WARM, MEASURED))? * load.expected.marks as f64)
    }
}

/// Microseconds of CPU time for each mark that the clients receive.
pub(super) fn per_mark(
    load: &Load,
    running: &Running,
    (warm, measured): (Duration, Duration),
) -> Result<f64, Trouble> {
    let crowd = load.start();
    sleep(warm);
    let (cpu, seen) = (running.cpu()?, crowd.seen());
    sleep(measured);
    let (cpu, seen) = (running.cpu()? - cpu, crowd.seen() - seen);
    crowd.stop()?;
    if seen == 0 {
        return Err("nothing came back".into());
    }
    Ok(cpu.as_secs_f64() * 1e6 / seen as f64)
}
