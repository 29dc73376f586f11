//! The thread that writes log lines, so that a slow reader of the log never holds up a worker: lines that it cannot take are
//! dropped and counted.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// Lines that may wait.
const WAITING: usize = 10_000;
/// How long the end of the program waits for the last lines.
const LAST_WAIT: Duration = Duration::from_secs(1);

enum Order {
    Write(Vec<u8>),
    /// Answer when everything before this is written.
    Confirm(SyncSender<()>),
}

/// Where the thread writes. A failure is no reason to stop.
pub(super) trait Destination: Send + 'static {
    /// Writes one formatted record.
    fn write(&mut self, record: &[u8]);
    /// Reports how many records have been dropped because they came too fast.
    fn report_dropped(&mut self, count: u64);
    fn flush(&mut self);
}

/// A stream of lines, such as stderr.
pub(super) struct Lines<W>(pub(super) W);

impl<W: Write + Send + 'static> Destination for Lines<W> {
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

/// Takes lines, never blocks.
pub(super) struct LineSink {
    orders: SyncSender<Order>,
    dropped: Arc<AtomicU64>,
}

/// Keeps the writer; dropping it writes what is waiting, for a second at most.
#[must_use = "the last lines are written when this is dropped"]
pub struct Logs {
    orders: SyncSender<Order>,
}

/// Starts the thread. Without a thread (the system has none to give), lines are dropped.
pub(super) fn start(to: impl Destination) -> (LineSink, Logs) {
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
    (LineSink { orders: orders.clone(), dropped }, Logs { orders })
}

/// Until nobody can send.
fn write_all(mut to: impl Destination, waiting: &Receiver<Order>, dropped: &AtomicU64) {
    while let Ok(order) = waiting.recv() {
        match order {
            Order::Write(line) => {
                report(&mut to, dropped.swap(0, Ordering::Relaxed));
                to.write(&line);
            }
            Order::Confirm(written) => {
                report(&mut to, dropped.swap(0, Ordering::Relaxed));
                to.flush();
                let _ = written.send(());
            }
        }
    }
}

fn report(to: &mut impl Destination, dropped: u64) {
    if dropped > 0 {
        to.report_dropped(dropped);
    }
}

impl Write for LineSink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.orders.try_send(Order::Write(line.to_vec())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        let (written, answer) = sync_channel(1);
        // A full queue means a reader that has stopped reading: then there is nothing to wait for.
        if self.orders.try_send(Order::Confirm(written)).is_ok() {
            let _ = answer.recv_timeout(LAST_WAIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// A stderr that takes a line only when it is told to, and keeps it.
    struct SlowReader {
        may_write: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for SlowReader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _go_on_when_nobody_holds_us_back = self.may_write.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_reader_blocks_nobody_and_is_told_how_much_it_missed() {
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
    fn the_last_lines_are_written_at_the_end() {
        let (let_write, may_write) = mpsc::channel();
        drop(let_write);
        let written = Arc::new(Mutex::new(Vec::new()));
        let (mut sink, logs) = start(Lines(SlowReader { may_write, written: Arc::clone(&written) }));

        sink.write_all(b"last\n").unwrap();
        drop(logs);

        assert_eq!(*written.lock().unwrap(), b"last\n");
    }
}
