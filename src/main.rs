//! `vdm`: parse, dispatch, exit code.

use std::panic::catch_unwind;
use std::process::ExitCode;

use vandamme::cli;
use vandamme::cli::exit_code::Exit;

/// On every row of `scripts/bench` it takes less CPU time than glibc's allocator, and no more memory.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A panic has been told by the time it is caught here.
fn main() -> ExitCode {
    catch_unwind(|| cli::run(std::env::args_os())).unwrap_or(Exit::Internal).into()
}
