//! Changes that make a request acceptable to its target: the configured fixups, the provider's learned rules, and the
//! fixups that refusals of this request name.

use std::borrow::Cow;

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use vandamme_actors::outcome::Retry;
use vandamme_actors::provider::Lease;
use vandamme_actors::retry::Fixable;
use vandamme_actors::settings::{Api, ResponsesSupport};
use vandamme_protocol::cloud::betas::FittedBetas;
use vandamme_protocol::compat::{self, FixedRequest, Fixup, OpenAiApi};
use vandamme_protocol::request::Pieces;

use super::classify::CallFailure;
use super::cloud_betas::{beta_endpoint, stated_betas};
use super::upstream_headers::{self, BETAS};
use super::{ProxyRequest, UpstreamCall};
use crate::gateway::LiveConfig;

/// The fixups that refusals of one request have named.
#[derive(Default)]
pub(super) struct Fixups {
    named: Vec<NamedFixup>,
    /// How many of them have helped.
    proven: usize,
}

struct NamedFixup {
    fixup: Fixup,
    /// Whether the fixup applies to other requests, too.
    is_general: bool,
}

/// A request to an upstream after fixups.
pub(super) struct Fixed {
    /// The body before the fixups.
    pub(super) before: Bytes,
    pub(super) body: Bytes,
    /// The value of `anthropic-beta`, if a fixup has changed it.
    pub(super) betas: Option<String>,
}

impl Fixups {
    /// The API in which the request is sent: the target's for this client, unless a refusal has named the other one.
    pub(super) fn upstream_api(&self, request: &ProxyRequest, lease: &Lease) -> Api {
        let api = lease.provider.api_for(request.api, &lease.model);
        if request.upstream_call != UpstreamCall::Reply || !may_change_api(lease) {
            return api;
        }
        let learned = lease.learned_rules.as_deref().unwrap_or_default();
        let named = self.named.iter().map(|named| &named.fixup);
        match learned.iter().chain(named).filter_map(Fixup::api).next_back() {
            Some(OpenAiApi::ChatCompletions) => Api::ChatCompletions,
            Some(OpenAiApi::Responses) => Api::Responses,
            None => api,
        }
    }

    /// Applies all fixups. Returns `None`, and joins no body, if there are none, the usual case.
    pub(super) fn apply(
        &self,
        request: &ProxyRequest,
        lease: &Lease,
        live: &LiveConfig,
        api: Api,
        body: &Pieces,
    ) -> Result<Option<Fixed>, String> {
        let rules = &lease.provider.fixups;
        let remembered = lease.learned_rules.as_deref().unwrap_or_default();
        if rules.is_empty() && remembered.is_empty() && self.named.is_empty() {
            return Ok(None);
        }
        let betas = betas(&upstream_headers::for_call(request, lease, live, api, None)?);
        let configured = rules.iter().filter(|rule| rule.is_for(&lease.model)).map(|rule| &rule.fixup);
        // Other endpoints may not know a member that replies require.
        let fits = |fixup: &&Fixup| request.upstream_call == UpstreamCall::Reply || !fixup.can_add_member();
        let fixups =
            configured.chain(remembered).chain(self.named.iter().map(|named| &named.fixup)).filter(fits);
        let before = body.clone().joined();
        let FixedRequest { body, betas: left } = match api {
            Api::Messages | Api::ChatCompletions => compat::apply(fixups, &before, &betas),
            Api::Responses => {
                let moved: Vec<Cow<'_, Fixup>> = fixups.map(Fixup::over_responses).collect();
                compat::apply(moved.iter().map(|fixup| &**fixup), &before, &betas)
            }
        };
        Ok(Some(Fixed { before, body, betas: (left != betas).then_some(left) }))
    }

    /// Keeps only those named fixups that change the request. If any is left, another call is worth it.
    ///
    /// `body` is the refused body before the middleware.
    pub(super) fn judge(&self, lease: &Lease, body: &Bytes, headers: &HeaderMap, failed: &mut CallFailure) {
        let apis = failed.named.extract_if(.., |fixup| fixup.api().is_some()).next();
        failed.named = without_unnamed_betas(std::mem::take(&mut failed.named), lease, headers);
        self.keep_useful(body, headers, failed);
        let Some(other_api) = apis.filter(|_| self.may_be_sent_over_the_other_api(lease)) else { return };
        // A host that is not known to have the other API may lack it, so it is the last resort there.
        let is_known = lease.provider.responses == ResponsesSupport::Known;
        if matches!(failed.retry, Retry::No | Retry::NextTarget) && (is_known || failed.named.is_empty()) {
            failed.named = vec![other_api];
            failed.can_fix = Fixable::Yes;
        }
    }

    /// A request that was refused over both APIs is not sent again.
    fn may_be_sent_over_the_other_api(&self, lease: &Lease) -> bool {
        may_change_api(lease) && !self.named.iter().any(|named| named.fixup.api().is_some())
    }

    fn keep_useful(&self, body: &Bytes, headers: &HeaderMap, failed: &mut CallFailure) {
        let betas = betas(headers);
        let renamed = self.named.iter().any(|named| matches!(named.fixup, Fixup::Limit(_)));
        let named = std::mem::take(&mut failed.named).into_iter();
        failed.named = named.map(|fixup| fixup.completed_by(body)).collect();
        failed.named.retain(|fixup| {
            // An upstream that asks for the other name and then for the first one again cannot be satisfied.
            let again = renamed && matches!(fixup, Fixup::Limit(_));
            !again && compat::concerns(fixup, body, &betas)
        });
        if failed.retry == Retry::No && !failed.named.is_empty() {
            failed.can_fix = Fixable::Yes;
        }
    }

    /// Adds the fixups that a refusal of the client's request named.
    pub(super) fn learn(&mut self, named: Vec<Fixup>, refusal: &[u8], request: &[u8]) {
        let is_general = compat::applies_to_all_clients(refusal, request);
        self.named.extend(named.into_iter().map(|fixup| NamedFixup { fixup, is_general }));
    }

    /// The fixups so far have helped. The provider remembers those that apply to other requests.
    pub(super) fn prove(&mut self, lease: &Lease) {
        let proven = std::mem::replace(&mut self.proven, self.named.len());
        let helped = self.named[proven..].iter();
        let helped = helped.filter(|named| named.is_general && named.fixup.is_complete());
        let proven: Vec<_> = helped.map(|named| named.fixup.clone()).collect();
        if !proven.is_empty() {
            lease.learn(proven);
        }
    }
}

/// Whether the provider may be called over either of OpenAI's two APIs.
fn may_change_api(lease: &Lease) -> bool {
    lease.provider.api == Api::ChatCompletions && lease.provider.responses != ResponsesSupport::Excluded
}

/// The fixups, with betas that were sent in place of "all betas".
fn without_unnamed_betas(named: Vec<Fixup>, lease: &Lease, headers: &HeaderMap) -> Vec<Fixup> {
    if named.is_empty() {
        return named;
    }
    let stated = stated_betas(headers);
    let stated: Vec<&str> = stated.iter().map(String::as_str).collect();
    match beta_endpoint(&lease.provider, Api::Messages) {
        Some(endpoint) => compat::without_unnamed_betas(named, &FittedBetas::new(endpoint, stated).kept),
        None => compat::without_unnamed_betas(named, &stated),
    }
}

/// The values of all `anthropic-beta` headers.
fn betas(headers: &HeaderMap) -> String {
    let values: Vec<_> = headers.get_all(&BETAS).filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}
