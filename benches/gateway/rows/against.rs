//! CPU time of this build and of another one, both in every round.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::cost::{self, Work};
use super::{COSTS, end_after};
use crate::Trouble;
use crate::contender::{self, Contender, OURS, Running};
use crate::load::Load;
use crate::table::median;

const ROUNDS: usize = 9;
const WARM: Duration = Duration::from_millis(200);
const MEASURED: Duration = Duration::from_millis(1000);
const LONGEST: Duration = Duration::from_secs(600);

/// The cost of one kind of work in µs of CPU, and the median of the rounds' ratios.
struct Comparison {
    work: &'static str,
    before: f64,
    now: f64,
    ratio: f64,
}

pub(crate) struct Comparisons(Vec<Comparison>);

/// The rows of CPU time with `words` in their name.
pub(crate) fn measure(binary: &str, words: &str) -> Result<Comparisons, Trouble> {
    end_after(LONGEST);
    let upstream = contender::upstream()?;
    let before = contender::gateway(binary, upstream.address())?;
    let now = contender::gateway(OURS, upstream.address())?;
    let chosen = COSTS.iter().filter(|work| work.name.contains(words));
    chosen.map(|work| compare(work, (&before, &now))).collect::<Result<_, _>>().map(Comparisons)
}

fn compare(work: &Work, (before, now): (&Running, &Running)) -> Result<Comparison, Trouble> {
    let cost = |running: &Running| {
        let load = Load { clients: work.clients, ..work.task.load(Contender::Ours, running) };
        cost::per_mark(&load, running, (WARM, MEASURED)).map(|cost| cost * load.expected.marks as f64)
    };
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        // The order alternates, because the second of a round runs on a warmer machine.
        let (first, second) = if round % 2 == 0 { (before, now) } else { (now, before) };
        let (first, second) = (cost(first)?, cost(second)?);
        rounds.push(if round % 2 == 0 { (first, second) } else { (second, first) });
    }
    let (before, now) =
        (median(rounds.iter().map(|round| round.0)), median(rounds.iter().map(|round| round.1)));
    let ratio = median(rounds.iter().map(|(before, now)| now / before));
    eprintln!("{}: {before:.1} µs | {now:.1} µs | {ratio:.3}", work.name);
    Ok(Comparison { work: work.name, before, now, ratio })
}

impl Display for Comparisons {
    fn fmt(&self, page: &mut Formatter<'_>) -> fmt::Result {
        writeln!(page, "| work | before | now | median of {ROUNDS} ratios |\n|---|---|---|---|")?;
        for Comparison { work, before, now, ratio } in &self.0 {
            writeln!(page, "| {work} | {before:.1} µs | {now:.1} µs | {ratio:.3} |")?;
        }
        Ok(())
    }
}
