//! Measures the gateway's cost next to nginx and the simplest proxy of actix-web and awc. `scripts/bench` starts
//! it. It executes itself again as the upstream and as that proxy, so that each has its own process.

mod arguments;
mod bare;
mod chunks;
mod connection;
mod contender;
mod listener;
mod load;
mod meter;
mod nginx;
mod process;
mod replies;
mod requests;
mod rows;
mod stage;
mod table;
mod upstream;

use std::error::Error;
use std::process::ExitCode;

use arguments::{Arguments, Mode};

/// The reason why the benchmark ends without a table.
type Trouble = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match words[..] {
        ["upstream", port] => port.parse().map_err(Trouble::from).and_then(upstream::serve),
        ["bare", port, upstream] => {
            port.parse().map_err(Trouble::from).and_then(|port| bare::serve(port, upstream))
        }
        ["--bench", ref words @ ..] => measure(words),
        _ => {
            eprintln!("this is a benchmark: run scripts/bench");
            Ok(())
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("bench: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn measure(words: &[&str]) -> Result<(), Trouble> {
    let arguments = Arguments::parse(words.iter().copied().map(str::to_owned))?;
    match &arguments.mode {
        Mode::Table => print!("{}", rows::measure(&arguments)?),
        Mode::Against(others) => print!("{}", rows::against::measure(others, &arguments)?),
        Mode::Instructions(build) => print!("{}", rows::instructions::measure(build, &arguments)?),
    }
    Ok(())
}
