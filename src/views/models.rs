//! The models of all providers, as their lists describe them: filtered and one slice at a time, since there can be thousands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::rt::time::timeout;
use serde::Serialize;
use vandamme_actors::catalog::Listing;
use vandamme_actors::settings::ProviderSettings;
use vandamme_protocol::models::{ModelDetails, Models};

use crate::gateway::Gateway;
use crate::models::{self, ListedModels, Remembered};
use crate::request_id::RequestId;

/// The most models of one slice.
pub(crate) const LARGEST_SLICE: usize = 500;
/// How long the first view of a provider's models waits for its list.
const FIRST_LIST: Duration = Duration::from_secs(3);
/// The number of vendors that are offered as a filter.
const VENDORS: usize = 100;

/// Which models are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelQuery {
    /// Only this provider's models.
    pub(crate) provider: Option<String>,
    /// A part of the id or the name, in any case.
    pub(crate) text: Option<String>,
    pub(crate) vendor: Option<String>,
    /// What the model must read or write: `image`, `audio`.
    pub(crate) modality: Option<String>,
    pub(crate) tools: bool,
    pub(crate) vision: bool,
    pub(crate) free: bool,
    pub(crate) sort: ModelOrder,
    pub(crate) descending: bool,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// The column by which models are sorted. Models without a value come last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ModelOrder {
    /// As the providers list them.
    #[default]
    Listed,
    Id,
    Created,
    Context,
    MaxOutput,
    InputPrice,
    OutputPrice,
}

/// A slice of the models that match, and what can be filtered by.
#[derive(Debug, Serialize)]
pub(crate) struct ModelSlice {
    pub(crate) models: Vec<ModelRow>,
    /// How many match.
    pub(crate) total: usize,
    pub(crate) offset: usize,
    pub(crate) lists: Vec<ModelListState>,
    /// The vendors of the provider's models, with the number of their models.
    pub(crate) vendors: BTreeMap<String, usize>,
    pub(crate) modalities: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ModelRow {
    pub(crate) provider: String,
    #[serde(flatten)]
    pub(crate) details: ModelDetails,
    pub(crate) vision: bool,
    pub(crate) free: bool,
    /// The model's page on the web.
    pub(crate) url: Option<String>,
}

/// How current a provider's list is.
#[derive(Debug, Serialize)]
pub(crate) struct ModelListState {
    pub(crate) provider: String,
    pub(crate) default: bool,
    /// `None` if no list is known.
    pub(crate) age_seconds: Option<u64>,
    pub(crate) models: usize,
    /// A list that is older than this is fetched again.
    pub(crate) ttl_seconds: u64,
    /// The list belongs to each client's key, so it is not kept.
    pub(crate) passthrough: bool,
    /// The web page that lists the models.
    pub(crate) url: Option<String>,
}

/// The models of the last known lists. Old lists are fetched again in the background, missing ones too.
pub(crate) async fn read(gateway: &Arc<Gateway>, query: &ModelQuery) -> ModelSlice {
    let live = gateway.live_config();
    // Starts the background fetch of old and missing lists.
    drop(models::remembered(gateway, live.settings.providers.clone()).await);
    let (mut rows, mut lists) = (vec![], vec![]);
    for provider in &live.settings.providers {
        let (list, models) = listed(gateway, provider, query).await;
        lists.push(list);
        if query.provider.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(&provider.name)) {
            rows.extend(models);
        }
    }
    let (vendors, modalities) = facets(&rows);
    rows.retain(|row| query.matches(row));
    query.sort(&mut rows);
    let total = rows.len();
    let limit = query.limit.clamp(1, LARGEST_SLICE);
    let models = rows.into_iter().skip(query.offset).take(limit).collect();
    ModelSlice { models, total, offset: query.offset, lists, vendors, modalities }
}

async fn listed(
    gateway: &Arc<Gateway>,
    provider: &Arc<ProviderSettings>,
    query: &ModelQuery,
) -> (ModelListState, Vec<ModelRow>) {
    let is_wanted = query.provider.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&provider.name));
    let listing = if provider.passthrough { None } else { models::last(gateway, provider).await };
    let listing = match listing {
        None if is_wanted && !provider.passthrough => first_list(gateway, provider).await,
        known => known,
    };
    let live = gateway.live_config();
    let default = live.settings.default_provider.as_ref() == Some(&provider.name);
    let ttl = live.settings.limits.models_ttl;
    let known = listing.as_ref().and_then(|listing| Models::read(&listing.body).ok());
    let rows: Vec<_> = known
        .iter()
        .flat_map(Models::details)
        .map(|details| ModelRow {
            provider: provider.name.to_string(),
            vision: details.has_vision(),
            free: details.is_free(),
            url: models::model_page(provider, &details.id, details.name.as_deref()),
            details,
        })
        .collect();
    let state = ModelListState {
        provider: provider.name.to_string(),
        default,
        age_seconds: listing.as_ref().map(|listing| listing.age().as_secs()),
        models: rows.len(),
        ttl_seconds: ttl.as_secs(),
        passthrough: provider.passthrough,
        url: provider.models_url.clone(),
    };
    (state, rows)
}

/// The list of a provider that has none yet, if it answers soon.
async fn first_list(gateway: &Arc<Gateway>, provider: &Arc<ProviderSettings>) -> Option<Listing> {
    let (id, no_headers) = (RequestId::new().shared(), HeaderMap::new());
    let listed = models::list(gateway.clone(), id, provider, &no_headers, Remembered::Serves);
    match timeout(FIRST_LIST, listed).await {
        Ok(Ok(ListedModels::Current(listing) | ListedModels::Stale(listing))) => Some(listing),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// The most frequent vendors, and all modalities.
fn facets(rows: &[ModelRow]) -> (BTreeMap<String, usize>, Vec<String>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for vendor in rows.iter().filter_map(|row| row.details.vendor.as_deref()) {
        *counts.entry(vendor).or_default() += 1;
    }
    let mut frequent: Vec<_> = counts.into_iter().collect();
    frequent.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let vendors = frequent.into_iter().take(VENDORS).map(|(name, count)| (name.to_owned(), count));
    let mut modalities: Vec<_> =
        rows.iter().flat_map(|row| row.details.inputs.iter().chain(&row.details.outputs)).cloned().collect();
    modalities.sort_unstable();
    modalities.dedup();
    (vendors.collect(), modalities)
}

impl ModelQuery {
    fn matches(&self, row: &ModelRow) -> bool {
        let ModelRow { details, vision, free, .. } = row;
        let has_text = |text: &String| {
            let text = text.to_lowercase();
            let name = details.name.as_deref().unwrap_or_default();
            details.id.to_lowercase().contains(&text) || name.to_lowercase().contains(&text)
        };
        let is_made_by = |vendor: &String| details.vendor.as_ref() == Some(vendor);
        let speaks =
            |modality: &String| details.inputs.contains(modality) || details.outputs.contains(modality);
        self.text.as_ref().is_none_or(has_text)
            && self.vendor.as_ref().is_none_or(is_made_by)
            && self.modality.as_ref().is_none_or(speaks)
            && (!self.tools || details.tools == Some(true))
            && (!self.vision || *vision)
            && (!self.free || *free)
    }

    fn sort(&self, rows: &mut [ModelRow]) {
        if self.sort == ModelOrder::Listed {
            return;
        }
        let number = |row: &ModelRow| match self.sort {
            ModelOrder::Context => row.details.context.map(|tokens| tokens as f64),
            ModelOrder::MaxOutput => row.details.max_output.map(|tokens| tokens as f64),
            ModelOrder::InputPrice => row.details.pricing.input,
            ModelOrder::OutputPrice => row.details.pricing.output,
            ModelOrder::Listed | ModelOrder::Id | ModelOrder::Created => None,
        };
        let text = |row: &ModelRow| match self.sort {
            ModelOrder::Id => Some(row.details.id.to_lowercase()),
            ModelOrder::Created => row.details.created.clone(),
            ModelOrder::Listed
            | ModelOrder::Context
            | ModelOrder::MaxOutput
            | ModelOrder::InputPrice
            | ModelOrder::OutputPrice => None,
        };
        let turned = |order: std::cmp::Ordering| if self.descending { order.reverse() } else { order };
        rows.sort_by(|one, other| {
            let missing = |row: &ModelRow| number(row).is_none() && text(row).is_none();
            missing(one).cmp(&missing(other)).then_with(|| {
                let numbers = number(one).unwrap_or_default().total_cmp(&number(other).unwrap_or_default());
                turned(numbers.then_with(|| text(one).cmp(&text(other))))
            })
        });
    }
}

impl ModelOrder {
    /// The name in a query.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "listed" => Self::Listed,
            "id" => Self::Id,
            "created" => Self::Created,
            "context" => Self::Context,
            "max_output" => Self::MaxOutput,
            "input" => Self::InputPrice,
            "output" => Self::OutputPrice,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<ModelRow> {
        let list = serde_json::json!({"data": [
            {"id": "a/one", "context_length": 9_000, "pricing": {"prompt": "0.000010", "completion": "0.00002"},
             "supported_parameters": ["tools"]},
            {"id": "b/two", "context_length": 100_000, "architecture": {"modality": "text+image->text"}},
            {"id": "a/three", "pricing": {"prompt": "0", "completion": "0"}},
            {"id": "c/four", "context_length": 32_000, "pricing": {"prompt": "0.000002", "completion": "0.1"}},
        ]})
        .to_string();
        let models = Models::read(list.as_bytes()).unwrap();
        let row = |details: ModelDetails| ModelRow {
            provider: "p".into(),
            vision: details.has_vision(),
            free: details.is_free(),
            url: None,
            details,
        };
        models.details().map(row).collect()
    }

    fn ids(mut rows: Vec<ModelRow>, query: &ModelQuery) -> String {
        rows.retain(|row| query.matches(row));
        query.sort(&mut rows);
        rows.iter().map(|row| row.details.id.as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Checklist 28: prices and tokens sort as numbers, in both directions.
    #[test]
    fn numbers_sort_as_numbers_and_missing_ones_come_last() {
        let sorted =
            |sort, descending| ids(rows(), &ModelQuery { sort, descending, ..ModelQuery::default() });
        assert_eq!(sorted(ModelOrder::Context, false), "a/one c/four b/two a/three");
        assert_eq!(sorted(ModelOrder::Context, true), "b/two c/four a/one a/three");
        assert_eq!(sorted(ModelOrder::InputPrice, false), "a/three c/four a/one b/two");
        assert_eq!(sorted(ModelOrder::InputPrice, true), "a/one c/four a/three b/two");
        assert_eq!(sorted(ModelOrder::Id, false), "a/one a/three b/two c/four");
        assert_eq!(sorted(ModelOrder::Listed, true), "a/one b/two a/three c/four");
    }

    #[test]
    fn filters_combine() {
        let query = ModelQuery::default;
        assert_eq!(ids(rows(), &ModelQuery { text: Some("TWO".into()), ..query() }), "b/two");
        assert_eq!(ids(rows(), &ModelQuery { vendor: Some("a".into()), ..query() }), "a/one a/three");
        assert_eq!(ids(rows(), &ModelQuery { free: true, vendor: Some("a".into()), ..query() }), "a/three");
        assert_eq!(ids(rows(), &ModelQuery { vision: true, ..query() }), "b/two");
        assert_eq!(ids(rows(), &ModelQuery { tools: true, ..query() }), "a/one");
        assert_eq!(ids(rows(), &ModelQuery { modality: Some("image".into()), ..query() }), "b/two");
    }
}
