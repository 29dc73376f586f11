//! The types of values. Each type turns the text of a file or variable into the form of the layers, or describes what it
//! expects. Only types that cannot hold a secret repeat the value in their error.

use config::ValueKind;

use super::base_url;
use super::client_access;
use super::fixups;
use super::headers;
use super::key_text::{self, KeyFinding};
use super::raw::Raw;

/// The type of a value. Sizes become bytes, durations become seconds with a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    Text,
    Host,
    Port,
    LogLevel,
    /// One secret word.
    Secret,
    /// Secret words between blanks, checked when the provider is built.
    Keys,
    Url,
    /// A link for people; vdm does not request it.
    Link,
    Format,
    Flag,
    /// Zero is allowed.
    Seconds,
    /// More than zero.
    Pause,
    /// The same, of a variable that counts in hours.
    Hours,
    Bytes,
    /// Bytes a second; zero is allowed.
    Rate,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Words in an array, or between blanks in one text. The layers carry them with line ends between.
    Words,
    /// Origins of web pages, as [`ValueType::Words`].
    Origins,
    /// Names in `Host` headers, as [`ValueType::Words`].
    Hosts,
    /// Texts in an array, or between commas in one text. The layers carry them with line ends between.
    Parts,
    /// One of these words, or a JSON object in quotes; the layers carry its members.
    WordOrObject(&'static [&'static str]),
    /// A whole number, this at least.
    Count(u32),
    /// A whole number from 1 to this.
    CountTo(u32),
    /// `drop-params`
    Params,
    /// `set-params`
    Settings,
    /// `limit-params`
    Bounds,
    /// `drop-betas`
    Betas,
}

/// The type of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyType {
    Value(ValueType),
    /// `[P.aliases]`
    Aliases,
    /// `["#NAME".aliases]`: each with a provider.
    Targets,
    /// `[P.fallbacks]`: lists of `provider:model` by name, or one such list for every name.
    Fallbacks,
    /// `[P.custom-headers]`
    Headers,
    /// `[prices]` and `[P.prices]`: tables of prices by model.
    Prices,
    /// `[routing]`: targets by role.
    Routing,
    /// `auth-mode`: `oauth` is refused if the provider is used.
    AuthMode,
}

/// The words of LOG_LEVEL, in the order of messages.
pub(super) const LOG_LEVELS: [&str; 5] = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

/// The words of `auth-mode` for a cloud's credentials.
pub(super) const AWS: &str = "aws";
pub(super) const GOOGLE: &str = "google";

/// The words of `api-format`: Chat Completions, Responses, Messages, and the forms of Messages in Amazon Bedrock and on
/// Google's Vertex AI.
pub(super) const FORMATS: [&str; 5] = ["openai", "responses", "anthropic", "bedrock", "vertex"];

/// The highest count.
const MOST: i64 = 1_000_000_000;

/// A year: longer than any request, short enough for every clock.
pub(super) const LONGEST: f64 = 365.0 * 86_400.0;

impl ValueType {
    /// Checks a value of a file.
    pub(super) fn check(self, raw: Raw<'_>) -> Result<ValueKind, String> {
        let checked = match self {
            Self::Text | Self::Link => raw.text().filter(|text| !text.trim().is_empty()).map(ValueKind::from),
            Self::Keys => raw.text().map(ValueKind::from),
            Self::Host => raw.text().and_then(host),
            Self::Port => raw.whole().filter(|port| (1..=65_535).contains(port)).map(ValueKind::from),
            Self::LogLevel => raw.text().and_then(log_level),
            Self::Secret => {
                return raw.text().ok_or_else(|| self.refusal(raw)).and_then(|text| self.secret(text));
            }
            Self::Format => {
                return raw.text().map_or_else(|| Err(self.refusal(raw)), |text| self.format(text));
            }
            Self::Flag => raw.truth().map(ValueKind::from),
            Self::Seconds => raw.number().filter(|n| (0.0..=LONGEST).contains(n)).map(ValueKind::from),
            Self::Pause => raw.number().filter(|n| *n >= 0.001 && *n <= LONGEST).map(ValueKind::from),
            Self::Hours => {
                let seconds = raw.number().map(|hours| hours * 3600.0);
                seconds.filter(|n| *n >= 0.001 && *n <= LONGEST).map(ValueKind::from)
            }
            Self::Bytes => raw.bytes().filter(|bytes| *bytes > 0).map(ValueKind::from),
            Self::Rate => raw.bytes().filter(|bytes| *bytes >= 0).map(ValueKind::from),
            Self::Count(least) => {
                raw.whole().filter(|n| (i64::from(least)..=MOST).contains(n)).map(ValueKind::from)
            }
            Self::CountTo(most) => {
                raw.whole().filter(|n| (1..=i64::from(most)).contains(n)).map(ValueKind::from)
            }
            Self::Params => return fixups::params(raw),
            Self::Settings => return fixups::values(raw),
            Self::Bounds => return fixups::bounds(raw),
            Self::Betas => return fixups::betas(raw),
            Self::OneOf(words) => raw.text().and_then(|text| one_of(words, text)),
            Self::Origins => return self.each(raw, client_access::origin),
            Self::Hosts => return self.each(raw, client_access::host_name),
            Self::Words => raw.words().map(|words| ValueKind::from(words.join("\n"))),
            Self::Parts => raw.parts().map(|parts| ValueKind::from(parts.join("\n"))),
            Self::WordOrObject(words) => {
                raw.text().and_then(|text| one_of(words, text).or_else(|| members(text)))
            }
            Self::Url => return raw.text().ok_or_else(|| self.refusal(raw)).and_then(url),
        };
        checked.ok_or_else(|| self.refusal(raw))
    }

    /// Checks the text of a variable.
    pub(super) fn check_variable(self, text: &str) -> Result<ValueKind, String> {
        let trimmed = text.trim();
        let raw = match self {
            Self::Port | Self::Count(_) | Self::CountTo(_) | Self::Seconds | Self::Pause | Self::Hours => {
                Raw::parse_number(trimmed).unwrap_or(Raw::Text(text))
            }
            Self::Flag => Raw::parse_truth(trimmed).unwrap_or(Raw::Text(text)),
            Self::Text
            | Self::Host
            | Self::LogLevel
            | Self::Secret
            | Self::Keys
            | Self::Url
            | Self::Link
            | Self::Format
            | Self::Params
            | Self::Settings
            | Self::Bounds
            | Self::Betas
            | Self::OneOf(_)
            | Self::Words
            | Self::Origins
            | Self::Hosts
            | Self::Parts
            | Self::WordOrObject(_)
            | Self::Bytes
            | Self::Rate => Raw::Text(trimmed),
        };
        self.check(raw)
    }

    /// The advice for a pasted key comes before the general rule.
    fn secret(self, text: &str) -> Result<ValueKind, String> {
        match key_text::inspect_gateway_key(text) {
            Some(KeyFinding::Invalid(advice)) if !text.trim().is_empty() => Err(advice.to_owned()),
            Some(_) | None => secret(text).ok_or_else(|| self.refusal(Raw::Text(text))),
        }
    }

    /// Words, each in the form that `check` gives it.
    fn each(self, raw: Raw<'_>, check: fn(&str) -> Result<String, String>) -> Result<ValueKind, String> {
        let words = raw.words().ok_or_else(|| self.refusal(raw))?;
        let checked: Result<Vec<_>, _> = words.into_iter().map(check).collect();
        Ok(ValueKind::from(checked?.join("\n")))
    }

    /// The word of an API. Its other names get a suggestion.
    fn format(self, text: &str) -> Result<ValueKind, String> {
        one_of(&FORMATS, text).ok_or_else(|| {
            let near = near_format(text).map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            self.refusal(Raw::Text(text)) + &near
        })
    }

    fn refusal(self, raw: Raw<'_>) -> String {
        let found = match raw {
            Raw::Text(text) if self.may_be_repeated() => format!(", found {:?}", shortened(text)),
            Raw::Text(_) => String::new(),
            Raw::Integer(n) => format!(", found {n}"),
            Raw::Float(n) => format!(", found {n}"),
            Raw::Boolean(truth) => format!(", found {truth}"),
            Raw::Array(_) => ", found an array".to_owned(),
            Raw::Other(what) => format!(", found {what}"),
        };
        format!("expected {}{found}", self.expected())
    }

    /// Whether an error may repeat the value. It may if the value is never a key.
    fn may_be_repeated(self) -> bool {
        matches!(self, Self::Host | Self::Port | Self::LogLevel | Self::Format | Self::Flag)
            || matches!(self, Self::OneOf(_) | Self::Rate)
            || matches!(self, Self::Seconds | Self::Pause | Self::Hours | Self::Bytes)
            || matches!(self, Self::Count(_) | Self::CountTo(_))
    }

    /// What a value of this type looks like.
    pub(super) fn expected(self) -> String {
        match self {
            Self::Text | Self::Link => "text in quotes, not empty".to_owned(),
            Self::Host => "a host name or an IP address, without scheme and port".to_owned(),
            Self::Port => "a port number from 1 to 65535".to_owned(),
            Self::LogLevel => format!("one of {}", LOG_LEVELS.join(", ")),
            Self::Secret => "one key of visible ASCII characters, without blanks".to_owned(),
            Self::Keys => "one or several keys in quotes, with blanks between them".to_owned(),
            Self::Url => "a URL in quotes".to_owned(),
            Self::Format => format!("one of {}", FORMATS.join(", ")),
            Self::Flag => "true or false".to_owned(),
            Self::Seconds => "a number of seconds, 0 or more and a year at most".to_owned(),
            Self::Pause => "a number of seconds, more than 0 and a year at most".to_owned(),
            Self::Hours => "a number of hours, more than 0 and a year at most".to_owned(),
            Self::Bytes => "a size above 0: a number of bytes, or text such as \"32MiB\"".to_owned(),
            Self::Rate => "a number of bytes a second, 0 or more, or text such as \"1KiB\"".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::Origins => "origins in an array: [\"https://chat.example.com\"]".to_owned(),
            Self::Hosts => "names in an array: [\"gateway.example\"]".to_owned(),
            Self::Words => "words in an array: [\"a\", \"b\"]".to_owned(),
            Self::Parts => "texts in an array: [\"a\", \"b\"]".to_owned(),
            // Their own checks describe more.
            Self::Params | Self::Settings | Self::Bounds | Self::Betas => "names in an array".to_owned(),
            Self::WordOrObject(words) => {
                format!("one of {}, or a JSON object in single quotes: '{{\"a\": 1}}'", words.join(", "))
            }
            Self::Count(least) => format!("a whole number from {least} to {MOST}"),
            Self::CountTo(most) => format!("a whole number from 1 to {most}"),
        }
    }
}

fn host(text: &str) -> Option<ValueKind> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<std::net::IpAddr>().is_ok();
    let name = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    (address || name).then(|| ValueKind::from(bare))
}

fn log_level(text: &str) -> Option<ValueKind> {
    LOG_LEVELS.iter().find(|level| level.eq_ignore_ascii_case(text)).map(|level| ValueKind::from(*level))
}

fn secret(text: &str) -> Option<ValueKind> {
    let text = text.trim();
    let visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    visible.then(|| ValueKind::from(text))
}

/// The value of `api-format` that is meant by another name of its API.
fn near_format(text: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 7] = [
        ("respons", "responses"),
        ("codex", "responses"),
        ("chat", "openai"),
        ("completion", "openai"),
        ("openai", "openai"),
        ("message", "anthropic"),
        ("claude", "anthropic"),
    ];
    let lower = text.to_ascii_lowercase();
    NAMES.iter().find(|(part, _)| lower.contains(part)).map(|(_, word)| *word)
}

fn one_of(words: &[&'static str], text: &str) -> Option<ValueKind> {
    words.iter().find(|word| word.eq_ignore_ascii_case(text)).map(|word| ValueKind::from(*word))
}

/// The text between the braces.
fn members(text: &str) -> Option<ValueKind> {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).ok()?;
    let members = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    (!members.is_empty()).then(|| ValueKind::from(members))
}

fn url(text: &str) -> Result<ValueKind, String> {
    base_url::check_with_placeholders(text).map(|()| ValueKind::from(text))
}

/// Checks one entry of `[P.custom-headers]`.
pub(super) fn header(name: &str, raw: Raw<'_>) -> Result<ValueKind, String> {
    let text = raw.text().ok_or("expected the header's value in quotes")?;
    headers::parse(name, text).map(|_| ValueKind::from(text))
}

/// Checks one entry of `[P.aliases]`.
pub(super) fn alias(_: &str, raw: Raw<'_>) -> Result<ValueKind, String> {
    ValueType::Text.check(raw)
}

/// Checks one entry of `["#NAME".aliases]`.
pub(super) fn target(_: &str, raw: Raw<'_>) -> Result<ValueKind, String> {
    let text = raw.text().map(str::trim).filter(|text| is_target(text));
    text.map(ValueKind::from).ok_or_else(|| "expected \"provider:model\"".to_owned())
}

/// Checks one list of fallbacks; the layers carry it with line ends between.
pub(super) fn fallbacks(raw: Raw<'_>) -> Result<ValueKind, String> {
    let targets = raw.words().filter(|words| words.iter().all(|word| is_target(word)));
    let text = targets.map(|targets| ValueKind::from(targets.join("\n")));
    text.ok_or_else(|| "expected a list of targets: [\"provider:model\", …]".to_owned())
}

fn is_target(text: &str) -> bool {
    let named = text.trim_start_matches('!').split_once(':');
    named.is_some_and(|(provider, model)| !provider.is_empty() && !model.is_empty())
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
