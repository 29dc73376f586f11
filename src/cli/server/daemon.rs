//! `vdm server start --daemon`: starts the master in the background, and waits until the gateway serves.

use std::fs::{self, File, OpenOptions};
use std::io::Result as IoResult;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Start, failed};
use crate::cli::exit_code::Exit;
use crate::cli::print_to_stderr;
use crate::config::{Config, Overrides};
use crate::master::Program;
use crate::process::channel::Channel;
use crate::process::channel::messages::StartFailure;

/// The files of a daemon.
struct DaemonFiles {
    log: PathBuf,
    pid_file: PathBuf,
}

impl Start {
    pub(super) fn daemonize(self, program: &Program) -> Exit {
        let files = match self.files() {
            Ok(files) => files,
            Err(line) => return failed(&line, Exit::Failed),
        };
        let log = &files.log;
        match start(program, &files) {
            Ok((child, channel)) => await_gateway(child, &channel, log),
            Err(error) => failed(
                &format!("the daemon cannot be started with the log file {}: {error}", log.display()),
                Exit::Failed,
            ),
        }
    }

    fn files(&self) -> Result<DaemonFiles, String> {
        if let (Some(log), Some(pid_file)) = (&self.log_file, &self.pid_file) {
            return Ok(DaemonFiles { log: log.clone(), pid_file: pid_file.clone() });
        }
        let directory =
            directory().ok_or("no home directory is known; use --log-file FILE and --pid-file FILE")?;
        fs::create_dir_all(&directory).map_err(|error| {
            format!("cannot create {}: {error}; use --log-file FILE and --pid-file FILE", directory.display())
        })?;
        let name = self.name();
        let file = |given: &Option<PathBuf>, extension: &str| {
            given.clone().unwrap_or_else(|| directory.join(format!("{name}.{extension}")))
        };
        Ok(DaemonFiles { log: file(&self.log_file, "log"), pid_file: file(&self.pid_file, "pid") })
    }

    /// Gateways at several addresses have files of their own.
    fn name(&self) -> String {
        let overrides = Overrides {
            host: self.host.clone(),
            port: self.port,
            config: self.options.config.clone(),
            ..Overrides::of_process()
        };
        // The daemon reports what is wrong with the configuration.
        let (host, port) = Config::listener(&overrides).unwrap_or_else(|| ("127.0.0.1".to_owned(), 8082));
        format!("{}-{port}", host.replace('/', "_"))
    }
}

/// `$XDG_STATE_HOME/vandamme` or `~/.local/state/vandamme`
fn directory() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")));
    state.map(|state| state.join("vandamme"))
}

fn start(program: &Program, files: &DaemonFiles) -> IoResult<(Child, Channel)> {
    let log: File = OpenOptions::new().create(true).append(true).mode(0o600).open(&files.log)?;
    let (channel, theirs) = Channel::pair()?;
    let mut command = Command::new(program.running());
    command.arg0(program.name());
    command.args(std::env::args_os().skip(1)).arg("--detached");
    // It overrides the one of the command line, which is the same.
    command.arg("--pid-file").arg(&files.pid_file);
    command.stdin(Stdio::from(theirs)).stdout(log.try_clone()?).stderr(log);
    Ok((command.spawn()?, channel))
}

fn await_gateway(mut child: Child, channel: &Channel, log: &Path) -> Exit {
    let pid = child.id();
    match channel.receive::<Result<(), StartFailure>>() {
        Ok(Some(packet)) => match packet.message {
            Some(Ok(())) => {
                print_to_stderr(format_args!(
                    "vdm: the gateway runs in the background (pid {pid}); its log is {}\n",
                    log.display()
                ));
                Exit::Ok
            }
            Some(Err(failure)) => {
                failure.lines.iter().for_each(|line| print_to_stderr(format_args!("vdm: {line}\n")));
                Exit::from_number(failure.exit_code)
            }
            None => failed("the daemon is of another version", Exit::Internal),
        },
        Ok(None) | Err(_) => {
            // It is this process's own, and has closed its channel.
            let _ = child.kill().and_then(|()| child.wait());
            failed(&format!("the gateway did not start; see {}", log.display()), Exit::Internal)
        }
    }
}
