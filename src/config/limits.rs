//! The limits. Each is declared once, in `limits/declared.rs`: its setting and its field in the settings of the actors.
//! docs/limits.md and the documentation of the fields are generated from them, and a test compares the text.

mod declared;

use std::time::Duration;

use vandamme_actors::settings::Limits;

use super::layer::Section;
use super::setting::SettingDeclaration;
use super::value_type::KeyType;

pub(super) use self::declared::LIMITS;

/// One limit.
pub(super) struct LimitDeclaration {
    pub(super) setting: SettingDeclaration,
    /// The field of [`Limits`], for the test that generates its documentation.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the generated documentation"))]
    pub(super) field: &'static str,
    set: fn(&mut Limits, LimitValue),
}

/// A merged value.
#[derive(Clone, Copy, Debug)]
enum LimitValue {
    Integer(i64),
    Seconds(f64),
}

/// The number of limits.
const COUNT: usize = 47;

/// The declarations as a table of settings.
pub(super) static SETTINGS: [SettingDeclaration; COUNT] = settings();

const fn settings() -> [SettingDeclaration; COUNT] {
    let mut settings = [SettingDeclaration::new("", KeyType::AuthMode, ""); COUNT];
    let mut at = 0;
    while at < COUNT {
        settings[at] = LIMITS[at].setting;
        at += 1;
    }
    settings
}

/// The merged limits, or the key that is missing.
pub(super) fn build(section: Section<'_>) -> Result<Limits, String> {
    let mut limits = Limits::default();
    for limit in &LIMITS {
        let key = limit.setting.key;
        let seconds = || section.seconds(key).map(LimitValue::Seconds);
        let number = section.count(key).map(LimitValue::Integer).or_else(seconds);
        let number = number.ok_or_else(|| format!("the key {key} is missing"))?;
        (limit.set)(&mut limits, number);
    }
    Ok(limits)
}

impl LimitValue {
    fn size(self) -> usize {
        usize::try_from(self.rate()).unwrap_or(usize::MAX)
    }

    /// Zero means "no limit".
    fn size_unless_zero(self) -> Option<usize> {
        Some(self.size()).filter(|size| *size > 0)
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
