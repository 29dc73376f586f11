//! The time to the first answer, and the memory of an idle contender.

use std::thread::sleep;
use std::time::Duration;

use super::{Goals, Trio};
use crate::Trouble;
use crate::contender::Limits;
use crate::stage::Stage;
use crate::table::{Row, median};

pub(super) const WORK: &str = "start to first /health; RSS idle";
const ROUNDS: usize = 5;
const REST: Duration = Duration::from_millis(200);

pub(super) fn row(stage: &Stage) -> Result<Row, Trouble> {
    let mut resident = [const { Vec::new() }; 3];
    let ready = Trio::of_rounds(ROUNDS, |contender| {
        let fresh = stage.start(contender, Limits::High)?;
        sleep(REST);
        resident[contender as usize].push(fresh.resident()? as f64 / 1024.0);
        Ok(fresh.ready_after().as_secs_f64() * 1e3)
    })?;
    let resident = resident.map(median);
    let goals = Goals { goal: "–", wanted: ["≤ 100 ms; ≤ 20 MiB", "≤ 50 ms; ≤ 12 MiB"] };
    let mut row = ready.row(WORK, &goals, |ready| format!("{ready:.0} ms"));
    let cells = [&mut row.nginx, &mut row.bare, &mut row.ours];
    for (cell, mebibytes) in cells.into_iter().zip(resident) {
        cell.push_str(&format!("; {mebibytes:.0} MiB"));
    }
    Ok(row)
}
