//! Instructions of a gateway for each request, counted by callgrind. Other work on the machine changes them little.

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
    instructions: Instructions,
}

/// Instructions for each request.
#[derive(Clone, Copy)]
pub(super) struct Instructions {
    pub(super) serving: f64,
    /// The thread that writes the history. It writes by time, and valgrind slows requests down: on a busy machine its share doubles.
    history: f64,
}

/// A type whose functions only the thread of the history runs, by which its file is recognised. Single functions may be inlined.
const HISTORY: &str = "history::writer::Writer";

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
pub(super) fn count(work: &Work, contender: Contender, running: &Running) -> Result<Instructions, Trouble> {
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
    let fresh = &written[before..];
    let instructions = counted(fresh)?;
    let names = fresh.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ");
    eprintln!("{}: {:.0} instructions ({names})", work.name, instructions.serving);
    Ok(instructions)
}

/// The sums of a dump, which has a file for each thread.
fn counted(dump: &[PathBuf]) -> Result<Instructions, Trouble> {
    if dump.is_empty() {
        return Err("callgrind wrote no file".into());
    }
    let (mut serving, mut history) = (0, 0);
    for file in dump {
        let text = fs::read_to_string(file)?;
        let sum = if text.contains(HISTORY) { &mut history } else { &mut serving };
        *sum += total(&text)?;
    }
    let for_each = |sum: u64| sum as f64 / (CLIENTS * COUNTED) as f64;
    Ok(Instructions { serving: for_each(serving), history: for_each(history) })
}

fn control(arguments: &[&str]) -> Result<(), Trouble> {
    let done = Command::new("callgrind_control").args(arguments).output()?;
    if !done.status.success() {
        return Err(format!("callgrind_control: {}", String::from_utf8_lossy(&done.stderr)).into());
    }
    Ok(())
}

/// Callgrind's files, one for each dump and thread, the newest dump last.
fn dumps(directory: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let numbers = name.strip_prefix("counted.").and_then(|numbers| numbers.split_once('-'));
        if let Some((Ok(dump), Ok(thread))) =
            numbers.map(|(dump, thread)| (dump.parse::<u32>(), thread.parse::<u32>()))
        {
            found.push((dump, thread, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, _, path)| path).collect())
}

/// The sum over all functions of what they themselves executed. The file's own sum is wrong for programs with several threads.
fn total(text: &str) -> Result<u64, Trouble> {
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
        writeln!(page, "| work | instructions | those of the history |\n|---|---|---|")?;
        for Count { work, instructions } in &self.0 {
            let Instructions { serving, history } = instructions;
            writeln!(page, "| {work} | {serving:.0} | {history:.0} |")?;
        }
        Ok(())
    }
}
