//! The value of `x-vdm-route`: how the model name was resolved, and which targets were called.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::http::header::HeaderValue;
use vandamme_actors::provider::Lease;
use vandamme_actors::routing::Routes;
use vandamme_actors::secret::Secrets;

use super::target_queue::RunTarget;
use crate::failure::Failure;

/// The longest value, in bytes. Many clients accept 16 KiB for all headers.
const LONGEST: usize = 2048;
const BETWEEN: &str = "; ";

/// The steps of one request so far; `None` unless `route-header` is on. The endpoint reads it while the run still goes on.
#[derive(Clone, Default)]
pub(crate) struct RouteTrace(Option<Rc<RefCell<String>>>);

impl RouteTrace {
    /// Begins with the steps that resolve `model`.
    pub(crate) fn new(routes: &Routes, model: &str) -> Self {
        let trace = Self(Some(Rc::default()));
        // If the name leads nowhere, the client gets the reason as its error.
        drop(routes.explain(model, &mut |step| trace.push(&step.to_string())));
        trace
    }

    /// A call with this lease is about to be made.
    pub(super) fn call(&self, lease: &Lease) {
        if let Some(steps) = &self.0 {
            let here = format!("-> {}:{}", lease.provider.name, lease.model);
            let repeated = steps.borrow().rsplit(BETWEEN).next() == Some(here.as_str());
            if !repeated {
                self.push(&here);
            }
        }
    }

    /// A target could not serve.
    pub(super) fn left(&self, target: &RunTarget<'_>, failure: &Failure) {
        if self.0.is_some() {
            self.push(&format!("{}:{} failed with {}", target.provider.name, target.model, failure.status()));
        }
    }

    fn push(&self, step: &str) {
        let Some(steps) = &self.0 else { return };
        let mut steps = steps.borrow_mut();
        if !steps.is_empty() {
            steps.push_str(BETWEEN);
        }
        steps.push_str(step);
    }

    /// In printable ASCII and without keys.
    pub(crate) fn header(&self, secrets: &Secrets) -> Option<HeaderValue> {
        let steps = secrets.scrub(self.0.as_ref()?.borrow().clone());
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
        let trace = RouteTrace(Some(Rc::default()));
        let secrets = Secrets::new([ApiKey::new("canary-0123")]);
        trace.push("the name is 'naïve\r\n'");
        trace.push("its alias is 'canary-0123'");
        assert_eq!(trace.header(&secrets).unwrap(), "the name is 'na?ve??'; its alias is '[key]'");
        (0..500).for_each(|_| trace.push("a step"));
        let value = trace.header(&secrets).unwrap();
        assert!(value.len() == LONGEST && value.as_bytes().ends_with(b"..."), "{value:?}");
        assert!(RouteTrace::default().header(&secrets).is_none());
    }
}
