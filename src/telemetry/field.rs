//! The value of a record's key-value.

use log::kv::{Error, Value, VisitValue};

/// The longest text, in bytes, because lines wait in memory for a slow reader.
pub(super) const LONGEST: usize = 8 << 10;

#[derive(Debug, PartialEq)]
pub(super) enum Field {
    /// There is none: `None`, or an empty text.
    Absent,
    Text(String),
    Whole(i64),
    Number(f64),
    Flag(bool),
}

impl Field {
    pub(super) fn new(value: &Value<'_>) -> Self {
        let mut field = Reader(Self::Absent);
        // The reader refuses nothing.
        let _ = value.visit(&mut field);
        match field.0 {
            Self::Text(text) if text.is_empty() => Self::Absent,
            Self::Text(text) => Self::Text(cut(&text).to_owned()),
            field @ (Self::Absent | Self::Whole(_) | Self::Number(_) | Self::Flag(_)) => field,
        }
    }

    /// As a field of the journal, which has texts only.
    pub(super) fn text(self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Text(text) => Some(text),
            Self::Whole(number) => Some(number.to_string()),
            Self::Number(number) => Some(number.to_string()),
            Self::Flag(flag) => Some(flag.to_string()),
        }
    }
}

struct Reader(Field);

impl<'v> VisitValue<'v> for Reader {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        self.0 = Field::Text(value.to_string());
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        self.0 = Field::Absent;
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.0 = i64::try_from(value).map_or_else(|_| Field::Text(value.to_string()), Field::Whole);
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.0 = Field::Whole(value);
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        self.0 = Field::Number(value);
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.0 = Field::Flag(value);
        Ok(())
    }
}

/// A text up to the bound.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
