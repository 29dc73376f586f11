//! Faults of the environment: a provider, a proxy, a disk or a log that fails. Each has an error and a log line that name
//! the remedy, leaks nothing, and ends without a restart.

mod disk;
mod leaks;
mod network;
mod stderr;

use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::gateway::{Gateway, MODEL, Setup, whole_prompt};

/// An address that leads to another one, which can change: a network or a server that is repaired.
struct Relay {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
}

impl Relay {
    fn new(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let target = Arc::new(Mutex::new(target));
        let current = target.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let target = *current.lock().expect("no poison");
                // Without a server, the connection is closed.
                let Ok(server) = TcpStream::connect(target) else { continue };
                let pair = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                carry(pair(&client), pair(&server));
                carry(server, client);
            }
        });
        Self { address, target }
    }

    fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().expect("no poison") = target;
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _copied = copy(&mut from, &mut to);
        let _closed = to.shutdown(Shutdown::Write);
    });
}

/// A gateway with the provider `mine` at this base URL. Each request makes one call.
fn before(base_url: &str, format: &str) -> Setup {
    Gateway::bare()
        .env("MINE_API_KEY", "sk-canary-0123456789")
        .env("MINE_BASE_URL", base_url)
        .env("MINE_API_FORMAT", format)
        .env("MAX_RETRIES", "0")
}

/// Checks that clients of both APIs get a 502 with these words, streamed or not, and that the log has them as well.
#[track_caller]
fn assert_named(gateway: &Gateway, words: &[&str]) {
    for (path, kind, stream) in [
        ("/v1/messages", "api_error", false),
        ("/v1/messages", "api_error", true),
        ("/v1/chat/completions", "server_error", true),
    ] {
        let mut body = whole_prompt(MODEL, "hi");
        body["stream"] = stream.into();
        let reply = gateway.call("POST", path).json(&body).reply();
        assert_eq!(reply.status(), 502, "{path}: {reply}");
        let error = &reply.json()["error"];
        assert_eq!(error["type"], kind, "{path}: {reply}");
        let message = error["message"].as_str().expect("a message");
        assert_words(message, words);
        assert!(!message.contains('\n') && message.len() < 400, "{message}");
        let log = gateway.run.await_log(words.last().expect("a word"));
        assert_words(&log, words);
        assert!(!log.contains("sk-canary"), "{log}");
    }
}

#[track_caller]
fn assert_words(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is missing: {text}");
    }
}
