//! Time and memory: pings during silence, timeouts, disconnects, and the behaviour at every
//! limit.

mod bounds;
mod disconnects;
mod shutdown;
mod unreachable;
mod waiting;

use crate::support::canned::{anthropic, openai};
use crate::support::gateway::{Gateway, Setup};
use crate::support::upstream::{Answer, Upstream};

/// Both paths, with an action after the first word.
fn both_after_the_first_word(script: impl Fn(Answer, usize) -> Answer) -> [Upstream; 2] {
    let [anthropic, openai] = [anthropic::text(&["first", "second"]), openai::text(&["first", "second"])];
    let [through_anthropic, through_openai] = [anthropic[..4].concat().len(), openai[..2].concat().len()];
    [
        Upstream::anthropic().always(script(Answer::events(anthropic), through_anthropic)),
        Upstream::openai().always(script(Answer::events(openai), through_openai)),
    ]
}

/// Both paths. The upstream sends nothing after the first word.
fn both_silent_after_the_first_word() -> [Upstream; 2] {
    both_after_the_first_word(Answer::silent_after)
}

fn impatient(upstream: &Upstream) -> Setup {
    Gateway::before(upstream).env("MAX_RETRIES", "0")
}

/// Both paths, with an upstream that sends a part of an answer in these steps.
fn both(script: impl Fn(Answer) -> Answer) -> [Upstream; 2] {
    [
        Upstream::anthropic().always(script(Answer::events(anthropic::text(&["first", "second"])))),
        Upstream::openai().always(script(Answer::events(openai::text(&["first", "second"])))),
    ]
}
