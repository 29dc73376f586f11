//! Faults under load: kills, panics, pauses, floods, reloads and restarts, while clients check every reply. Started by
//! `scripts/chaos` and `scripts/soak`. The scripted upstream and the clients run in this process, the gateway is a real
//! `vdm`.

mod arguments;
#[path = "../gateway/chunks.rs"]
mod chunks;
mod client;
mod faults;
mod gateway;
mod history;
#[path = "../gateway/listener.rs"]
mod listener;
mod load;
mod modes;
mod order;
mod process_table;
mod soak;
mod upstream;
mod verdict;
mod words;

use std::error::Error;
use std::process::ExitCode;

/// Why a run ends without a verdict.
type Trouble = Box<dyn Error + Send + Sync>;

/// What a run found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Held,
    Violated,
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() != Some("--chaos") {
        eprintln!("this takes minutes: run scripts/chaos or scripts/soak");
        return ExitCode::SUCCESS;
    }
    match arguments::Arguments::parse(words).and_then(|arguments| modes::run(&arguments)) {
        Ok(Verdict::Held) => ExitCode::SUCCESS,
        Ok(Verdict::Violated) => ExitCode::FAILURE,
        Err(trouble) => {
            eprintln!("chaos: {trouble}");
            ExitCode::from(2)
        }
    }
}
