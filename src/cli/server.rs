//! `vdm server start`, and below it what is said to a gateway that runs.

mod running;

use std::io::{Error, ErrorKind};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

pub(super) use self::running::{Order, Restart, Status, Stop};
use super::exit_code::Exit;
use super::summary::{Style, summary};
use super::{say, tell};
use crate::config::{Config, Overrides, Verbose};
use crate::{Ending, Origin, process, telemetry};

#[derive(Args, Debug)]
pub(super) struct Start {
    /// Listen on this address or host name, over HOST and the files
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Listen on this port, over PORT and the files; 0 takes any free one
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Read this configuration file too, over the others
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Log at DEBUG, whatever LOG_LEVEL says
    #[arg(short, long)]
    verbose: bool,
    /// Live for the sessions of this name, as `vdm wrap` wants it
    #[arg(long, hide = true, value_name = "NAME")]
    sessions: Option<String>,
}

impl Start {
    pub(super) fn run(self) -> Exit {
        if self.sessions.is_some() {
            process::leave_terminal();
        }
        // Now, since the file may be replaced by a newer one while the gateway runs.
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
            Err(error) => log::warn!("the listener does not tell its address: {error}"),
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
            ..Overrides::of_process()
        }
    }
}

/// Puts a new program with the same arguments in the place of this one: process, terminal and supervisor stay.
fn again(program: std::io::Result<PathBuf>) -> Exit {
    let failed = program.map_or_else(
        |error| error,
        |program| process::become_program(Command::new(program).args(std::env::args_os().skip(1))),
    );
    say(format_args!("vdm: the gateway has stopped and cannot be started again: {failed}\n"));
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
            "port {port} on {host} is in use; stop what uses it, or set another with --port or PORT"
        );
    }
    if error.kind() == ErrorKind::PermissionDenied {
        return format!(
            "no permission to listen on port {port} of {host}; set one above 1023 with --port or PORT"
        );
    }
    format!("cannot listen on {host}, port {port}: {error}; set another with --host or HOST")
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
            "port {port} on 127.0.0.1 is in use; stop what uses it, or set another with --port or PORT"
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
