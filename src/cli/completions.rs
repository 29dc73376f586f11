//! `vdm completions SHELL`: what a shell must know to complete `vdm`.

use std::io::Write as _;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Vdm;
use super::exit_code::Exit;

#[derive(Args, Debug)]
pub(super) struct Completions {
    /// The shell that is to know
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Vdm::command(), "vdm", &mut script);
        // A reader that has gone is not our fault.
        drop(std::io::stdout().write_all(&script));
        Exit::Ok
    }
}
