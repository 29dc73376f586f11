//! Logs: their format, their level for each part of the program, and the thread that writes them.

mod line;
mod writer;

use env_logger::{Builder, Target, WriteStyle};
use log::LevelFilter;

use writer::LineSink;
pub use writer::Logs;

/// All our crates begin so.
const OURS: [&str; 2] = ["vandamme", "vdm"];

/// Starts logging to stderr. Ours is logged at `level`; everybody else at WARN at most, for the HTTP stack
/// prints whole request heads, and so keys, below that. The answer writes what is left when it is dropped.
///
/// A second call changes nothing and logs nothing.
pub fn start(level: LevelFilter) -> Logs {
    let (sink, logs) = writer::start(std::io::stderr());
    let style = line::Style::of_stderr();
    let mut builder = builder(level, sink);
    builder.format(move |out, record| line::write(out, record, style));
    if builder.try_init().is_err() {
        log::debug!("logging has been started before");
    }
    logs
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
