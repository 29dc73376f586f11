//! A scripted upstream over raw TCP: it answers in order or by rule, misbehaves on demand, and records everything.

mod answer;
mod play;
mod unreachable;
mod unread;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) use self::answer::{Answer, Ending, Piece};
pub(crate) use self::unreachable::Deaf;
use self::unread::Unread;
use super::wire::{Framing, Head, Wire};
use super::{PATIENCE, canned};

/// The API of the default answers, which follow the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Anthropic,
    OpenAi,
}

/// One request as it was received.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
    /// When the gateway closed this request's connection, if it did before the answer had ended.
    pub(crate) closed: Option<Instant>,
    /// The number of body bytes of the answer that the kernel accepted.
    pub(crate) written: usize,
}

impl Seen {
    fn new(head: Head, body: Vec<u8>) -> Self {
        Self { head, body, at: Instant::now(), closed: None, written: 0 }
    }

    /// The key in either of the two headers for it.
    pub(crate) fn key(&self) -> &str {
        let bearer = || self.head.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        self.head.header("x-api-key").or_else(bearer).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn target(&self) -> &str {
        self.head.second_word()
    }

    /// Whether this is a request of the Responses API, which the same upstream serves as Chat Completions.
    pub(crate) fn is_of_responses(&self) -> bool {
        self.target().split('?').next().is_some_and(|path| path.ends_with("/responses"))
    }

    fn streamed(&self) -> bool {
        serde_json::from_slice::<Value>(&self.body).is_ok_and(|body| body["stream"] == true)
    }
}

type Rule = Box<dyn Fn(&Seen) -> Option<Answer> + Send>;

#[derive(Default)]
struct Script {
    seen: Vec<Seen>,
    rules: Vec<Rule>,
    queue: std::collections::VecDeque<Answer>,
    unread: Option<Unread>,
    permits: usize,
}

/// The state that the connections' threads share with the test.
struct Stage {
    dialect: Dialect,
    script: Mutex<Script>,
    changed: Condvar,
    connections: AtomicUsize,
    over: AtomicBool,
}

/// The upstream. Its threads end with the test's process, its listener when this is dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
    stage: Arc<Stage>,
}

impl Upstream {
    /// An upstream of the Messages API. Its default answer is `Hello there!`.
    pub(crate) fn anthropic() -> Self {
        Self::start(Dialect::Anthropic)
    }

    /// An upstream of Chat Completions, and of the Responses API at its path. Its default answer is `Hello there!`.
    pub(crate) fn openai() -> Self {
        Self::start(Dialect::OpenAi)
    }

    fn start(dialect: Dialect) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let stage = Arc::new(Stage {
            dialect,
            script: Mutex::default(),
            changed: Condvar::new(),
            connections: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&stage);
        thread::spawn(move || accept(&listener, &accepting));
        Self { address, stage }
    }

    /// Sets the answer to the next request without a rule.
    pub(crate) fn answering(self, answer: Answer) -> Self {
        self.script().queue.push_back(answer);
        self
    }

    /// Sets the answer to every request with this key.
    pub(crate) fn answering_key(self, key: &str, answer: Answer) -> Self {
        let key = key.to_owned();
        self.ruled_by(move |seen| (seen.key() == key).then(|| answer.clone()))
    }

    /// Sets the answer to every request.
    pub(crate) fn always(self, answer: Answer) -> Self {
        self.ruled_by(move |_| Some(answer.clone()))
    }

    /// Refuses a key like a provider whose user revoked it.
    pub(crate) fn refusing(self, key: &str) -> Self {
        let body = match self.stage.dialect {
            Dialect::Anthropic => canned::anthropic::error("authentication_error", "invalid x-api-key"),
            Dialect::OpenAi => {
                canned::openai::error("Incorrect API key", "invalid_request_error", "invalid_api_key")
            }
        };
        self.answering_key(key, Answer::json(401, body))
    }

    /// Answers every request from its head alone. The body is read afterwards and discarded.
    pub(crate) fn refusing_unread(self, answer: Answer) -> Self {
        self.script().unread = Some(Unread { answer: Some(answer), over: 0, polite: true });
        self
    }

    /// Answers every request with a longer body from its head alone and closes the connection at once.
    pub(crate) fn cutting_off_over(self, over: usize, answer: Answer) -> Self {
        self.script().unread = Some(Unread { answer: Some(answer), over, polite: false });
        self
    }

    /// Resets the connection of every request with a longer body, without an answer.
    pub(crate) fn resetting_over(self, over: usize) -> Self {
        self.script().unread = Some(Unread { answer: None, over, polite: false });
        self
    }

    /// Adds a rule before all others.
    pub(crate) fn ruled_first(self, rule: impl Fn(&Seen) -> Option<Answer> + Send + 'static) -> Self {
        self.script().rules.insert(0, Box::new(rule));
        self
    }

    pub(crate) fn ruled_by(self, rule: impl Fn(&Seen) -> Option<Answer> + Send + 'static) -> Self {
        self.script().rules.push(Box::new(rule));
        self
    }

    /// Adds answers to the script of an upstream in use.
    pub(crate) fn then(&self, answer: Answer) {
        self.script().queue.push_back(answer);
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.stage.dialect
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL as users configure it: with `/v1` for Chat Completions, without for the Messages API.
    pub(crate) fn base_url(&self) -> String {
        match self.stage.dialect {
            Dialect::Anthropic => format!("http://{}", self.address),
            Dialect::OpenAi => format!("http://{}/v1", self.address),
        }
    }

    /// Releases one [`Piece::Permit`].
    pub(crate) fn permit(&self) {
        self.script().permits += 1;
        self.stage.changed.notify_all();
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.script().seen.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.script().seen.len()
    }

    /// The number of accepted TCP connections.
    pub(crate) fn connections(&self) -> usize {
        self.stage.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn keys_seen(&self) -> Vec<String> {
        self.requests().iter().map(|seen| seen.key().to_owned()).collect()
    }

    /// Waits for the request number `index`, counted from 0.
    pub(crate) fn request(&self, index: usize) -> Seen {
        self.await_that(&format!("request {index}"), |script| script.seen.get(index).cloned())
    }

    /// The only request.
    pub(crate) fn only_request(&self) -> Seen {
        let seen = self.request(0);
        assert_eq!(self.count(), 1, "one request was expected");
        seen
    }

    /// Waits until the gateway has closed the connection of request `index` before its answer had ended.
    pub(crate) fn closed(&self, index: usize) -> Instant {
        let what = format!("the gateway to close the connection of request {index}");
        self.await_that(&what, |script| script.seen.get(index).and_then(|seen| seen.closed))
    }

    pub(crate) fn is_closed(&self, index: usize) -> bool {
        self.script().seen.get(index).is_some_and(|seen| seen.closed.is_some())
    }

    /// The number of body bytes of answer `index` that the gateway, or the kernel for it, has accepted so far.
    pub(crate) fn written(&self, index: usize) -> usize {
        self.script().seen.get(index).map_or(0, |seen| seen.written)
    }

    /// Waits until answer `index` is blocked or written, and returns the number of bytes.
    pub(crate) fn written_until_it_rests(&self, index: usize) -> usize {
        let mut before = 0;
        loop {
            thread::sleep(Duration::from_millis(400));
            let now = self.written(index);
            if now == before {
                return now;
            }
            before = now;
        }
    }

    fn await_that<T>(&self, what: &str, ready: impl Fn(&Script) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut script = self.script();
        loop {
            if let Some(found) = ready(&script) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain for {what}; requests so far: {:#?}", script.seen);
            (script, _) = self.stage.changed.wait_timeout(script, left).expect("no poison");
        }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.stage.lock()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stage.over.store(true, Ordering::SeqCst);
        self.stage.changed.notify_all();
        // Wakes the accepting thread, which then closes the port.
        let _woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Stage {
    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock().seen[index]);
        self.changed.notify_all();
    }

    /// Records a request and finds its answer.
    fn enter(&self, seen: Seen) -> (usize, Answer) {
        let mut script = self.lock();
        let ruled = script.rules.iter().find_map(|rule| rule(&seen));
        let answer = ruled.or_else(|| script.queue.pop_front()).unwrap_or_else(|| self.canned(&seen));
        script.seen.push(seen);
        let index = script.seen.len() - 1;
        drop(script);
        self.changed.notify_all();
        (index, answer)
    }

    fn canned(&self, seen: &Seen) -> Answer {
        if seen.is_of_responses() {
            return match seen.streamed() {
                true => Answer::events(canned::responses::text(&["Hello ", "there!"])),
                false => {
                    Answer::json(200, canned::responses::whole(&[canned::responses::message("Hello there!")]))
                }
            };
        }
        match (self.dialect, seen.streamed()) {
            (Dialect::Anthropic, true) => Answer::events(canned::anthropic::text(&["Hello ", "there!"])),
            (Dialect::Anthropic, false) => Answer::json(200, canned::anthropic::whole("Hello there!")),
            (Dialect::OpenAi, true) => Answer::events(canned::openai::text(&["Hello ", "there!"])),
            (Dialect::OpenAi, false) => Answer::json(200, canned::openai::whole("Hello there!")),
        }
    }

    /// Waits for a permit of the test. Returns `false` if the peer has disconnected or the test has ended.
    fn take_permit(&self, index: usize) -> bool {
        let mut script = self.lock();
        loop {
            if self.over.load(Ordering::SeqCst) || script.seen[index].closed.is_some() {
                return false;
            }
            if script.permits > 0 {
                script.permits -= 1;
                return true;
            }
            script = self.changed.wait(script).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Waits until the peer has disconnected or the test has ended.
    fn hold(&self, index: usize) {
        let mut script = self.lock();
        while script.seen[index].closed.is_none() && !self.over.load(Ordering::SeqCst) {
            script = self.changed.wait(script).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }
}

fn accept(listener: &TcpListener, stage: &Arc<Stage>) {
    for stream in listener.incoming() {
        if stage.over.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        stage.connections.fetch_add(1, Ordering::SeqCst);
        let stage = Arc::clone(stage);
        thread::spawn(move || serve(stream, &stage));
    }
}

fn serve(stream: TcpStream, stage: &Arc<Stage>) {
    stream.set_nodelay(true).expect("a socket");
    let mut wire = Wire::new(stream.try_clone().expect("a descriptor"));
    while let Ok(Some(head)) = wire.head() {
        let unread = stage.lock().unread.clone();
        if let Some(unread) = unread.filter(|unread| unread.claims(&head)) {
            stage.lock().seen.push(Seen::new(head.clone(), Vec::new()));
            stage.changed.notify_all();
            return unread.refuse(&stream, wire, &head);
        }
        let Ok(body) = wire.body(Framing::of_request(&head)) else { return };
        let seen = Seen::new(head, body);
        let (index, answer) = stage.enter(seen);
        let playing = Arc::new(AtomicBool::new(true));
        let watcher = watch(&stream, stage, (index, Arc::clone(&playing)));
        let goes_on = play::play(&stream, stage, (index, &answer));
        playing.store(false, Ordering::SeqCst);
        if !goes_on {
            drop(wire);
            return play::end(stream, &answer, watcher);
        }
    }
}

/// Notices if the peer closes while its answer is being sent.
fn watch(
    stream: &TcpStream,
    stage: &Arc<Stage>,
    playing: (usize, Arc<AtomicBool>),
) -> thread::JoinHandle<()> {
    let stream = stream.try_clone().expect("a descriptor");
    let stage = Arc::clone(stage);
    let (index, playing) = playing;
    thread::spawn(move || {
        let gone = match stream.peek(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != ErrorKind::Interrupted,
        };
        if gone && playing.load(Ordering::SeqCst) {
            stage.update(index, |seen| seen.closed = Some(Instant::now()));
        }
    })
}
