//! Limits and samplers.

use serde_json::value::RawValue;

use crate::{fault::RequestError, json::Write};

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
    /// Appends them. Anthropic's models refuse two samplers at once, so `top_p` steps back.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let temperature = self.temperature.map(|raw| number("temperature", raw)).transpose()?;
        match (temperature, self.top_p) {
            // OpenAI's scale ends at 2.
            (Some(temperature), _) if temperature > 1.0 => out.put(b",\"temperature\":1"),
            (Some(_), _) => raw_member(b",\"temperature\":", self.temperature, out),
            (None, Some(top_p)) => {
                number("top_p", top_p)?;
                raw_member(b",\"top_p\":", self.top_p, out);
            }
            (None, None) => {}
        }
        if let Some(top_k) = self.top_k {
            number("top_k", top_k)?;
            raw_member(b",\"top_k\":", self.top_k, out);
        }
        Ok(())
    }
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
