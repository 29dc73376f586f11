//! Runs the real binary in a clean environment, like a user.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
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

/// How to start the gateway.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    environment: BTreeMap<String, String>,
    limits: BTreeMap<String, String>,
    toml: String,
    arguments: Vec<String>,
    files: BTreeMap<String, String>,
    config: Option<String>,
    shell: Option<String>,
    program: Option<PathBuf>,
    port: PortSource,
    stdin: Option<Arc<OwnedFd>>,
}

/// Where the port is set.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum PortSource {
    #[default]
    CommandLine,
    /// `vandamme-config.toml` of the working directory, which a test can change.
    File,
}

impl Setup {
    /// Starts it from a shell after these commands, such as `ulimit`.
    pub(crate) fn after_shell(mut self, line: &str) -> Self {
        self.shell = Some(line.to_owned());
        self
    }

    /// With this open as standard input.
    pub(crate) fn stdin(mut self, file: impl Into<OwnedFd>) -> Self {
        self.stdin = Some(Arc::new(file.into()));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// A custom provider with the key `sk-test`.
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

    /// The keys of the provider that [`Gateway::before`] configures.
    pub(crate) fn keys<const N: usize>(self, keys: [&str; N]) -> Self {
        let name = if self.environment.contains_key("ANTHROPIC_API_KEY") { "ANTHROPIC" } else { "OPENAI" };
        self.env(&format!("{name}_API_KEY"), keys.join(" "))
    }

    /// A key of `[limits]`.
    pub(crate) fn limit(mut self, name: &str, value: impl ToString) -> Self {
        self.limits.insert(name.to_owned(), value.to_string());
        self
    }

    /// More lines of the file given by `--config`.
    pub(crate) fn toml(mut self, lines: &str) -> Self {
        self.toml.push_str(lines);
        self.toml.push('\n');
        self
    }

    /// Lines of the working directory's `.env`.
    pub(crate) fn dotenv(self, lines: &str) -> Self {
        self.file(".env", lines)
    }

    /// A file in the working directory, which is also this user's home.
    pub(crate) fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.to_owned(), content.to_owned());
        self
    }

    /// Uses another file for `--config` than the one written here.
    pub(crate) fn config_at(mut self, path: &str) -> Self {
        self.config = Some(path.to_owned());
        self
    }

    /// Another file than the `vdm` that was built.
    pub(crate) fn program(mut self, path: &Path) -> Self {
        self.program = Some(path.to_owned());
        self
    }

    /// The port is set in `vandamme-config.toml` of the working directory.
    pub(crate) fn port_in_file(mut self) -> Self {
        self.port = PortSource::File;
        self
    }

    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts it and waits until `/health` answers.
    pub(crate) fn start(&self) -> Gateway {
        // The port is free when it is chosen. If another test takes it in the meantime, another one is tried.
        for _ in 0..5 {
            if let Some(gateway) = self.try_start(free_port()) {
                return gateway;
            }
        }
        panic!("no port stayed free long enough")
    }

    /// Starts it on this port; `None` if another process has taken the port.
    pub(crate) fn try_start(&self, port: u16) -> Option<Gateway> {
        let mut run = self.run(port);
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = run.child.try_wait().expect("our child") {
                assert_eq!(status.code(), Some(PORT_TAKEN), "vdm ended with {status}:\n{}", run.log());
                return None;
            }
            // Waits for its own start message first: if it lost the port, another process would answer.
            if run.log().contains(&format!(":{port}")) && is_ready(address) {
                let alive = run.child.try_wait().expect("our child").is_none();
                return alive.then_some(Gateway { run, address });
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the gateway does not answer on {address}:\n{}", run.log())
    }

    /// Starts it and waits until it exits by itself, which it must.
    pub(crate) fn run_to_end(&self) -> Finished {
        let mut run = self.run(free_port());
        let status = run.wait();
        let output = run.log();
        Finished { status, output }
    }

    /// Starts the process without waiting.
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
        let program = self.program.as_deref().unwrap_or(Path::new(env!("CARGO_BIN_EXE_vdm")));
        let mut command = match &self.shell {
            None => Command::new(program),
            Some(line) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("{line} && exec \"$0\" \"$@\"")]).arg(program);
                shell
            }
        };
        command.args(["server", "start"]);
        match self.port {
            PortSource::CommandLine => drop(command.args(["--port", &port.to_string()])),
            PortSource::File => {
                let text = format!("port = {port}\n");
                std::fs::write(directory.join("vandamme-config.toml"), text).expect("a writable directory");
            }
        }
        command.arg("--config").arg(&file).args(&self.arguments);
        command.current_dir(&directory).env_clear().env("HOME", &directory);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let runtime = Runtime::new();
        command.env("XDG_RUNTIME_DIR", &runtime.0).envs(&self.environment);
        let stdin = self.stdin.as_ref().map(|file| file.try_clone().expect("a descriptor"));
        command.stdin(stdin.map_or_else(Stdio::null, Stdio::from));
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

/// The exit code for a port in use.
pub(crate) const PORT_TAKEN: i32 = 3;

/// The result of a run that was expected to end.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
}

/// A `vdm` process and its output.
pub(crate) struct Run {
    child: Child,
    log: Arc<(Mutex<String>, Condvar)>,
    readers: Vec<thread::JoinHandle<()>>,
    deaf: Arc<AtomicBool>,
    directory: PathBuf,
    runtime: Runtime,
    environment: BTreeMap<String, String>,
}

/// The directory of control sockets: separate for each gateway, with a path short enough for one.
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
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
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

    /// Another `vdm` of the same user in the same directory.
    pub(crate) fn vdm(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vdm"));
        command.args(arguments).current_dir(&self.directory).env_clear().env("HOME", &self.directory);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("XDG_RUNTIME_DIR", &self.runtime.0).envs(&self.environment).stdin(Stdio::null());
        command
    }

    /// Replaces a file in its directory. `test.toml` is the file of `--config`.
    pub(crate) fn write(&self, path: &str, content: &str) {
        std::fs::write(self.directory.join(path), content).expect("a writable directory");
    }

    /// Stops reading its output from now on.
    pub(crate) fn stop_reading(&self) {
        self.deaf.store(true, Ordering::SeqCst);
    }

    /// Its whole output so far.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until its output contains this.
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

    /// Creates a named pipe at this path, to which no process writes.
    pub(crate) fn pipe(&self, path: &str) {
        let made = Command::new("mkfifo").arg(self.directory.join(path)).status();
        assert!(made.expect("mkfifo is there").success());
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.directory.join(from), self.directory.join(to)).expect("a writable directory");
    }

    /// Waits for its end, and returns all its output.
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

    /// Waits until it serves no request any more: no connection, no answer, or another status than 200.
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

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) run: Run,
    pub(crate) address: SocketAddr,
}

impl Gateway {
    /// Starts it with its defaults only.
    pub(crate) fn bare() -> Setup {
        Setup::default()
    }

    /// Starts it with the built-in provider of the upstream's API at `upstream`, one key,
    /// and defaults otherwise.
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

    /// Sends a streamed request and reads the whole answer.
    pub(crate) fn ask(&self, text: &str) -> Reply {
        self.messages(&prompt(MODEL, text)).reply()
    }

    /// The request of [`Gateway::ask`].
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

    /// Runs `vdm server …` for this gateway.
    pub(crate) fn server(&self, arguments: &[&str]) -> Command {
        let mut command = self.run.vdm(&["server"]);
        command.args(arguments).args(["--port", &self.address.port().to_string()]);
        command
    }

    /// What `vdm server status --json` reports.
    pub(crate) fn status(&self) -> Value {
        let output = self.server(&["status", "--json"]).output().expect("vdm is built");
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// The process that serves; waits until there is one.
    pub(crate) fn worker(&self) -> u32 {
        let mut worker = None;
        super::await_that("a worker serves", || {
            worker = self.status()["worker"]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
            worker.is_some()
        });
        worker.expect("just found")
    }

    /// Stops it, and returns all its output.
    pub(crate) fn stop(mut self) -> String {
        self.run.signal("TERM");
        self.run.wait();
        self.run.log()
    }
}

/// Starts what `setup` is for a free port. If another process takes the port in the meantime, another one is tried.
pub(crate) fn start_with_port(setup: impl Fn(u16) -> Setup) -> Gateway {
    let mut ports = (0..5).map(|_| free_port());
    ports.find_map(|port| setup(port).try_start(port)).expect("a port stays free long enough")
}

/// Neither an alias nor an id of Claude, so every provider receives it unchanged.
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

/// Runs `vdm` with only these variables, in an empty directory with this configuration file.
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
