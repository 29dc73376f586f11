//! The scripted upstream: every provider of the gateway, in both APIs.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::Trouble;
use crate::listener::{free_port, listen};
use crate::recorded::Recorded;
use crate::replies::Story;
use crate::requests::{Api, Form};
use crate::script::Script;

const MODELS: &str = r#"{"object":"list","data":[{"id":"gpt-6.1-sol","object":"model","created":1796000000,"owned_by":"vendor"},{"id":"claude-sonnet-5-5","type":"model","display_name":"Sonnet","created_at":"2026-05-01T00:00:00Z"},{"id":"glm-5.3","object":"model"}],"has_more":false}"#;

struct Scripts {
    recorded: Vec<Recorded>,
    /// The calls so far, of which some fail.
    calls: AtomicU64,
    /// What has been told so far: the events of a stream, or the body of a whole reply.
    told: Mutex<HashMap<Told, Arc<[String]>>>,
}

type Told = (u64, Api, Form);

impl Scripts {
    fn story(&self, told @ (number, api, form): Told) -> Arc<[String]> {
        let mut kept = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let story = kept.entry(told).or_insert_with(|| match form {
            Form::Whole => [Story::new(number).whole(api)].into(),
            Form::Stream => Story::new(number).events(api).into(),
        });
        Arc::clone(story)
    }
}

/// One call of the gateway.
struct Call {
    api: Api,
    form: Form,
    path: Path,
    accepts_gzip: bool,
    body: BytesMut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Reply,
    CountTokens,
    Models,
}

/// Starts the upstream on a thread of its own; its port.
pub(crate) fn start(recorded: Vec<Recorded>) -> Result<u16, Trouble> {
    let port = free_port()?;
    let listener = listen(port)?;
    listener.set_nonblocking(true)?;
    let scripts = Arc::new(Scripts { recorded, calls: AtomicU64::new(0), told: Mutex::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || runtime.block_on(accept(listener, scripts)));
    Ok(port)
}

async fn accept(listener: std::net::TcpListener, scripts: Arc<Scripts>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let scripts = Arc::clone(&scripts);
        // A connection ends with an error when the gateway closes it.
        tokio::spawn(async move { serve(stream, &scripts).await });
    }
}

async fn serve(mut stream: TcpStream, scripts: &Scripts) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = BytesMut::new();
    loop {
        let call = next_call(&mut stream, &mut read).await?;
        answer(&mut stream, scripts, &call).await?;
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
    let target = head.split(' ').nth(1).unwrap_or_default();
    let path = match (target.contains("/count_tokens"), target.contains("/models")) {
        (true, _) => Path::CountTokens,
        (_, true) => Path::Models,
        _ => Path::Reply,
    };
    let api = if target.contains("/chat/completions") { Api::Chat } else { Api::Messages };
    let is_streamed = ["\"stream\":true", "\"stream\": true"]
        .iter()
        .any(|member| memmem::find(&body, member.as_bytes()).is_some());
    let form = if is_streamed { Form::Stream } else { Form::Whole };
    let accepts_gzip = value("accept-encoding:").is_some_and(|codings| codings.contains("gzip"));
    Ok(Call { api, form, path, accepts_gzip, body })
}

async fn fill(stream: &mut TcpStream, read: &mut BytesMut) -> io::Result<()> {
    read.reserve(8192);
    match stream.read_buf(read).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn answer(stream: &mut TcpStream, scripts: &Scripts, call: &Call) -> io::Result<()> {
    let calls = scripts.calls.fetch_add(1, Ordering::Relaxed);
    match (call.path, Script::of_body(&call.body)) {
        (Path::Models, _) => stream.write_all(&json(200, "", MODELS)).await,
        (Path::CountTokens, _) => stream.write_all(&json(200, "", r#"{"input_tokens":1234}"#)).await,
        (Path::Reply, Script::Fails(_)) if calls.is_multiple_of(2) => {
            let body = r#"{"type":"error","error":{"type":"api_error","message":"internal server error"}}"#;
            stream.write_all(&json(500, "", body)).await
        }
        (Path::Reply, Script::Limits(_)) if calls.is_multiple_of(3) => {
            let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"rate limit reached for requests"}}"#;
            stream.write_all(&json(429, "retry-after: 1\r\n", body)).await
        }
        (Path::Reply, Script::Recorded(number)) => match scripts.recorded.get(number) {
            Some(recorded) => replay(stream, recorded).await,
            None => Err(io::ErrorKind::InvalidData.into()),
        },
        (Path::Reply, Script::Story(number) | Script::Fails(number) | Script::Limits(number)) => {
            tell(stream, call, (&scripts.story((number, call.api, call.form)), number)).await
        }
    }
}

async fn replay(stream: &mut TcpStream, recorded: &Recorded) -> io::Result<()> {
    let text = String::from_utf8_lossy(&recorded.body);
    match recorded.form {
        Form::Whole => stream.write_all(&json(recorded.status, "", &text)).await,
        Form::Stream => {
            let events: Vec<String> = text.split_inclusive("\n\n").map(str::to_owned).collect();
            send(stream, &events, &mut Rng::with_seed(recorded.body.len() as u64)).await
        }
    }
}

async fn tell(stream: &mut TcpStream, call: &Call, (story, number): (&[String], u64)) -> io::Result<()> {
    let mut rng = Rng::with_seed(number);
    match call.form {
        Form::Stream => send(stream, story, &mut rng).await,
        Form::Whole => {
            let body = story.concat();
            if call.accepts_gzip && rng.u8(..8) == 0 {
                return stream.write_all(&compressed(&body)?).await;
            }
            stream.write_all(&json(200, LIMIT_HEADERS, &body)).await
        }
    }
}

/// The headers of a usual reply.
const LIMIT_HEADERS: &str = "request-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\nanthropic-ratelimit-requests-limit: 4000\r\n\
    anthropic-ratelimit-requests-remaining: 3999\r\nx-ratelimit-remaining-tokens: 149984\r\ndate: Mon, 30 Nov 2026 12:00:00 GMT\r\n\
    server: cloudflare\r\ncf-ray: 8f4b1c2d3e4f5a6b-FRA\r\n";

/// Sends a stream as vendors do: one event in each HTTP chunk, and one or several in each write.
async fn send(stream: &mut TcpStream, events: &[String], rng: &mut Rng) -> io::Result<()> {
    let mut write = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n{LIMIT_HEADERS}transfer-encoding: chunked\r\n\r\n"
    );
    let most = [1, 4, 60][rng.usize(..3)];
    let mut left = rng.usize(..most) + 1;
    for event in events {
        write.push_str(&format!("{:x}\r\n{event}\r\n", event.len()));
        left -= 1;
        if left == 0 {
            stream.write_all(write.as_bytes()).await?;
            write.clear();
            left = rng.usize(..most) + 1;
            match rng.u8(..10) {
                0 => sleep(Duration::from_millis(1)).await,
                _ => tokio::task::yield_now().await,
            }
        }
    }
    write.push_str("0\r\n\r\n");
    stream.write_all(write.as_bytes()).await
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

fn compressed(body: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body.as_bytes())?;
    let body = encoder.finish()?;
    let mut reply = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    reply.extend_from_slice(&body);
    Ok(reply)
}
