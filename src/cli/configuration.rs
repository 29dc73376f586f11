//! `vdm config …`: checks, shows and writes the configuration.

use std::io::{IsTerminal as _, Result, Write};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::exit_code::Exit;
use super::import::Import;
use super::options::ConfigOptions;
use super::setup::Setup;
use super::{print_to_stderr, report_errors};
use crate::config::{self, Config, ConfigError, ConfigValue};

#[derive(Debug, Subcommand)]
pub(super) enum Configuration {
    /// Check whether the gateway would start with this configuration.
    Validate(Validate),
    /// Print the merged configuration and where each value was set. Keys are not shown.
    Show(Show),
    /// List the environment variables that the gateway reads.
    Env(Env),
    /// Make a configuration from that of another program.
    #[command(subcommand, arg_required_else_help = true)]
    Import(Import),
    /// Choose providers and enter their keys, interactively or by flags, and save the result.
    Setup(Setup),
}

#[derive(Args, Debug)]
pub(super) struct Show {
    /// Omit built-in defaults (default on a terminal)
    #[arg(long, conflicts_with = "all")]
    changed: bool,
    /// Include built-in defaults (default for pipes and files)
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    options: ConfigOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Validate {
    #[command(flatten)]
    options: ConfigOptions,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(super) struct Env {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Validity {
    valid: bool,
    providers: Vec<String>,
    warnings: Vec<String>,
    mistakes: Vec<String>,
}

impl Configuration {
    pub(super) fn run(self) -> Exit {
        match self {
            Self::Validate(validate) => validate.run(),
            Self::Show(show) => show.run(),
            Self::Env(env) => env.run(),
            Self::Import(import) => import.run(),
            Self::Setup(setup) => setup.run(),
        }
    }
}

impl Validate {
    fn run(self) -> Exit {
        let config = match Config::load(&self.options.overrides()) {
            Ok(config) => config,
            Err(mistakes) => {
                if self.json {
                    let _ = print_json(&Validity::with_mistakes(&mistakes));
                }
                return report_errors(&mistakes);
            }
        };
        let providers = config.settings.providers.iter().map(|provider| provider.name.to_string()).collect();
        let validity = Validity { valid: true, providers, warnings: config.warnings, mistakes: Vec::new() };
        // A closed pipe is not an error.
        let _ = if self.json { print_json(&validity) } else { validity.print() };
        Exit::Ok
    }
}

impl Show {
    fn run(self) -> Exit {
        let overrides = self.options.overrides();
        let (mut values, errors) = config::provenance(&overrides);
        let total = values.len();
        if self.shows_changed_only() {
            values.retain(|value| !value.is_built_in());
        }
        for error in &errors {
            print_to_stderr(format_args!("vdm: {error}\n"));
        }
        let hidden = total - values.len();
        let _ = if self.json { print_json(&values) } else { print_values(&values) };
        if hidden > 0 && !self.json {
            print_to_stderr(format_args!("{hidden} built-in defaults are not shown; --all shows them\n"));
        }
        if errors.is_empty() { Exit::Ok } else { Exit::Failed }
    }

    fn shows_changed_only(&self) -> bool {
        self.changed || (!self.all && !self.json && std::io::stdout().is_terminal())
    }
}

impl Validity {
    fn with_mistakes(mistakes: &[ConfigError]) -> Self {
        let mistakes = mistakes.iter().map(ToString::to_string).collect();
        Self { valid: false, providers: Vec::new(), warnings: Vec::new(), mistakes }
    }

    fn print(&self) -> Result<()> {
        for warning in &self.warnings {
            print_to_stderr(format_args!("warning: {warning}\n"));
        }
        let providers = match &self.providers[..] {
            [] => "no provider has a key".to_owned(),
            names => format!("providers: {}", names.join(", ")),
        };
        writeln!(std::io::stdout(), "The configuration is valid; {providers}.")
    }
}

impl Env {
    fn run(self) -> Exit {
        let variables = config::variables();
        let _ = if self.json { print_json(&variables) } else { print_variables(&variables) };
        Exit::Ok
    }
}

fn print_json<T: Serialize>(value: &T) -> Result<()> {
    let json = serde_json::to_string_pretty(value).unwrap_or_default();
    writeln!(std::io::stdout(), "{json}")
}

fn print_values(values: &[ConfigValue]) -> Result<()> {
    let width = values
        .iter()
        .map(|setting| setting.key.len() + setting.value.len() + 3)
        .max()
        .unwrap_or_default()
        .min(60);
    let mut out = std::io::stdout();
    for ConfigValue { key, value, place } in values {
        let setting = format!("{key} = {value}");
        writeln!(out, "{setting:width$}  # {place}")?;
    }
    Ok(())
}

fn print_variables(variables: &[config::VariableDoc]) -> Result<()> {
    let width = variables.iter().map(|variable| variable.name.len()).max().unwrap_or_default();
    let mut out = std::io::stdout();
    for config::VariableDoc { name, about } in variables {
        writeln!(out, "{name:width$}  {about}")?;
    }
    Ok(())
}
