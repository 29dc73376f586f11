//! The limits. Each is declared once, in `limits/declared.rs`: key, type, default, variable, field of the settings, and
//! documentation. The parser, `config show` and `config env` read them; the built-in file, the sample file and
//! docs/limits.md are generated from them, and a test compares the text.

mod declared;

use std::time::Duration;

use vandamme_actors::settings::Limits;

use super::layer::Section;
use super::schema::Variable;
use super::value_type::KeyType;
use super::value_type::ValueType;

pub(super) use self::declared::LIMITS;

/// One limit.
pub(super) struct Limit {
    pub(super) key: &'static str,
    pub(super) value_type: ValueType,
    /// As in a TOML file.
    pub(super) default: &'static str,
    /// One or several sentences.
    pub(super) doc: &'static str,
    /// The variable that overrides the files.
    pub(super) variable: Option<Variable>,
    set: fn(&mut Limits, Number),
}

/// A merged value.
#[derive(Clone, Copy, Debug)]
enum Number {
    Integer(i64),
    Seconds(f64),
}

/// The number of limits.
const COUNT: usize = 41;

/// The keys of `[limits]` for the parser.
pub(super) static KEYS: [(&str, KeyType); COUNT] = keys();

const fn keys() -> [(&'static str, KeyType); COUNT] {
    let mut keys = [("", KeyType::Later); COUNT];
    let mut at = 0;
    while at < COUNT {
        keys[at] = (LIMITS[at].key, KeyType::Value(LIMITS[at].value_type));
        at += 1;
    }
    keys
}

/// The variables that override limits of the files.
pub(super) fn variables() -> impl Iterator<Item = &'static Variable> {
    LIMITS.iter().filter_map(|limit| limit.variable.as_ref())
}

/// The merged limits, or the key that is missing.
pub(super) fn build(section: Section<'_>) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for limit in &LIMITS {
        let seconds = || section.seconds(limit.key).map(Number::Seconds);
        let number = section.count(limit.key).map(Number::Integer).or_else(seconds);
        let number = number.ok_or_else(|| format!("the key {} is missing", limit.key))?;
        (limit.set)(&mut limits, number);
    }
    Ok(limits)
}

impl Number {
    fn size(self) -> usize {
        usize::try_from(self.rate()).unwrap_or(usize::MAX)
    }

    fn rate(self) -> u64 {
        match self {
            Self::Integer(n) => u64::try_from(n).unwrap_or_default(),
            Self::Seconds(_) => 0,
        }
    }

    fn duration(self) -> Duration {
        match self {
            Self::Integer(n) => Duration::from_secs(u64::try_from(n).unwrap_or_default()),
            Self::Seconds(seconds) => Duration::from_secs_f64(seconds),
        }
    }

    /// Zero means "no limit".
    fn unless_zero(self) -> Option<Duration> {
        Some(self.duration()).filter(|duration| !duration.is_zero())
    }
}
