//! `vdm`: parse, dispatch, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    vandamme::cli::run(std::env::args_os()).into()
}
