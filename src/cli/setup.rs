//! `vdm config setup`: asks for providers and keys, tries the keys, and writes the answers into one file. It writes nothing
//! before the end, and changes only the settings that were answered.

mod answers;
mod choices;
pub(super) mod dotenv;
mod flags;
mod key_check;
mod questions;
pub(super) mod settings_file;
mod toml;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use self::answers::{Setting, SetupAnswers};
use self::questions::Interview;
use self::settings_file::SettingsFile;
use super::exit_code::Exit;
use super::{print_to_stderr, report_errors};
use crate::config::{self, Config, ConfigError, Overrides};

#[derive(Args, Debug)]
pub(super) struct Setup {
    /// Use this provider; its key comes from --keys or from the environment
    #[arg(long, value_name = "NAME")]
    provider: Vec<String>,
    /// Base URL of a custom provider
    #[arg(long, value_name = "NAME=URL")]
    base_url: Vec<String>,
    /// API of a custom provider: openai or anthropic
    #[arg(long, value_name = "NAME=FORMAT")]
    api_format: Vec<String>,
    /// Provider for model names without a prefix
    #[arg(long, value_name = "NAME")]
    default: Option<String>,
    /// Another name for a model
    #[arg(long, value_name = "PROVIDER:ALIAS=MODEL")]
    alias: Vec<String>,
    /// Read keys from this file (- is stdin), in lines such as OPENAI_API_KEY=…; PROXY_API_KEY too
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Do not test the keys
    #[arg(long)]
    no_test: bool,
    /// Write to this file: TOML if it ends in .toml, otherwise NAME=VALUE lines [default: .env]
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Why setup wrote nothing.
enum SetupError {
    /// The flags are wrong.
    Usage(String),
    Failed(String),
    /// The configuration is invalid, as it is or with the answers.
    Config(Vec<ConfigError>),
    /// The user cancelled a question.
    Cancelled,
}

/// The result.
#[derive(Serialize)]
struct SetupReport {
    file: String,
    set: Vec<String>,
    tried: Vec<key_check::KeyCheck>,
    /// The command that starts a gateway with these settings.
    start: String,
}

impl Setup {
    pub(super) fn run(self) -> Exit {
        match self.set_up() {
            Ok(written) => {
                // A closed pipe is not an error.
                let _ = if self.json { written.print_json() } else { written.print_words() };
                Exit::Ok
            }
            Err(SetupError::Usage(text)) => {
                print_to_stderr(format_args!("vdm: {text}\n"));
                Exit::Usage
            }
            Err(SetupError::Failed(text)) => {
                print_to_stderr(format_args!("vdm: {text}; nothing was changed\n"));
                Exit::Failed
            }
            Err(SetupError::Config(errors)) => {
                let exit = report_errors(&errors);
                print_to_stderr(format_args!("vdm: nothing was changed\n"));
                exit
            }
            Err(SetupError::Cancelled) => {
                print_to_stderr(format_args!("vdm: setup was cancelled; nothing was changed\n"));
                Exit::Failed
            }
        }
    }

    fn set_up(&self) -> Result<SetupReport, SetupError> {
        let context = Context { overrides: Overrides::of_process() };
        let now = context.with(&[])?;
        let Interview { answers, checks, file } = if self.has_answers() {
            let answers = flags::answers(self, &now)?;
            let checks = self.try_all(&context, &answers)?;
            Interview { answers, checks, file: self.write.clone() }
        } else if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
            questions::run_interview(&context, &now, self.write.clone())?
        } else {
            let text = "setup asks questions, and there is no terminal; give all answers by flags, such as --provider NAME";
            return Err(SetupError::Usage(text.to_owned()));
        };
        let target =
            SettingsFile::open(file.unwrap_or_else(|| PathBuf::from(".env"))).map_err(SetupError::Failed)?;
        let settings = answers.settings();
        if settings.is_empty() {
            return Err(SetupError::Failed("there is nothing to set".to_owned()));
        }
        // As variables they override all files, so that errors show up whichever file is written.
        let config = context.with(&settings)?;
        self.check_default(&config)?;
        check_providers(&answers, &config)?;
        target.write(&settings).map_err(SetupError::Failed)?;
        let start = context.start_command(&settings, &target);
        let set = settings.iter().map(|setting| setting.variable.clone()).collect();
        Ok(SetupReport { file: target.path().display().to_string(), set, tried: checks, start })
    }

    fn has_answers(&self) -> bool {
        let lists = [&self.provider, &self.base_url, &self.api_format, &self.alias];
        lists.iter().any(|list| !list.is_empty()) || self.default.is_some() || self.keys.is_some()
    }

    /// The gateway starts with another default and a warning; here a wrong name is an error.
    fn check_default(&self, config: &Config) -> Result<(), SetupError> {
        let Some(name) = &self.default else { return Ok(()) };
        let settings = config.settings_with_demo();
        let providers = settings.providers.iter().map(|provider| &*provider.name);
        let mut known = providers.chain(
            settings
                .profiles
                .iter()
                .filter(|profile| profile.inactive.is_none())
                .map(|profile| &*profile.name),
        );
        let folded = name.trim_start_matches('#').to_lowercase().replace('-', "_");
        if known.any(|known| known == folded || known.eq_ignore_ascii_case(name)) {
            return Ok(());
        }
        let names: Vec<_> = settings.providers.iter().map(|provider| &*provider.name).collect();
        let near = config::near_provider(&folded, names.iter().copied());
        let near = near.map_or_else(String::new, |near| format!("; did you mean --default {near}?"));
        let names = names.join(", ");
        Err(SetupError::Usage(format!(
            "--default {name}: no provider with a key, and no active profile; providers: {names}{near}"
        )))
    }

    fn try_all(
        &self,
        context: &Context,
        answers: &SetupAnswers,
    ) -> Result<Vec<key_check::KeyCheck>, SetupError> {
        if self.no_test {
            return Ok(Vec::new());
        }
        let config = context.with(&answers.settings())?;
        let mut tried = Vec::new();
        for name in answers.to_try() {
            let outcome = key_check::run(&config, name);
            if let Some(why) = outcome.refusal() {
                return Err(SetupError::Failed(format!("{why}; fix this, or use --no-test")));
            }
            print_to_stderr(format_args!("{outcome}\n"));
            tried.push(outcome);
        }
        Ok(tried)
    }
}

/// A gateway starts without a provider whose variables are faulty and warns; here that is an error.
fn check_providers(answers: &SetupAnswers, config: &Config) -> Result<(), SetupError> {
    let settings = &config.settings;
    let is_known = |name: &str| {
        settings.providers.iter().any(|provider| *provider.name == *name)
            || settings.partial.iter().any(|partial| partial.name == name)
    };
    let mut absent = answers.providers.iter().filter(|provider| !is_known(&provider.name));
    let why = absent.find_map(|provider| key_check::why_not(config, &provider.name));
    why.map_or(Ok(()), |why| Err(SetupError::Failed(why.to_owned())))
}

impl SetupReport {
    fn print_words(&self) -> std::io::Result<()> {
        writeln!(std::io::stdout(), "Wrote {}: {}", self.file, self.set.join(", "))?;
        print_to_stderr(format_args!("Now start the gateway:  {}\n", self.start));
        Ok(())
    }

    fn print_json(&self) -> std::io::Result<()> {
        writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(self).unwrap_or_default())
    }
}

/// Starts a gateway with the files that it reads by itself.
const START: &str = "vdm server start";

/// The configuration of this machine, now and with further settings.
#[derive(Clone)]
struct Context {
    overrides: Overrides,
}

impl Context {
    /// With these settings, which override all others.
    fn with(&self, settings: &[Setting]) -> Result<Config, SetupError> {
        Config::load(&self.extended(settings).overrides).map_err(SetupError::Config)
    }

    fn extended(&self, settings: &[Setting]) -> Self {
        let mut overrides = self.overrides.clone();
        for Setting { variable, value, .. } in settings {
            overrides.environment.insert(variable.clone(), value.expose().to_owned());
        }
        Self { overrides }
    }

    /// The command that starts a gateway with the file, which warns of a file that it does not read and of values that another
    /// layer overrides.
    fn start_command(&self, settings: &[Setting], target: &SettingsFile) -> String {
        let (values, errors) = config::provenance(&self.overrides);
        for error in errors {
            print_to_stderr(format_args!("warning: {error}\n"));
        }
        if !values.iter().any(|setting| target.is_in(&setting.place)) {
            let file = target.path().display();
            let how = match target.is_toml() {
                true => format!("start it with --config {file}"),
                false => "it reads the file .env of the directory where it starts".to_owned(),
            };
            print_to_stderr(format_args!("warning: the gateway does not read {file} by itself; {how}\n"));
            return target.start_command();
        }
        let places: BTreeMap<_, _> =
            values.iter().map(|setting| (setting.key.as_str(), setting.place.as_str())).collect();
        for Setting { variable, path, value } in settings {
            let same = self.overrides.environment.get(variable).is_some_and(|set| set == value.expose());
            let key = path.join(".");
            let place = places.get(key.as_str()).filter(|place| !same && !target.is_in(place));
            if let Some(place) = place {
                print_to_stderr(format_args!("warning: {key} is set by {place}, over this file\n"));
            }
        }
        START.to_owned()
    }
}
