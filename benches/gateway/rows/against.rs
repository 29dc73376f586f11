//! This build, other builds and the bare proxy, measured in the same rounds.

mod comparison;

use std::time::Duration;

use super::cost::Work;
use super::{COSTS, TimeLimit, held, instructions, latency, memory};
use crate::Trouble;
use crate::arguments::{Arguments, Build};
use crate::contender::{self, Contender, Limits, Running};

pub(crate) use comparison::{Comparison, Comparisons, Unit};

/// Rounds of CPU time.
const ROUNDS: usize = 9;
/// Rounds of the latency, which takes two seconds for each party.
const ROUNDS_OF_LATENCY: usize = 5;
/// Rounds of the memory, which hardly varies.
const ROUNDS_OF_MEMORY: usize = 3;
/// The time limit of a row for each party. It leaves time for all tries of the held streams.
const LONGEST: Duration = Duration::from_secs(90);

/// A program that is compared.
enum Party {
    Bare,
    Gateway(Build),
}

/// All parties, and the upstream behind them.
struct Field {
    parties: Vec<Party>,
    upstream: Running,
}

/// What a row measures.
enum Plan {
    Cpu(&'static Work),
    Instructions(&'static Work),
    Latency,
    Memory,
    Held,
}

/// The chosen rows, in the order in which they are measured.
pub(crate) fn measure(others: &[Build], arguments: &Arguments) -> Result<Comparisons, Trouble> {
    let builds = others.iter().cloned().chain([arguments.ours()]);
    let parties: Vec<Party> = [Party::Bare].into_iter().chain(builds.map(Party::Gateway)).collect();
    let field = Field { parties, upstream: contender::upstream()? };
    let chosen: Vec<Plan> = plans().filter(|plan| arguments.chooses(&plan.name())).collect();
    let mut stages = Stages::default();
    let mut compared = Vec::new();
    for plan in chosen {
        let _limit = TimeLimit::new(LONGEST * u32::try_from(field.parties.len())?);
        let values = plan.measure(&field, &mut stages)?;
        let names = field.parties.iter().map(|party| party.name().to_owned()).collect();
        let comparison = Comparison { work: plan.name(), unit: plan.unit(), names, values };
        eprint!("{comparison}");
        compared.push(comparison);
    }
    Ok(Comparisons(compared))
}

fn plans() -> impl Iterator<Item = Plan> {
    let cpu = COSTS.iter().map(Plan::Cpu);
    let rest = [Plan::Latency, Plan::Memory, Plan::Held];
    cpu.chain(rest).chain(COSTS.iter().map(Plan::Instructions))
}

/// The running parties of several rows, started by the first row that needs them.
#[derive(Default)]
struct Stages {
    plain: Option<Vec<Running>>,
    /// Without those that valgrind cannot run.
    counted: Option<Vec<Option<Running>>>,
}

impl Stages {
    fn plain(&mut self, field: &Field) -> Result<&[Running], Trouble> {
        if self.plain.is_none() {
            let started = field.parties.iter().map(|party| party.start(field, Limits::High));
            self.plain = Some(started.collect::<Result<_, _>>()?);
        }
        Ok(self.plain.as_deref().unwrap_or_default())
    }

    fn counted(&mut self, field: &Field) -> &[Option<Running>] {
        // Callgrind serialises the threads of a process, but not the processes: nothing else needs to run.
        self.plain = None;
        self.counted.get_or_insert_with(|| {
            let started = field.parties.iter().map(|party| {
                party.start_counted(field).inspect_err(|trouble| eprintln!("not counted: {trouble}")).ok()
            });
            started.collect()
        })
    }
}

impl Party {
    fn name(&self) -> &str {
        match self {
            Self::Bare => Contender::Bare.name(),
            Self::Gateway(build) => &build.name,
        }
    }

    fn contender(&self) -> Contender {
        match self {
            Self::Bare => Contender::Bare,
            Self::Gateway(_) => Contender::Ours,
        }
    }

    fn start(&self, field: &Field, limits: Limits) -> Result<Running, Trouble> {
        match self {
            Self::Bare => contender::bare(field.upstream.address()),
            Self::Gateway(build) => contender::gateway(build, (field.upstream.address(), limits)),
        }
    }

    fn start_counted(&self, field: &Field) -> Result<Running, Trouble> {
        match self {
            Self::Bare => contender::counted_bare(field.upstream.address()),
            Self::Gateway(build) => contender::counted_gateway(build, field.upstream.address()),
        }
    }
}

impl Field {
    /// Measures every party in each round: by party, by round. Each round begins with another party, because a later
    /// one runs on a warmer machine.
    fn rounds(
        &self,
        rounds: usize,
        mut measure: impl FnMut(usize, &Party) -> Result<f64, Trouble>,
    ) -> Result<Vec<Vec<f64>>, Trouble> {
        let mut values = vec![Vec::new(); self.parties.len()];
        for round in 0..rounds {
            for turn in 0..self.parties.len() {
                let number = (round + turn) % self.parties.len();
                let party = &self.parties[number];
                let measured = measure(number, party);
                values[number].push(measured.map_err(|trouble| format!("{}: {trouble}", party.name()))?);
            }
        }
        Ok(values)
    }
}

impl Plan {
    fn name(&self) -> String {
        match self {
            Self::Cpu(work) => format!("CPU time: {}", work.name),
            Self::Instructions(work) => format!("instructions: {}", work.name),
            Self::Latency => latency::WORK.to_owned(),
            Self::Memory => memory::WORK.to_owned(),
            Self::Held => held::WORK.to_owned(),
        }
    }

    fn unit(&self) -> Unit {
        match self {
            Self::Cpu(_) => Unit::Microseconds,
            Self::Instructions(_) => Unit::Instructions,
            Self::Latency => Unit::Milliseconds,
            Self::Memory => Unit::Kibibytes,
            Self::Held => Unit::Streams,
        }
    }

    fn measure(&self, field: &Field, stages: &mut Stages) -> Result<Vec<Vec<f64>>, Trouble> {
        match self {
            Self::Cpu(work) => {
                let running = stages.plain(field)?;
                field.rounds(ROUNDS, |number, party| work.cost(party.contender(), &running[number]))
            }
            Self::Instructions(work) => {
                let counted = stages.counted(field);
                field.rounds(1, |number, party| match &counted[number] {
                    Some(running) => Ok(instructions::count(work, party.contender(), running)?.serving),
                    None => Ok(f64::NAN),
                })
            }
            Self::Latency => {
                let running = stages.plain(field)?;
                field.rounds(ROUNDS_OF_LATENCY, |number, party| {
                    latency::added((party.contender(), &running[number]), &field.upstream)
                })
            }
            Self::Memory => field.rounds(ROUNDS_OF_MEMORY, |_, party| {
                memory::per_stream(party.contender(), &party.start(field, Limits::High)?)
            }),
            Self::Held => field.rounds(1, |_, party| {
                held::most_held(party.contender(), &party.start(field, Limits::Default)?)
            }),
        }
    }
}
