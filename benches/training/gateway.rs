//! The instrumented gateway: its files, its processes and its commands.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Trouble;
use crate::listener::free_port;
use crate::tls::Identity;

/// Far more than a start or an end takes. Afterwards the training fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// A command that does not end by itself fails the training.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Gateway {
    binary: PathBuf,
    directory: PathBuf,
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Gateway {
    /// Starts a gateway with master and worker, whose providers are all this upstream.
    pub(crate) fn start(
        binary: &Path,
        (name, upstream): (&str, u16),
        tls: Option<&Identity>,
    ) -> Result<Self, Trouble> {
        let directory =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("training-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let listener = match tls {
            Some(identity) => {
                fs::write(directory.join("cert.pem"), &identity.certificate)?;
                fs::write(directory.join("key.pem"), &identity.key)?;
                "tls-cert = \"cert.pem\"\ntls-key = \"key.pem\"\n"
            }
            None => "",
        };
        fs::write(directory.join("vandamme-config.toml"), format!("{listener}{}", configuration(upstream)))?;
        let port = free_port()?;
        let log = File::create(directory.join("log"))?;
        let mut command = vdm(binary, &directory, port);
        command.args(["server", "start"]).stdout(log.try_clone()?).stderr(log);
        let process = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut gateway = Self { binary: binary.to_owned(), directory, process, address };
        gateway.await_listener()?;
        Ok(gateway)
    }

    fn await_listener(&mut self) -> Result<(), Trouble> {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            if Instant::now() > until || self.process.try_wait()?.is_some() {
                return Err(format!("the gateway does not listen:\n{}", self.log()).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// Runs a command of `vdm`, which must end with this exit code.
    pub(crate) fn run(&self, words: &[&str], code: i32) -> Result<(), Trouble> {
        let mut command = vdm(&self.binary, &self.directory, self.address.port());
        let output = File::create(self.directory.join("output"))?;
        command.args(words).stdout(output.try_clone()?).stderr(output);
        let mut process = command.spawn()?;
        let ended = ended_within(&mut process, COMMAND_PATIENCE)?;
        if ended == Some(code) {
            return Ok(());
        }
        let output = fs::read_to_string(self.directory.join("output")).unwrap_or_default();
        Err(format!("vdm {} ended with {ended:?}:\n{output}", words.join(" ")).into())
    }

    /// Sends a request without a body on a connection of its own, and ignores the reply.
    pub(crate) fn post(&self, path: &str) -> Result<(), Trouble> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {ADMIN_KEY}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.read_to_end(&mut Vec::new())?;
        Ok(())
    }

    /// Stops the gateway as a service manager does: its processes end by themselves, and write their profiles.
    pub(crate) fn stop(mut self) -> Result<(), Trouble> {
        signal(&self.process, "TERM")?;
        match ended_within(&mut self.process, PATIENCE)? {
            Some(0) => Ok(()),
            ended => Err(format!("the gateway ended with {ended:?}:\n{}", self.log()).into()),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _sent = signal(&self.process, "TERM");
            let _ended = ended_within(&mut self.process, PATIENCE);
        }
        let _removed = fs::remove_dir_all(&self.directory);
    }
}

/// The exit code of a process that ends in time. Another one is killed.
fn ended_within(process: &mut Child, patience: Duration) -> Result<Option<i32>, Trouble> {
    let until = Instant::now() + patience;
    loop {
        if let Some(status) = process.try_wait()? {
            return Ok(status.code());
        }
        if Instant::now() > until {
            process.kill()?;
            process.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn signal(process: &Child, name: &str) -> Result<(), Trouble> {
    let sent = Command::new("kill").args(["-s", name, &process.id().to_string()]).status()?;
    if sent.success() { Ok(()) } else { Err(format!("SIG{name} was not sent").into()) }
}

const ADMIN_KEY: &str = "training-admin-key-0123456789";

/// A command in the gateway's directory, with nothing of the user's environment but the profile.
fn vdm(binary: &Path, directory: &Path, port: u16) -> Command {
    let mut command = Command::new(binary);
    command.current_dir(directory).env_clear().stdin(Stdio::null());
    command.env("HOME", directory).env("XDG_RUNTIME_DIR", directory).env("PORT", port.to_string());
    for name in ["PATH", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

fn configuration(port: u16) -> String {
    let messages = |name: &str, keys: &str, format: &str| {
        format!("[{name}]\napi-key = \"{keys}\"\nbase-url = \"http://127.0.0.1:{port}\"\n{format}\n")
    };
    let chat = |name: &str, keys: &str, format: &str| {
        format!("[{name}]\napi-key = \"{keys}\"\nbase-url = \"http://127.0.0.1:{port}/v1\"\n{format}\n")
    };
    [
        format!("admin-key = \"{ADMIN_KEY}\"\n[defaults]\ndefault-provider = \"anthropic\"\nmax-retries = 3\n"),
        messages("anthropic", "sk-ant-1 sk-ant-2 sk-ant-3", ""),
        messages("kimi", "sk-kimi", "api-format = \"anthropic\""),
        messages("zai", "sk-zai-1 sk-zai-2", "api-format = \"anthropic\""),
        chat("openai", "sk-openai-1 sk-openai-2", ""),
        chat("deepseek", "sk-deepseek", ""),
        chat("openrouter", "sk-or-1 sk-or-2 sk-or-3 sk-or-4", ""),
        chat("gemini", "sk-gemini", ""),
        chat("groq", "sk-groq", ""),
        chat("mistral", "sk-mistral", ""),
        chat("failing-chat", "sk-fail-1 sk-fail-2", "api-format = \"openai\""),
        messages("failing-messages", "sk-fail-1 sk-fail-2", "api-format = \"anthropic\""),
        chat("limited-chat", "sk-limit-1 sk-limit-2 sk-limit-3", "api-format = \"openai\""),
        messages("limited-messages", "sk-limit-1 sk-limit-2 sk-limit-3", "api-format = \"anthropic\""),
        chat("recorded-chat", "sk-recorded", "api-format = \"openai\""),
        messages("recorded-messages", "sk-recorded", "api-format = \"anthropic\""),
        "[\"#work\"]\nfallbacks = [\"openai:gpt-6.1-sol\"]\n[\"#work\".aliases]\nhaiku = \"groq:openai/gpt-oss-20b\"\n\
         [failing-chat.fallbacks]\n\"*\" = [\"openai:gpt-6.1-sol\"]\n"
            .to_owned(),
    ]
    .concat()
}
