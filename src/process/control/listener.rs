//! The gateway's end of the control socket.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::io::{Error, Result};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use actix_web::rt;
use actix_web::rt::time::{sleep, timeout};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::{Answer, ControlCommand, ControlReply, QUESTION, Question, Status, VERSION};
use crate::process::directory;

/// A question must come within this, and an answer must be taken.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who asks at the same time.
const CONNECTIONS: usize = 32;
/// How often those who wait for the end are told what it waits for.
const PROGRESS: Duration = Duration::from_millis(100);
/// Orders that wait while one is carried out.
const ORDERS: usize = 16;
/// After an accept that failed: out of descriptors, for now.
const PAUSE: Duration = Duration::from_millis(100);

/// The socket's file. It goes with this value, unless it is another gateway's by then.
pub(crate) struct Control {
    path: PathBuf,
    inode: u64,
}

/// What one who may says is to be done, and who is told.
pub(crate) struct Order {
    pub(crate) ask: ControlCommand,
    /// The process that asks.
    pub(crate) process: Option<i32>,
    pub(crate) reply: oneshot::Sender<ControlReply>,
}

/// What answers without being carried out.
pub(crate) trait Observed {
    fn status(&self) -> Status;
}

/// Listens at the socket of this name. Whoever had it before has lost the address, too, or is about to go.
///
/// # Errors
/// When there is no place for a socket of this user alone.
pub(crate) fn open<O>(name: &str, observed: Rc<O>) -> Result<(Control, mpsc::Receiver<Order>)>
where
    O: Observed + 'static,
{
    let path = directory::create()?.join(name);
    let (listener, control) = bind(path)?;
    let (orders, waiting) = mpsc::channel(ORDERS);
    rt::spawn(accept(listener, observed, orders));
    Ok((control, waiting))
}

/// Under a name of its own first, so that there is no moment without a socket or with one that others may open.
fn bind(path: PathBuf) -> Result<(UnixListener, Control)> {
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    let _left_over = fs::remove_file(&fresh);
    let named = |error: Error| Error::new(error.kind(), format!("{}: {error}", fresh.display()));
    let listener = UnixListener::bind(&fresh).map_err(named)?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o600))?;
    let inode = fs::symlink_metadata(&fresh)?.ino();
    fs::rename(&fresh, &path)?;
    Ok((listener, Control { path, inode }))
}

impl Drop for Control {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _gone_anyway = fs::remove_file(&self.path);
        }
    }
}

async fn accept<O: Observed + 'static>(listener: UnixListener, observed: Rc<O>, orders: mpsc::Sender<Order>) {
    let open = Rc::new(Cell::new(0_usize));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let theirs = stream.peer_cred().ok().map(|peer| peer.uid());
        let is_trusted = theirs.is_some_and(|user| user == 0 || user == directory::user());
        if !is_trusted || open.get() >= CONNECTIONS {
            continue;
        }
        open.set(open.get() + 1);
        let (observed, orders, open) = (observed.clone(), orders.clone(), open.clone());
        rt::spawn(async move {
            // A command line that has gone is nobody's fault.
            let _ = converse(stream, &*observed, &orders).await;
            open.set(open.get() - 1);
        });
    }
}

async fn converse<O: Observed>(
    mut stream: UnixStream,
    observed: &O,
    orders: &mpsc::Sender<Order>,
) -> Result<()> {
    let ask = match timeout(PATIENCE, question(&mut stream)).await.map_err(Error::other)?? {
        Ok(ask) => ask,
        Err(refusal) => return say(&mut stream, ControlReply::Refused(vec![refusal])).await,
    };
    let process = stream.peer_cred().ok().and_then(|peer| peer.pid());
    if ask == ControlCommand::Status {
        return say(&mut stream, ControlReply::Status(Box::new(observed.status()))).await;
    }
    let (reply, answer) = oneshot::channel();
    let busy = || ControlReply::Refused(vec!["the gateway is busy with other orders; try again".to_owned()]);
    let said = match orders.try_send(Order { ask, process, reply }) {
        Ok(()) => {
            answer.await.unwrap_or_else(|_| ControlReply::Stopping { in_flight: observed.status().in_flight })
        }
        Err(_) => busy(),
    };
    let ControlReply::Stopping { mut in_flight } = said else { return say(&mut stream, said).await };
    say(&mut stream, said).await?;
    // Until the process ends, and the connection with it, or whoever waits for that gives up.
    while timeout(PROGRESS, stream.read(&mut [0])).await.is_err() {
        let left = observed.status().in_flight;
        if left != in_flight {
            in_flight = left;
            say(&mut stream, ControlReply::Stopping { in_flight }).await?;
        }
    }
    Ok(())
}

async fn question(stream: &mut UnixStream) -> Result<std::result::Result<ControlCommand, String>> {
    let mut line = String::new();
    let limit = u64::try_from(QUESTION).unwrap_or(u64::MAX);
    BufReader::new(stream.take(limit)).read_line(&mut line).await?;
    Ok(match serde_json::from_str::<Question>(&line) {
        Ok(Question { version: VERSION, ask }) => Ok(ask),
        Ok(_) | Err(_) => Err(format!(
            "vdm {} does not understand this command: the command line is of another version",
            env!("CARGO_PKG_VERSION")
        )),
    })
}

async fn say(stream: &mut UnixStream, said: ControlReply) -> Result<()> {
    let mut line = serde_json::to_vec(&Answer { version: VERSION, said })?;
    line.push(b'\n');
    timeout(PATIENCE, stream.write_all(&line)).await.map_err(Error::other)?
}
