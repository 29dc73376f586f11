//! The condition under which a fixup applies.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::refused;

/// What a request must contain for a fixup to apply.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Condition {
    pub(super) path: Box<str>,
    pub(super) value: Option<Box<str>>,
    /// Another condition that must hold as well.
    pub(super) and: Option<Box<Self>>,
}

impl Condition {
    pub(super) fn new(path: &str, value: Option<String>) -> Self {
        Self { path: path.into(), value: value.map(Into::into), and: None }
    }

    /// Whether the condition still needs the value of the refused request.
    pub(super) fn lacks_value(&self, path: &str) -> bool {
        *self.path == *path && self.value.is_none()
    }

    /// Requires the same value as this request has, and the same thinking mode: some vendors allow a value with
    /// thinking only, or without thinking only.
    pub(super) fn from_request(path: &str, body: &[u8]) -> Self {
        const THINKING: &str = "thinking.type";
        let thinking = refused::value(body, THINKING).filter(|_| path != THINKING);
        let and = thinking.map(|value| Box::new(Self::new(THINKING, Some(value))));
        Self { and, ..Self::new(path, refused::value(body, path)) }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(value) = &self.value {
            write!(f, "={value}")?;
        }
        match &self.and {
            Some(and) => write!(f, "&{and}"),
            None => Ok(()),
        }
    }
}
