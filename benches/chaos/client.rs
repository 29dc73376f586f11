//! One client: it sends an order, reads the reply, and says what it received.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Trouble;
use crate::chunks::Framing;
use crate::order::{Endpoint, Form, Order};

/// A reply that takes longer is lost. The longest stream takes 40 s.
const PATIENCE: Duration = Duration::from_secs(100);

/// What a client received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Complete,
    /// An error status with a JSON error.
    Refused {
        status: u16,
        waits: Waits,
    },
    /// A stream that ended with an error event.
    Broken,
    /// The client disconnected, as the order says.
    Left,
    /// No reply, or a part of one.
    Lost(String),
    /// A reply that is not the one to this order.
    Wrong(String),
}

/// Whether an error has `retry-after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    Stated,
    Unstated,
}

/// A connection that the client keeps.
pub(crate) struct Kept {
    stream: TcpStream,
    pub(crate) opened: Instant,
    /// How often the gateway had been restarted then: an old worker serves with the configuration of its time.
    pub(crate) worker: u64,
    read: BytesMut,
}

/// A reply as it came.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Kept {
    async fn open(address: SocketAddr, worker: u64) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, opened: Instant::now(), worker, read: BytesMut::new() })
    }

    /// Whether the gateway has closed it.
    pub(crate) fn is_closed(&self) -> bool {
        let mut byte = [0];
        !matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Sends an order, and returns what came and the connection if it can be used again.
pub(crate) async fn perform(
    (address, worker): (SocketAddr, u64),
    order: &Order,
    kept: Option<Kept>,
) -> (Outcome, Option<Kept>) {
    let reused = kept.is_some();
    let kept = match kept {
        Some(kept) => Ok(kept),
        None => Kept::open(address, worker).await,
    };
    let kept = match kept {
        Ok(kept) => kept,
        Err(error) => return (Outcome::Lost(format!("connect: {error}")), None),
    };
    match timeout(PATIENCE, exchange(order, kept)).await {
        Err(_) => (Outcome::Lost(format!("no end within {} s", PATIENCE.as_secs())), None),
        Ok(Err(trouble)) => (Outcome::Lost(format!("{trouble}; reused connection: {reused}")), None),
        Ok(Ok((outcome, kept))) => (outcome, kept),
    }
}

async fn exchange(order: &Order, mut kept: Kept) -> Result<(Outcome, Option<Kept>), Trouble> {
    kept.stream.write_all(&order.bytes()).await.map_err(|error| format!("send: {error}"))?;
    let head = loop {
        if let Some(end) = memchr::memmem::find(&kept.read, b"\r\n\r\n") {
            break kept.read.split_to(end + 4);
        }
        fill(&mut kept).await.map_err(|error| format!("before the head: {error}"))?;
    };
    let mut framing = Framing::of_head(&head)?;
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    let mut body = Vec::new();
    framing.take(&mut kept.read, |slice| body.extend_from_slice(slice))?;
    while !framing.is_over() {
        if order.leaves_after.is_some_and(|bytes| body.len() >= bytes) {
            return Ok((Outcome::Left, None));
        }
        let filled = fill(&mut kept).await;
        filled.map_err(|error| format!("in the body, after {} bytes: {error}", body.len()))?;
        framing.take(&mut kept.read, |slice| body.extend_from_slice(slice))?;
    }
    if kept.read.has_remaining() {
        return Ok((Outcome::Wrong("bytes after the reply".to_owned()), None));
    }
    let closes = head.contains("\r\nconnection: close\r\n");
    let outcome = Reply { status, head, body }.judge(order);
    Ok((outcome, (!closes).then_some(kept)))
}

async fn fill(kept: &mut Kept) -> io::Result<()> {
    kept.read.reserve(4096);
    match kept.stream.read_buf(&mut kept.read).await? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed")),
        _ => Ok(()),
    }
}

impl Reply {
    pub(crate) fn judge(&self, order: &Order) -> Outcome {
        let text = String::from_utf8_lossy(&self.body);
        let wrong = |why: &str| {
            let body: String = text.chars().take(600).collect();
            Outcome::Wrong(format!("{why}: status {}, {body:?}", self.status))
        };
        if self.status != 200 {
            let is_error = serde_json::from_str(&text).is_ok_and(|value: serde_json::Value| {
                value.get("error").is_some_and(|error| !error.is_null())
            });
            let waits = if self.head.contains("\r\nretry-after: ") { Waits::Stated } else { Waits::Unstated };
            return if is_error {
                Outcome::Refused { status: self.status, waits }
            } else {
                wrong("no error body")
            };
        }
        if !order.endpoint.reaches_upstream() || order.endpoint == Endpoint::CountTokens {
            return match self.is_list_or_count(order, &text) {
                true => Outcome::Complete,
                false => wrong("another content"),
            };
        }
        let Some(numbers) = numbers(&text, order.id) else { return wrong("text of another request") };
        if !numbers.iter().copied().eq(0..numbers.len()) {
            return wrong("events out of order");
        }
        let is_whole = numbers.len() == order.events;
        match order.form {
            Form::Whole if is_whole && serde_json::from_str::<serde_json::Value>(&text).is_ok() => {
                Outcome::Complete
            }
            Form::Whole => wrong("an incomplete whole reply"),
            Form::Stream => match (ended(order.endpoint, &text), is_whole) {
                (StreamEnd::Regular, true) => Outcome::Complete,
                (StreamEnd::Error, _) => Outcome::Broken,
                (StreamEnd::Regular, false) => wrong("an incomplete stream that ends as a complete one"),
                (StreamEnd::Missing, _) => wrong("a stream without an end"),
            },
        }
    }

    fn is_list_or_count(&self, order: &Order, text: &str) -> bool {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return false };
        match order.endpoint {
            Endpoint::CountTokens => {
                value["input_tokens"] == order.id || self.head.contains("x-vdm-estimate")
            }
            Endpoint::Models => value["data"].is_array(),
            Endpoint::Health
            | Endpoint::Metrics
            | Endpoint::Passthrough
            | Endpoint::Translated
            | Endpoint::Chat => value.is_object(),
        }
    }
}

/// How a stream ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StreamEnd {
    Regular,
    Error,
    Missing,
}

fn ended(endpoint: Endpoint, text: &str) -> StreamEnd {
    let (regular, error) = match endpoint {
        Endpoint::Chat => (text.ends_with("data: [DONE]\n\n"), text.contains("data: {\"error\"")),
        Endpoint::Passthrough
        | Endpoint::Translated
        | Endpoint::CountTokens
        | Endpoint::Models
        | Endpoint::Health
        | Endpoint::Metrics => (text.ends_with("\"message_stop\"}\n\n"), text.contains("event: error\n")),
    };
    match (regular, error) {
        (true, false) => StreamEnd::Regular,
        (false, true) => StreamEnd::Error,
        _ => StreamEnd::Missing,
    }
}

/// The running numbers of all `(id:number)` in a text; nothing if one has another id.
fn numbers(text: &str, id: u64) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    for part in text.split('(').skip(1) {
        let Some((inner, _)) = part.split_once(')') else { continue };
        let Some((own, number)) = inner.split_once(':') else { continue };
        let (Ok(own), Ok(number)) = (own.parse::<u64>(), number.parse()) else { continue };
        if own != id {
            return None;
        }
        found.push(number);
    }
    Some(found)
}
