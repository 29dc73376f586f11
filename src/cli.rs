//! The command line. Results are written to stdout, messages to stderr.

mod aliases;
mod completions;
mod configuration;
mod dashboard;
mod embedded;
pub mod exit_code;
mod explain;
mod find_gateway;
mod gateway_http;
mod gateway_tls;
mod health;
mod health_reset;
mod import;
mod key;
mod man;
mod migration_hints;
mod models;
mod options;
mod progress;
mod server;
mod setup;
mod summary;
mod table;
mod test;
mod top;
mod upstream;
mod usage;
mod wrap;

use std::ffi::OsString;
use std::fmt::Arguments;
use std::io::Write;

use clap::error::{ContextKind, ContextValue, ErrorKind as UsageErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};

use exit_code::Exit;
use options::ConfigOptions;

use crate::config::{Config, ConfigError};
pub use crate::terminal::Style;
pub use summary::summary;

/// An LLM gateway for clients of the Anthropic Messages and OpenAI Chat Completions APIs.
#[derive(Debug, Parser)]
#[command(name = "vdm", version, about, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(max_term_width = 100)]
struct Vdm {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start, stop and inspect a gateway.
    #[command(subcommand, arg_required_else_help = true)]
    Server(ServerCommand),
    /// Check, show or write the configuration.
    #[command(subcommand, arg_required_else_help = true)]
    Config(configuration::Configuration),
    /// Explain how a model name is routed.
    Explain(explain::Explain),
    /// List models.
    #[command(subcommand, arg_required_else_help = true)]
    Models(models::ModelsOf),
    /// List aliases and the models that they resolve to.
    Aliases(aliases::AliasesArgs),
    /// Test providers and models.
    #[command(subcommand, arg_required_else_help = true)]
    Test(test::Test),
    /// Check the health of a gateway or its providers.
    #[command(subcommand, arg_required_else_help = true)]
    Health(HealthCommand),
    /// Print a link that opens the dashboard of the running gateway, and open it in a browser.
    Dashboard(dashboard::DashboardArgs),
    /// Show usage and cost by model, provider, key, client, session or day.
    Usage(usage::UsageArgs),
    /// Show live what a running gateway does.
    Top(top::Top),
    /// Make keys for clients.
    #[command(subcommand, arg_required_else_help = true)]
    Key(key::KeyCommand),
    /// Generate shell completions.
    Completions(completions::Completions),
    /// Print the manual page, or write all manual pages.
    Man(man::Manual),
    /// Run a tool through a gateway, starting one if necessary.
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
enum ServerCommand {
    /// Start the gateway, in the foreground or with --daemon in the background.
    Start(server::Start),
    /// Show whether your gateway is running; exit code 0 if it is, 1 if not.
    Status(server::StatusArgs),
    /// Stop the running gateway after its requests in flight.
    Stop(server::StopArgs),
    /// Reload the configuration of the running gateway; an invalid one changes nothing.
    Reload(server::GatewayArgs),
    /// Replace the running gateway by the program on disk, without losing requests.
    Restart(server::RestartArgs),
}

#[derive(Debug, Subcommand)]
enum HealthCommand {
    /// Check the running gateway; exit code 0 if it is healthy, 1 if not.
    Server(health::HealthArgs),
    /// Reset the health of providers and keys in the running gateway; their cooldowns end.
    Reset(health_reset::ResetArgs),
    /// Check that providers accept the configured keys; exit code 0 if they do, 1 if not.
    Upstream(upstream::UpstreamArgs),
}

/// Runs the command of these arguments, of which the first is the program's name.
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
            Self::Health(HealthCommand::Server(server)) => server.run(),
            Self::Health(HealthCommand::Reset(reset)) => reset.run(),
            Self::Health(HealthCommand::Upstream(upstream)) => upstream.run(),
            Self::Dashboard(dashboard) => dashboard.run(),
            Self::Top(top) => top.run(),
            Self::Usage(usage) => usage.run(),
            Self::Key(key) => key.run(),
            Self::Completions(completions) => completions.run(),
            Self::Man(manual) => manual.run(),
            Self::Wrap(wrap) => wrap.run(),
            Self::Version(version) => version.run(),
        }
    }
}

impl ServerCommand {
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

/// Loads the configuration as the gateway does, with `file` over the other files; prints what is wrong with it.
fn configured(options: &ConfigOptions) -> Result<Config, Exit> {
    Config::load(&options.overrides()).map_err(|errors| report_errors(&errors))
}

fn report_errors(errors: &[ConfigError]) -> Exit {
    for error in errors {
        print_to_stderr(format_args!("vdm: {error}\n"));
    }
    Exit::from_config_errors(errors)
}

/// Prints to stderr; a closed pipe is not an error.
fn print_to_stderr(text: Arguments<'_>) {
    let _ = std::io::stderr().write_fmt(text);
}

/// Prints to stdout; a closed pipe is not an error.
fn print_json<T: serde::Serialize>(value: &T) {
    let json = serde_json::to_string_pretty(value).unwrap_or_default();
    let _ = writeln!(std::io::stdout(), "{json}");
}

impl Version {
    fn run(self) -> Exit {
        if self.json {
            print_json(&serde_json::json!({"version": env!("CARGO_PKG_VERSION")}));
        } else {
            // A closed pipe is not an error.
            let _ = write!(std::io::stdout(), "{}", Vdm::command().render_version());
        }
        Exit::Ok
    }
}

/// Prints help or the version, or explains a usage error.
fn explain(error: &clap::Error, arguments: &[OsString]) -> Exit {
    if matches!(error.kind(), UsageErrorKind::DisplayHelp | UsageErrorKind::DisplayVersion) {
        let _ = error.print();
        return Exit::Ok;
    }
    let unknown = matches!(error.kind(), UsageErrorKind::InvalidSubcommand | UsageErrorKind::UnknownArgument);
    if let Some(advice) = migration_hints::advice(arguments).filter(|_| unknown) {
        print_to_stderr(format_args!("vdm: {advice}\n"));
        return Exit::Usage;
    }
    match other_command(error) {
        Some(advice) => print_to_stderr(format_args!("{advice}\n")),
        None => drop(error.print()),
    }
    Exit::Usage
}

/// The command that an unknown subcommand means, if another group has it.
fn other_command(error: &clap::Error) -> Option<String> {
    if error.kind() != UsageErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let commands: Vec<_> = migration_hints::elsewhere(&Vdm::command(), unknown)
        .into_iter()
        .map(|command| format!("`{command}`"))
        .collect();
    (!commands.is_empty()).then(|| format!("vdm: unknown command '{unknown}'; use {}", commands.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_passes_claps_checks() {
        Vdm::command().debug_assert();
    }

    /// Deviates from the original ("`vdm version` prints `vdm version X`, exit 0; an unknown command exits 2"):
    /// `vdm X`, as `vdm --version`; the rest holds.
    #[test]
    fn usage_errors_exit_with_two_and_help_exits_with_zero() {
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
            "vdm server start --daemon --no-master",
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
