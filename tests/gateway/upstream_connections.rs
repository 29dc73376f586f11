//! The gateway's connections to its upstreams: each reply reaches the request that it answers, whatever else arrives on
//! the connection, and an ambiguous connection is not used again.

mod forwarding;
mod idle_streams;
mod mixing;
mod tls;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::canned::{anthropic, openai};
use crate::support::chat::{self, Chat};
use crate::support::client::{connect, prompt};
use crate::support::gateway::{Gateway, MODEL, Setup, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Dialect, Ending, Piece, Upstream};
use crate::support::wire::{Framing, Wire};

fn both() -> [Upstream; 2] {
    [Upstream::anthropic(), Upstream::openai()]
}

/// The text of the only message, which a translation may have moved into a block.
fn asked(body: &Value) -> String {
    let content = &body["messages"][0]["content"];
    content.as_str().or(content[0]["text"].as_str()).unwrap_or_default().to_owned()
}

/// A reply with the text `text`, as events if the request is streamed: content type and body.
fn said(dialect: Dialect, request: &Value, text: &str) -> (&'static str, Vec<u8>) {
    match (dialect, request["stream"] == true) {
        (Dialect::Anthropic, true) => ("text/event-stream", anthropic::text(&[text]).concat()),
        (Dialect::OpenAi, true) => ("text/event-stream", openai::text(&[text]).concat()),
        (Dialect::Anthropic, false) => ("application/json", anthropic::whole(text).into()),
        (Dialect::OpenAi, false) => ("application/json", openai::whole(text).into()),
    }
}

/// The same with a head and a length.
fn framed(dialect: Dialect, request: &Value, text: &str) -> Vec<u8> {
    let (kind, body) = said(dialect, request, text);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.into_bytes(), body].concat()
}

/// Sends a request to each endpoint, streamed and whole, and returns the text of the answers.
fn request_in_every_form(gateway: &Gateway, text: &str) -> Vec<(Reply, String)> {
    let chat = |body: &Value| gateway.call("POST", "/v1/chat/completions").json(body).reply();
    let replies = [
        gateway.messages(&prompt(MODEL, text)).reply(),
        gateway.messages(&whole_prompt(MODEL, text)).reply(),
        chat(&chat::prompt(MODEL, text)),
        chat(&chat::whole_prompt(MODEL, text)),
    ];
    let texts = [
        |reply: &Reply| reply.text(),
        |reply: &Reply| reply.text(),
        |reply: &Reply| Chat::of(reply).text(),
        |reply: &Reply| reply.json()["choices"][0]["message"]["content"].as_str().unwrap_or("").to_owned(),
    ];
    replies
        .into_iter()
        .zip(texts)
        .map(|(reply, text)| {
            let text = if reply.status() == 200 { text(&reply) } else { String::new() };
            (reply, text)
        })
        .collect()
}

#[test]
fn interim_replies_are_skipped_however_long_the_final_one_takes() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let number = AtomicUsize::new(0);
        let upstream = upstream.ruled_by(move |seen| {
            let hints = [
                "HTTP/1.1 100 Continue\r\n\r\n",
                "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
                "HTTP/1.1 102 Processing\r\n\r\n",
            ];
            let number = number.fetch_add(1, Ordering::SeqCst);
            let body = seen.json();
            let reply = framed(dialect, &body, &asked(&body));
            let mut pieces = vec![Piece::Bytes(hints[number % 3].into())];
            if number.is_multiple_of(2) {
                pieces.push(Piece::Bytes(hints[(number + 1) % 3].into()));
                pieces.push(Piece::Pause(Duration::from_millis(150)));
            }
            pieces.push(Piece::Bytes(reply));
            Some(Answer::raw(pieces))
        });
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        for turn in 0..3 {
            let question = format!("mark {turn}");
            for (reply, text) in request_in_every_form(&gateway, &question) {
                assert_eq!(text, question, "{reply}");
            }
        }
        assert_eq!(upstream.count(), 12);
        assert!(upstream.connections() < 12, "an interim reply is no reason to close a connection");
    }
}

#[test]
fn an_interim_reply_is_never_mistaken_for_a_reply() {
    let ended = b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec();
    let switched = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n".to_vec();
    for (bytes, words) in [(ended, "closed the connection"), (switched, "switched protocols")] {
        for upstream in both() {
            let upstream = upstream.always(Answer::bare(bytes.clone()));
            let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
            for (reply, _) in request_in_every_form(&gateway, "hi") {
                assert_eq!(reply.status(), 502, "{reply}");
                assert!(reply.raw().contains(words), "{reply}");
            }
        }
    }
}

#[test]
fn a_connection_with_ambiguous_framing_is_not_reused() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.ruled_by(move |seen| {
            let body = seen.json();
            let (kind, reply) = said(dialect, &body, &asked(&body));
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
                reply.len()
            );
            Some(Answer::raw(vec![Piece::Bytes([head.into_bytes(), reply, b"\r\n0\r\n\r\n".to_vec()].concat())]))
        });
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        for turn in 0..3 {
            let question = format!("mark {turn}");
            for (reply, text) in request_in_every_form(&gateway, &question) {
                assert_eq!(text, question, "{reply}");
            }
        }
        assert_eq!((upstream.count(), upstream.connections()), (12, 12));
    }
}

#[test]
fn bytes_after_a_reply_never_reach_the_next_client() {
    for (upstream, together) in both().into_iter().chain(both()).zip([true, true, false, false]) {
        let dialect = upstream.dialect();
        let upstream = upstream.ruled_by(move |seen| {
            let body = seen.json();
            let question = asked(&body);
            let own = framed(dialect, &body, &question);
            let stray = framed(dialect, &body, &format!("the reply to {question} once more"));
            let apart = [
                Piece::Bytes(own.clone()),
                Piece::Pause(Duration::from_millis(1)),
                Piece::Bytes(stray.clone()),
            ];
            Some(Answer::raw(if together {
                vec![Piece::Bytes([own, stray].concat())]
            } else {
                apart.to_vec()
            }))
        });
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        for turn in 0..8 {
            let question = format!("mark {turn}");
            assert_eq!(gateway.ask_whole(&question).text(), question, "together: {together}");
            // The stray reply has arrived by then. Earlier it would be indistinguishable from the next one.
            thread::sleep(Duration::from_millis(30));
        }
        assert_eq!(upstream.connections(), upstream.count(), "such an upstream's connections are not kept");
        assert!(gateway.log().contains("bytes that belong to no reply"), "{}", gateway.log());
    }
}

/// An upstream that [`Upstream`] cannot script: `second` decides what a connection does with its second request.
fn with_second_requests(
    dialect: Dialect,
    second: impl Fn(&TcpStream) + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let connections = Arc::new(AtomicUsize::new(0));
    let (counted, second) = (connections.clone(), Arc::new(second));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            let second = second.clone();
            thread::spawn(move || serve_once(&stream, dialect, second.as_ref()));
        }
    });
    (address, connections)
}

/// Answers the first request.
fn serve_once(stream: &TcpStream, dialect: Dialect, second: &dyn Fn(&TcpStream)) {
    let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
    let Ok(Some(head)) = wire.head() else { return };
    let Ok(body) = wire.body(Framing::of_request(&head)) else { return };
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let mut writer = stream;
    let _written = writer.write_all(&framed(dialect, &body, &asked(&body)));
    if let Ok(1..) = stream.peek(&mut [0]) {
        second(stream);
    }
}

fn before(dialect: Dialect, address: SocketAddr) -> Setup {
    let format = if dialect == Dialect::Anthropic { "anthropic" } else { "openai" };
    Gateway::bare()
        .env("MINE_API_KEY", "sk-test")
        .env("MINE_BASE_URL", format!("http://{address}"))
        .env("MINE_API_FORMAT", format)
        .env("VDM_DEFAULT_PROVIDER", "mine")
        .env("MAX_RETRIES", "0")
}

#[test]
fn a_pooled_connection_that_ends_at_the_next_request_causes_no_failure() {
    let reset = |stream: &TcpStream| {
        // With unread bytes, the system answers with a reset.
        let _closed = stream.shutdown(std::net::Shutdown::Both);
    };
    let finish = |mut stream: &TcpStream| {
        // With all bytes read, it is an orderly end.
        let _set = stream.set_read_timeout(Some(Duration::from_millis(20)));
        while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
    };
    let garbage = |mut stream: &TcpStream| {
        let _written = stream.write_all(b"the reply to mark 0, once more\r\n\r\n");
        thread::sleep(Duration::from_millis(20));
    };
    for dialect in [Dialect::Anthropic, Dialect::OpenAi] {
        let kinds: [fn(&TcpStream); 3] = [reset, finish, garbage];
        for (kind, second) in kinds.into_iter().enumerate() {
            let (address, connections) = with_second_requests(dialect, second);
            let gateway = before(dialect, address).start();
            for turn in 0..5 {
                let question = format!("mark {turn}");
                for (reply, text) in request_in_every_form(&gateway, &question) {
                    assert_eq!(text, question, "kind {kind}: {reply}");
                }
            }
            assert_eq!(connections.load(Ordering::SeqCst), 20);
            let health = gateway.get("/health").raw();
            assert!(!health.contains("\"consecutive_failures\":1"), "{health}");
            assert!(!gateway.log().contains("failed"), "{}", gateway.log());
        }
    }
}

#[test]
fn a_new_connection_that_ends_is_a_failure() {
    for upstream in both() {
        let upstream = upstream.always(Answer::hang_up());
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        assert_eq!(gateway.ask("hi").status(), 502);
        assert_eq!(upstream.count(), 1);
    }
}

#[test]
fn a_large_request_is_sent_again_completely_on_a_new_connection() {
    let reset = |stream: &TcpStream| {
        let _closed = stream.shutdown(std::net::Shutdown::Both);
    };
    let (address, _) = with_second_requests(Dialect::Anthropic, reset);
    let gateway = before(Dialect::Anthropic, address).start();
    for turn in 0..6 {
        let question = format!("{turn}{}", "x".repeat(3 << 20));
        assert_eq!(gateway.ask_whole(&question).text(), question, "turn {turn}");
    }
}

#[test]
fn a_reply_that_arrives_before_the_request_is_sent_is_read() {
    // The upstream answers "too large" from the head alone and stops reading, or also closes the connection.
    for ending in [Ending::Close, Ending::KeepAlive] {
        let refusal = Answer::json(413, anthropic::error("request_too_large", "only so much")).ending(ending);
        let upstream = Upstream::anthropic().refusing_unread(refusal);
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        let reply = gateway.ask_whole(&"x".repeat(8 << 20));
        assert_eq!((reply.status(), reply.error_message().as_str()), (413, "only so much"), "{reply}");
    }
}

#[test]
fn an_interim_reply_during_an_upload_does_not_end_the_upload() {
    let upstream = UnhurriedReader::start();
    let gateway = before(Dialect::Anthropic, upstream).start();
    let question = "y".repeat(8 << 20);
    for _ in 0..2 {
        let reply = gateway.ask_whole(&question);
        assert_eq!((reply.status(), reply.text().len()), (200, question.len()));
    }
}

#[test]
fn a_reply_that_begins_before_its_request_is_read_does_not_end_the_upload() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let read = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the gateway connects");
        let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
        let head = wire.head().expect("a request").expect("a request");
        let reply = anthropic::whole("early");
        let begun = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            reply.len()
        );
        (&stream).write_all(begun.as_bytes()).expect("a socket");
        thread::sleep(Duration::from_millis(200));
        let body = wire.body(Framing::of_request(&head)).expect("the whole request");
        (&stream).write_all(reply.as_bytes()).expect("a socket");
        body.len()
    });
    let gateway = before(Dialect::Anthropic, address).start();
    assert_eq!(gateway.ask_whole(&"z".repeat(8 << 20)).text(), "early");
    assert!(read.join().expect("no panic") > 8 << 20);
}

/// An upstream that sends 100 before it reads the body, and reads it slowly.
struct UnhurriedReader;

impl UnhurriedReader {
    fn start() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || Self::serve(&stream));
            }
        });
        address
    }

    fn serve(stream: &TcpStream) {
        let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
        let mut writer = stream;
        while let Ok(Some(head)) = wire.head() {
            let _written = writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n");
            thread::sleep(Duration::from_millis(100));
            let Ok(body) = wire.body(Framing::of_request(&head)) else { return };
            let body: Value = serde_json::from_slice(&body).expect("the whole request");
            let _written = writer.write_all(&framed(Dialect::Anthropic, &body, &asked(&body)));
        }
    }
}

#[test]
fn an_idle_connection_that_the_upstream_closes_is_closed_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let closed = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the gateway connects");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
        serve_once(&stream, Dialect::Anthropic, &|_| {});
        let began = Instant::now();
        stream.shutdown(std::net::Shutdown::Write).expect("a socket");
        let read = (&stream).read(&mut [0; 16]);
        (read.expect("an end, not a time-out"), began.elapsed())
    });
    let gateway = before(Dialect::Anthropic, address).start();
    assert_eq!(gateway.ask_whole("hi").text(), "hi");
    // `serve_once` waits for a second request until its timeout. None is sent.
    let (read, _) = closed.join().expect("no panic");
    assert_eq!(read, 0);
}

#[test]
fn an_idle_connection_is_closed_after_a_while() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let closed = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the gateway connects");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
        let head = wire.head().expect("a request").expect("a request");
        let body = wire.body(Framing::of_request(&head)).expect("a request");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let reply = framed(Dialect::Anthropic, &body, "hi");
        // The header that Node.js sends.
        let reply =
            String::from_utf8(reply).expect("text").replacen("\r\n", "\r\nkeep-alive: timeout=3\r\n", 1);
        (&stream).write_all(reply.as_bytes()).expect("a socket");
        (&stream).read(&mut [0; 16]).expect("an end, not a time-out")
    });
    let gateway = before(Dialect::Anthropic, address).start();
    assert_eq!(gateway.ask_whole("hi").text(), "hi");
    assert_eq!(closed.join().expect("no panic"), 0);
}

#[test]
fn a_reply_that_ends_with_its_connection_is_read_to_its_end() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let upstream = upstream.ruled_by(move |seen| {
            let body = seen.json();
            let question = asked(&body);
            let (kind, reply) = said(dialect, &body, &question);
            let version = if question.ends_with("old") { "1.0" } else { "1.1" };
            let head = format!("HTTP/{version} 200 OK\r\ncontent-type: {kind}\r\n\r\n");
            Some(Answer::bare([head.into_bytes(), reply].concat()))
        });
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        for question in ["new", "old"] {
            for (reply, text) in request_in_every_form(&gateway, question) {
                assert_eq!(text, question, "{reply}");
            }
        }
    }
}

#[test]
fn a_204_is_a_reply_without_a_body() {
    for upstream in both() {
        let dialect = upstream.dialect();
        let none = b"HTTP/1.1 204 No Content\r\nrequest-id: req_9\r\n\r\n".to_vec();
        let upstream = upstream.always(Answer::raw(vec![Piece::Bytes(none)]));
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        for (index, (reply, _)) in request_in_every_form(&gateway, "hi").into_iter().enumerate() {
            let same_api = (index < 2) == (dialect == Dialect::Anthropic);
            if same_api {
                assert_eq!((reply.status(), reply.raw().as_str()), (204, ""), "{reply}");
                assert_eq!(reply.header("request-id"), Some("req_9"));
            } else {
                assert_eq!(reply.status(), 502, "{reply}");
                assert!(reply.raw().contains("status 204"), "{reply}");
            }
        }
        assert!(upstream.connections() < 4);
    }
}

#[test]
fn a_reply_that_is_not_http_is_an_error_that_says_so() {
    for bytes in [
        &b"SSH-2.0-OpenSSH_9.2\r\n"[..],
        b"\x15\x03\x03\0\x02\x02\x28",
        b"HTTP/2 200\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        let upstream = Upstream::openai().always(Answer::bare(bytes));
        let gateway = Gateway::before(&upstream).env("MAX_RETRIES", "0").start();
        let reply = gateway.ask("hi");
        assert_eq!(reply.status(), 502, "{reply}");
        assert!(reply.error_message().contains("not HTTP/1.1"), "{reply}");
    }
}

#[test]
fn a_lack_of_descriptors_does_not_affect_the_providers_health() {
    // An address, and a name that must be resolved.
    for host in ["127.0.0.1", "localhost"] {
        let reply = Answer::json(200, anthropic::whole("Hello there!")).ending(Ending::Close);
        let upstream = Upstream::anthropic().always(reply);
        let port = upstream.address().port();
        let gateway = before(Dialect::Anthropic, upstream.address())
            .env("MINE_BASE_URL", format!("http://{host}:{port}"))
            .start();
        let pid = gateway.worker();
        let mut client = connect(gateway.address);
        let mut wire = Wire::new(client.try_clone().expect("a descriptor"));
        let mut ask = |text: &str| {
            client.write_all(&gateway.messages(&whole_prompt(MODEL, text)).bytes()).expect("it listens");
            let head = wire.head().expect("a reply").expect("a reply");
            let body = wire.body(Framing::of_reply(&head)).expect("a reply");
            Reply { head, body, complete: true }
        };
        // The connection of the readiness check is closed by then.
        assert_eq!(ask("").status(), 200);
        thread::sleep(Duration::from_millis(300));
        let before = limit_descriptors(pid, 1);
        for _ in 0..12 {
            let reply = ask("hi");
            assert_eq!((reply.status(), reply.error_type().as_str()), (503, "api_error"), "{reply}");
            assert!(reply.error_message().contains("cannot open another connection"), "{reply}");
            assert!(reply.integer("retry-after") > 0);
        }
        limit_descriptors(pid, before);
        assert_eq!(gateway.ask_whole("hi").text(), "Hello there!", "{host}: {}", gateway.log());
    }
}

/// Sets the soft limit of open files of process `pid`, and returns the old one.
fn limit_descriptors(pid: u32, soft: u64) -> u64 {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let pid = Pid::from_raw(pid.try_into().expect("a process id"));
    // A child inherits the hard limit.
    let wanted = Rlimit { current: Some(soft), maximum: getrlimit(Resource::Nofile).maximum };
    let before = prlimit(pid, Resource::Nofile, wanted).expect("a child of ours");
    before.current.expect("a limit")
}
