//! The command line.

use std::path::PathBuf;

use crate::Trouble;

pub(crate) struct Arguments {
    pub(crate) mode: Mode,
    /// Of one round.
    pub(crate) seconds: u64,
    pub(crate) rounds: u64,
    pub(crate) minutes: u64,
    pub(crate) seed: u64,
    pub(crate) binary: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Chaos,
    HandOver,
    Soak,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Trouble> {
        let mut arguments = Self {
            mode: Mode::Chaos,
            seconds: 120,
            rounds: 1,
            minutes: 10,
            seed: fastrand::u64(..1_000_000),
            binary: PathBuf::from(env!("CARGO_BIN_EXE_vdm")),
        };
        while let Some(word) = words.next() {
            let mut number = || -> Result<u64, Trouble> {
                let value = words.next().ok_or_else(|| format!("{word} requires a value"))?;
                value.parse().map_err(|_| format!("{word} requires a whole number, not '{value}'").into())
            };
            match word.as_str() {
                "--hand-over" => arguments.mode = Mode::HandOver,
                "--soak" => arguments.mode = Mode::Soak,
                "--seconds" => arguments.seconds = number()?.max(1),
                "--rounds" => arguments.rounds = number()?,
                "--minutes" => arguments.minutes = number()?,
                "--seed" => arguments.seed = number()?,
                "--binary" => {
                    let path = words.next().ok_or("--binary requires a path")?;
                    arguments.binary =
                        std::fs::canonicalize(&path).map_err(|error| format!("{path}: {error}"))?;
                }
                _ => return Err(format!("unknown option '{word}'").into()),
            }
        }
        Ok(arguments)
    }
}
