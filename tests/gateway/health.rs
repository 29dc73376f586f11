//! What a failed upstream call means for later requests: health decides where they go, never whether they go.

mod affinity;
mod client_keys;
mod client_repeats;
mod evidence;
mod failures;
mod in_band;
mod logged;
mod money;
mod named_waits;
mod rate_limits;
mod report;
mod request_faults;
mod several_failures;
mod should_retry;
mod statuses;
mod targets;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::canned::{anthropic, openai};
use crate::support::client::prompt;
use crate::support::gateway::{Gateway, Setup, whole_prompt};
use crate::support::reply::Reply;
use crate::support::upstream::{Answer, Dialect, Seen, Upstream};

fn both() -> [Upstream; 2] {
    [Upstream::anthropic(), Upstream::openai()]
}

/// Asks for this model, streamed or whole.
type Ask = fn(&Gateway, &str) -> Reply;

const WAYS: [Ask; 2] = [streamed, whole];

/// The body of a request for this model with this text, streamed or whole.
type Body = fn(&str, &str) -> Value;

const BODIES: [Body; 2] = [prompt, whole_prompt];

fn streamed(gateway: &Gateway, model: &str) -> Reply {
    gateway.messages(&prompt(model, "hi")).reply()
}

fn whole(gateway: &Gateway, model: &str) -> Reply {
    gateway.messages(&whole_prompt(model, "hi")).reply()
}

/// Fails unless the reply is the upstream's ordinary answer.
#[track_caller]
fn assert_served(reply: &Reply) {
    assert_eq!(reply.status(), 200, "{reply}");
    assert_eq!(reply.text(), "Hello there!", "{reply}");
}

/// One call per request, so that every call is visible.
fn without_repeats(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env("MAX_RETRIES", "0")
}

/// The provider that [`Gateway::before`] configures.
fn provider(upstream: &Upstream) -> &'static str {
    match upstream.dialect() {
        Dialect::Anthropic => "anthropic",
        Dialect::OpenAi => "openai",
    }
}

/// `one` with `two` as its fallback.
fn chain(one: &Upstream, two: &Upstream) -> Setup {
    let setup = Gateway::bare().provider("one", one).provider("two", two).env("MAX_RETRIES", "0");
    setup.toml("[one]\nfallbacks = [\"two:b\"]")
}

/// An error in the dialect's shape. OpenAI's has a `code`, too, with the same word.
fn error(dialect: Dialect, status: u16, kind: &str, message: &str) -> Answer {
    let body = match dialect {
        Dialect::Anthropic => anthropic::error(kind, message),
        Dialect::OpenAi => openai::error(message, kind, kind),
    };
    Answer::json(status, body)
}

/// The dialect's usual error for this status; its text is `failed with <status>`.
fn failure(dialect: Dialect, status: u16) -> Answer {
    let kind = match (dialect, status) {
        (Dialect::Anthropic, 401) => "authentication_error",
        (Dialect::Anthropic, 402) => "billing_error",
        (Dialect::Anthropic, 429) => "rate_limit_error",
        (Dialect::Anthropic, 529) => "overloaded_error",
        (Dialect::Anthropic, _) => "api_error",
        (Dialect::OpenAi, 401) => "invalid_api_key",
        (Dialect::OpenAi, 402) => "insufficient_quota",
        (Dialect::OpenAi, 429) => "rate_limit_exceeded",
        (Dialect::OpenAi, _) => "server_error",
    };
    error(dialect, status, kind, &format!("failed with {status}"))
}

/// A 429 that names its wait.
fn limited(dialect: Dialect, retry_after: &str) -> Answer {
    failure(dialect, 429).header("retry-after", retry_after)
}

/// A good answer, streamed, whose head waits for a permit of the test. It says `late`.
fn slow(dialect: Dialect) -> Answer {
    let events = match dialect {
        Dialect::Anthropic => anthropic::text(&["late"]),
        Dialect::OpenAi => openai::text(&["late"]),
    };
    Answer::events(events).head_on_permit()
}

/// A stream that starts well and then says that the upstream is overloaded.
fn overloaded_in_mid_stream(dialect: Dialect) -> Answer {
    let (mut events, last) = match dialect {
        Dialect::Anthropic => {
            let error = serde_json::json!({"type": "error",
                "error": {"type": "overloaded_error", "message": "Overloaded"}});
            (anthropic::text(&["first"])[..4].to_vec(), anthropic::event(&error))
        }
        Dialect::OpenAi => {
            let error = serde_json::json!({"error": {"message": "Overloaded", "type": "overloaded_error",
                "param": null, "code": 529}});
            (openai::text(&["first"])[..2].to_vec(), openai::data(&error))
        }
    };
    events.push(last);
    Answer::events(events)
}

fn model(seen: &Seen) -> String {
    seen.json()["model"].as_str().unwrap_or_default().to_owned()
}

/// How many calls for this model arrived.
fn calls(upstream: &Upstream, name: &str) -> usize {
    upstream.requests().iter().filter(|seen| model(seen) == name).count()
}

/// Every request for this model gets this answer.
fn answering_model(upstream: Upstream, name: &str, answer: Answer) -> Upstream {
    let name = name.to_owned();
    upstream.ruled_by(move |seen| (model(seen) == name).then(|| answer.clone()))
}

/// The first requests for this model get this answer.
fn answering_first(upstream: Upstream, (name, times): (&str, usize), answer: Answer) -> Upstream {
    let (name, asked) = (name.to_owned(), AtomicUsize::new(0));
    upstream.ruled_by(move |seen| {
        let early = model(seen) == name && asked.fetch_add(1, Ordering::SeqCst) < times;
        early.then(|| answer.clone())
    })
}

/// What an upstream answers from now on; its ordinary answer while nothing is set.
#[derive(Clone, Default)]
struct Switch(Arc<Mutex<Option<Answer>>>);

impl Switch {
    fn set(&self, answer: Answer) {
        self.replace(Some(answer));
    }

    fn heal(&self) {
        self.replace(None);
    }

    fn replace(&self, answer: Option<Answer>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    fn control(&self, upstream: Upstream) -> Upstream {
        let switch = Arc::clone(&self.0);
        upstream.ruled_by(move |_| switch.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// Waits until a cooldown of one second is over. No answer shows that, and its end may be up to 20 % late.
fn cooldown_of_a_second_passes() {
    thread::sleep(Duration::from_millis(1400));
}

fn health(gateway: &Gateway) -> Value {
    gateway.get("/health?format=json").json()
}

/// The entries of `keys` or `models` in the health report of a provider.
fn entries(health: &Value, provider: &str, list: &str) -> Vec<Value> {
    health["providers"][provider][list].as_array().cloned().unwrap_or_default()
}
