//! The scripted upstream. It answers as the marker in the prompt says, counts calls by request, and can be taken down.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::Trouble;
use crate::listener::{free_port, listen};
use crate::order::{Order, Script};
use crate::words::{Api, Words};

/// Longer than any deadline of the gateway in this run.
const STALL: Duration = Duration::from_secs(120);
const LATE: Duration = Duration::from_secs(2);

pub(crate) struct Upstream {
    pub(crate) port: u16,
    ledger: Arc<Ledger>,
    is_up: watch::Sender<bool>,
}

/// What the upstream has seen.
#[derive(Default)]
struct Ledger {
    /// By request id: the generation of the key of each call.
    calls: Mutex<HashMap<u64, Vec<u64>>>,
    /// Replies being sent.
    active: AtomicUsize,
}

/// One call.
struct Call {
    api: Api,
    path: Path,
    streamed: bool,
    generation: u64,
    body: BytesMut,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Path {
    Reply,
    CountTokens,
    Models,
}

/// Counts one reply being sent.
struct Active<'a>(&'a AtomicUsize);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Upstream {
    pub(crate) fn start() -> Result<Self, Trouble> {
        let port = free_port()?;
        let ledger = Arc::<Ledger>::default();
        let (is_up, changes) = watch::channel(true);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = Arc::clone(&ledger);
        thread::spawn(move || runtime.block_on(serve(port, served, changes)));
        Ok(Self { port, ledger, is_up })
    }

    /// Closes the listener and every connection, as the end of the process would.
    pub(crate) fn go_down(&self) {
        self.is_up.send_replace(false);
    }

    pub(crate) fn come_back(&self) {
        self.is_up.send_replace(true);
    }

    /// The key generations of the calls of a request. Its entry is removed: a later call has no client.
    pub(crate) fn take_calls(&self, id: u64) -> Vec<u64> {
        self.ledger.lock().remove(&id).unwrap_or_default()
    }

    /// Calls that belong to no request in progress.
    pub(crate) fn leftover_calls(&self) -> Vec<u64> {
        self.ledger.lock().keys().copied().collect()
    }

    pub(crate) fn active(&self) -> usize {
        self.ledger.active.load(Ordering::SeqCst)
    }
}

impl Ledger {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Vec<u64>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(port: u16, ledger: Arc<Ledger>, mut is_up: watch::Receiver<bool>) {
    while is_up.wait_for(|up| *up).await.is_ok() {
        let listener = listen(port).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(TcpListener::from_std(listener)?)
        });
        let Ok(listener) = listener else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut down = is_up.clone();
        tokio::select! {
            () = accept(&listener, &ledger, &is_up) => {}
            _ = down.wait_for(|up| !*up) => {}
        }
    }
}

async fn accept(listener: &TcpListener, ledger: &Arc<Ledger>, is_up: &watch::Receiver<bool>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (ledger, mut down) = (Arc::clone(ledger), is_up.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = answer_all(stream, &ledger) => {}
                _ = down.wait_for(|up| !*up) => {}
            }
        });
    }
}

async fn answer_all(mut stream: TcpStream, ledger: &Ledger) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = BytesMut::new();
    loop {
        let call = next_call(&mut stream, &mut read).await?;
        let _active = Active(&ledger.active);
        ledger.active.fetch_add(1, Ordering::SeqCst);
        answer(&mut stream, ledger, &call).await?;
    }
}

async fn next_call(stream: &mut TcpStream, read: &mut BytesMut) -> io::Result<Call> {
    let end = loop {
        if let Some(end) = memmem::find(read, b"\r\n\r\n") {
            break end + 4;
        }
        fill(stream, read).await?;
    };
    let head = String::from_utf8_lossy(&read.split_to(end)).to_ascii_lowercase();
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length = value("content-length:").and_then(|value| value.parse().ok()).unwrap_or(0);
    while read.len() < length {
        fill(stream, read).await?;
    }
    let body = read.split_to(length);
    let generation = head.split_once("sk-chaos-").map_or("", |(_, rest)| rest);
    let digits: String = generation.chars().take_while(char::is_ascii_digit).collect();
    let is = |text: &str| head.lines().next().is_some_and(|line| line.contains(text));
    let path = match (is("/count_tokens"), is("/models")) {
        (true, _) => Path::CountTokens,
        (_, true) => Path::Models,
        _ => Path::Reply,
    };
    let api = if is("/chat/completions") { Api::Chat } else { Api::Messages };
    let streamed = memmem::find(&body, b"\"stream\":true").is_some();
    Ok(Call { api, path, streamed, generation: digits.parse().unwrap_or(0), body })
}

async fn fill(stream: &mut TcpStream, read: &mut BytesMut) -> io::Result<()> {
    read.reserve(4096);
    match stream.read_buf(read).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn answer(stream: &mut TcpStream, ledger: &Ledger, call: &Call) -> io::Result<()> {
    if call.path == Path::Models {
        return stream.write_all(&json(200, "", r#"{"data":[{"id":"answers"}],"has_more":false}"#)).await;
    }
    let (id, events, pause, script) = Order::parse_marker(&call.body).ok_or(io::ErrorKind::InvalidData)?;
    let calls = {
        let mut calls = ledger.lock();
        let calls = calls.entry(id).or_default();
        calls.push(call.generation);
        calls.len()
    };
    if call.path == Path::CountTokens {
        return stream.write_all(&json(200, "", &format!(r#"{{"input_tokens":{id}}}"#))).await;
    }
    match script {
        Script::Late => sleep(LATE).await,
        Script::RateLimits => {
            let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
            return stream.write_all(&json(429, "retry-after: 1\r\n", body)).await;
        }
        Script::FailsOnce if calls == 1 => {
            let body = r#"{"type":"error","error":{"type":"api_error","message":"a failure"}}"#;
            return stream.write_all(&json(500, "", body)).await;
        }
        Script::Answers | Script::FailsOnce | Script::Cuts | Script::Stalls => {}
    }
    let words = Words { api: call.api, id };
    if call.streamed {
        send_stream(stream, (words, script), (events, pause)).await
    } else {
        sleep(pause * u32::try_from(events).unwrap_or(0)).await;
        send_whole(stream, words, (events, script)).await
    }
}

async fn send_whole(
    stream: &mut TcpStream,
    words: Words,
    (events, script): (usize, Script),
) -> io::Result<()> {
    let reply = json(200, "", &words.whole(events));
    if script == Script::Cuts {
        stream.write_all(&reply[..reply.len() - 20]).await?;
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    stream.write_all(&reply).await
}

async fn send_stream(
    stream: &mut TcpStream,
    (words, script): (Words, Script),
    (events, pause): (usize, Duration),
) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}{}", chunk(&words.opening())).as_bytes()).await?;
    for number in 0..events {
        if number == events / 2 && script == Script::Cuts {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if number == events / 2 && script == Script::Stalls {
            // Ends when the gateway disconnects.
            let _ended = tokio::time::timeout(STALL, stream.read_u8()).await;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        stream.write_all(chunk(&words.event(number)).as_bytes()).await?;
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
    stream.write_all(format!("{}0\r\n\r\n", chunk(&words.ending())).as_bytes()).await
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn json(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let mut reply = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    reply.extend_from_slice(body.as_bytes());
    reply
}
