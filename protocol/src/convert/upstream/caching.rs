//! Prompt caching: converts Anthropic's `cache_control` marks to the form that the upstream accepts.
//!
//! OpenAI caches automatically. From GPT-5.6 on it accepts `prompt_cache_breakpoint` on content parts, four in a request, and for
//! all models a `prompt_cache_key` that groups the requests of one session (openai 3.57.0 on PyPI, types/chat and types/responses).

use std::cell::Cell;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{dialect::Dialect, reasoning::version};
use crate::{
    anthropic::request::MessagesRequestBody,
    json::{JsonWord, Literal, Write},
};

/// Maximum number of cache breakpoints in a request to OpenAI.
const MOST_BREAKPOINTS: u8 = 4;
/// Maximum length of a cache key that is sent unchanged.
const LONGEST_KEY: usize = 64;
/// The text before the session in Claude Code's `metadata.user_id`.
const MARK: &str = "_session_";

/// The cache mark of a content part.
#[derive(Clone, Copy)]
pub(crate) enum Mark<'a> {
    CacheControl(&'a RawValue),
    Breakpoint { is_long: bool },
}

impl Mark<'_> {
    /// Appends a comma and the member.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::CacheControl(control) => {
                out.put(b",\"cache_control\":");
                out.raw(control.get());
            }
            // The default is half an hour. A mark with a TTL of an hour gets the next longer value.
            Self::Breakpoint { is_long: true } => {
                out.put(b",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\",\"ttl\":\"12h\"}");
            }
            Self::Breakpoint { is_long: false } => {
                out.put(b",\"prompt_cache_breakpoint\":{\"mode\":\"explicit\"}");
            }
        }
    }
}

/// The conversion of the marks of one request.
pub(crate) struct CacheMarks {
    passing: Passing,
    left: Cell<u8>,
}

/// The form in which an upstream accepts marks.
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
    /// For Chat Completions, where some vendors accept Anthropic's own marks.
    pub(crate) fn new(model: &str, dialect: &Dialect) -> Self {
        if dialect.cache_control { Self::with(Passing::Unchanged) } else { Self::breakpoints(model, dialect) }
    }

    /// For an API that accepts OpenAI's breakpoints alone.
    pub(crate) fn breakpoints(model: &str, dialect: &Dialect) -> Self {
        let takes_them = dialect.prompt_cache && takes_breakpoints(model);
        Self::with(if takes_them { Passing::Breakpoints } else { Passing::Dropped })
    }

    fn with(passing: Passing) -> Self {
        Self { passing, left: Cell::new(MOST_BREAKPOINTS) }
    }

    /// The mark for this `cache_control`.
    pub(crate) fn mark<'a>(&self, control: Option<&'a RawValue>) -> Option<Mark<'a>> {
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

/// Appends `prompt_cache_key`, if the upstream accepts it and the request belongs to a session.
pub(crate) fn write_key(
    request: &MessagesRequestBody<'_>,
    dialect: &Dialect,
    session: Option<&str>,
    out: &mut Vec<u8>,
) {
    if !dialect.prompt_cache || dialect.user_fields.iter().any(|field| field == "prompt_cache_key") {
        return;
    }
    let user = request.metadata.as_ref().and_then(|metadata| metadata.user_id).and_then(Literal::decode);
    let named = session.map(str::to_owned);
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

/// The value if it has the form of a session id. Other values could be the name of a person.
fn key(session: &str) -> String {
    let is_id = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    if session.len() <= LONGEST_KEY && session.bytes().all(is_id) {
        return session.to_owned();
    }
    Sha256::digest(session.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
