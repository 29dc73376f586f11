//! The real binary in a clean environment, as a user starts it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;
use super::client::{Call, prompt};
use super::reply::Reply;
use super::upstream::{Dialect, Upstream};
use super::wire::Wire;

/// How the gateway is to be started.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    environment: BTreeMap<String, String>,
    limits: BTreeMap<String, String>,
    toml: String,
    arguments: Vec<String>,
    files: BTreeMap<String, String>,
    config: Option<String>,
    shell: Option<String>,
}

impl Setup {
    /// Starts it from a shell that has run this before: `ulimit`, say.
    pub(crate) fn after_shell(mut self, line: &str) -> Self {
        self.shell = Some(line.to_owned());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// A provider under a name of the test's own, with the key `sk-test`.
    pub(crate) fn provider(self, name: &str, upstream: &Upstream) -> Self {
        let upper = name.to_uppercase();
        let format = match upstream.dialect() {
            Dialect::Anthropic => "anthropic",
            Dialect::OpenAi => "openai",
        };
        self.env(&format!("{upper}_API_KEY"), "sk-test")
            .env(&format!("{upper}_BASE_URL"), upstream.base_url())
            .env(&format!("{upper}_API_FORMAT"), format)
    }

    /// The keys of the provider in front of which [`Gateway::before`] put the gateway.
    pub(crate) fn keys<const N: usize>(self, keys: [&str; N]) -> Self {
        let name = if self.environment.contains_key("ANTHROPIC_API_KEY") { "ANTHROPIC" } else { "OPENAI" };
        self.env(&format!("{name}_API_KEY"), keys.join(" "))
    }

    /// A key of `[limits]`.
    pub(crate) fn limit(mut self, name: &str, value: impl ToString) -> Self {
        self.limits.insert(name.to_owned(), value.to_string());
        self
    }

    /// Further lines of the file given by `--config`.
    pub(crate) fn toml(mut self, lines: &str) -> Self {
        self.toml.push_str(lines);
        self.toml.push('\n');
        self
    }

    /// Lines of the working directory's `.env`.
    pub(crate) fn dotenv(self, lines: &str) -> Self {
        self.file(".env", lines)
    }

    /// A file under the working directory, which is also the home of this user.
    pub(crate) fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.to_owned(), content.to_owned());
        self
    }

    /// Another file for `--config` than the one that is written here.
    pub(crate) fn config_at(mut self, path: &str) -> Self {
        self.config = Some(path.to_owned());
        self
    }

    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts it and waits until `/health` answers.
    pub(crate) fn start(&self) -> Gateway {
        // The port is free when it is chosen; should another test take it meanwhile, another one is tried.
        for _ in 0..5 {
            if let Some(gateway) = self.try_start(free_port()) {
                return gateway;
            }
        }
        panic!("no port stayed free long enough")
    }

    /// Starts it on this port, which the caller found to be free.
    pub(crate) fn start_on(&self, port: u16) -> Gateway {
        self.try_start(port).expect("the port is still free")
    }

    fn try_start(&self, port: u16) -> Option<Gateway> {
        let mut run = self.run(port);
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = run.child.try_wait().expect("our child") {
                assert_eq!(status.code(), Some(PORT_TAKEN), "vdm ended with {status}:\n{}", run.log());
                return None;
            }
            // Its own word first: on a port that it lost, somebody else would answer.
            if run.log().contains(&format!(":{port}")) && is_ready(address) {
                let alive = run.child.try_wait().expect("our child").is_none();
                return alive.then_some(Gateway { run, address });
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the gateway does not answer on {address}:\n{}", run.log())
    }

    /// Starts it and waits until it ends by itself, which it must.
    pub(crate) fn run_to_end(&self) -> Finished {
        let mut run = self.run(free_port());
        let status = run.wait();
        let output = run.log();
        Finished { status, output }
    }

    /// The process, whatever becomes of it.
    pub(crate) fn run(&self, port: u16) -> Run {
        let directory = fresh_directory();
        let file = directory.join("test.toml");
        std::fs::write(&file, self.config_text()).expect("a writable directory");
        for (path, content) in &self.files {
            let path = directory.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(&directory)).expect("a writable directory");
            std::fs::write(path, content).expect("a writable directory");
        }
        let file = self.config.as_ref().map_or(file, PathBuf::from);
        let mut command = match &self.shell {
            None => Command::new(env!("CARGO_BIN_EXE_vdm")),
            Some(line) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{line} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_vdm")]);
                shell
            }
        };
        command
            .args(["server", "start", "--port", &port.to_string(), "--config"])
            .arg(&file)
            .args(&self.arguments);
        command.current_dir(&directory).env_clear().env("HOME", &directory);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let runtime = Runtime::new();
        command.env("XDG_RUNTIME_DIR", &runtime.0).envs(&self.environment);
        Run::spawn(command, (directory, runtime, self.environment.clone()))
    }

    fn config_text(&self) -> String {
        let mut file = String::from("[limits]\n");
        for (name, value) in &self.limits {
            let _written = writeln!(file, "{name} = {value}");
        }
        file + &self.toml
    }
}

/// The exit code for a port that somebody else has.
pub(crate) const PORT_TAKEN: i32 = 3;

/// How a run ended that was to end.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
}

/// A `vdm` process and what it says.
pub(crate) struct Run {
    child: Child,
    log: Arc<(Mutex<String>, Condvar)>,
    readers: Vec<thread::JoinHandle<()>>,
    deaf: Arc<AtomicBool>,
    directory: PathBuf,
    runtime: Runtime,
    environment: BTreeMap<String, String>,
}

/// Where control sockets are: apart for each gateway, and with a path that is short enough for one.
struct Runtime(PathBuf);

impl Runtime {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("vdm-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a writable directory");
        Self(path)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

impl Run {
    fn spawn(
        mut command: Command,
        (directory, runtime, environment): (PathBuf, Runtime, BTreeMap<String, String>),
    ) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("vdm is built");
        let log = Arc::default();
        let deaf = Arc::default();
        let readers = vec![
            collect(child.stdout.take().expect("piped"), &log, &deaf),
            collect(child.stderr.take().expect("piped"), &log, &deaf),
        ];
        Self { child, log, readers, deaf, directory, runtime, environment }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Another `vdm`, as its user would call it in the same place.
    pub(crate) fn vdm(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vdm"));
        command.args(arguments).current_dir(&self.directory).env_clear().env("HOME", &self.directory);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("XDG_RUNTIME_DIR", &self.runtime.0).envs(&self.environment).stdin(Stdio::null());
        command
    }

    /// Replaces a file of its directory: `test.toml` is what `--config` names.
    pub(crate) fn write(&self, path: &str, content: &str) {
        std::fs::write(self.directory.join(path), content).expect("a writable directory");
    }

    /// Leaves what it says in the pipe from now on.
    pub(crate) fn stop_reading(&self) {
        self.deaf.store(true, Ordering::SeqCst);
    }

    /// Everything it said so far.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has said this.
    pub(crate) fn await_log(&self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let mut log = self.log.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !log.contains(words) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never said {words:?}:\n{log}");
            (log, _) = self.log.1.wait_timeout(log, left).unwrap_or_else(PoisonError::into_inner);
        }
        log.clone()
    }

    /// Puts a pipe there that nobody writes to.
    pub(crate) fn pipe(&self, path: &str) {
        let made = Command::new("mkfifo").arg(self.directory.join(path)).status();
        assert!(made.expect("mkfifo is there").success());
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.directory.join(from), self.directory.join(to)).expect("a writable directory");
    }

    /// Waits for its end, and for all it had to say.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                for reader in self.readers.drain(..) {
                    reader.join().expect("reading does not fail");
                }
                return status;
            }
            assert!(Instant::now() < until, "vdm does not end:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until it lets nobody in any more: no connection, no answer, or one that is not a 200.
    pub(crate) fn await_refusal(&self, address: SocketAddr) {
        let until = Instant::now() + PATIENCE;
        while is_ready(address) {
            assert!(Instant::now() < until, "{address} still accepts:\n{}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal by its short name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success(), "SIG{name} was not sent");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.deaf.store(false, Ordering::SeqCst);
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
        let _removed = std::fs::remove_dir_all(&self.directory);
        if thread::panicking() {
            eprintln!("--- what vdm said ---\n{}", self.log());
        }
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a socket");
    let asked = stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let head = asked.and_then(|()| Wire::new(stream).head());
    // A gateway that speaks TLS answers plain HTTP with 400.
    matches!(head, Ok(Some(head)) if matches!(head.second_word(), "200" | "400"))
}

/// A gateway that answers.
pub(crate) struct Gateway {
    pub(crate) run: Run,
    pub(crate) address: SocketAddr,
}

impl Gateway {
    /// With nothing but its defaults.
    pub(crate) fn bare() -> Setup {
        Setup::default()
    }

    /// With the built-in provider of the upstream's dialect pointed at `upstream`, one key
    /// and otherwise what a user has who sets nothing else.
    pub(crate) fn before(upstream: &Upstream) -> Setup {
        match upstream.dialect() {
            Dialect::Anthropic => Setup::default().provider("anthropic", upstream),
            Dialect::OpenAi => Setup::default().provider("openai", upstream),
        }
    }

    pub(crate) fn call(&self, method: &str, target: &str) -> Call {
        Call::new(self.address, method, target)
    }

    pub(crate) fn get(&self, target: &str) -> Reply {
        self.call("GET", target).reply()
    }

    /// A Messages request with this body.
    pub(crate) fn messages(&self, body: &Value) -> Call {
        self.call("POST", "/v1/messages").json(body)
    }

    /// Asks a streamed question and reads the whole answer.
    pub(crate) fn ask(&self, text: &str) -> Reply {
        self.messages(&prompt(MODEL, text)).reply()
    }

    /// What [`Gateway::ask`] sends.
    pub(crate) fn ask_bytes(&self, text: &str) -> Vec<u8> {
        self.messages(&prompt(MODEL, text)).bytes()
    }

    /// The same without streaming.
    pub(crate) fn ask_whole(&self, text: &str) -> Reply {
        self.messages(&whole_prompt(MODEL, text)).reply()
    }

    pub(crate) fn log(&self) -> String {
        self.run.log()
    }

    /// `vdm server …` about this gateway.
    pub(crate) fn server(&self, arguments: &[&str]) -> Command {
        let mut command = self.run.vdm(&["server"]);
        command.args(arguments).args(["--port", &self.address.port().to_string()]);
        command
    }

    /// Ends it, and hands over all that it ever said.
    pub(crate) fn stop(mut self) -> String {
        self.run.signal("TERM");
        self.run.wait();
        self.run.log()
    }
}

/// Not an alias and not an id of Claude's: every provider sends it on as it is.
pub(crate) const MODEL: &str = "test-model";

pub(crate) fn whole_prompt(model: &str, text: &str) -> Value {
    let mut body = prompt(model, text);
    body["stream"] = Value::Bool(false);
    body
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// Runs `vdm` with nothing but these variables, in an empty directory with this configuration file.
pub(crate) fn vdm(arguments: &[&str], environment: &[(&str, &str)], file: &str) -> Output {
    let directory = fresh_directory();
    std::fs::write(directory.join("vandamme-config.toml"), file).expect("a writable directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vdm"));
    command.args(arguments).env_clear().current_dir(&directory).envs(environment.iter().copied());
    let output = command.env("HOME", &directory).output().expect("vdm is built");
    std::fs::remove_dir_all(directory).expect("ours");
    output
}

pub(crate) fn fresh_directory() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("gateway-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&directory).expect("a writable target directory");
    directory
}

fn collect(
    pipe: impl std::io::Read + Send + 'static,
    log: &Arc<(Mutex<String>, Condvar)>,
    deaf: &Arc<AtomicBool>,
) -> thread::JoinHandle<()> {
    let (log, deaf) = (Arc::clone(log), Arc::clone(deaf));
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut text = log.0.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&line);
            text.push('\n');
            log.1.notify_all();
            while deaf.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(20));
            }
        }
    })
}
