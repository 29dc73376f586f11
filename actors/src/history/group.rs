//! What the sums of the history are grouped by.

use std::sync::Arc;

use super::query::Dimension;
use super::stored::end_name;
use crate::ledger::FinishedRequest;

/// Stands for all values beyond a limit.
pub const OTHER: &str = "(other)";
/// [`Dimension::Delivery`] of a streamed reply.
pub const STREAM: &str = "stream";
/// [`Dimension::Delivery`] of a whole reply.
pub const WHOLE: &str = "whole";

/// The values of one group of requests. Empty for requests that have no such value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Group {
    pub(super) provider: Arc<str>,
    pub(super) model: Arc<str>,
    pub(super) requested_model: Arc<str>,
    pub(super) key: Arc<str>,
    pub(super) client: Arc<str>,
    pub(super) session: Arc<str>,
    pub(super) api: &'static str,
    pub(super) delivery: &'static str,
    pub(super) end: &'static str,
}

/// The columns of a [`Group`], in the order of [`Group::values`].
pub(super) const COLUMNS: [&str; 9] =
    ["provider", "model", "requested_model", "key_id", "client", "session", "api", "delivery", "outcome"];

impl Group {
    pub(super) fn of(finished: &FinishedRequest) -> Self {
        let record = &finished.record;
        let text = |text: &Option<Arc<str>>| text.clone().unwrap_or_else(|| "".into());
        Self {
            provider: text(&record.provider),
            model: text(&record.model),
            requested_model: record.request.model.clone(),
            key: record.key.map_or_else(|| "".into(), |key| key.to_string().into()),
            client: text(&record.request.client),
            session: text(&record.request.session),
            api: record.request.api_word().unwrap_or_default(),
            delivery: if record.request.streamed { STREAM } else { WHOLE },
            end: end_name(&record.end),
        }
    }

    /// Without the values that clients choose, of which there may be any number.
    #[must_use]
    pub(super) fn collapsed(mut self) -> Self {
        for value in [&mut self.model, &mut self.requested_model, &mut self.session] {
            if !value.is_empty() {
                *value = OTHER.into();
            }
        }
        self
    }

    /// Applies a function to the values that come from outside of the gateway.
    #[must_use]
    pub(super) fn map_texts(mut self, map: &dyn Fn(String) -> String) -> Self {
        for value in [&mut self.model, &mut self.requested_model, &mut self.session, &mut self.client] {
            if !value.is_empty() {
                *value = map(value.to_string()).into();
            }
        }
        self
    }

    pub(super) fn values(&self) -> [&str; 9] {
        let Self { provider, model, requested_model, key, client, session, api, delivery, end } = self;
        [provider, model, requested_model, key, client, session, api, delivery, end]
    }
}

impl Dimension {
    /// All dimensions.
    pub const ALL: [Self; 10] = [
        Self::Provider,
        Self::Model,
        Self::RequestedModel,
        Self::Key,
        Self::Client,
        Self::Session,
        Self::Api,
        Self::Delivery,
        Self::End,
        Self::Day,
    ];

    /// As it is written in queries and reports, such as `requested-model`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Model => "model",
            Self::RequestedModel => "requested-model",
            Self::Key => "key",
            Self::Client => "client",
            Self::Session => "session",
            Self::Api => "api",
            Self::Delivery => "delivery",
            Self::End => "end",
            Self::Day => "day",
        }
    }

    /// The dimension of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dimension| dimension.name() == name)
    }
}
