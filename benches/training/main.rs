//! Trains a gateway for profile-guided optimisation: starts an instrumented `vdm`, sends it varied requests as clients
//! do, runs its commands, and stops it, so that it writes its profile. Started by `scripts/release`. The scripted
//! upstream and the clients run in this process; it uses 127.0.0.1 only.

#[path = "../gateway/chunks.rs"]
mod chunks;
mod client;
mod gateway;
#[path = "../gateway/listener.rs"]
mod listener;
mod load;
mod phases;
mod prose;
mod recorded;
mod replies;
mod requests;
mod script;
mod tally;
mod tls;
mod upstream;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

/// Why the training ends early.
type Trouble = Box<dyn Error + Send + Sync>;

/// The requests are the same in every training.
const SEED: u64 = 20_261_130;
/// The length of the load over HTTP. Everything else takes some seconds.
const SECONDS: u64 = 50;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let trained = match words[..] {
        ["--train", binary] => phases::train(binary, Duration::from_secs(SECONDS), SEED),
        ["--train", binary, seconds] => {
            let seconds =
                seconds.parse().map_err(|_| format!("'{seconds}' is not a number of seconds").into());
            seconds.and_then(|seconds| phases::train(binary, Duration::from_secs(seconds), SEED))
        }
        _ => {
            eprintln!("this takes a minute: run scripts/release");
            return ExitCode::SUCCESS;
        }
    };
    match trained {
        Ok(summary) => {
            eprintln!("{summary}");
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("training: {trouble}");
            ExitCode::FAILURE
        }
    }
}
