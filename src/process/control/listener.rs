//! The gateway's end of the control socket: a thread that accepts connections, and one for each of them.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read as _, Result, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};
use tokio::runtime::{Builder, Runtime};

use super::{Answer, ControlCommand, ControlReply, QUESTION, Question, Status, VERSION};
use crate::process::directory;

/// Maximum time to receive a question, and to send an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Maximum number of open connections.
const CONNECTIONS: usize = 32;
/// Interval at which a connection is checked for a client that has disconnected.
const PROGRESS: Duration = Duration::from_millis(100);
/// Maximum number of queued answers per connection.
const ANSWERS: usize = 16;
/// Pause after a failed accept, which usually means that the process has no free descriptor.
const PAUSE: Duration = Duration::from_millis(100);

/// The listening control socket. Its drop removes the file, unless the file belongs to another gateway by then.
pub(crate) struct Control {
    path: PathBuf,
    inode: u64,
    listener: UnixListener,
    open: Arc<AtomicUsize>,
}

/// A command from an authorised user.
pub(crate) struct Order {
    pub(crate) ask: ControlCommand,
    /// The process that sent the command.
    pub(crate) process: Option<i32>,
    pub(crate) reply: Caller,
}

/// The sender of an order, and the connection for its answers.
#[derive(Clone)]
pub(crate) struct Caller {
    answers: SyncSender<ControlReply>,
    stream: Arc<UnixStream>,
    /// Queued answers that are not written yet.
    unsent: Arc<AtomicUsize>,
}

/// The receiver of the commands that arrive at the socket.
pub(crate) trait ControlOperator: Send + Sync {
    /// The status of the gateway, or `None` if it is not known.
    fn status(&self) -> Option<Status>;

    /// Queues the order, unless the queue is full.
    fn submit(&self, order: Order) -> Submission;
}

/// Whether an order was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submission {
    Taken,
    /// The queue is full.
    Refused,
}

/// Listens at the socket of this name. An earlier owner of the socket no longer listens at the address, or is about to exit.
///
/// # Errors
/// If no directory is available that only this user can open.
pub(crate) fn open(name: &str, operator: Arc<dyn ControlOperator>) -> Result<Control> {
    let control = bind(directory::create()?.join(name))?;
    control.accept(operator)?;
    Ok(control)
}

/// Continues to listen at a socket that an earlier program of this process has opened.
///
/// # Errors
/// If no thread can be started.
pub(crate) fn resume(
    path: PathBuf,
    listener: OwnedFd,
    operator: Arc<dyn ControlOperator>,
) -> Result<Control> {
    let inode = fs::symlink_metadata(&path).map_or(0, |metadata| metadata.ino());
    let control = Control { path, inode, listener: listener.into(), open: Arc::default() };
    control.accept(operator)?;
    Ok(control)
}

/// Answers a caller whose connection an earlier program of this process has accepted.
pub(crate) fn answer(caller: OwnedFd, reply: ControlReply) -> Result<()> {
    let stream = UnixStream::from(caller);
    stream.set_write_timeout(Some(PATIENCE))?;
    send(&stream, reply)
}

/// Binds the socket under a temporary name, restricts its mode, and renames it. At any time the path leads to a socket, and no
/// other user can open it.
fn bind(path: PathBuf) -> Result<Control> {
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let _left_over = fs::remove_file(&fresh);
    let named = |error: Error| Error::new(error.kind(), format!("{}: {error}", fresh.display()));
    let listener = UnixListener::bind(&fresh).map_err(named)?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
    let inode = fs::symlink_metadata(&fresh)?.ino();
    fs::rename(&fresh, &path)?;
    Ok(Control { path, inode, listener, open: Arc::default() })
}

impl Control {
    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// The number of open connections.
    pub(crate) fn conversations(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    fn accept(&self, operator: Arc<dyn ControlOperator>) -> Result<()> {
        let (listener, open) = (self.listener.try_clone()?, self.open.clone());
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let thread = thread::Builder::new().name("control".to_owned());
        thread.spawn(move || accept_for_ever(&listener, &runtime, &open, &operator)).map(drop)
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _gone_anyway = fs::remove_file(&self.path);
        }
    }
}

impl Caller {
    /// Queues an answer. If the queue is full or closed, the answer is dropped: the client has disconnected or reads too slowly.
    pub(crate) fn send(&self, reply: ControlReply) {
        self.unsent.fetch_add(1, Ordering::AcqRel);
        if self.answers.try_send(reply).is_err() {
            self.unsent.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Whether an answer waits to be written. A process that ends now would lose it.
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent.load(Ordering::Acquire) > 0 && self.waits()
    }

    /// Whether the client is still connected.
    pub(crate) fn waits(&self) -> bool {
        !has_hung_up(&self.stream)
    }
}

impl AsFd for Caller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn accept_for_ever(
    listener: &UnixListener,
    runtime: &Runtime,
    open: &Arc<AtomicUsize>,
    operator: &Arc<dyn ControlOperator>,
) {
    loop {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(PAUSE);
            continue;
        };
        let Ok(peer) = Peer::new(&stream, runtime) else { continue };
        let is_trusted = peer.user == 0 || peer.user == directory::user();
        if !is_trusted || open.load(Ordering::Acquire) >= CONNECTIONS {
            continue;
        }
        let place = Place::take(open);
        let operator = operator.clone();
        let thread = thread::Builder::new().name("control".to_owned());
        // Without a thread the connection is closed.
        let _ = thread.spawn(move || {
            let _place = place;
            // An error means that the command line has exited; no action is needed.
            let _ = converse(stream, peer.process, &*operator);
        });
    }
}

/// One of the `CONNECTIONS` places; its drop frees the place.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::AcqRel);
        Self(open.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The credentials of the client.
struct Peer {
    user: u32,
    process: Option<i32>,
}

impl Peer {
    /// Reads the credentials with tokio, which supports every platform but needs a runtime.
    fn new(stream: &UnixStream, runtime: &Runtime) -> Result<Self> {
        let _context = runtime.enter();
        stream.set_nonblocking(true)?;
        let peer = tokio::net::UnixStream::from_std(stream.try_clone()?)?.peer_cred()?;
        stream.set_nonblocking(false)?;
        Ok(Self { user: peer.uid(), process: peer.pid() })
    }
}

fn converse(stream: UnixStream, process: Option<i32>, operator: &dyn ControlOperator) -> Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let ask = match question(&stream)? {
        Ok(ask) => ask,
        Err(refusal) => return send(&stream, ControlReply::Refused(vec![refusal])),
    };
    if ask == ControlCommand::Status {
        let Some(status) = operator.status() else { return Ok(()) };
        return send(&stream, ControlReply::Status(Box::new(status)));
    }
    let (answers, waiting) = sync_channel(ANSWERS);
    let stream = Arc::new(stream);
    let unsent = Arc::new(AtomicUsize::new(0));
    let reply = Caller { answers, stream: stream.clone(), unsent: unsent.clone() };
    if operator.submit(Order { ask, process, reply }) == Submission::Refused {
        let busy = "the gateway is busy with other orders; try again".to_owned();
        return send(&stream, ControlReply::Refused(vec![busy]));
    }
    // A stopping gateway sends its progress until the process exits, which closes the connection.
    loop {
        match waiting.recv_timeout(PROGRESS) {
            Ok(reply) => {
                let is_last = !matches!(reply, ControlReply::Stopping { .. });
                let sent = send(&stream, reply);
                unsent.fetch_sub(1, Ordering::AcqRel);
                sent?;
                if is_last {
                    return Ok(());
                }
            }
            Err(RecvTimeoutError::Timeout) if !has_hung_up(&stream) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn has_hung_up(stream: &UnixStream) -> bool {
    recv(stream, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok_and(|(_, read)| read == 0)
}

fn question(stream: &UnixStream) -> Result<std::result::Result<ControlCommand, String>> {
    let until = Instant::now() + PATIENCE;
    let mut line = Vec::new();
    let mut reader = BufReader::with_capacity(QUESTION, stream);
    while line.len() < QUESTION && !line.ends_with(b"\n") {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let limit = u64::try_from(reader.fill_buf()?.len().max(1)).unwrap_or(1);
        if reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            break;
        }
    }
    Ok(match serde_json::from_slice::<Question>(&line) {
        Ok(Question { version: VERSION, ask }) => Ok(ask),
        Ok(_) | Err(_) => Err(format!(
            "vdm {} does not understand this command: the command line is of another version",
            env!("CARGO_PKG_VERSION")
        )),
    })
}

fn send(mut stream: &UnixStream, reply: ControlReply) -> Result<()> {
    let mut line = serde_json::to_vec(&Answer { version: VERSION, said: reply })?;
    line.push(b'\n');
    stream.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes each order on to the test.
    struct Operator(SyncSender<Order>);

    impl ControlOperator for Operator {
        fn status(&self) -> Option<Status> {
            None
        }

        fn submit(&self, order: Order) -> Submission {
            self.0.try_send(order).map_or(Submission::Refused, |()| Submission::Taken)
        }
    }

    /// Requirement (issue 15): a process that ends can wait until an answer is written; it does not wait if the reader has
    /// disconnected.
    #[test]
    fn an_answer_counts_as_unsent_until_it_is_written() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let (orders, taken) = sync_channel(1);
        thread::spawn(move || converse(near, None, &Operator(orders)));
        let question = Question { version: VERSION, ask: ControlCommand::Stop };
        far.write_all(&[serde_json::to_vec(&question).unwrap(), b"\n".to_vec()].concat()).unwrap();
        let caller = taken.recv_timeout(PATIENCE).unwrap().reply;
        assert!(!caller.has_unsent());

        caller.send(ControlReply::Stopping { in_flight: 7 });

        let until = Instant::now() + PATIENCE;
        while caller.has_unsent() {
            assert!(Instant::now() < until);
            thread::sleep(Duration::from_millis(1));
        }
        far.set_nonblocking(true).unwrap();
        let mut line = [0; 256];
        let length = far.read(&mut line).expect("it is there at once");
        assert!(String::from_utf8_lossy(&line[..length]).contains("\"in_flight\":7"));

        drop(far);
        (0..ANSWERS * 2).for_each(|in_flight| caller.send(ControlReply::Stopping { in_flight }));
        assert!(!caller.has_unsent());
    }
}
