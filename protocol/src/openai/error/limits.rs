//! Extracts what an error reply reports beyond its status: missing credit, a request that is too large, a rejected key,
//! a wait.
//!
//! These facts affect state that all clients share, so a text that one client can influence must not decide them. A
//! client chooses the name of its model, and upstreams repeat it in their messages. Therefore the vendor's own `type`,
//! `code` and `status` take precedence. A message counts only if its beginning has the shape of such an error, after
//! the model's name and all quotations are removed, and only under a status that such an error can have.

mod codes;
mod vocabulary;
mod wait;
mod wording;

use serde_json::Value;

use self::codes::Codes;
use self::wording::LimitWording;
use super::{ErrorContents, GENERIC_MESSAGE};

/// The shortest wait, in seconds, with which a text about quota refers to a plan instead of a limit per minute.
const LONG: f64 = 300.0;
/// The largest body of an error report, in bytes. For a larger one, only the status counts.
const LARGEST: usize = 1 << 20;

/// What an error reply reports beyond its status, based on its `type`, `code` and anchored wordings only.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ErrorFacts {
    /// No credit or quota is left, or the plan is used up: waiting for seconds does not help. Never set together with
    /// `too_large`. Google's `RESOURCE_EXHAUSTED` does not set it: its "you exceeded your current quota" is also the
    /// text of limits per minute (ai.google.dev/gemini-api/docs/rate-limits).
    pub out_of_credit: bool,
    /// The request itself exceeds the limit; a smaller request would succeed. True for every 413, for an OpenAI 429
    /// that requests more tokens than its limit, and for an OpenRouter 402 with "can only afford".
    pub too_large: bool,
    /// `type` or `code` reports a limit of the whole account or organisation.
    pub account_wide: bool,
    /// A 400, 401 or 403 names the key or its permissions as the reason: by `type` or `code`, or by the beginning of
    /// the message (xAI has no code for it). False for a 401 without any such word, for moderation of one prompt
    /// (openrouter.ai/docs/api/reference/errors-and-debugging), for an unsupported country, and for a firewall's page.
    pub names_key: bool,
    /// `type` or `code` reports that the upstream is overloaded, regardless of the status.
    pub overloaded: bool,
    /// The wait that the body requests, in seconds, not negative: `google.rpc.RetryInfo`, `retry_after` beside the
    /// message, OpenRouter's copy of a provider's `Retry-After`, or "try again in 1m30s" in the message.
    pub wait: Option<f64>,
    /// When the limit resets, in milliseconds since 1970: OpenRouter's `error.metadata.headers["X-RateLimit-Reset"]`
    /// (openrouter.ai/docs/api/reference/limits), or `resets_at` of `ChatGPT` plans, which is in seconds there.
    pub resets_at_ms: Option<u64>,
}

/// Reads an error reply of any vendor. `model` is the model's name as the client or the gateway sent it; the reply can
/// repeat it with or without its prefixes. A 404 is about the model or the path: only `overloaded` is read from its
/// body. For an error inside a reply of status 200, `status` is the status of its code. The work is linear in the size
/// of the body; a body larger than 1 MiB is not read.
#[must_use]
pub fn facts(status: u16, body: &[u8], model: &str) -> ErrorFacts {
    let evidence = LimitEvidence::read(body, model);
    let LimitEvidence { codes, wording, .. } = &evidence;
    let overloaded = codes.name_overload();
    if status == 404 {
        return ErrorFacts { overloaded, ..ErrorFacts::default() };
    }
    let sized = status == 413
        || codes.name_size()
        || (matches!(status, 402 | 429) && (wording.begins_too_large() || wording.requests_too_much()));
    let broke = status == 402
        || codes.name_lack_of_credit()
        || (matches!(status, 400 | 401 | 403 | 412 | 429) && evidence.wording_lacks_credit());
    let out_of_credit = broke && !sized;
    let key = match status {
        400 => codes.name_key() || wording.begins_with_key(),
        401 | 403 => codes.name_key() || codes.name_permission() || wording.begins_with_key(),
        _ => false,
    };
    let spoken = || wording.wait().filter(|_| matches!(status, 402 | 408 | 409 | 425 | 429 | 500..=599));
    ErrorFacts {
        out_of_credit,
        too_large: sized,
        account_wide: codes.name_account(),
        names_key: key && !out_of_credit && !evidence.moderated && !codes.name_content_or_country(),
        overloaded,
        wait: evidence.wait.or_else(spoken),
        resets_at_ms: evidence.resets_at_ms,
    }
}

/// The parts of a body that count as evidence.
#[derive(Default)]
struct LimitEvidence {
    codes: Codes,
    wording: LimitWording,
    /// `OpenRouter` refuses the prompt, not the key.
    moderated: bool,
    wait: Option<f64>,
    resets_at_ms: Option<u64>,
}

impl LimitEvidence {
    fn read(body: &[u8], model: &str) -> Self {
        if body.len() > LARGEST {
            return Self::default();
        }
        if let Ok(value) = serde_json::from_slice::<Value>(body) {
            return Self::parse(&value, model);
        }
        // The title of a page comes from a firewall or a proxy, not from the API.
        let is_page = body.trim_ascii_start().starts_with(b"<");
        let message = ErrorContents::read(body).message.filter(|_| !is_page).unwrap_or_default();
        Self { wording: LimitWording::new(&message, model), ..Self::default() }
    }

    fn parse(value: &Value, model: &str) -> Self {
        let value = value.get(0).unwrap_or(value);
        let inner = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
        let report = ErrorContents::parse(value);
        let metadata = inner.get("metadata");
        let mut codes = Codes::default();
        codes.read(value, inner);
        if let Some(reply) = metadata.and_then(|metadata| provider_reply(inner, metadata)) {
            codes.read(&reply, reply.get("error").filter(|error| !error.is_null()).unwrap_or(&reply));
        }
        let headers = metadata.and_then(|metadata| metadata.get("headers"));
        let has =
            |field: &str| metadata.and_then(|metadata| metadata.get(field)).is_some_and(|it| !it.is_null());
        Self {
            codes,
            wording: LimitWording::new(&report.message.unwrap_or_default(), model),
            moderated: has("reasons") || has("flagged_input"),
            wait: wait::in_fields(value, inner, headers),
            resets_at_ms: wait::reset_in_fields(inner, headers),
        }
    }

    /// A lack of quota alone can be a limit per minute.
    fn wording_lacks_credit(&self) -> bool {
        self.wording.begins_out_of_credit()
            || (self.wording.begins_out_of_quota()
                && !self.codes.are_google_limit()
                && !self.wording.names_a_rate()
                && self.wording.wait().is_none_or(|seconds| seconds >= LONG))
    }
}

/// Returns the reply of the provider behind `OpenRouter`, if it is JSON and `OpenRouter` adds no message of its own.
fn provider_reply(inner: &Value, metadata: &Value) -> Option<Value> {
    if inner.get("message").and_then(Value::as_str) != Some(GENERIC_MESSAGE) {
        return None;
    }
    let raw = metadata.get("raw")?;
    let value = match raw.as_str() {
        Some(text) => serde_json::from_str(text).ok()?,
        None => raw.clone(),
    };
    Some(value.get(0).cloned().unwrap_or(value))
}

#[cfg(test)]
mod tests;
