//! The commands. Results and talk go to stderr, except for what a command was asked to print.

mod aliases;
mod completions;
mod configuration;
mod embedded;
pub mod exit_code;
mod explain;
mod health;
mod man;
mod migration_hints;
mod models;
mod progress;
mod server;
mod setup;
mod summary;
mod table;
mod test;
mod upstream;
mod wrap;

use std::ffi::OsString;
use std::fmt::Arguments;
use std::io::Write;
use std::path::PathBuf;

use clap::error::ErrorKind as UsageErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};

use exit_code::Exit;

use crate::config::{Config, ConfigError, ErrorKind, Overrides};
pub use summary::{Style, summary};

/// An LLM gateway for Claude Code and every other client of the Messages API.
#[derive(Debug, Parser)]
#[command(name = "vdm", version, about, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(max_term_width = 100)]
struct Vdm {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a gateway, or tell the one that runs what to do.
    #[command(subcommand, arg_required_else_help = true)]
    Server(Server),
    /// Look at the configuration, or write one.
    #[command(subcommand, arg_required_else_help = true)]
    Config(configuration::Configuration),
    /// Tell where a model name goes, and why.
    Explain(explain::Explain),
    /// Tell which models there are.
    #[command(subcommand, arg_required_else_help = true)]
    Models(models::ModelsOf),
    /// Tell which names stand for which models.
    Aliases(aliases::Aliases),
    /// Try providers and models.
    #[command(subcommand, arg_required_else_help = true)]
    Test(test::Test),
    /// Ask how a gateway or its providers are.
    #[command(subcommand, arg_required_else_help = true)]
    Health(Health),
    /// Print what a shell must know to complete vdm.
    Completions(completions::Completions),
    /// Print the manual page, or write all of them.
    Man(man::Manual),
    /// Run a tool through a gateway, which is started when none runs and stopped with the last tool.
    Wrap(wrap::Wrap),
    /// Print the version.
    Version(Version),
}

#[derive(Args, Debug)]
struct Version {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Server {
    /// Start the gateway and serve until told to stop.
    Start(server::Start),
    /// Tell whether a gateway of yours runs, and how it is; exit with 0 when it does, else with 1.
    Status(server::Status),
    /// Stop the running gateway: requests in flight may finish.
    Stop(server::Stop),
    /// Make the running gateway read its configuration again; a wrong one changes nothing.
    Reload(server::Order),
    /// Stop the running gateway and start it again with the command line and environment that it had.
    Restart(server::Restart),
}

#[derive(Debug, Subcommand)]
enum Health {
    /// Ask the running gateway; exit with 0 when it is healthy, else with 1.
    Server(health::Server),
    /// Ask providers for their models, with the configured keys; exit with 0 when all asked answer, else with 1.
    Upstream(upstream::Upstream),
}

/// Does what the arguments (the first is the program's name) ask for.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let arguments = wrap::spelled_out(&arguments).unwrap_or(arguments);
    match Vdm::try_parse_from(&arguments) {
        Ok(vdm) => vdm.command.run(),
        Err(error) => explain(&error, &arguments),
    }
}

impl Command {
    fn run(self) -> Exit {
        match self {
            Self::Server(server) => server.run(),
            Self::Config(configuration) => configuration.run(),
            Self::Explain(explain) => explain.run(),
            Self::Models(models) => models.run(),
            Self::Aliases(aliases) => aliases.run(),
            Self::Test(test) => test.run(),
            Self::Health(Health::Server(server)) => server.run(),
            Self::Health(Health::Upstream(upstream)) => upstream.run(),
            Self::Completions(completions) => completions.run(),
            Self::Man(manual) => manual.run(),
            Self::Wrap(wrap) => wrap.run(),
            Self::Version(version) => version.run(),
        }
    }
}

impl Server {
    fn run(self) -> Exit {
        match self {
            Self::Start(start) => start.run(),
            Self::Status(status) => status.run(),
            Self::Stop(stop) => stop.run(),
            Self::Reload(order) => order.reload(),
            Self::Restart(restart) => restart.run(),
        }
    }
}

/// The configuration as the gateway would start with it, `file` over the other files; what is wrong with it is told.
fn configured(file: Option<PathBuf>) -> Result<Config, Exit> {
    Config::load(&Overrides { config: file, ..Overrides::of_process() }).map_err(|errors| tell(&errors))
}

fn tell(errors: &[ConfigError]) -> Exit {
    for error in errors {
        say(format_args!("vdm: {error}\n"));
    }
    let refused = errors.iter().any(|error| error.kind() == ErrorKind::Unsupported);
    if refused { Exit::Usage } else { Exit::Failed }
}

/// On stderr. If nobody reads it any more, that is no reason to stop.
fn say(text: Arguments<'_>) {
    let _ = std::io::stderr().write_fmt(text);
}

/// On stdout; a reader that has gone is not our fault.
fn print_json<T: serde::Serialize>(value: &T) {
    let json = serde_json::to_string_pretty(value).unwrap_or_default();
    let _ = writeln!(std::io::stdout(), "{json}");
}

impl Version {
    fn run(self) -> Exit {
        if self.json {
            print_json(&serde_json::json!({"version": env!("CARGO_PKG_VERSION")}));
        } else {
            // A reader that has gone is not our fault.
            let _ = write!(std::io::stdout(), "{}", Vdm::command().render_version());
        }
        Exit::Ok
    }
}

/// Help and version were asked for; all else is a error in usage. A reader that has gone is not our fault.
fn explain(error: &clap::Error, arguments: &[OsString]) -> Exit {
    if matches!(error.kind(), UsageErrorKind::DisplayHelp | UsageErrorKind::DisplayVersion) {
        let _ = error.print();
        return Exit::Ok;
    }
    let unknown = matches!(error.kind(), UsageErrorKind::InvalidSubcommand | UsageErrorKind::UnknownArgument);
    match migration_hints::advice(arguments).filter(|_| unknown) {
        Some(advice) => say(format_args!("vdm: {advice}\n")),
        None => drop(error.print()),
    }
    Exit::Usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Vdm::command().debug_assert();
    }

    #[test]
    fn usage_mistakes_exit_with_two_and_answers_with_zero() {
        let exit = |line: &str| run(line.split(' ').map(OsString::from));
        for line in [
            "vdm version",
            "vdm --version",
            "vdm --help",
            "vdm health server --help",
            "vdm server start --help",
            "vdm config env",
            "vdm explain --help",
        ] {
            assert_eq!(exit(line), Exit::Ok, "{line}");
        }
        let wrong = ["vdm", "vdm server", "vdm server kill", "vdm start", "vdm server start --port 65536"];
        for line in wrong.into_iter().chain([
            "vdm server start --daemon",
            "vdm server start extra",
            "vdm config",
            "vdm explain",
            "vdm health",
            "vdm health server --port 0",
        ]) {
            assert_eq!(exit(line), Exit::Usage, "{line}");
        }
    }
}
