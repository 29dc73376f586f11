//! Instructions of a gateway for each request, counted by callgrind. Other work on the machine hardly changes them.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use super::cost::Work;
use super::{COSTS, TimeLimit};
use crate::Trouble;
use crate::arguments::{Arguments, Build};
use crate::contender::{self, Contender, Running};
use crate::load::{Habit, Load};

const LONGEST: Duration = Duration::from_secs(600);
const CLIENTS: usize = 4;
/// Requests of each client before counting begins.
const WARM: usize = 25;
/// Requests of each client that are counted.
const COUNTED: usize = 50;
/// What is done after a request, such as its record, ends within this time.
const AFTERWARDS: Duration = Duration::from_millis(1_000);

struct Count {
    work: &'static str,
    instructions: f64,
}

pub(crate) struct Counts(Vec<Count>);

/// The chosen rows of CPU time, for one gateway.
pub(crate) fn measure(build: &Build, arguments: &Arguments) -> Result<Counts, Trouble> {
    let _limit = TimeLimit::new(LONGEST);
    let upstream = contender::upstream()?;
    let running = contender::counted_gateway(build, upstream.address())?;
    let chosen = COSTS.iter().filter(|work| arguments.chooses(work.name));
    let counts = chosen.map(|work| {
        let instructions = count(work, Contender::Ours, &running)?;
        Ok(Count { work: work.name, instructions })
    });
    let counts = counts.collect::<Result<_, _>>().map(Counts);
    if let Some(kept) = std::env::var_os("CALLGRIND_DIRECTORY") {
        keep(running.process().directory(), Path::new(&kept))?;
    }
    counts
}

/// Instructions for each request of a contender that runs under callgrind.
pub(super) fn count(work: &Work, contender: Contender, running: &Running) -> Result<f64, Trouble> {
    let load = Load { clients: CLIENTS, ..work.task.load(contender, running) };
    Load { habit: Habit::Asks(WARM), ..load.clone() }.start().wait()?;
    sleep(AFTERWARDS);
    let directory = running.process().directory();
    let process = running.process().id().to_string();
    let before = dumps(directory)?.len();
    control(&["-i", "on", &process])?;
    Load { habit: Habit::Asks(COUNTED), ..load }.start().wait()?;
    sleep(AFTERWARDS);
    // A dump while nothing is counted has no sum.
    control(&["-d", &process])?;
    control(&["-i", "off", &process])?;
    let written = dumps(directory)?;
    if written.len() <= before {
        return Err("callgrind wrote no file".into());
    }
    let newest = written.last().ok_or("callgrind wrote no file")?;
    let instructions = total(newest)? as f64 / (CLIENTS * COUNTED) as f64;
    eprintln!("{}: {instructions:.0} instructions ({})", work.name, newest.display());
    Ok(instructions)
}

fn control(arguments: &[&str]) -> Result<(), Trouble> {
    let done = Command::new("callgrind_control").args(arguments).output()?;
    if !done.status.success() {
        return Err(format!("callgrind_control: {}", String::from_utf8_lossy(&done.stderr)).into());
    }
    Ok(())
}

/// Callgrind's files, the newest last.
fn dumps(directory: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(number) = name.strip_prefix("counted.").and_then(|number| number.parse::<u32>().ok()) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The sum over all functions of what they themselves executed. The file's own sum is wrong for programs with several threads.
fn total(dump: &Path) -> Result<u64, Trouble> {
    let text = fs::read_to_string(dump)?;
    let (mut sum, mut is_of_callee) = (0u64, false);
    for line in text.lines() {
        let is_cost =
            line.starts_with(|first: char| matches!(first, '+' | '-' | '*') || first.is_ascii_digit());
        if is_cost && !is_of_callee {
            let cost = line.split_ascii_whitespace().nth(1).and_then(|cost| cost.parse::<u64>().ok());
            sum += cost.ok_or_else(|| format!("callgrind wrote a line of another form: {line}"))?;
        }
        is_of_callee = line.starts_with("calls=");
    }
    Ok(sum)
}

fn keep(from: &Path, to: &Path) -> Result<(), Trouble> {
    fs::create_dir_all(to)?;
    for dump in dumps(from)? {
        fs::copy(&dump, to.join(dump.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

impl Display for Counts {
    fn fmt(&self, page: &mut Formatter<'_>) -> fmt::Result {
        writeln!(page, "| work | instructions |\n|---|---|")?;
        for Count { work, instructions } in &self.0 {
            writeln!(page, "| {work} | {instructions:.0} |")?;
        }
        Ok(())
    }
}
