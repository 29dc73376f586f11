//! What of a prompt is to be cached: Anthropic's `cache_control` marks, as the upstream takes them.
//!
//! OpenAI caches by itself. From GPT-5.6 on it takes `prompt_cache_breakpoint` on content parts, four in a request, and for
//! all models a `prompt_cache_key` that brings requests of one session together (openai 3.57.0 on PyPI, types/chat).

use std::cell::Cell;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::ChatUpstream;
use crate::{
    anthropic::request::MessagesRequestBody,
    convert::upstream::chat::{Dialect, reasoning::version},
    json::{JsonWord, Literal, Write},
};

/// OpenAI writes no more in one request.
const MOST_BREAKPOINTS: u8 = 4;
/// The longest key that is sent as it is.
const LONGEST_KEY: usize = 64;
/// What Claude Code puts before the session in `metadata.user_id`.
const MARK: &str = "_session_";

/// What a content part carries of a `cache_control`.
#[derive(Clone, Copy)]
pub(super) enum Mark<'a> {
    CacheControl(&'a RawValue),
    Breakpoint { is_long: bool },
}

impl Mark<'_> {
    /// Appends the member, a comma before it.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::CacheControl(control) => {
                out.put(b",\"cache_control\":");
                out.raw(control.get());
            }
            // Without a time it is half an hour; one that was to last for an hour gets the next longer.
            Self::Breakpoint { is_long: true } => {
                out.put(b",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\",\"ttl\":\"12h\"}");
            }
            Self::Breakpoint { is_long: false } => {
                out.put(b",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\"}");
            }
        }
    }
}

/// How the marks of one request reach its upstream.
pub(super) struct CacheMarks {
    passing: Passing,
    left: Cell<u8>,
}

/// How an upstream gets the marks.
enum Passing {
    Dropped,
    Unchanged,
    Breakpoints,
}

#[derive(Deserialize)]
struct CacheControl<'a> {
    #[serde(borrow)]
    ttl: Option<JsonWord<'a>>,
}

impl CacheMarks {
    pub(super) fn new(target: &ChatUpstream<'_>) -> Self {
        let Dialect { cache_control, prompt_cache, .. } = target.dialect;
        let passing = match (cache_control, prompt_cache) {
            (true, _) => Passing::Unchanged,
            (false, true) if takes_breakpoints(target.model) => Passing::Breakpoints,
            (false, _) => Passing::Dropped,
        };
        Self { passing, left: Cell::new(MOST_BREAKPOINTS) }
    }

    /// The mark for this `cache_control`.
    pub(super) fn mark<'a>(&self, control: Option<&'a RawValue>) -> Option<Mark<'a>> {
        let control = control.filter(|control| control.get() != "null")?;
        match self.passing {
            Passing::Dropped => None,
            Passing::Unchanged => Some(Mark::CacheControl(control)),
            Passing::Breakpoints => {
                self.left.set(self.left.get().checked_sub(1)?);
                let read: Option<CacheControl<'_>> = serde_json::from_str(control.get()).ok();
                let is_long = read.and_then(|control| control.ttl).is_some_and(|ttl| ttl.as_str() != "5m");
                Some(Mark::Breakpoint { is_long })
            }
        }
    }
}

fn takes_breakpoints(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    version(&name).is_some_and(|version| version >= (5, 6))
}

/// Appends `prompt_cache_key`, if the upstream takes it and the request belongs to a session.
pub(super) fn write_key(request: &MessagesRequestBody<'_>, target: &ChatUpstream<'_>, out: &mut Vec<u8>) {
    let dialect = target.dialect;
    if !dialect.prompt_cache || dialect.user_fields.iter().any(|field| field == "prompt_cache_key") {
        return;
    }
    let user = request.metadata.as_ref().and_then(|metadata| metadata.user_id).and_then(Literal::decode);
    let named = target.session.map(str::to_owned);
    let Some(session) = named.or_else(|| user.as_deref().and_then(session_of_user)) else { return };
    out.put(b",\"prompt_cache_key\":");
    out.string(&key(&session));
}

/// The session in a `user_id`: Claude Code's `user_…_session_ID`, or a JSON object with `session_id`.
fn session_of_user(user: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct User {
        session_id: Option<String>,
    }
    let session = if user.starts_with('{') {
        serde_json::from_str::<User>(user).ok()?.session_id?
    } else {
        user.rsplit_once(MARK)?.1.to_owned()
    };
    (!session.is_empty()).then_some(session)
}

/// A session's id as it is if it can only be one; anything else could be somebody's name.
fn key(session: &str) -> String {
    let is_id = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    if session.len() <= LONGEST_KEY && session.bytes().all(is_id) {
        return session.to_owned();
    }
    Sha256::digest(session.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
