//! `vdm config …`: what is configured, where it was set, and what could be.

use std::io::{Result, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::exit_code::Exit;
use super::setup::Setup;
use super::{say, tell};
use crate::config::{self, Config, ConfigError, ConfigValue, Overrides};

#[derive(Debug, Subcommand)]
pub(super) enum Configuration {
    /// Say whether the gateway would start with this configuration.
    Validate(Which),
    /// Print the merged configuration, and where each value was set. Keys are not shown.
    Show(Which),
    /// Print every environment variable that the gateway reads.
    Env(Env),
    /// Choose providers, hand over their keys, and write that down; by questions, or by flags.
    Setup(Setup),
}

#[derive(Args, Debug)]
pub(super) struct Which {
    /// Read this configuration file too, over the others
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
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
struct Verdict {
    valid: bool,
    providers: Vec<String>,
    warnings: Vec<String>,
    mistakes: Vec<String>,
}

impl Configuration {
    pub(super) fn run(self) -> Exit {
        match self {
            Self::Validate(which) => which.validate(),
            Self::Show(which) => which.show(),
            Self::Env(env) => env.run(),
            Self::Setup(setup) => setup.run(),
        }
    }
}

impl Which {
    fn validate(self) -> Exit {
        let config = match Config::load(&Overrides { config: self.config, ..Overrides::of_process() }) {
            Ok(config) => config,
            Err(mistakes) => {
                if self.json {
                    let _ = print_json(&Verdict::against(&mistakes));
                }
                return tell(&mistakes);
            }
        };
        let providers = config.settings.providers.iter().map(|provider| provider.name.to_string()).collect();
        let verdict = Verdict { valid: true, providers, warnings: config.warnings, mistakes: Vec::new() };
        // A reader that has gone is not our fault.
        let _ = if self.json { print_json(&verdict) } else { verdict.print() };
        Exit::Ok
    }

    fn show(self) -> Exit {
        let overrides = Overrides { config: self.config, ..Overrides::of_process() };
        let (values, mistakes) = config::provenance(&overrides);
        for mistake in &mistakes {
            say(format_args!("vdm: {mistake}\n"));
        }
        let _ = if self.json { print_json(&values) } else { print_values(&values) };
        if mistakes.is_empty() { Exit::Ok } else { Exit::Failed }
    }
}

impl Verdict {
    fn against(mistakes: &[ConfigError]) -> Self {
        let mistakes = mistakes.iter().map(ToString::to_string).collect();
        Self { valid: false, providers: Vec::new(), warnings: Vec::new(), mistakes }
    }

    fn print(&self) -> Result<()> {
        for warning in &self.warnings {
            say(format_args!("warning: {warning}\n"));
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
