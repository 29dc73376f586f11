//! The scripted upstream, in its own process: as little work for each request as TCP and HTTP/1.1 allow.

use std::io;
use std::net::TcpStream as StdStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::Trouble;
use crate::listener::listen;
use crate::replies::{Replies, Shape};

const LANES: usize = 2;
const READY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The replies in all APIs.
struct Scripts {
    anthropic: Replies,
    openai: Replies,
    responses: Replies,
    bedrock: Replies,
}

/// What a request selects.
enum Asked {
    Health,
    Chat(Shape),
    Messages(Shape),
    Responses(Shape),
    Invoke(Shape),
}

pub(crate) fn serve(port: u16) -> Result<(), Trouble> {
    let listener = listen(port)?;
    let scripts = Arc::new(Scripts {
        anthropic: Replies::anthropic(),
        openai: Replies::openai(),
        responses: Replies::responses(),
        bedrock: Replies::bedrock(),
    });
    let lanes: Vec<_> = (0..LANES).map(|_| lane(&scripts)).collect();
    for (socket, lane) in listener.incoming().zip(lanes.iter().cycle()) {
        lane.send(socket?)?;
    }
    Ok(())
}

/// One thread, which serves its share of the connections.
fn lane(scripts: &Arc<Scripts>) -> UnboundedSender<StdStream> {
    let (sender, mut sockets) = unbounded_channel();
    let scripts = Arc::clone(scripts);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            while let Some(socket) = sockets.recv().await {
                tokio::spawn(converse(socket, Arc::clone(&scripts)));
            }
        });
    });
    sender
}

/// Serves a connection until the client closes it. An unreadable request ends it too, which the load client notices.
async fn converse(socket: StdStream, scripts: Arc<Scripts>) {
    let _ended = answer_all(socket, &scripts).await;
}

async fn answer_all(socket: StdStream, scripts: &Scripts) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    let mut stream = TcpStream::from_std(socket)?;
    let mut read = BytesMut::new();
    loop {
        match request(&mut stream, &mut read).await? {
            Asked::Health => stream.write_all(READY).await?,
            Asked::Chat(shape) => say(&mut stream, &scripts.openai, shape).await?,
            Asked::Messages(shape) => say(&mut stream, &scripts.anthropic, shape).await?,
            Asked::Responses(shape) => say(&mut stream, &scripts.responses, shape).await?,
            Asked::Invoke(shape) => say(&mut stream, &scripts.bedrock, shape).await?,
        }
    }
}

async fn request(stream: &mut TcpStream, read: &mut BytesMut) -> io::Result<Asked> {
    let head = loop {
        if let Some(end) = memmem::find(read, b"\r\n\r\n") {
            break end + 4;
        }
        fill(stream, read).await?;
    };
    let is_chat = memmem::find(&read[..head], b"/chat/completions HTTP").is_some();
    let is_responses = memmem::find(&read[..head], b"/responses HTTP").is_some();
    let invoked = invoked(&read[..head]);
    let is_get = read.starts_with(b"GET ");
    let length = content_length(&read[..head]).or(is_get.then_some(0)).ok_or(io::ErrorKind::InvalidData)?;
    read.reserve((head + length).saturating_sub(read.len()));
    while read.len() < head + length {
        fill(stream, read).await?;
    }
    let shape = shape(&read[head..head + length]);
    read.advance(head + length);
    match (is_get, invoked.or(shape)) {
        (true, _) => Ok(Asked::Health),
        (false, Some(shape)) if invoked.is_some() => Ok(Asked::Invoke(shape)),
        (false, Some(shape)) if is_chat => Ok(Asked::Chat(shape)),
        (false, Some(shape)) if is_responses => Ok(Asked::Responses(shape)),
        (false, Some(shape)) => Ok(Asked::Messages(shape)),
        (false, None) => Err(io::ErrorKind::InvalidData.into()),
    }
}

async fn fill(stream: &mut TcpStream, read: &mut BytesMut) -> io::Result<()> {
    read.reserve(4096);
    match stream.read_buf(read).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

/// The form that the model in a path of Bedrock's selects.
fn invoked(head: &[u8]) -> Option<Shape> {
    let path = head.strip_prefix(b"POST /model/")?;
    Shape::of_model(std::str::from_utf8(path.split(|&byte| byte == b'/').next()?).ok()?)
}

/// The form that the model's name selects. A provider prefix is ignored.
fn shape(body: &[u8]) -> Option<Shape> {
    const FIELD: &[u8] = b"\"model\":\"";
    let from = memmem::find(body, FIELD)? + FIELD.len();
    let length = memchr::memchr(b'"', &body[from..])?;
    let name = std::str::from_utf8(&body[from..from + length]).ok()?;
    Shape::of_model(name.rsplit(':').next().unwrap_or(name))
}

async fn say(stream: &mut TcpStream, replies: &Replies, shape: Shape) -> io::Result<()> {
    match shape {
        Shape::Whole => stream.write_all(&replies.whole).await,
        Shape::Burst => {
            for burst in &replies.bursts {
                stream.write_all(burst).await?;
                tokio::task::yield_now().await;
            }
            Ok(())
        }
        Shape::Paced { interval, events } => pace(stream, replies, (interval, events)).await,
        Shape::Open => {
            stream.write_all(&replies.opening).await?;
            // Runs until the client disconnects.
            stream.read_u8().await.map(drop)
        }
    }
}

async fn pace(
    stream: &mut TcpStream,
    replies: &Replies,
    (interval, events): (Duration, usize),
) -> io::Result<()> {
    let mut ticks = tokio::time::interval(interval);
    ticks.tick().await;
    stream.write_all(&replies.opening).await?;
    for _ in 1..events {
        ticks.tick().await;
        stream.write_all(&replies.word).await?;
    }
    stream.write_all(&replies.ending).await
}
