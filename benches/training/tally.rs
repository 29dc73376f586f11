//! What has been trained. A training in which requests fail would optimise the wrong paths.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::sync::{Mutex, PoisonError};

use crate::Trouble;
use crate::requests::{Api, Form, Request};
use crate::script::Script;

/// Complete and other replies, by kind of request.
#[derive(Default)]
pub(crate) struct Tally(Mutex<BTreeMap<String, Counts>>);

#[derive(Clone, Copy, Default)]
struct Counts {
    complete: u64,
    others: u64,
}

/// The least share of complete replies, in percent.
const COMPLETE: u64 = 99;

impl Tally {
    pub(crate) fn count(&self, listener: &str, request: &Request, outcome: Outcome) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counted.entry(kind(listener, request)).or_default();
        match outcome {
            Outcome::Complete => counts.complete += 1,
            Outcome::Other => counts.others += 1,
        }
    }

    /// Fails if a kind of request was not served, or if too many requests of it were not.
    pub(crate) fn check(&self, least: u64) -> Result<(), Trouble> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, Counts { complete, others }) in counted.iter().filter(|(kind, _)| !kind.contains(FAILING))
        {
            if *complete < least || complete * 100 < (complete + others) * COMPLETE {
                return Err(format!("{kind}: {complete} complete replies, {others} others").into());
            }
        }
        // Two listeners, two client APIs, two provider APIs, two forms.
        let kinds = counted.keys().filter(|kind| !kind.contains(FAILING) && !kind.contains(COUNTS)).count();
        if kinds == 16 { Ok(()) } else { Err(format!("{kinds} of 16 kinds of requests were sent").into()) }
    }
}

/// Requests whose replies may be incomplete.
const FAILING: &str = "with failures";
const COUNTS: &str = "count of tokens";

fn kind(listener: &str, request: &Request) -> String {
    let name = |api: Api| match api {
        Api::Messages => "Messages",
        Api::Chat => "Chat Completions",
    };
    let form = match (request.counts, request.form) {
        (true, _) => COUNTS,
        (false, Form::Whole) => "whole",
        (false, Form::Stream) => "stream",
    };
    let prefix = if matches!(request.script, Script::Story(_)) { "" } else { FAILING };
    format!("{listener}, {} to {}, {form} {prefix}", name(request.client), name(request.upstream))
        .trim_end()
        .to_owned()
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Complete,
    Other,
}

impl Outcome {
    /// Judges a reply by its status and its end.
    pub(crate) fn of_reply(request: &Request, status: u16, body: &[u8]) -> Self {
        let ending: &[u8] = match (request.form, request.client) {
            _ if request.counts => b"}",
            (Form::Whole, _) => b"}",
            (Form::Stream, Api::Messages) => b"\"message_stop\"}\n\n",
            (Form::Stream, Api::Chat) => b"data: [DONE]\n\n",
        };
        if status == 200 && body.trim_ascii_end().ends_with(ending.trim_ascii_end()) {
            Self::Complete
        } else {
            Self::Other
        }
    }
}

impl Display for Tally {
    fn fmt(&self, page: &mut Formatter<'_>) -> fmt::Result {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, Counts { complete, others }) in counted.iter() {
            writeln!(page, "{complete:>7} {others:>5}  {kind}")?;
        }
        Ok(())
    }
}
