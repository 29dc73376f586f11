//! The value of `x-vdm-route`: how the model name was resolved, and which targets were called.
//!
//! The run sends each step as a message. The endpoint receives the steps when it sends the head of the reply, which can be
//! before the run has ended.

use actix_web::http::header::HeaderValue;
use tokio::sync::mpsc;
use vandamme_actors::provider::Lease;
use vandamme_actors::routing::{RoleDecision, Routes};
use vandamme_actors::secret::Secrets;

use super::target_queue::RunTarget;
use crate::failure::Failure;

/// The longest value, in bytes. Many clients accept 16 KiB for all headers.
const LONGEST: usize = 2048;
/// The most steps; later ones are left out.
const MOST: usize = 128;
const BETWEEN: &str = "; ";

/// Sends the steps of one run; nothing unless `route-header` is on.
#[derive(Clone, Default)]
pub(crate) struct RouteTrace(Option<mpsc::Sender<String>>);

/// Receives the steps of one run.
#[derive(Default)]
pub(crate) struct RouteSteps(Option<mpsc::Receiver<String>>);

impl RouteTrace {
    /// Begins with the steps that resolve `model`, or the target of the request's role.
    pub(crate) fn new(routes: &Routes, model: &str, role: Option<&RoleDecision>) -> (Self, RouteSteps) {
        let (trace, steps) = Self::open();
        // If the name leads nowhere, the client gets the reason as its error.
        drop(routes.explain_decision(model, role, &mut |step| trace.send(step.to_string())));
        (trace, steps)
    }

    fn open() -> (Self, RouteSteps) {
        let (sender, receiver) = mpsc::channel(MOST);
        (Self(Some(sender)), RouteSteps(Some(receiver)))
    }

    /// A call with this lease is about to be made.
    pub(super) fn call(&self, lease: &Lease) {
        if self.0.is_some() {
            self.send(format!("-> {}:{}", lease.provider.name, lease.model));
        }
    }

    /// A target could not serve.
    pub(super) fn left(&self, target: &RunTarget<'_>, failure: &Failure) {
        if self.0.is_some() {
            self.send(format!("{}:{} failed with {}", target.provider.name, target.model, failure.status()));
        }
    }

    fn send(&self, step: String) {
        if let Some(sender) = &self.0 {
            // The receiver is gone if the head of the reply has been sent.
            drop(sender.try_send(step));
        }
    }
}

impl RouteSteps {
    /// The steps so far, in printable ASCII and without keys. Equal steps in a row, such as repeated calls, are one.
    pub(crate) fn header(self, secrets: &Secrets) -> Option<HeaderValue> {
        let mut receiver = self.0?;
        let mut steps: Vec<String> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
        steps.dedup();
        let steps = secrets.scrub(steps.join(BETWEEN));
        let plain = steps.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
        let mut plain: String = plain.take(LONGEST + 1).collect();
        if plain.len() > LONGEST {
            plain.truncate(LONGEST - 3);
            plain.push_str("...");
        }
        HeaderValue::from_str(plain.trim()).ok()
    }
}

#[cfg(test)]
mod tests {
    use vandamme_actors::secret::ApiKey;

    use super::*;

    #[test]
    fn a_header_has_a_bound_and_neither_keys_nor_anything_that_is_not_ascii() {
        let secrets = Secrets::new([ApiKey::new("canary-0123")]);
        let (trace, steps) = RouteTrace::open();
        trace.send("the name is 'naïve\r\n'".to_owned());
        trace.send("its alias is 'canary-0123'".to_owned());
        assert_eq!(steps.header(&secrets).unwrap(), "the name is 'na?ve??'; its alias is '[key]'");

        let (trace, steps) = RouteTrace::open();
        (0..1000).for_each(|number| trace.send(format!("step {number}, which is long enough")));
        let value = steps.header(&secrets).unwrap();
        assert!(value.len() == LONGEST && value.as_bytes().ends_with(b"..."), "{value:?}");
        assert!(RouteSteps::default().header(&secrets).is_none());
    }

    /// Requirement: `x-vdm-route` names a target once for all calls of it in a row. A run that goes on after the head of the
    /// reply keeps no step.
    #[test]
    fn repeated_steps_are_one_and_steps_after_the_head_are_dropped() {
        let (trace, steps) = RouteTrace::open();
        for step in ["-> a:m", "-> a:m", "a:m failed with 500", "-> b:m", "-> a:m"] {
            trace.send(step.to_owned());
        }
        let header = steps.header(&Secrets::new([])).unwrap();
        assert_eq!(header, "-> a:m; a:m failed with 500; -> b:m; -> a:m");
        trace.send("late".to_owned());
        assert!(trace.0.is_some_and(|sender| sender.is_closed()));
    }
}
