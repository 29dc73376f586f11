//! `vdm server start`; the commands for a running gateway are in [`running`].

mod running;

use std::io::{Error, ErrorKind};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

pub(super) use self::running::{Order, Restart, Status, Stop, others, say_only_other};
use super::exit_code::Exit;
use super::summary::summary;
use super::{say, tell};
use crate::config::{Config, ForSessions, Overrides, Verbose};
use crate::terminal::Style;
use crate::{Ending, Origin, process, telemetry};

#[derive(Args, Debug)]
pub(super) struct Start {
    /// Address or host name to listen on; overrides HOST and the files
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Port to listen on, 0 for any free one; overrides PORT and the files
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Read this configuration file as well; it overrides the other files
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Log at DEBUG level; overrides LOG_LEVEL
    #[arg(short, long)]
    verbose: bool,
    /// Run for the sessions of this name (used by `vdm wrap`)
    #[arg(long, hide = true, value_name = "NAME")]
    sessions: Option<String>,
}

impl Start {
    pub(super) fn run(self) -> Exit {
        if self.sessions.is_some() {
            process::leave_terminal();
        }
        // Read now: an update may replace the file while the gateway runs.
        let program = std::env::current_exe();
        let anywhere = self.sessions.is_some() && self.port.is_none();
        let sessions = self.sessions.clone();
        let overrides = self.overrides();
        let config = match Config::load(&overrides) {
            Ok(config) => config,
            Err(errors) => return tell(&errors),
        };
        let logs = telemetry::start(config.log_level);
        let port = if anywhere { 0 } else { config.port };
        let listener = match bind(&config, port) {
            Ok(listener) => listener,
            Err(refusal) => {
                say(format_args!("vdm: {refusal}\n"));
                return Exit::Bind;
            }
        };
        match listener.local_addr() {
            Ok(bound) => say(format_args!("{}", summary(&config, bound, Style::of_stderr()))),
            Err(error) => log::warn!("cannot determine the listener's address: {error}"),
        }
        let served = crate::serve(listener, config, Origin { overrides, sessions });
        drop(logs);
        match served {
            Ok(Ending::Stopped) => Exit::Ok,
            Ok(Ending::Restart) => again(program),
            Err(refusal) => {
                say(format_args!("vdm: {refusal}\n"));
                Exit::Internal
            }
        }
    }

    fn overrides(self) -> Overrides {
        Overrides {
            host: self.host,
            port: self.port,
            config: self.config,
            verbose: self.verbose.then_some(Verbose),
            sessions: self.sessions.map(|_| ForSessions),
            ..Overrides::of_process()
        }
    }
}

/// Replaces this program by a new one with the same arguments; process, terminal and supervisor stay the same.
fn again(program: std::io::Result<PathBuf>) -> Exit {
    let failed = program.map_or_else(
        |error| error,
        |program| process::become_program(Command::new(program).args(std::env::args_os().skip(1))),
    );
    say(format_args!("vdm: the gateway has stopped and cannot be restarted: {failed}\n"));
    Exit::Internal
}

fn bind(config: &Config, port: u16) -> Result<TcpListener, String> {
    let address = (config.host.as_str(), port);
    TcpListener::bind(address).map_err(|error| refusal(config, &error))
}

fn refusal(config: &Config, error: &Error) -> String {
    let Config { host, port, .. } = config;
    if error.kind() == ErrorKind::AddrInUse {
        return format!(
            "port {port} on {host} is already in use; stop the program that uses it, or choose another port with --port or PORT"
        );
    }
    if error.kind() == ErrorKind::PermissionDenied {
        return format!(
            "no permission to listen on port {port} of {host}; choose a port above 1023 with --port or PORT"
        );
    }
    format!("cannot listen on {host}, port {port}: {error}; choose another host with --host or HOST")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_told_with_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let overrides =
            Overrides { port: Some(port), working_directory: "/absent".into(), ..Overrides::default() };
        let config = Config::load(&overrides).unwrap();

        let refusal = bind(&config, port).unwrap_err();

        let expected = format!(
            "port {port} on 127.0.0.1 is already in use; stop the program that uses it, or choose another port with --port or PORT"
        );
        assert_eq!(refusal, expected);
    }

    #[test]
    fn port_zero_takes_any_free_one() {
        let overrides =
            Overrides { port: Some(0), working_directory: "/absent".into(), ..Overrides::default() };
        let listener = bind(&Config::load(&overrides).unwrap(), 0).unwrap();
        assert_ne!(listener.local_addr().unwrap().port(), 0);
    }

    #[test]
    fn a_refusal_on_purpose_has_another_exit_code_than_a_mistake() {
        let exit = |name: &str, text: &str| {
            let environment = [(name.to_owned(), text.to_owned())].into();
            let overrides =
                Overrides { environment, working_directory: "/absent".into(), ..Overrides::default() };
            tell(&Config::load(&overrides).unwrap_err())
        };
        assert_eq!(exit("PORT", "abc"), Exit::Failed);
        assert_eq!(exit("OPENAI_API_KEY", "!OAUTH"), Exit::Usage);
    }
}
