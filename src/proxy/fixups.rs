//! A request's edits: those configured, those remembered, and those that its own refusals have just taught.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use vandamme_actors::outcome::Retry;
use vandamme_actors::provider::Lease;
use vandamme_actors::retry::Fixable;
use vandamme_protocol::compat::{self, FixedRequest, Fixup};

use super::Endpoint;
use super::classify::CallFailure;
use super::upstream_request::{Outgoing, Way};

const BETAS: HeaderName = HeaderName::from_static("anthropic-beta");

/// What the refusals of one request have taught.
#[derive(Default)]
pub(super) struct Healing {
    learnt: Vec<Learnt>,
    /// So many of them are known to have helped.
    proven: usize,
}

struct Learnt {
    edit: Fixup,
    /// It says something about other requests, too.
    is_for_everybody: bool,
}

impl Healing {
    /// Makes all edits. Costs nothing when there are none, as good as always.
    pub(super) fn edit(&self, lease: &Lease, endpoint: &Endpoint, outgoing: &mut Outgoing) {
        let rules = &lease.provider.edits;
        let remembered = lease.remembered.as_deref().unwrap_or_default();
        if rules.is_empty() && remembered.is_empty() && self.learnt.is_empty() {
            return;
        }
        let betas = betas(&outgoing.headers);
        let configured = rules.iter().filter(|rule| rule.is_for(&lease.model)).map(|rule| &rule.edit);
        // A member that replies need may be unknown to other endpoints.
        let fits = |edit: &&Fixup| *endpoint == Endpoint::Reply || !edit.adds_a_member();
        let edits =
            configured.chain(remembered).chain(self.learnt.iter().map(|learnt| &learnt.edit)).filter(fits);
        let whole = outgoing.body.clone().joined();
        let FixedRequest { body, betas: left } = compat::apply(edits, &whole, &betas);
        if let Way::Bridge(back) = &mut outgoing.way
            && body.as_ptr() != whole.as_ptr()
        {
            back.follow(&whole, &body);
        }
        outgoing.body = body.into();
        if left != betas {
            outgoing.headers.remove(&BETAS);
            if let (Ok(value), false) = (HeaderValue::from_str(&left), left.is_empty()) {
                outgoing.headers.insert(BETAS, value);
            }
        }
    }

    /// Leaves of what a refusal named only what the request had: that makes it worth another call.
    pub(super) fn judge(&self, sent: &Outgoing, failed: &mut CallFailure) {
        let (body, betas) = (sent.body.clone().joined(), betas(&sent.headers));
        let renamed = self.learnt.iter().any(|learnt| matches!(learnt.edit, Fixup::Limit(_)));
        let named = std::mem::take(&mut failed.named).into_iter();
        failed.named = named.map(|edit| edit.taught_by(&body)).collect();
        failed.named.retain(|edit| {
            // One that asks for the other name and then for the first is not to be pleased.
            let again = renamed && matches!(edit, Fixup::Limit(_));
            !again && compat::concerns(edit, &body, &betas)
        });
        if failed.retry == Retry::No && !failed.named.is_empty() {
            failed.can_fix = Fixable::Yes;
        }
    }

    /// Takes up what a refusal of `request`, the client's, named.
    pub(super) fn learn(&mut self, named: Vec<Fixup>, (refusal, request): (&[u8], &[u8])) {
        let is_for_everybody = compat::is_for_everybody(refusal, request);
        self.learnt.extend(named.into_iter().map(|edit| Learnt { edit, is_for_everybody }));
    }

    /// The edits so far have helped. They are remembered, unless only this request needs them.
    pub(super) fn prove(&mut self, lease: &Lease) {
        let proven = std::mem::replace(&mut self.proven, self.learnt.len());
        let lessons = self.learnt[proven..].iter();
        let lessons = lessons.filter(|learnt| learnt.is_for_everybody && learnt.edit.is_complete());
        let lessons: Vec<_> = lessons.map(|learnt| learnt.edit.clone()).collect();
        if !lessons.is_empty() {
            lease.learn(lessons);
        }
    }
}

/// The values of all such headers as one.
fn betas(headers: &HeaderMap) -> String {
    let values: Vec<_> = headers.get_all(&BETAS).filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}
