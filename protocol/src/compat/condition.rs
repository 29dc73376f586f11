//! What a request must contain for an edit to apply.

use std::fmt;

use super::refused;

/// What a request must contain for an edit to apply.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    pub(super) path: Box<str>,
    pub(super) value: Option<Box<str>>,
    /// Another one that must hold, too.
    pub(super) and: Option<Box<Self>>,
}

impl Condition {
    pub(super) fn new(path: &str, value: Option<String>) -> Self {
        Self { path: path.into(), value: value.map(Into::into), and: None }
    }

    /// Whether it stands for the value that the refused request has there.
    pub(super) fn is_open(&self, path: &str) -> bool {
        *self.path == *path && self.value.is_none()
    }

    /// That a request has the same value there as this one, and thinks as this one does: some vendors allow one value with
    /// thinking and another without.
    pub(super) fn of_request(path: &str, body: &[u8]) -> Self {
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
