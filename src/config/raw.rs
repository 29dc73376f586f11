//! A value of a file or a variable before its check.

use toml_edit::{Array, Value};

/// A value before the check. It may be a key, so it has no `Debug`.
#[derive(Clone, Copy)]
pub(super) enum UncheckedValue<'a> {
    Text(&'a str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Array(&'a Array),
    Other(&'static str),
}

impl<'a> UncheckedValue<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::String(text) => UncheckedValue::Text(text.value()),
            Value::Integer(n) => UncheckedValue::Integer(*n.value()),
            Value::Float(n) => UncheckedValue::Float(*n.value()),
            Value::Boolean(truth) => UncheckedValue::Boolean(*truth.value()),
            Value::Datetime(_) => UncheckedValue::Other("a date"),
            Value::Array(array) => UncheckedValue::Array(array),
            Value::InlineTable(_) => UncheckedValue::Other("a table"),
        }
    }

    pub(super) fn text(self) -> Option<&'a str> {
        if let UncheckedValue::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn whole(self) -> Option<i64> {
        if let UncheckedValue::Integer(n) = self { Some(n) } else { None }
    }

    pub(super) fn truth(self) -> Option<bool> {
        if let UncheckedValue::Boolean(truth) = self { Some(truth) } else { None }
    }

    pub(super) fn number(self) -> Option<f64> {
        match self {
            // At most 10 digits matter here; the range is checked by the caller.
            UncheckedValue::Integer(n) => Some(n as f64),
            UncheckedValue::Float(n) => Some(n),
            UncheckedValue::Text(_)
            | UncheckedValue::Boolean(_)
            | UncheckedValue::Array(_)
            | UncheckedValue::Other(_) => None,
        }
    }

    pub(super) fn words(self) -> Option<Vec<&'a str>> {
        match self {
            UncheckedValue::Text(text) => Some(text.split_whitespace().collect()),
            UncheckedValue::Array(array) => {
                let word = |value: &'a Value| value.as_str().map(str::trim).filter(|word| !word.is_empty());
                array.iter().map(word).collect()
            }
            UncheckedValue::Integer(_)
            | UncheckedValue::Float(_)
            | UncheckedValue::Boolean(_)
            | UncheckedValue::Other(_) => None,
        }
    }

    pub(super) fn parts(self) -> Option<Vec<&'a str>> {
        let parts = match self {
            UncheckedValue::Text(text) => text.split(',').collect(),
            UncheckedValue::Array(array) => array.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?,
            UncheckedValue::Integer(_)
            | UncheckedValue::Float(_)
            | UncheckedValue::Boolean(_)
            | UncheckedValue::Other(_) => return None,
        };
        Some(parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect())
    }

    pub(super) fn bytes(self) -> Option<i64> {
        match self {
            UncheckedValue::Integer(n) => Some(n),
            UncheckedValue::Text(text) => size(text),
            UncheckedValue::Float(_)
            | UncheckedValue::Boolean(_)
            | UncheckedValue::Array(_)
            | UncheckedValue::Other(_) => None,
        }
    }
}

impl UncheckedValue<'static> {
    /// A number that a variable has as text.
    pub(super) fn parse_number(text: &str) -> Option<Self> {
        let whole = text.parse().ok().map(Self::Integer);
        whole.or_else(|| text.parse().ok().map(Self::Float))
    }

    /// A truth that a variable has as text.
    pub(super) fn parse_truth(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(Self::Boolean(true)),
            "false" | "0" | "no" | "off" => Some(Self::Boolean(false)),
            _ => None,
        }
    }
}

fn size(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let factor: i64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    count.parse::<i64>().ok()?.checked_mul(factor)
}
