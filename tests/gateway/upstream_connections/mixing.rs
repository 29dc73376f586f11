//! Many clients at once with an upstream that violates HTTP around its replies in every way. Each request, and everything
//! that the upstream sends for it, carries a mark. No client ever receives another client's mark.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use socket2::SockRef;

use super::{asked, before, said};
use crate::support::chat;
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, MODEL, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::Dialect;
use crate::support::wire::{Framing, Wire};

const CLIENTS: u64 = 12;
const TURNS: u64 = 30;
/// Marks of equal length, so that none is a prefix of another.
const MARK: &str = "mark-";

fn mark(client: u64, turn: u64) -> String {
    format!("{MARK}{client:02}-{turn:02}")
}

/// Whether bytes arrive that belong to no reply. They prevent the reuse of connections, so the test also runs without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strays {
    Sent,
    Never,
}

/// The upstream's behaviour for one request. It is the same for the same mark.
struct Plan {
    /// Heads of interim replies, or garbage, before the reply.
    before: Vec<u8>,
    pause: Option<Duration>,
    reply: Vec<u8>,
    /// The number of bytes of `reply` after which the connection ends. `None`: it is sent whole.
    cut: Option<usize>,
    /// Bytes sent together with the reply's end.
    suffix: Vec<u8>,
    /// Bytes sent shortly after it.
    late: Vec<u8>,
    close: Close,
    slice: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Close {
    No,
    Yes,
    Reset,
}

impl Plan {
    fn new(dialect: Dialect, body: &Value, strays: Strays) -> Self {
        let mark = asked(body);
        let seed = mark.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut rng = Rng::with_seed(seed);
        let interim = |rng: &mut Rng| {
            let status =
                rng.choice(["100 Continue", "102 Processing", "103 Early Hints"]).unwrap_or_default();
            format!("HTTP/1.1 {status}\r\nlink: <{mark}>\r\n\r\n")
        };
        let before = (0..rng.usize(0..3)).map(|_| interim(&mut rng)).collect::<String>().into_bytes();
        let (kind, payload) = said(dialect, body, &mark);
        let (reply, closes) = framed(&mut rng, kind, &payload);
        let garbage = format!("<p>the reply to {mark}, once more</p>\r\n\r\n");
        let again = framed(&mut rng, kind, &payload).0;
        let hint = interim(&mut rng);
        let half = format!("HTTP/1.1 200 OK\r\nx: {mark}\r\n");
        let none = vec![];
        let suffix = match rng.u8(0..8) {
            // They would be a part of the reply.
            _ if closes || strays == Strays::Never => none.clone(),
            0 => garbage.clone().into_bytes(),
            1 => again,
            2 => b"\r\n".to_vec(),
            _ => none.clone(),
        };
        // A whole second reply is not among these: once the next request is sent, it is indistinguishable from a valid one.
        let late = match rng.u8(0..10) {
            _ if closes || strays == Strays::Never => none,
            0 => garbage.into_bytes(),
            1 => hint.into_bytes(),
            2 => half.into_bytes(),
            _ => none,
        };
        let cut = (rng.u8(0..10) == 0).then(|| rng.usize(0..reply.len()));
        let close = match rng.u8(0..6) {
            _ if closes => Close::Yes,
            0 => Close::Yes,
            1 if cut.is_some() => Close::Reset,
            _ if cut.is_some() => Close::Yes,
            _ => Close::No,
        };
        let pause = (rng.u8(0..3) == 0).then(|| Duration::from_millis(rng.u64(1..20)));
        Self { before, pause, reply, cut, suffix, late, close, slice: rng.usize(1..400) }
    }

    /// Whether the connection serves another request.
    fn play(&self, mut stream: &TcpStream) -> std::io::Result<bool> {
        stream.write_all(&self.before)?;
        if let Some(pause) = self.pause {
            thread::sleep(pause);
        }
        let sent = &self.reply[..self.cut.unwrap_or(self.reply.len())];
        let whole = self.cut.is_none();
        let end = [sent, if whole { &self.suffix[..] } else { b"" }].concat();
        for slice in end.chunks(self.slice) {
            stream.write_all(slice)?;
        }
        if whole && !self.late.is_empty() {
            thread::sleep(Duration::from_millis(1));
            stream.write_all(&self.late)?;
        }
        if self.close == Close::Reset {
            SockRef::from(stream).set_linger(Some(Duration::ZERO))?;
        } else if self.close == Close::Yes {
            stream.shutdown(Shutdown::Write)?;
        }
        Ok(self.close == Close::No)
    }
}

/// A reply with some framing, and whether its connection must close after it.
fn framed(rng: &mut Rng, kind: &str, payload: &[u8]) -> (Vec<u8>, bool) {
    let (mut chunks, mut rest) = (vec![], payload);
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at(rng.usize(1..=rest.len().min(200)));
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
        rest = more;
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    let length = payload.len();
    let wrong = rng.usize(0..length * 2);
    let kind = format!("content-type: {kind}\r\n");
    let (head, body, closes) = match rng.u8(0..8) {
        0 => (format!("HTTP/1.1 200 OK\r\n{kind}\r\n"), payload, true),
        1 => (format!("HTTP/1.0 200 OK\r\n{kind}\r\n"), payload, true),
        2 => (
            format!("HTTP/1.0 200 OK\r\n{kind}connection: keep-alive\r\ncontent-length: {length}\r\n\r\n"),
            payload,
            false,
        ),
        3 => (
            format!("HTTP/1.1 200 OK\r\n{kind}content-length: {wrong}\r\ntransfer-encoding: chunked\r\n\r\n"),
            &chunks[..],
            false,
        ),
        4 => (
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: {wrong}\r\n{kind}\r\n"),
            &chunks[..],
            false,
        ),
        5 => (format!("HTTP/1.1 200 OK\r\n{kind}content-length: {length}\r\n\r\n"), payload, false),
        _ => (format!("HTTP/1.1 200 OK\r\n{kind}transfer-encoding: chunked\r\n\r\n"), &chunks[..], false),
    };
    ([head.as_bytes(), body].concat(), closes)
}

fn start(dialect: Dialect, strays: Strays) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(&stream, dialect, strays));
        }
    });
    address
}

fn serve(stream: &TcpStream, dialect: Dialect, strays: Strays) {
    let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
    while let Ok(Some(head)) = wire.head() {
        let Ok(body) = wire.body(Framing::of_request(&head)) else { return };
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        if !matches!(Plan::new(dialect, &body, strays).play(stream), Ok(true)) {
            return;
        }
    }
}

/// Sends a request in one of the four forms.
fn ask(gateway: &Gateway, way: u64, mark: &str) -> Reply {
    let chat = |body: &Value| gateway.call("POST", "/v1/chat/completions").json(body).reply();
    match way % 4 {
        0 => gateway.messages(&prompt(MODEL, mark)).reply(),
        1 => gateway.messages(&whole_prompt(MODEL, mark)).reply(),
        2 => chat(&chat::prompt(MODEL, mark)),
        _ => chat(&chat::whole_prompt(MODEL, mark)),
    }
}

#[test]
fn no_client_ever_receives_a_byte_of_another_clients_reply() {
    let strays = [Strays::Never, Strays::Sent];
    for (dialect, strays) in
        [Dialect::Anthropic, Dialect::OpenAi].into_iter().flat_map(|d| strays.map(|s| (d, s)))
    {
        let gateway = before(dialect, start(dialect, strays)).start();
        let ask_on_and_on = |client: u64| {
            for turn in 0..TURNS {
                let mark = mark(client, turn);
                let way = client + turn;
                let reply = ask(&gateway, way, &mark);
                let all = format!("{:?}{}", reply.head, reply.raw());
                for (at, _) in all.match_indices(MARK) {
                    assert!(all[at..].starts_with(&mark), "{mark} sees another's: {reply}");
                }
                // For the upstream both endpoints look the same.
                let body =
                    if way.is_multiple_of(2) { prompt(MODEL, &mark) } else { whole_prompt(MODEL, &mark) };
                if Plan::new(dialect, &body, strays).cut.is_none() {
                    assert_eq!(reply.status(), 200, "{mark}: {reply}");
                    assert!(reply.raw().contains(&mark), "{mark}: {reply}");
                }
            }
        };
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let ask_on_and_on = &ask_on_and_on;
                scope.spawn(move || ask_on_and_on(client));
            }
        });
    }
}
