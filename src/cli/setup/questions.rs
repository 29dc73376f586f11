//! The questions, one after the other. Whoever breaks off leaves everything as it was.

use std::path::PathBuf;

use inquire::validator::Validation;
use inquire::{Confirm, InquireError, MultiSelect, Password, PasswordDisplayMode, Select, Text};
use vandamme_actors::secret::ApiKey;

use super::answers::{Alias, Answers, Provider, configured_value, needs_no_key};
use super::flags::is_name;
use super::key_check::{self, KeyCheck};
use super::{Context, SetupError};
use crate::cli::say;
use crate::config::Config;

/// Stands for a provider that is not on the list.
const ANOTHER: &str = "another one, by its URL";
/// What a base URL looks like.
const EXAMPLE: &str = "https://llm.example/v1";
/// What Claude Code's models are called.
const CLAUDE: [&str; 4] = ["haiku", "sonnet", "opus", "fable"];

impl From<InquireError> for SetupError {
    fn from(error: InquireError) -> Self {
        match error {
            InquireError::OperationCanceled | InquireError::OperationInterrupted => Self::Cancelled,
            InquireError::NotTTY
            | InquireError::InvalidConfiguration(_)
            | InquireError::IO(_)
            | InquireError::Custom(_) => Self::Failed(format!("the terminal cannot be asked: {error}")),
        }
    }
}

/// What was answered, how the keys did, and where all that is to be written.
type Asked = (Answers, Vec<KeyCheck>, Option<PathBuf>);

pub(super) fn ask(context: &Context, now: &Config, write: Option<PathBuf>) -> Result<Asked, SetupError> {
    let mut answers = Answers::default();
    let mut tried = Vec::new();
    for name in chosen(now)? {
        let provider = match name.as_str() {
            ANOTHER => unknown(context, &answers)?,
            _ => known(context, now, name)?,
        };
        answers.providers.push(provider);
        match with_key(context, now, &mut answers)? {
            Some(outcome) => tried.extend(outcome),
            None => drop(answers.providers.pop()),
        }
    }
    let config = context.with(&answers.settings())?;
    answers.default = default(&config)?;
    let home =
        answers.default.clone().or_else(|| config.settings.default_provider.as_deref().map(str::to_owned));
    if let Some(home) = home {
        answers.aliases = aliases(&config, &home, &tried)?;
    }
    answers.own_key = own_key(now)?;
    let write = match write {
        Some(file) => Some(file),
        None => Some(file(context)?),
    };
    Ok((answers, tried, write))
}

fn chosen(now: &Config) -> Result<Vec<String>, SetupError> {
    let settings = &now.settings;
    let ready: Vec<_> = settings.providers.iter().map(|provider| provider.name.to_string()).collect();
    let rest = settings.partial.iter().chain(&settings.keyless).map(|provider| provider.name.clone());
    let chosen: Vec<usize> = (0..ready.len()).collect();
    let all: Vec<String> = ready.into_iter().chain(rest).chain([ANOTHER.to_owned()]).collect();
    let question = MultiSelect::new("Which providers?", all).with_default(&chosen);
    let help = "space selects, enter goes on, letters search; selected already: those with a key";
    Ok(question.with_help_message(help).with_page_size(16).prompt()?)
}

/// One of the list. Where the address is not built in, or is a server of the user's own, it is asked for.
fn known(context: &Context, now: &Config, name: String) -> Result<Provider, SetupError> {
    let stated = configured_value(now, &name, "base-url");
    let is_ready = now.settings.providers.iter().any(|provider| *provider.name == *name);
    if is_ready || (stated.is_some() && !needs_no_key(now, &name)) {
        return Ok(Provider { name, keys: None, base_url: None, api_format: None });
    }
    loop {
        let question = format!("Base URL of {name}:");
        let question = match stated {
            Some(url) => Text::new(&question).with_default(url),
            None if name == "azure" => {
                Text::new(&question).with_placeholder("https://RESOURCE.openai.azure.com/openai/v1")
            }
            None => Text::new(&question).with_placeholder(EXAMPLE),
        };
        let base_url = Some(question.prompt()?.trim().to_owned());
        let provider =
            Provider { name: name.clone(), keys: Some(ApiKey::new("none-yet")), base_url, api_format: None };
        let trial = Answers { providers: vec![provider], ..Answers::default() };
        match context.with(&trial.settings()) {
            Ok(_) => {
                let base_url = trial.providers.into_iter().find_map(|provider| provider.base_url);
                return Ok(Provider { name, keys: None, base_url, api_format: None });
            }
            Err(SetupError::Config(errors)) => {
                let _ = crate::cli::tell(&errors);
            }
            Err(other) => return Err(other),
        }
    }
}

fn unknown(context: &Context, answers: &Answers) -> Result<Provider, SetupError> {
    let valid = |text: &str| {
        Ok(match is_name(text) {
            true => Validation::Valid,
            false => Validation::Invalid("a name may hold letters, digits, - and _".into()),
        })
    };
    let name = Text::new("Its name:").with_validator(valid).prompt()?.to_lowercase().replace('-', "_");
    loop {
        let url = Text::new("Its base URL:").with_placeholder(EXAMPLE).prompt()?;
        let question = Select::new("What does it speak?", vec!["openai", "anthropic"]);
        let format =
            question.with_help_message("Chat Completions is openai, Messages is anthropic").prompt()?;
        let (base_url, api_format) = (Some(url.trim().to_owned()), Some(format.to_owned()));
        let keys = Some(ApiKey::new("none-yet"));
        let provider = Provider { name: name.clone(), keys, base_url, api_format };
        let trial = Answers { providers: vec![provider], ..Answers::default() };
        let mut settings = answers.settings();
        settings.extend(trial.settings());
        match context.with(&settings) {
            Ok(_) => {
                let mut providers = trial.providers.into_iter();
                let provider = providers.next().map(|provider| Provider { keys: None, ..provider });
                return provider.ok_or(SetupError::Cancelled);
            }
            Err(SetupError::Config(errors)) => {
                let _ = crate::cli::tell(&errors);
            }
            Err(other) => return Err(other),
        }
    }
}

/// Asks for the key of the last provider; `None` leaves that one out.
fn with_key(
    context: &Context,
    now: &Config,
    answers: &mut Answers,
) -> Result<Option<Vec<KeyCheck>>, SetupError> {
    let Some(name) = answers.providers.last().map(|provider| provider.name.clone()) else { return Ok(None) };
    let has_one = now.settings.providers.iter().any(|provider| *provider.name == *name);
    let without = needs_no_key(now, &name);
    loop {
        let question = format!("Key of {name}:");
        let help = match (has_one, without) {
            (true, _) => "enter keeps the key there is; several with blanks between them take turns",
            (false, true) => "enter for none: a local server needs no key",
            (false, false) => "several with blanks between them take turns; enter leaves this provider out",
        };
        let question = Password::new(&question).with_display_mode(PasswordDisplayMode::Masked);
        let key = question.without_confirmation().with_help_message(help).prompt()?;
        if key.trim().is_empty() && (has_one || !without) {
            return Ok(has_one.then(Vec::new));
        }
        if let Some(provider) = answers.providers.last_mut() {
            provider.keys = Some(key.trim()).filter(|key| !key.is_empty()).map(ApiKey::new);
        }
        let config = match context.with(&answers.settings()) {
            Ok(config) => config,
            Err(SetupError::Config(errors)) => {
                let _ = crate::cli::tell(&errors);
                continue;
            }
            Err(other) => return Err(other),
        };
        if answers.to_try().all(|new| new != name) {
            return Ok(Some(vec![]));
        }
        say(format_args!("  asking {name} …\n"));
        let outcome = key_check::run(&config, &name);
        say(format_args!("  {outcome}\n"));
        if outcome.refusal().is_none() {
            return Ok(Some(vec![outcome]));
        }
        const AGAIN: &str = "type the key again";
        const ANYWAY: &str = "use it all the same";
        match Select::new("What now?", vec![AGAIN, ANYWAY, "leave this provider out"]).prompt()? {
            AGAIN => {}
            ANYWAY => return Ok(Some(vec![outcome])),
            _ => return Ok(None),
        }
    }
}

/// Only an answer that changes something.
fn default(config: &Config) -> Result<Option<String>, SetupError> {
    let names: Vec<_> = config.settings.providers.iter().map(|provider| provider.name.to_string()).collect();
    let now = config.settings.default_provider.as_deref();
    if names.len() < 2 {
        return Ok(None);
    }
    let at = names.iter().position(|name| Some(name.as_str()) == now).unwrap_or(0);
    let question = Select::new("Which one takes models without a prefix?", names).with_starting_cursor(at);
    Ok(Some(question.prompt()?).filter(|name| Some(name.as_str()) != now))
}

fn aliases(config: &Config, home: &str, tried: &[KeyCheck]) -> Result<Vec<Alias>, SetupError> {
    let provider = config.settings.providers.iter().find(|provider| *provider.name == *home);
    let Some(provider) = provider.filter(|provider| !provider.serves_claude) else { return Ok(vec![]) };
    let now = |name: &str| provider.aliases.get(name).map_or("", String::as_str);
    let shown: Vec<_> = CLAUDE.iter().map(|name| format!("{name} is {}", shown(now(name)))).collect();
    let question = "Change what Claude Code's models stand for?";
    let missing = CLAUDE.iter().any(|name| now(name).is_empty());
    if !Confirm::new(question).with_default(missing).with_help_message(&shown.join(", ")).prompt()? {
        return Ok(vec![]);
    }
    let known: Vec<String> =
        tried.iter().filter(|tried| tried.is_for(home)).flat_map(|tried| tried.models.clone()).collect();
    let mut aliases = Vec::new();
    for name in CLAUDE {
        let known = known.clone();
        let suggest = move |typed: &str| {
            Ok(known.iter().filter(|model| model.contains(typed)).take(8).cloned().collect::<Vec<_>>())
        };
        let question = format!("{name}:");
        let question = Text::new(&question).with_initial_value(now(name)).with_autocomplete(suggest);
        let model = question.prompt()?.trim().to_owned();
        if !model.is_empty() && model != now(name) {
            aliases.push(Alias { provider: home.to_owned(), name: name.to_owned(), model });
        }
    }
    Ok(aliases)
}

fn shown(model: &str) -> &str {
    if model.is_empty() { "nothing" } else { model }
}

fn own_key(now: &Config) -> Result<Option<ApiKey>, SetupError> {
    let help = match &now.proxy_api_key {
        Some(_) => "enter keeps the one there is",
        None => "enter for none: then everybody who reaches the gateway may use it",
    };
    let valid = |text: &str| {
        Ok(match text.trim().bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Validation::Valid,
            false => Validation::Invalid("one word, without blanks".into()),
        })
    };
    let question = Password::new("A key that clients of the gateway must show:");
    let question = question.with_display_mode(PasswordDisplayMode::Masked).with_validator(valid);
    // As many stars whatever it is; but not for nothing.
    let question = question.with_formatter(&|text| if text.is_empty() { "-" } else { "********" }.to_owned());
    let key = question.without_confirmation().with_help_message(help).prompt()?;
    Ok(Some(key.trim()).filter(|key| !key.is_empty()).map(ApiKey::new))
}

fn file(context: &Context) -> Result<PathBuf, SetupError> {
    let everywhere = context.overrides.home.as_deref().map(crate::config::user_file);
    let mut files = vec![PathBuf::from(".env")];
    files.extend(everywhere);
    let shown: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let question = Select::new("Write it to?", shown);
    let help = ".env counts where vdm is started from this directory, the other file everywhere";
    let chosen = question.with_help_message(help).raw_prompt()?;
    Ok(files.swap_remove(chosen.index))
}
