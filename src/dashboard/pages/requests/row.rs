//! One request as a row of the table. The script `requests.js` makes the same row of an event of the stream.

use serde::Serialize;
use vandamme_actors::clock::Millis;
use vandamme_actors::history::{Dimension, LEAST_STREAMING, StoredRequest};
use vandamme_actors::ledger::{Active, CANCELLED_BY_OPERATOR};
use vandamme_actors::secret::Secrets;
use vandamme_protocol::vocabulary::Usage;

use crate::dashboard::gather::{shown, without};
use crate::dashboard::units::{Count, Elapsed, Money, Rate};

#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) started: Millis,
    /// `running`, `succeeded`, `failed` or `cancelled`
    pub(super) outcome: &'static str,
    /// The status, and the error's type.
    pub(super) outcome_text: String,
    pub(super) error: Option<String>,
    pub(super) client: String,
    pub(super) session: String,
    pub(super) requested: String,
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) key: String,
    pub(super) first_event: Elapsed,
    pub(super) duration: Elapsed,
    /// Output tokens in a second, from the first event to the end.
    pub(super) speed: Rate,
    pub(super) input: Count,
    pub(super) output: Count,
    pub(super) cached: Count,
    /// `None` while the request runs, and for one without tokens.
    pub(super) cost: Option<Money>,
}

impl Row {
    pub(super) fn running(active: &Active, secrets: &Secrets) -> Self {
        let request = &active.request;
        let key = active.calls.last().and_then(|call| call.key);
        Self {
            id: active.request_id.to_string(),
            started: active.since,
            outcome: "running",
            outcome_text: if active.first_event.is_some() { "streaming" } else { "waiting" }.to_owned(),
            error: None,
            client: request.client.as_deref().unwrap_or_default().to_owned(),
            session: request.session.as_deref().map(|text| shown(text, secrets)).unwrap_or_default(),
            requested: shown(&request.model, secrets),
            provider: active.provider.to_string(),
            model: shown(&active.model, secrets),
            key: key.map(|key| key.to_string()).unwrap_or_default(),
            first_event: Elapsed(active.first_event),
            duration: Elapsed(Some(active.elapsed)),
            speed: Rate(None),
            input: Count(active.usage.prompt_total()),
            output: Count(active.usage.output),
            cached: Count(active.usage.cache_read),
            cost: None,
        }
    }

    pub(super) fn finished(request: &StoredRequest, secrets: &Secrets) -> Self {
        let text =
            |text: &Option<String>| text.as_deref().map(|text| shown(text, secrets)).unwrap_or_default();
        let (outcome, outcome_text) = outcome(request);
        let usage = request.usage;
        Self {
            id: request.request_id.clone(),
            started: request.started,
            outcome,
            outcome_text,
            error: request.error.as_deref().map(|error| shown(error, secrets)),
            client: text(&request.client),
            session: text(&request.session),
            requested: shown(&request.requested_model, secrets),
            provider: request.provider.clone().unwrap_or_default(),
            model: text(&request.model),
            key: request.key.clone().unwrap_or_default(),
            first_event: Elapsed(request.first_event),
            duration: Elapsed(Some(request.elapsed)),
            speed: speed(request),
            input: Count(usage.prompt_total()),
            output: Count(usage.output),
            cached: Count(usage.cache_read),
            cost: cost(request),
        }
    }

    /// `requested → provider:model`, or the latter alone if the client named it.
    pub(super) fn models(&self) -> String {
        let Self { requested, provider, model, .. } = self;
        match (provider.as_str(), model.as_str()) {
            ("" | "unknown", _) if requested.is_empty() => without(Dimension::Model).to_owned(),
            ("" | "unknown", _) => requested.clone(),
            _ if requested == model || *requested == format!("{provider}:{model}") => {
                format!("{provider}:{model}")
            }
            _ => format!("{requested} → {provider}:{model}"),
        }
    }

    /// Whether a field that the history searches contains this text, given in lower case.
    pub(super) fn contains(&self, text: &str) -> bool {
        let Self { id, requested, model, client, session, .. } = self;
        let error = self.error.as_deref().unwrap_or_default();
        [id, requested, model, client, session, error].iter().any(|field| field.to_lowercase().contains(text))
    }

    /// The value of a dimension by which the page is filtered.
    pub(super) fn value(&self, name: &str) -> &str {
        match name {
            "provider" => &self.provider,
            "model" => &self.model,
            "key" => &self.key,
            "client" => &self.client,
            "session" => &self.session,
            _ => "",
        }
    }
}

/// The class and the text of an outcome.
pub(super) fn outcome(request: &StoredRequest) -> (&'static str, String) {
    let StoredRequest { end, status, .. } = request;
    match end.as_str() {
        "succeeded" => ("succeeded", status.to_string()),
        "cancelled" => ("cancelled", "client left".to_owned()),
        CANCELLED_BY_OPERATOR => ("cancelled", "cancelled by operator".to_owned()),
        end => ("failed", format!("{status} {end}")),
    }
}

pub(super) fn speed(request: &StoredRequest) -> Rate {
    let Some(first) = request.first_event.filter(|_| request.streamed && request.usage.output > 0) else {
        return Rate(None);
    };
    let streaming = request.elapsed.saturating_sub(first);
    Rate((streaming >= LEAST_STREAMING).then(|| request.usage.output as f64 / streaming.as_secs_f64()))
}

/// A model without a price is shown as unpriced; a request without tokens has nothing to pay for.
pub(super) fn cost(request: &StoredRequest) -> Option<Money> {
    match request.cost {
        Some(cost) => Some(Money(Some(cost.micro_dollars))),
        None if request.usage != Usage::default() => Some(Money(None)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vandamme_actors::cost::Cost;

    use super::*;

    fn stored() -> StoredRequest {
        StoredRequest {
            request_id: "req_1".to_owned(),
            status: 200,
            end: "succeeded".to_owned(),
            streamed: true,
            requested_model: "sonnet".to_owned(),
            provider: Some("p".to_owned()),
            model: Some("m".to_owned()),
            usage: Usage { output: 100, ..Usage::default() },
            first_event: Some(Duration::from_secs(1)),
            elapsed: Duration::from_secs(3),
            ..StoredRequest::default()
        }
    }

    /// Checklist 20: cost = tokens × price incl. cache prices; unpriced models are labelled, not 0.
    #[test]
    fn an_unpriced_request_is_labelled() {
        let text = |request: &StoredRequest| cost(request).map(|cost| cost.to_string());
        assert_eq!(text(&stored()).as_deref(), Some("unpriced"));
        let free = StoredRequest { cost: Some(Cost::default()), ..stored() };
        assert_eq!(text(&free).as_deref(), Some("$0"));
        let empty = StoredRequest { usage: Usage::default(), ..stored() };
        assert_eq!(text(&empty), None);
    }

    #[test]
    fn outcomes_have_a_class_and_a_text() {
        for (end, status, class, text) in [
            ("succeeded", 200, "succeeded", "200"),
            ("cancelled", 0, "cancelled", "client left"),
            (CANCELLED_BY_OPERATOR, 499, "cancelled", "cancelled by operator"),
            ("rate_limit_error", 429, "failed", "429 rate_limit_error"),
        ] {
            let request = StoredRequest { end: end.to_owned(), status, ..stored() };
            assert_eq!(outcome(&request), (class, text.to_owned()));
        }
    }

    #[test]
    fn the_speed_is_that_of_the_stream() {
        assert_eq!(speed(&stored()).0, Some(50.0));
        assert_eq!(speed(&StoredRequest { streamed: false, ..stored() }).0, None);
        assert_eq!(speed(&StoredRequest { elapsed: Duration::from_secs(1), ..stored() }).0, None);
        // A reply that came at once.
        let at_once = Duration::from_micros(1_000_999);
        assert_eq!(speed(&StoredRequest { elapsed: at_once, ..stored() }).0, None);
    }

    #[test]
    fn models_are_named_once() {
        let secrets = Secrets::new([]);
        let row = |requested: &str| {
            Row::finished(&StoredRequest { requested_model: requested.to_owned(), ..stored() }, &secrets)
                .models()
        };
        assert_eq!([row("m"), row("p:m"), row("sonnet")], ["p:m", "p:m", "sonnet → p:m"]);
        // A text by which the request can be opened.
        let unread = StoredRequest { provider: None, model: None, ..StoredRequest::default() };
        assert_eq!(Row::finished(&unread, &secrets).models(), "(no model)");
    }
}
