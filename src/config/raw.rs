//! A value of a file or a variable before its check.

use toml_edit::{Array, Value};

/// A value before the check. It may be a key, so it has no `Debug`.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    Text(&'a str),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Array(&'a Array),
    Other(&'static str),
}

impl<'a> Raw<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::String(text) => Raw::Text(text.value()),
            Value::Integer(n) => Raw::Integer(*n.value()),
            Value::Float(n) => Raw::Float(*n.value()),
            Value::Boolean(truth) => Raw::Boolean(*truth.value()),
            Value::Datetime(_) => Raw::Other("a date"),
            Value::Array(array) => Raw::Array(array),
            Value::InlineTable(_) => Raw::Other("a table"),
        }
    }

    pub(super) fn text(self) -> Option<&'a str> {
        if let Raw::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn whole(self) -> Option<i64> {
        if let Raw::Integer(n) = self { Some(n) } else { None }
    }

    pub(super) fn truth(self) -> Option<bool> {
        if let Raw::Boolean(truth) = self { Some(truth) } else { None }
    }

    pub(super) fn number(self) -> Option<f64> {
        match self {
            // At most 10 digits matter here; the range is checked by the caller.
            Raw::Integer(n) => Some(n as f64),
            Raw::Float(n) => Some(n),
            Raw::Text(_) | Raw::Boolean(_) | Raw::Array(_) | Raw::Other(_) => None,
        }
    }

    pub(super) fn words(self) -> Option<Vec<&'a str>> {
        match self {
            Raw::Text(text) => Some(text.split_whitespace().collect()),
            Raw::Array(array) => {
                let word = |value: &'a Value| value.as_str().map(str::trim).filter(|word| !word.is_empty());
                array.iter().map(word).collect()
            }
            Raw::Integer(_) | Raw::Float(_) | Raw::Boolean(_) | Raw::Other(_) => None,
        }
    }

    pub(super) fn parts(self) -> Option<Vec<&'a str>> {
        let parts = match self {
            Raw::Text(text) => text.split(',').collect(),
            Raw::Array(array) => array.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?,
            Raw::Integer(_) | Raw::Float(_) | Raw::Boolean(_) | Raw::Other(_) => {
                return None;
            }
        };
        Some(parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect())
    }

    pub(super) fn bytes(self) -> Option<i64> {
        match self {
            Raw::Integer(n) => Some(n),
            Raw::Text(text) => size(text),
            Raw::Float(_) | Raw::Boolean(_) | Raw::Array(_) | Raw::Other(_) => None,
        }
    }
}

impl Raw<'static> {
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
