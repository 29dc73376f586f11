//! The questions, one after the other. Each checks its own answer. Cancelling changes nothing.

use std::path::PathBuf;

use inquire::validator::{StringValidator, Validation};
use inquire::{Confirm, CustomUserError, InquireError, Password, PasswordDisplayMode, Select, Text};
use vandamme_actors::secret::ApiKey;

use super::answers::{Alias, ProviderAnswers, SetupAnswers, configured_value, needs_no_key};
use super::flags::is_name;
use super::key_check::{self, KeyCheck};
use super::{Context, SetupError, choices};
use crate::cli::print_to_stderr;
use crate::config::{self, Config, DEMO, variable_prefix};

/// An example of a base URL.
const EXAMPLE: &str = "https://llm.example/v1";
/// The names of Claude Code's models.
const CLAUDE: [&str; 4] = ["haiku", "sonnet", "opus", "fable"];

impl From<InquireError> for SetupError {
    fn from(error: InquireError) -> Self {
        match error {
            InquireError::OperationCanceled | InquireError::OperationInterrupted => Self::Cancelled,
            InquireError::NotTTY
            | InquireError::InvalidConfiguration(_)
            | InquireError::IO(_)
            | InquireError::Custom(_) => Self::Failed(format!("cannot read from the terminal: {error}")),
        }
    }
}

/// The answers, the results of the key checks, and the file to write.
pub(super) struct Interview {
    pub(super) answers: SetupAnswers,
    pub(super) checks: Vec<KeyCheck>,
    pub(super) file: Option<PathBuf>,
}

pub(super) fn run_interview(
    context: &Context,
    now: &Config,
    write: Option<PathBuf>,
) -> Result<Interview, SetupError> {
    let mut answers = SetupAnswers::default();
    let mut checks = Vec::new();
    for choice in choices::choose_providers(now)? {
        let provider = match choice.name {
            None => custom(context, now, &answers)?,
            Some(name) => listed(context, now, name)?,
        };
        answers.providers.push(provider);
        match with_key(context, now, &mut answers)? {
            Some(outcome) => checks.extend(outcome),
            None => drop(answers.providers.pop()),
        }
    }
    let config = context.with(&answers.settings())?;
    answers.default = default(&config)?;
    let owner =
        answers.default.clone().or_else(|| config.settings.default_provider.as_deref().map(str::to_owned));
    if let Some(owner) = owner {
        answers.aliases = aliases(&context.extended(&answers.settings()), &config, &owner, &checks)?;
    }
    answers.own_key = own_key(now)?;
    let file = match write {
        Some(file) => Some(file),
        None => Some(file(context)?),
    };
    Ok(Interview { answers, checks, file })
}

/// A provider of the list. The base URL is asked for if it is not built in, or is that of a user's own server.
fn listed(context: &Context, now: &Config, name: String) -> Result<ProviderAnswers, SetupError> {
    let configured = configured_value(now, &name, "base-url");
    let is_ready = now.settings.providers.iter().any(|provider| *provider.name == *name);
    if is_ready || (configured.is_some() && !needs_no_key(now, &name)) {
        return Ok(ProviderAnswers { name, keys: None, base_url: None, api_format: None });
    }
    let question = format!("Base URL of {name}:");
    loop {
        let question = Text::new(&question).with_validator(base_url_validator(now));
        let question = match configured {
            Some(url) => question.with_default(url),
            None if name == "azure" => {
                question.with_placeholder("https://RESOURCE.openai.azure.com/openai/v1")
            }
            None => question.with_placeholder(EXAMPLE),
        };
        let base_url = Some(question.prompt()?.trim().to_owned());
        let provider = ProviderAnswers { name: name.clone(), keys: None, base_url, api_format: None };
        if let Some(provider) = accepted(context, &SetupAnswers::default(), provider)? {
            return Ok(provider);
        }
    }
}

fn custom(context: &Context, now: &Config, answers: &SetupAnswers) -> Result<ProviderAnswers, SetupError> {
    let valid = |text: &str| {
        Ok(match text.to_lowercase().as_str() {
            name if !is_name(name) => {
                Validation::Invalid("a name can contain letters, digits, - and _".into())
            }
            DEMO => Validation::Invalid("demo is the embedded provider; choose another name".into()),
            _ => Validation::Valid,
        })
    };
    let name = Text::new("Its name:").with_validator(valid).prompt()?.to_lowercase().replace('-', "_");
    loop {
        let url = Text::new("Its base URL:").with_validator(base_url_validator(now));
        let url = url.with_placeholder(EXAMPLE).prompt()?;
        let question = Select::new("Which API does it serve?", vec!["openai", "responses", "anthropic"]);
        let help = "openai is Chat Completions, responses is OpenAI's newer API, anthropic is Messages";
        let format = question.with_help_message(help).prompt()?;
        let (base_url, api_format) = (Some(url.trim().to_owned()), Some(format.to_owned()));
        let provider = ProviderAnswers { name: name.clone(), keys: None, base_url, api_format };
        if let Some(provider) = accepted(context, answers, provider)? {
            return Ok(provider);
        }
    }
}

/// The provider, if the configuration is valid with it and a placeholder key. Otherwise prints the errors.
fn accepted(
    context: &Context,
    answers: &SetupAnswers,
    provider: ProviderAnswers,
) -> Result<Option<ProviderAnswers>, SetupError> {
    let with_key = ProviderAnswers { keys: Some(ApiKey::new("none-yet")), ..provider };
    let trial = SetupAnswers { providers: vec![with_key], ..SetupAnswers::default() };
    let mut settings = answers.settings();
    settings.extend(trial.settings());
    match context.with(&settings) {
        Ok(_) => {
            Ok(trial.providers.into_iter().next().map(|provider| ProviderAnswers { keys: None, ..provider }))
        }
        Err(SetupError::Config(errors)) => {
            let _ = crate::cli::report_errors(&errors);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// Refuses an invalid base URL before the next question.
fn base_url_validator(now: &Config) -> impl StringValidator + 'static {
    let (host, port) = (now.host.clone(), now.port);
    move |text: &str| {
        Ok(match config::check_base_url(text, &host, port) {
            Ok(()) => Validation::Valid,
            Err(advice) => Validation::Invalid(advice.into()),
        })
    }
}

/// Asks for the key of the last provider. `None` omits that provider.
fn with_key(
    context: &Context,
    now: &Config,
    answers: &mut SetupAnswers,
) -> Result<Option<Vec<KeyCheck>>, SetupError> {
    let Some(name) = answers.providers.last().map(|provider| provider.name.clone()) else { return Ok(None) };
    let has_one = now.settings.providers.iter().any(|provider| *provider.name == *name);
    let without = needs_no_key(now, &name);
    loop {
        let question = format!("Key of {name}:");
        let help = match (has_one, without) {
            (true, _) => "enter keeps the current key; vdm rotates several keys, separated by spaces",
            (false, true) => "enter for none: a local server needs no key",
            (false, false) => "vdm rotates several keys, separated by spaces; enter leaves this provider out",
        };
        let question = Password::new(&question).with_display_mode(PasswordDisplayMode::Masked);
        let question = question.with_validator(key_validator).without_confirmation();
        let key = question.with_help_message(help).prompt()?;
        if key.trim().is_empty() && (has_one || !without) {
            return Ok(has_one.then(Vec::new));
        }
        if let Some(provider) = answers.providers.last_mut() {
            provider.keys = Some(key.trim()).filter(|key| !key.is_empty()).map(ApiKey::new);
        }
        let config = match context.with(&answers.settings()) {
            Ok(config) => config,
            Err(SetupError::Config(errors)) => {
                let _ = crate::cli::report_errors(&errors);
                continue;
            }
            Err(other) => return Err(other),
        };
        if answers.to_try().all(|new| new != name) {
            return Ok(Some(vec![]));
        }
        print_to_stderr(format_args!("  asking {name} …\n"));
        let outcome = key_check::run(&config, &name);
        print_to_stderr(format_args!("  {outcome}\n"));
        if outcome.refusal().is_none() {
            return Ok(Some(vec![outcome]));
        }
        const AGAIN: &str = "type the key again";
        const OTHER_URL: &str = "type the base URL again";
        const ANYWAY: &str = "use it all the same";
        let provider = answers.providers.last_mut().filter(|provider| provider.base_url.is_some());
        let mut choices = vec![AGAIN, ANYWAY, "leave this provider out"];
        if provider.is_some() {
            choices.insert(1, OTHER_URL);
        }
        match Select::new("What now?", choices).prompt()? {
            AGAIN => {}
            OTHER_URL => {
                if let Some(provider) = provider {
                    provider.base_url = Some(base_url_again(now, provider.base_url.as_deref())?);
                }
            }
            ANYWAY => return Ok(Some(vec![outcome])),
            _ => return Ok(None),
        }
    }
}

fn base_url_again(now: &Config, before: Option<&str>) -> Result<String, SetupError> {
    let question = Text::new("Its base URL:").with_validator(base_url_validator(now));
    Ok(question.with_initial_value(before.unwrap_or_default()).prompt()?.trim().to_owned())
}

/// Refuses an invalid key, such as one in quotes.
fn key_validator(text: &str) -> Result<Validation, CustomUserError> {
    Ok(match config::check_key(text) {
        Ok(()) => Validation::Valid,
        Err(advice) => Validation::Invalid(advice.into()),
    })
}

/// The answer, if it changes the current value.
fn default(config: &Config) -> Result<Option<String>, SetupError> {
    let names: Vec<_> = config.settings.providers.iter().map(|provider| provider.name.to_string()).collect();
    let now = config.settings.default_provider.as_deref();
    if names.len() < 2 {
        return Ok(None);
    }
    let at = names.iter().position(|name| Some(name.as_str()) == now).unwrap_or(0);
    let question =
        Select::new("Which provider serves model names without a prefix?", names).with_starting_cursor(at);
    Ok(Some(question.prompt()?).filter(|name| Some(name.as_str()) != now))
}

fn aliases(
    context: &Context,
    config: &Config,
    owner: &str,
    checks: &[KeyCheck],
) -> Result<Vec<Alias>, SetupError> {
    let provider = config.settings.providers.iter().find(|provider| *provider.name == *owner);
    let Some(provider) = provider.filter(|provider| !provider.serves_claude) else { return Ok(vec![]) };
    let now = |name: &str| provider.aliases.get(name).map_or("", String::as_str);
    let shown: Vec<_> = CLAUDE.iter().map(|name| format!("{name} is {}", shown(now(name)))).collect();
    let question = "Change the models behind Claude Code's names?";
    let missing = CLAUDE.iter().any(|name| now(name).is_empty());
    if !Confirm::new(question).with_default(missing).with_help_message(&shown.join(", ")).prompt()? {
        return Ok(vec![]);
    }
    let known: Vec<String> =
        checks.iter().filter(|check| check.is_for(owner)).flat_map(|check| check.models.clone()).collect();
    let mut aliases = Vec::new();
    for name in CLAUDE {
        let known = known.clone();
        let suggest = move |typed: &str| {
            Ok(known.iter().filter(|model| model.contains(typed)).take(8).cloned().collect::<Vec<_>>())
        };
        let question = format!("{name}:");
        let question = Text::new(&question).with_initial_value(now(name)).with_autocomplete(suggest);
        let validator = alias_validator(context, owner, name);
        let model = question.with_validator(validator).prompt()?.trim().to_owned();
        if !model.is_empty() && model != now(name) {
            aliases.push(Alias { provider: owner.to_owned(), name: name.to_owned(), model });
        }
    }
    Ok(aliases)
}

/// Refuses a target that the configuration refuses, such as one of an unknown provider.
fn alias_validator(context: &Context, provider: &str, name: &str) -> impl StringValidator + 'static {
    let (context, provider, name) = (context.clone(), provider.to_owned(), name.to_owned());
    move |text: &str| {
        let (provider, name, model) = (provider.clone(), name.clone(), text.trim().to_owned());
        let alias = format!("{}_ALIAS_{}", variable_prefix(&provider), name.to_ascii_uppercase());
        // The answer has not been set as a variable yet.
        let place = format!("environment variable {alias}: ");
        let aliases = vec![Alias { provider, name, model }];
        let trial = SetupAnswers { aliases, ..SetupAnswers::default() };
        Ok(match context.with(&trial.settings()) {
            Err(SetupError::Config(errors)) if !text.trim().is_empty() => {
                let first = errors.first().map(ToString::to_string).unwrap_or_default();
                Validation::Invalid(first.strip_prefix(&place).unwrap_or(&first).into())
            }
            Ok(_) | Err(_) => Validation::Valid,
        })
    }
}

fn shown(model: &str) -> &str {
    if model.is_empty() { "nothing" } else { model }
}

fn own_key(now: &Config) -> Result<Option<ApiKey>, SetupError> {
    let help = match &now.proxy_api_key {
        Some(_) => "enter keeps the current key",
        None => "enter for none: then everybody who reaches the gateway can use it",
    };
    let valid = |text: &str| {
        Ok(match text.trim().contains(char::is_whitespace) {
            true => Validation::Invalid("one word, without blanks".into()),
            false => return key_validator(text),
        })
    };
    let question = Password::new("Gateway key for clients:");
    let question = question.with_display_mode(PasswordDisplayMode::Masked).with_validator(valid);
    // The number of stars does not show the length of the key.
    let question = question.with_formatter(&|text| if text.is_empty() { "-" } else { "********" }.to_owned());
    let key = question.without_confirmation().with_help_message(help).prompt()?;
    Ok(Some(key.trim()).filter(|key| !key.is_empty()).map(ApiKey::new))
}

fn file(context: &Context) -> Result<PathBuf, SetupError> {
    let everywhere = context.overrides.home.as_deref().map(crate::config::user_file);
    let mut files = vec![PathBuf::from(".env")];
    files.extend(everywhere);
    let shown: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let question = Select::new("Save where?", shown);
    let help = "vdm reads .env if it starts in this directory, and the other file always";
    let chosen = question.with_help_message(help).raw_prompt()?;
    Ok(files.swap_remove(chosen.index))
}
