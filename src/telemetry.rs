//! Logs: their format, their level for each part of the program, and the thread that writes them.

mod line;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};

use env_logger::{Builder, Target, WriteStyle};
use log::LevelFilter;

use writer::LineSink;
pub use writer::LogGuard;

/// All our crates begin so.
const OURS: [&str; 2] = ["vandamme", "vdm"];

/// Starts logging to stderr. Ours is logged at `level`; everybody else at WARN at most, for the HTTP stack
/// prints whole request heads, and so keys, below that. The answer writes what is left when it is dropped.
///
/// A second call changes nothing and logs nothing.
pub fn start(level: LevelFilter) -> LogGuard {
    let (sink, logs) = writer::start(std::io::stderr());
    let style = line::Style::of_stderr();
    let mut builder = builder(level, sink);
    builder.format(move |out, record| line::write(out, record, style));
    match builder.try_init() {
        Ok(()) => log_panics(),
        Err(_) => log::debug!("logging has been started before"),
    }
    logs
}

/// A panic is a log line like others, so that reporting it never blocks a worker; with `RUST_BACKTRACE` it is reported
/// as Rust does.
fn log_panics() {
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if Backtrace::capture().status() == BacktraceStatus::Captured {
            default_hook(panic);
        } else {
            log::error!("{}", panic.to_string().replace('\n', " "));
        }
    }));
}

fn builder(level: LevelFilter, sink: LineSink) -> Builder {
    let mut builder = Builder::new();
    builder.filter_level(level.min(LevelFilter::Warn));
    for module in OURS {
        builder.filter_module(module, level);
    }
    builder.write_style(WriteStyle::Always).target(Target::Pipe(Box::new(sink)));
    builder
}

#[cfg(test)]
mod tests {
    use log::{Level, Log, Metadata};

    use super::*;

    fn is_logged(level: LevelFilter, target: &str, at: Level) -> bool {
        let (sink, _logs) = writer::start(std::io::sink());
        builder(level, sink).build().enabled(&Metadata::builder().target(target).level(at).build())
    }

    #[test]
    fn the_http_stack_is_never_heard_below_warn() {
        for target in ["awc", "actix_http::h1::dispatcher", "actix_web", "rustls", "h2", "hyper"] {
            assert!(!is_logged(LevelFilter::Trace, target, Level::Info), "{target}");
            assert!(is_logged(LevelFilter::Debug, target, Level::Warn), "{target}");
            assert!(!is_logged(LevelFilter::Error, target, Level::Warn), "{target}");
        }
    }

    #[test]
    fn our_own_crates_are_heard_at_the_level_that_was_set() {
        for target in ["vandamme::proxy", "vandamme_actors::provider", "vdm"] {
            assert!(is_logged(LevelFilter::Debug, target, Level::Debug), "{target}");
            assert!(!is_logged(LevelFilter::Info, target, Level::Debug), "{target}");
            assert!(!is_logged(LevelFilter::Error, target, Level::Warn), "{target}");
        }
    }
}
