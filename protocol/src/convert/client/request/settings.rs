//! Limits and samplers.

use serde_json::value::RawValue;

use crate::{convert::Dropped, fault::RequestError, json::Write};

/// A limit on the length of the reply, from the member `field`.
pub(crate) fn token_limit(field: &str, raw: &RawValue) -> Result<u64, RequestError> {
    match raw.get().parse::<u64>() {
        Ok(0) => Err(RequestError::new(format!("{field}: must be at least 1"))),
        Ok(tokens) => Ok(tokens),
        Err(_) if raw.get().starts_with('-') => {
            Err(RequestError::new(format!("{field}: must be at least 1")))
        }
        Err(_) => Err(RequestError::new(format!("{field}: must be an integer"))),
    }
}

/// The client's samplers.
pub(crate) struct Sampling<'a> {
    pub(crate) temperature: Option<&'a RawValue>,
    pub(crate) top_p: Option<&'a RawValue>,
    pub(crate) top_k: Option<&'a RawValue>,
}

impl Sampling<'_> {
    /// Appends them, and names in `dropped` what is lost. Anthropic's models refuse two samplers at once, so `top_p` steps back.
    pub(crate) fn write(&self, dropped: &mut Dropped, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let temperature = self.temperature.map(|raw| number("temperature", raw)).transpose()?;
        match (temperature, self.top_p) {
            // OpenAI's scale ends at 2.
            (Some(temperature), _) if temperature > 1.0 => {
                dropped.note("temperature (sent as 1)");
                out.put(b",\"temperature\":1");
            }
            (Some(_), _) => raw_member(b",\"temperature\":", self.temperature, out),
            (None, Some(top_p)) => {
                number("top_p", top_p)?;
                raw_member(b",\"top_p\":", self.top_p, out);
            }
            (None, None) => {}
        }
        if temperature.is_some() && self.top_p.is_some_and(changes_something) {
            dropped.note("top_p");
        }
        if let Some(top_k) = self.top_k {
            number("top_k", top_k)?;
            raw_member(b",\"top_k\":", self.top_k, out);
        }
        Ok(())
    }

    /// Names in `dropped` those that a model does not accept, or not while it thinks.
    pub(crate) fn leave_out(&self, dropped: &mut Dropped) {
        let with_default = [("temperature", self.temperature), ("top_p", self.top_p)];
        let changed = with_default.into_iter().filter(|(_, value)| value.is_some_and(changes_something));
        changed.for_each(|(name, _)| dropped.note(name));
        if self.top_k.is_some() {
            dropped.note("top_k");
        }
    }
}

/// Whether the value differs from 1, the default of `temperature` and `top_p`.
fn changes_something(value: &RawValue) -> bool {
    value.get().parse() != Ok(1.0)
}

/// The number in the member `field`.
pub(crate) fn number(field: &str, raw: &RawValue) -> Result<f64, RequestError> {
    let is_number = raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let number = raw.get().parse().ok().filter(|_| is_number);
    number.ok_or_else(|| RequestError::new(format!("{field}: must be a number")))
}

fn raw_member(name: &[u8], value: Option<&RawValue>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.put(name);
        out.raw(value.get());
    }
}
