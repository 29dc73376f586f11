//! Measures the gateway's cost next to nginx and the simplest proxy of actix-web and awc. `scripts/bench` starts
//! it. It executes itself again as the upstream and as that proxy, so that each has its own process.

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
        ["--bench", "--against", binary, ref words @ ..] => {
            rows::against::measure(binary, &words.join(" ")).map(|table| print!("{table}"))
        }
        ["--bench", "--instructions", binary, ref words @ ..] => {
            rows::instructions::measure(binary, &words.join(" ")).map(|table| print!("{table}"))
        }
        ["--bench", ref words @ ..] => rows::measure(&words.join(" ")).map(|table| print!("{table}")),
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
