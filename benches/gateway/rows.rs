//! All rows of the table, in their order.

pub(crate) mod against;
mod cost;
mod event;
mod held;
pub(crate) mod instructions;
mod latency;
mod memory;
mod start;

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::Trouble;
use crate::arguments::Arguments;
use crate::contender::Contender;
use crate::replies::Shape;
use crate::requests::Question;
use crate::stage::{Stage, Task, Way};
use crate::table::{Row, Table, median};

/// One number for each contender.
struct Trio {
    medians: [f64; 3],
    /// The gateway's number divided by the bare proxy's of the same round, the median of all rounds.
    over_bare: f64,
}

/// The goals of a row.
struct Goals {
    /// Next to the bare proxy, or of the gateway alone.
    goal: &'static str,
    /// Next to nginx, of the first release and of later ones.
    wanted: [&'static str; 2],
}

impl Trio {
    /// Measures all contenders in turn, several times.
    fn of_rounds(
        rounds: usize,
        mut measure: impl FnMut(Contender) -> Result<f64, Trouble>,
    ) -> Result<Self, Trouble> {
        let mut seen = [const { Vec::new() }; 3];
        for _ in 0..rounds {
            for (seen, contender) in seen.iter_mut().zip(Contender::ALL) {
                let measured = measure(contender);
                seen.push(measured.map_err(|trouble| format!("{}: {trouble}", contender.name()))?);
            }
        }
        let [_, bare, ours] = &seen;
        let over_bare = median(ours.iter().zip(bare).map(|(ours, bare)| ours / bare));
        Ok(Self { medians: seen.map(median), over_bare })
    }

    fn row(&self, work: &str, goals: &Goals, write: impl Fn(f64) -> String) -> Row {
        let [nginx, bare, ours] = self.medians.map(write);
        let Goals { goal, wanted } = *goals;
        Row { work: work.to_owned(), nginx, bare, ours, over_bare: self.over_bare, goal, wanted }
    }
}

/// The time limit of a row, more than any row needs.
const LONGEST: Duration = Duration::from_secs(180);

/// A row of the table.
enum Plan {
    Cost(&'static cost::Work),
    Other(&'static str, fn(&Stage) -> Result<Row, Trouble>),
}

impl Plan {
    fn name(&self) -> &'static str {
        match self {
            Self::Cost(work) => work.name,
            Self::Other(name, _) => name,
        }
    }

    fn measure(&self, stage: &Stage) -> Result<Row, Trouble> {
        let row = match self {
            Self::Cost(work) => work.row(stage),
            Self::Other(_, measure) => measure(stage),
        };
        let row = row.map_err(|trouble| format!("{}: {trouble}", self.name()))?;
        eprintln!("{}: {} | {} | {}", row.work, row.nginx, row.bare, row.ours);
        Ok(row)
    }
}

/// Ends the benchmark if a row exceeds its time limit. The row ends when this is dropped.
struct TimeLimit(#[expect(dead_code, reason = "the thread notices when it is dropped")] Sender<()>);

impl TimeLimit {
    fn new(longest: Duration) -> Self {
        let (row, ended) = mpsc::channel();
        thread::spawn(move || {
            if ended.recv_timeout(longest) == Err(RecvTimeoutError::Timeout) {
                eprintln!("bench: not done after {} s", longest.as_secs());
                // The processes that the benchmark started end with it.
                std::process::exit(1);
            }
        });
        Self(row)
    }
}

/// The chosen rows.
pub(crate) fn measure(arguments: &Arguments) -> Result<Table, Trouble> {
    let stage = Stage::set(arguments.ours())?;
    let chosen = plans().filter(|plan| arguments.chooses(plan.name()));
    let rows = chosen.map(|plan| {
        let _limit = TimeLimit::new(LONGEST);
        plan.measure(&stage)
    });
    rows.collect::<Result<_, _>>().map(Table)
}

fn plans() -> impl Iterator<Item = Plan> {
    COSTS.iter().map(Plan::Cost).chain([
        Plan::Other(event::WORK, event::row),
        Plan::Other(latency::WORK, latency::row),
        Plan::Other(memory::WORK, memory::row),
        Plan::Other(held::WORK, held::row),
        Plan::Other(start::WORK, start::row),
    ])
}

static COSTS: [cost::Work; 12] = [
    cost::Work {
        name: "passthrough, 1 KB",
        task: Task { way: Way::Passthrough, question: Question::Short, shape: Shape::Whole },
        clients: 16,
        wanted: ["≤ 4 ×", "≤ 2.5 ×"],
    },
    cost::Work {
        name: "passthrough, 100 KB body",
        task: Task { way: Way::Passthrough, question: Question::ClaudeCode, shape: Shape::Whole },
        clients: 16,
        wanted: ["≤ 2 ×", "≤ 1.2 ×"],
    },
    cost::Work {
        name: "passthrough stream, 200 events in bursts",
        task: Task { way: Way::Passthrough, question: Question::Short, shape: Shape::Burst },
        clients: 16,
        wanted: ["≤ 1.5 ×", "≤ 1.2 ×"],
    },
    cost::Work {
        name: "translation, 1 KB, whole reply",
        task: Task { way: Way::Translation, question: Question::Short, shape: Shape::Whole },
        clients: 16,
        wanted: ["≤ 6 ×", "≤ 3 ×"],
    },
    cost::Work {
        name: "translation of a 100 KB Claude Code request",
        task: Task { way: Way::Translation, question: Question::ClaudeCode, shape: Shape::Whole },
        clients: 16,
        wanted: ["≤ 9 ×", "≤ 5 ×"],
    },
    cost::Work {
        name: "translated stream, 200 events in bursts, 50 at once",
        task: Task { way: Way::Translation, question: Question::Short, shape: Shape::Burst },
        clients: 50,
        wanted: ["≤ 4 ×", "≤ 2.5 ×"],
    },
    cost::Work {
        name: "over Responses, 1 KB, whole reply",
        task: Task { way: Way::OverResponses, question: Question::Short, shape: Shape::Whole },
        clients: 16,
        wanted: ["≤ 6 ×", "≤ 3 ×"],
    },
    cost::Work {
        name: "over Responses, 100 KB Claude Code request",
        task: Task { way: Way::OverResponses, question: Question::ClaudeCode, shape: Shape::Whole },
        clients: 16,
        wanted: ["≤ 9 ×", "≤ 5 ×"],
    },
    cost::Work {
        name: "over Responses, stream of 200 events in bursts, 50 at once",
        task: Task { way: Way::OverResponses, question: Question::Short, shape: Shape::Burst },
        clients: 50,
        wanted: ["≤ 4 ×", "≤ 2.5 ×"],
    },
    cost::Work {
        name: "over Bedrock, 1 KB, whole reply",
        task: Task { way: Way::OverBedrock, question: Question::Short, shape: Shape::Whole },
        clients: 16,
        wanted: ["≤ 6 ×", "≤ 3 ×"],
    },
    cost::Work {
        name: "over Bedrock, 100 KB Claude Code request",
        task: Task { way: Way::OverBedrock, question: Question::ClaudeCode, shape: Shape::Whole },
        clients: 16,
        wanted: ["≤ 9 ×", "≤ 5 ×"],
    },
    cost::Work {
        name: "over Bedrock, stream of 200 events in bursts, 50 at once",
        task: Task { way: Way::OverBedrock, question: Question::Short, shape: Shape::Burst },
        clients: 50,
        wanted: ["≤ 4 ×", "≤ 2.5 ×"],
    },
];
