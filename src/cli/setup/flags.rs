//! Setup without questions: answers by flags, keys by the environment or a file. Other users can see a command line, so keys are
//! never given there.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use vandamme_actors::secret::ApiKey;

use super::answers::{Alias, ProviderAnswers, SetupAnswers, configured_value, needs_no_key};
use super::{Setup, SetupError};
use crate::config::{self, Config, variable_prefix};

/// The largest file of keys, in bytes.
const LARGEST: u64 = 1 << 20;

pub(super) fn answers(setup: &Setup, now: &Config) -> Result<SetupAnswers, SetupError> {
    let keys = setup.keys.as_deref().map(keys).transpose()?.unwrap_or_default();
    let mut answers = SetupAnswers { default: setup.default.clone(), ..SetupAnswers::default() };
    for name in &setup.provider {
        answers.providers.push(provider(name, &keys, now)?);
    }
    for text in &setup.base_url {
        let (name, url) = pair(text, "--base-url", "NAME=URL")?;
        provider_of(&mut answers, name)?.base_url = Some(url.to_owned());
    }
    for text in &setup.api_format {
        let (name, format) = pair(text, "--api-format", "NAME=FORMAT")?;
        provider_of(&mut answers, name)?.api_format = Some(format.to_owned());
    }
    for text in &setup.alias {
        let shape = "PROVIDER:ALIAS=MODEL";
        let (name, model) = pair(text, "--alias", shape)?;
        let (provider, alias) = name.split_once(':').ok_or_else(|| misshapen("--alias", shape, text))?;
        if !is_name(alias) {
            return Err(SetupError::Usage(format!(
                "--alias: a name can contain letters, digits, - and _: {alias:?}"
            )));
        }
        let (provider, name, model) = (provider.to_lowercase(), alias.to_owned(), model.to_owned());
        answers.aliases.push(Alias { provider, name, model });
    }
    answers.own_key = keys.get("PROXY_API_KEY").map(|key| ApiKey::new(key.as_str()));
    Ok(answers)
}

fn provider(
    name: &str,
    keys: &BTreeMap<String, String>,
    now: &Config,
) -> Result<ProviderAnswers, SetupError> {
    let name = name.to_lowercase();
    if !is_name(&name) {
        return Err(SetupError::Usage(format!(
            "--provider: a name can contain letters, digits, - and _: {name:?}"
        )));
    }
    let variable = format!("{}_API_KEY", variable_prefix(&name));
    let environment = std::env::var(&variable).ok();
    let key = keys.get(&variable).cloned().or(environment).filter(|key| !key.trim().is_empty());
    let is_new = key.is_none() && !now.settings.providers.iter().any(|provider| *provider.name == *name);
    if is_new && needs_no_key(now, &name) {
        // Its base URL registers it.
        let base_url = configured_value(now, &name, "base-url").map(str::to_owned);
        return Ok(ProviderAnswers { name, keys: None, base_url, api_format: None });
    }
    if is_new {
        let settings = &now.settings;
        let mut known: Vec<_> = settings.providers.iter().map(|provider| &*provider.name).collect();
        known.extend(settings.keyless.iter().chain(&settings.partial).map(|provider| provider.name.as_str()));
        let near =
            config::near_provider(&name, known.iter().copied()).filter(|_| !known.contains(&name.as_str()));
        let near = near.map_or_else(String::new, |near| format!("; did you mean --provider {near}?"));
        let text = format!("there is no key for {name}: set {variable}, or pass it with --keys{near}");
        return Err(SetupError::Usage(text));
    }
    Ok(ProviderAnswers { name, keys: key.map(ApiKey::new), base_url: None, api_format: None })
}

fn provider_of<'a>(answers: &'a mut SetupAnswers, name: &str) -> Result<&'a mut ProviderAnswers, SetupError> {
    let name = name.to_lowercase();
    let found = answers.providers.iter_mut().find(|provider| provider.name == name);
    found
        .ok_or_else(|| SetupError::Usage(format!("{name} is not among the providers; add --provider {name}")))
}

fn pair<'a>(text: &'a str, flag: &str, shape: &str) -> Result<(&'a str, &'a str), SetupError> {
    let pair = text.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
    pair.filter(|(name, value)| !name.is_empty() && !value.is_empty())
        .ok_or_else(|| misshapen(flag, shape, text))
}

fn misshapen(flag: &str, shape: &str, text: &str) -> SetupError {
    SetupError::Usage(format!("{flag} takes {shape}, not {text:?}"))
}

pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn keys(path: &Path) -> Result<BTreeMap<String, String>, SetupError> {
    let (name, mut text) = (path.display().to_string(), String::new());
    let (name, read) = if name == "-" {
        ("stdin", std::io::stdin().take(LARGEST).read_to_string(&mut text))
    } else {
        let read = std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text));
        (name.as_str(), read)
    };
    read.map_err(|error| SetupError::Failed(format!("cannot read keys from {name}: {error}")))?;
    // The invalid text may be a key and is not repeated.
    let lines: Result<_, _> = dotenvy::from_read_iter(text.as_bytes()).collect();
    lines.map_err(|_| {
        let shape = "lines such as OPENAI_API_KEY=…, several keys in quotes, separated by spaces";
        SetupError::Failed(format!("keys from {name}: expected {shape}"))
    })
}
