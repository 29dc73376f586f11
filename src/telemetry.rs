//! Logging: the format, the level of each part of the program, and the thread that writes the lines.

mod field;
mod journal;
mod json;
mod line;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;

use env_logger::{Builder, Target, WriteStyle};
use log::{LevelFilter, Record};

use self::journal::Journal;
use self::json::JsonLines;
use self::line::Style;
pub use self::writer::LogGuard;
use self::writer::{LineSink, Lines};

/// The prefix of the names of our crates.
const OURS: [&str; 2] = ["vandamme", "vdm"];

/// Where the log of this process goes. It is one for the whole process, as the logger is.
static LOG_OUTPUT: OnceLock<LogOutput> = OnceLock::new();

/// Where log lines are requested to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// stderr. If that is a stream to systemd's journal, the journal.
    Stderr,
    /// stderr, each line a JSON object.
    Json,
    /// systemd's journal, by `log-format`. If there is none, stderr.
    Journal,
    /// The same by `--systemd`.
    Systemd,
}

impl LogTarget {
    /// The target with the configured format. `--systemd` takes precedence.
    #[must_use]
    pub fn with_format(self, format: &str) -> Self {
        match (self, format) {
            (Self::Systemd, _) => Self::Systemd,
            (Self::Stderr | Self::Json | Self::Journal, "json") => Self::Json,
            (Self::Stderr | Self::Json | Self::Journal, "journald") => Self::Journal,
            (Self::Stderr | Self::Json | Self::Journal, _) => self,
        }
    }

    /// Whether the journal was asked for.
    pub fn is_journal(self) -> bool {
        match self {
            Self::Stderr | Self::Json => false,
            Self::Journal | Self::Systemd => true,
        }
    }
}

/// Where log lines go, and what was requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOutput {
    pub requested: LogTarget,
    pub format: LogFormat,
}

/// How a record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines on stderr.
    Console,
    /// Lines on stderr that begin with their priority, `<4>`: stderr is a stream to the journal, but the journal's own socket
    /// cannot be reached.
    Prioritized,
    /// Entries with fields, sent to the journal's own socket.
    Journal,
    /// JSON objects on stderr, one a line.
    Json,
}

impl LogOutput {
    /// Where the log of this process goes; stderr before it has been started.
    pub fn current() -> Self {
        let console = Self { requested: LogTarget::Stderr, format: LogFormat::Console };
        LOG_OUTPUT.get().copied().unwrap_or(console)
    }
}

/// Starts logging. Our crates log at `level`; all others at WARN at most, because the HTTP stack prints whole request heads,
/// and so keys, below that. When the returned value is dropped, the last lines are written.
///
/// A second call changes nothing and logs nothing.
pub fn start(level: LevelFilter, requested: LogTarget) -> LogGuard {
    let opened = match requested {
        LogTarget::Json => None,
        LogTarget::Stderr if !journal::has_stderr() => None,
        LogTarget::Stderr | LogTarget::Journal | LogTarget::Systemd => {
            Some(Journal::open(Path::new(journal::SOCKET)))
        }
    };
    let (format, (sink, logs)) = match opened {
        None if requested == LogTarget::Json => (LogFormat::Json, writer::start(JsonLines(io::stderr()))),
        None => (LogFormat::Console, writer::start(Lines(io::stderr()))),
        Some(Ok(journal)) => (LogFormat::Journal, writer::start(journal)),
        Some(Err(_)) => {
            let format = if journal::has_stderr() { LogFormat::Prioritized } else { LogFormat::Console };
            (format, writer::start(Lines(io::stderr())))
        }
    };
    let style = Style::of_stderr();
    let mut builder = builder(level, sink);
    builder.format(move |out, record| write_record(out, record, format, style));
    match builder.try_init() {
        Ok(()) => {
            LOG_OUTPUT.get_or_init(|| LogOutput { requested, format });
            log_panics();
        }
        Err(_) => log::debug!("logging has been started before"),
    }
    logs
}

/// Logs a warning if the journal was asked for but there is none. Of a master and its workers, the master calls it.
pub fn report_missing_journal() {
    let output = LogOutput::current();
    let (named, instead) = match output.requested {
        LogTarget::Stderr | LogTarget::Json => return,
        LogTarget::Journal => ("log-format (LOG_FORMAT)", "set it to text"),
        LogTarget::Systemd => ("--systemd", "remove --systemd"),
    };
    if output.format != LogFormat::Journal
        && let Err(error) = Journal::open(Path::new(journal::SOCKET))
    {
        log::warn!(
            "{named}: the log goes to stderr, because the journal's socket {} cannot be reached: {error}; start vdm where systemd-journald runs, or {instead}",
            journal::SOCKET
        );
    }
}

fn write_record(
    out: &mut impl Write,
    record: &Record<'_>,
    format: LogFormat,
    style: Style,
) -> io::Result<()> {
    match format {
        LogFormat::Console => line::write(out, record, style),
        LogFormat::Prioritized => {
            write!(out, "<{}>", journal::priority(record.level()))?;
            line::write(out, record, style)
        }
        LogFormat::Journal => journal::write(out, record),
        LogFormat::Json => json::write(out, record),
    }
}

/// Logs a panic as an ordinary line, so that it never blocks a worker. With `RUST_BACKTRACE`, Rust's own hook prints it.
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
        let (sink, _logs) = writer::start(Lines(std::io::sink()));
        builder(level, sink).build().enabled(&Metadata::builder().target(target).level(at).build())
    }

    #[test]
    fn the_http_stack_never_logs_below_warn() {
        for target in ["awc", "actix_http::h1::dispatcher", "actix_web", "rustls", "h2", "hyper"] {
            assert!(!is_logged(LevelFilter::Trace, target, Level::Info), "{target}");
            assert!(is_logged(LevelFilter::Debug, target, Level::Warn), "{target}");
            assert!(!is_logged(LevelFilter::Error, target, Level::Warn), "{target}");
        }
    }

    #[test]
    fn our_crates_log_at_the_configured_level() {
        for target in ["vandamme::proxy", "vandamme_actors::provider", "vdm"] {
            assert!(is_logged(LevelFilter::Debug, target, Level::Debug), "{target}");
            assert!(!is_logged(LevelFilter::Info, target, Level::Debug), "{target}");
            assert!(!is_logged(LevelFilter::Error, target, Level::Warn), "{target}");
        }
    }
}
