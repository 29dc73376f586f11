//! Keys that fail: rotation, cooldown, and the client's error when none is left.

mod exhaustion;
mod retries;
mod rotation;
mod sessions;

use std::thread;
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::canned::{anthropic, openai};
use crate::support::upstream::{Answer, Dialect, Upstream};

fn both() -> [Upstream; 2] {
    [Upstream::anthropic(), Upstream::openai()]
}

/// The upstream's refusal with this status.
fn refusal(dialect: Dialect, status: u16) -> Answer {
    let body = match dialect {
        Dialect::Anthropic => anthropic::error(error_type(status), &format!("refused with {status}")),
        Dialect::OpenAi if status == 403 => {
            openai::error("refused with 403", "invalid_request_error", "insufficient_permissions")
        }
        Dialect::OpenAi => openai::error(&format!("refused with {status}"), "x", "y"),
    };
    Answer::json(status, body)
}

fn limited(dialect: Dialect, retry_after: &str) -> Answer {
    refusal(dialect, 429).header("retry-after", retry_after)
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}
