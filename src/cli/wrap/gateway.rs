//! Finds the gateway for a wrapped tool: a running one, one that another session with the same configuration has started, or a
//! new one.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Result as IoResult, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use sha2::{Digest as _, Sha256};

use super::environment::URL;
use super::failure;
use crate::cli::exit_code::Exit;
use crate::cli::{gateway_tls, print_to_stderr};
use crate::config::{Config, ListenerTls};
use crate::process::control::{self, State, client};
use crate::process::{directory, systemd};
use crate::telemetry::LogTarget;

/// How long to wait for a connection. A local gateway accepts at once.
const PROBE: Duration = Duration::from_secs(1);
/// How long a gateway may take to start on a busy machine.
const START: Duration = Duration::from_secs(30);
/// How long to wait for the lock: another session may be starting a gateway and fail, and then this one starts its own.
const TURN: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);
/// After this time a message says what the command waits for.
const SILENCE: Duration = Duration::from_secs(2);
/// The last lines of its log that are printed if a gateway did not start.
const LAST_LINES: usize = 20;
/// Variables outside of the configuration that affect a gateway.
const SURROUNDINGS: [&str; 10] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// The gateway that the command line selects.
pub(super) struct GatewaySelector<'a> {
    /// `--host` and `--port`: exactly this gateway.
    pub(super) host: Option<&'a str>,
    pub(super) port: Option<u16>,
    /// `--config`
    pub(super) file: Option<&'a Path>,
    /// Where a new gateway logs to.
    pub(super) log: LogTarget,
    pub(super) config: &'a Config,
}

impl GatewaySelector<'_> {
    /// The base URL of a gateway that runs for as long as this process.
    pub(super) fn reach(&self) -> Result<String, Exit> {
        if let Some(url) = self.running().and_then(RunningGateway::held) {
            return Ok(url);
        }
        let directory = directory::create()
            .map_err(|error| failure(&format!("no gateway can be started: {error}"), Exit::Failed))?;
        let name = self.name();
        let socket = directory.join(control::name_for_sessions(&name));
        let files = GatewayFiles { socket, log: directory.join(format!("session-{name}.log")) };
        let turn = turn(&directory.join(format!("session-{name}.lock")))
            .map_err(|error| failure(&format!("no gateway can be started: {error}"), Exit::Failed))?;
        let address = match client::join(&files.socket) {
            Ok(address) => address,
            Err(_) => self.start(&name, &files)?,
        };
        drop(turn);
        Ok(url(self.scheme(), address))
    }

    /// The base URL, if it is known without starting a gateway.
    pub(super) fn expected(&self) -> String {
        let new = if self.is_given() { self.url() } else { "http://127.0.0.1:PORT".to_owned() };
        self.running().map_or(new, |found| found.url)
    }

    fn is_given(&self) -> bool {
        self.host.is_some() || self.port.is_some()
    }

    fn host(&self) -> &str {
        self.host.unwrap_or(&self.config.host)
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(self.config.port)
    }

    fn url(&self) -> String {
        match self.host().parse::<IpAddr>() {
            Ok(ip) => url(self.config.scheme(), SocketAddr::new(ip, self.port())),
            Err(_) => format!("{}://{}:{}", self.config.scheme(), self.host(), self.port()),
        }
    }

    /// A running gateway: the one of the session that this process belongs to, or one at the configured address.
    fn running(&self) -> Option<RunningGateway> {
        if !self.is_given()
            && let Some(around) = std::env::var(URL).ok()
            && self.is_gateway(&around)
        {
            let authority = around.split_once("://").map(|(_, authority)| authority);
            let address = authority.and_then(|authority| authority.parse::<SocketAddr>().ok());
            let ours = address.and_then(|address| client::find(&address.ip().to_string(), address.port()));
            let socket = ours.filter(|ours| ours.status.wrapped).map(|ours| ours.socket);
            return Some(RunningGateway { url: around, socket });
        }
        if let Some(client::Running { socket, status }) = client::find(self.host(), self.port()) {
            let url = url(status.scheme(), status.address);
            let found = RunningGateway { url, socket: status.wrapped.then_some(socket) };
            return (status.state == State::Running).then_some(found);
        }
        let url = self.url();
        self.is_gateway(&url).then_some(RunningGateway { url, socket: None })
    }

    /// Whether a compatible gateway answers at this URL, whichever user owns it.
    fn is_gateway(&self, url: &str) -> bool {
        let greeting = match url.split_once("://") {
            Some(("http", authority)) => greeting(authority, None),
            Some(("https", authority)) => {
                let own = self.config.tls.as_ref().map(ListenerTls::fingerprint);
                let Ok(tls) = gateway_tls::client_config(own.into_iter().collect()) else { return false };
                greeting(authority, Some(tls))
            }
            Some(_) | None => return false,
        };
        greeting.is_ok_and(|greeting| greeting.contains("\"Vandamme Proxy v"))
    }

    /// The scheme of a gateway that this selector starts: one for sessions speaks plain HTTP on a loopback address.
    fn scheme(&self) -> &'static str {
        let host = self.host.unwrap_or("127.0.0.1");
        let is_loopback =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if is_loopback { "http" } else { self.config.scheme() }
    }

    /// Sessions share a gateway if this is the same: user, program, configuration, and what else makes a difference.
    fn name(&self) -> String {
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update(text.as_bytes());
            hash.update([0]);
        };
        add(env!("CARGO_PKG_VERSION"));
        add(&std::env::current_exe().unwrap_or_default().to_string_lossy());
        add(&format!("{:?} {:?} {:?} {:?}", self.host, self.port, self.file, self.log));
        for setting in &self.config.values {
            add(&setting.key);
            add(&setting.value);
        }
        for provider in &self.config.settings.providers {
            provider.keys.iter().for_each(|key| add(&key.id().to_string()));
        }
        for name in SURROUNDINGS {
            add(&std::env::var(name).unwrap_or_default());
        }
        hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    fn start(&self, name: &str, files: &GatewayFiles) -> Result<SocketAddr, Exit> {
        let failed =
            |error: std::io::Error| failure(&format!("no gateway can be started: {error}"), Exit::Failed);
        let mut gateway = self.spawn(name, &files.log).map_err(failed)?;
        let began = Instant::now();
        let mut is_silent = true;
        while began.elapsed() < START {
            if let Ok(address) = client::join(&files.socket) {
                return Ok(address);
            }
            if let Ok(Some(status)) = gateway.try_wait() {
                files.print_last_lines();
                let code =
                    status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
                let exit = if status.code() == Some(i32::from(Exit::Bind.number())) {
                    Exit::Bind
                } else {
                    Exit::Failed
                };
                return Err(failure(&format!("the gateway did not start ({code}); see above"), exit));
            }
            if is_silent && began.elapsed() > SILENCE {
                is_silent = false;
                print_to_stderr(format_args!("vdm: waiting for the gateway to start\n"));
            }
            sleep(PAUSE);
        }
        // This process has started it, and no session has joined it.
        let _gone = gateway.kill().and_then(|()| gateway.wait());
        files.print_last_lines();
        Err(failure(
            &format!("the gateway did not start within {} s; see above", START.as_secs()),
            Exit::Failed,
        ))
    }

    fn spawn(&self, name: &str, log: &Path) -> IoResult<Child> {
        // In append mode, writes continue at the beginning after the gateway has truncated the file.
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(log)?;
        log.set_len(0)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["server", "start", "--sessions", name]);
        command.args(["--host", self.host.unwrap_or("127.0.0.1")]);
        if let Some(port) = self.port.or_else(|| self.host.map(|_| self.port())) {
            command.args(["--port", &port.to_string()]);
        }
        if let Some(file) = self.file {
            command.arg("--config").arg(file);
        }
        if self.log == LogTarget::Systemd {
            command.arg("--systemd");
        }
        // If this process is a service, the gateway is another one's.
        for name in systemd::VARIABLES {
            command.env_remove(name);
        }
        command.env_remove(URL).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
    }
}

/// A running gateway.
struct RunningGateway {
    url: String,
    /// Set if it stops with its last session. Joining keeps it running.
    socket: Option<PathBuf>,
}

impl RunningGateway {
    /// Joins it, and returns its URL. `None` if it is shutting down.
    fn held(self) -> Option<String> {
        match self.socket {
            Some(socket) => client::join(&socket).is_ok().then_some(self.url),
            None => Some(self.url),
        }
    }
}

struct GatewayFiles {
    socket: PathBuf,
    log: PathBuf,
}

impl GatewayFiles {
    fn print_last_lines(&self) {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
            print_to_stderr(format_args!("{line}\n"));
        }
    }
}

/// Lets only one session at a time find or start a gateway. Closing the file, or the end of the process, releases the lock.
fn turn(path: &Path) -> IoResult<File> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < TURN => sleep(PAUSE),
            Err(error) => return Err(std::io::Error::other(format!("{}: {error}", path.display()))),
        }
    }
}

/// The answer to `GET /` at this address.
fn greeting(authority: &str, tls: Option<Arc<ClientConfig>>) -> IoResult<String> {
    let connect = |address: SocketAddr| TcpStream::connect_timeout(&address, PROBE).ok();
    let addresses = authority.to_socket_addrs()?;
    let stream = addresses.take(2).find_map(connect).ok_or(std::io::ErrorKind::ConnectionRefused)?;
    stream.set_read_timeout(Some(PROBE))?;
    stream.set_write_timeout(Some(PROBE))?;
    let Some(tls) = tls else { return get(stream, authority) };
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
    let session = ClientConnection::new(tls, name).map_err(std::io::Error::other)?;
    get(StreamOwned::new(session, stream), authority)
}

/// The answer to `GET /` on this connection.
fn get(mut stream: impl Read + Write, host: &str) -> IoResult<String> {
    write!(stream, "GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // The bytes before an error may be enough.
    let _ = stream.take(4 << 10).read_to_end(&mut answer);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The URL for clients on this machine.
fn url(scheme: &str, address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}
