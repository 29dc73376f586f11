//! The thread that writes log lines, so that a slow reader of stderr never blocks a worker. If the queue is full, lines
//! are dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// The length of the queue, in lines.
const WAITING: usize = 10_000;
/// How long the program waits for the last lines when it ends.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// All lines that this process has dropped.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// The lines that were dropped so far.
pub(crate) fn dropped_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

enum WriterCommand {
    Write(Vec<u8>),
    /// Reply once everything before this has been written.
    Confirm(SyncSender<()>),
}

/// Where the thread writes. A failure is no reason to stop.
pub(super) trait LogDestination: Send + 'static {
    /// Writes one formatted record.
    fn write(&mut self, record: &[u8]);
    /// Reports how many records have been dropped because they came too fast.
    fn report_dropped(&mut self, count: u64);
    fn flush(&mut self);
}

/// A stream of lines, such as stderr.
pub(super) struct Lines<W>(pub(super) W);

impl<W: Write + Send + 'static> LogDestination for Lines<W> {
    fn write(&mut self, record: &[u8]) {
        let _ = self.0.write_all(record);
    }

    fn report_dropped(&mut self, count: u64) {
        let _ = writeln!(self.0, "{count} log lines dropped: stderr was read too slowly");
    }

    fn flush(&mut self) {
        let _ = self.0.flush();
    }
}

/// Queues lines, and never blocks.
pub(super) struct LineSink {
    orders: SyncSender<WriterCommand>,
    dropped: Arc<AtomicU64>,
}

/// Owns the writer. Dropping it writes the queued lines, for a second at most.
#[must_use = "the last lines are written when this is dropped"]
pub struct LogGuard {
    orders: SyncSender<WriterCommand>,
}

/// Starts the thread. If the system cannot start one, lines are dropped.
pub(super) fn start(to: impl LogDestination) -> (LineSink, LogGuard) {
    let (orders, waiting) = sync_channel(WAITING);
    let dropped = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&dropped);
    let thread = thread::Builder::new().name("log".into()).spawn(move || write_all(to, &waiting, &counted));
    if let Err(error) = thread {
        let _ = writeln!(
            io::stderr(),
            "vdm: cannot start the thread that writes logs, so there are none: {error}"
        );
    }
    (LineSink { orders: orders.clone(), dropped }, LogGuard { orders })
}

/// Runs until all senders are dropped. A closed stderr does not stop it.
fn write_all(mut to: impl LogDestination, waiting: &Receiver<WriterCommand>, dropped: &AtomicU64) {
    while let Ok(order) = waiting.recv() {
        match order {
            WriterCommand::Write(line) => {
                report(&mut to, dropped.swap(0, Ordering::Relaxed));
                to.write(&line);
            }
            WriterCommand::Confirm(written) => {
                report(&mut to, dropped.swap(0, Ordering::Relaxed));
                to.flush();
                let _ = written.send(());
            }
        }
    }
}

fn report(to: &mut impl LogDestination, dropped: u64) {
    if dropped > 0 {
        to.report_dropped(dropped);
    }
}

impl Write for LineSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.orders.try_send(WriterCommand::Write(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                DROPPED.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let (written, answer) = sync_channel(1);
        // A full queue means that the reader of stderr has stopped reading, so waiting is useless.
        if self.orders.try_send(WriterCommand::Confirm(written)).is_ok() {
            let _ = answer.recv_timeout(LAST_WAIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// A stderr that accepts a line only on command, and keeps it.
    struct SlowReader {
        may_write: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for SlowReader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _permit = self.may_write.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_reader_blocks_no_worker_and_receives_the_count_of_dropped_lines() {
        let (let_write, may_write) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut sink, logs) = start(Lines(SlowReader { may_write, written: Arc::clone(&written) }));

        for n in 0..WAITING + 100 {
            sink.write_all(format!("{n}\n").as_bytes()).unwrap();
        }
        drop(let_write);
        while sink.dropped.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
        drop(logs);

        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let report = written.lines().find(|line| line.contains("dropped")).unwrap();
        let dropped: usize = report.split(' ').next().unwrap().parse().unwrap();
        let lines = written.lines().filter(|line| line.parse::<usize>().is_ok()).count();
        assert!((99..=100).contains(&dropped), "{report}");
        assert_eq!(lines + dropped, WAITING + 100);
    }

    #[test]
    fn queued_lines_are_written_when_the_guard_is_dropped() {
        let (let_write, may_write) = mpsc::channel();
        drop(let_write);
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut sink, logs) = start(Lines(SlowReader { may_write, written: Arc::clone(&written) }));

        sink.write_all(b"last\n").unwrap();
        drop(logs);

        assert_eq!(*written.lock().unwrap(), b"last\n");
    }
}
