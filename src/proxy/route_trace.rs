//! What `x-vdm-route` says: why a name went where it went, and from where to where while targets failed.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::http::header::HeaderValue;
use vandamme_actors::provider::Lease;
use vandamme_actors::router::Routes;
use vandamme_actors::secret::Secrets;

use super::Failure;

/// The longest header, in bytes: many a client takes 16 KiB for all of them.
const LONGEST: usize = 2048;
const BETWEEN: &str = "; ";

/// One request's steps so far; nothing at all where nobody wants to see them.
#[derive(Clone, Default)]
pub(crate) struct Trail(Option<Rc<RefCell<String>>>);

impl Trail {
    /// Begins with why `model` goes where it goes.
    pub(crate) fn begin(routes: &Routes, model: &str) -> Self {
        let trail = Self(Some(Rc::default()));
        // Why it leads nowhere is the error itself.
        drop(routes.explain(model, &mut |step| trail.push(&step.to_string())));
        trail
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
    pub(super) fn left(&self, target: (&str, &str), failure: &Failure) {
        if self.0.is_some() {
            self.push(&format!("{}:{} failed with {}", target.0, target.1, failure.status()));
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

    /// In the characters that every client reads, and without keys.
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
        let trail = Trail(Some(Rc::default()));
        let secrets = Secrets::new([ApiKey::new("canary-0123")]);
        trail.push("the name is 'naïve\r\n'");
        trail.push("its alias is 'canary-0123'");
        assert_eq!(trail.header(&secrets).unwrap(), "the name is 'na?ve??'; its alias is '[key]'");
        (0..500).for_each(|_| trail.push("a step"));
        let value = trail.header(&secrets).unwrap();
        assert!(value.len() == LONGEST && value.as_bytes().ends_with(b"..."), "{value:?}");
        assert!(Trail::default().header(&secrets).is_none());
    }
}
