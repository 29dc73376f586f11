//! `GET /api/ui/{providers,models,routing,system,logs}`: the content of the dashboard's pages, as JSON.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Serialize, Serializer};
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::endpoint::{self, Refused};
use super::report::{turned_away, uncached};
use super::{guarded, query, shared};
use crate::gateway::Gateway;
use crate::request_id::RequestId;
use crate::telemetry::recent::{self, LoggedRecord, RecordFilter};
use crate::views;
use crate::views::models::{LARGEST_SLICE, ModelOrder, ModelQuery};
use crate::views::providers::ProviderReport;
use crate::views::routing::Destination;

/// The number of models of a slice if the query names none.
const SLICE: usize = 100;
/// The most log records of one answer: all that are kept.
const MOST_RECORDS: usize = 1_000;
/// The longest text of a filter, in bytes.
const LONGEST_FILTER: usize = 256;

/// Answers a caller who may read.
async fn answer<T, F>(request: &HttpRequest, gateway: &web::Data<Gateway>, read: F) -> HttpResponse
where
    T: Serialize,
    F: AsyncFnOnce(Arc<Gateway>, &str) -> Result<T, String>,
{
    let (id, gateway) = (RequestId::new(), shared(gateway));
    if let Some(response) = turned_away(request, &gateway, "the dashboard's reports", &id) {
        return uncached(response);
    }
    let handler = async {
        match read(gateway, request.query_string()).await {
            Ok(report) => HttpResponse::Ok().json(report),
            Err(message) => Refused(400, ErrorKind::InvalidRequest, message).response(Api::Messages, &id),
        }
    };
    uncached(guarded(Api::Messages, &id, handler).await)
}

#[derive(Serialize)]
struct Providers {
    default_provider: Option<String>,
    providers: Vec<NamedProvider>,
}

#[derive(Serialize)]
struct NamedProvider {
    name: String,
    #[serde(flatten)]
    report: ProviderReport,
}

pub(super) async fn providers(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    answer(&request, &gateway, async |gateway, _| {
        let providers = views::providers::read(&gateway).await;
        let named = providers.into_iter().map(|report| NamedProvider { name: report.name.clone(), report });
        let default = gateway.live_config().settings.default_provider.as_ref().map(ToString::to_string);
        Ok(Providers { default_provider: default, providers: named.collect() })
    })
    .await
}

pub(super) async fn models(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    answer(&request, &gateway, async |gateway, query| {
        Ok(views::models::read(&gateway, &model_query(query)?).await)
    })
    .await
}

/// Reads the query of a slice of models. The error is for the client.
pub(super) fn model_query(text: &str) -> Result<ModelQuery, String> {
    let mut query = ModelQuery { limit: SLICE, ..ModelQuery::default() };
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        match &*name {
            "limit" => query.limit = query::limit("limit", &value, LARGEST_SLICE)?,
            "offset" => query.offset = value.parse().map_err(|_| "offset: expected a number")?,
            "provider" => query.provider = filter("provider", &value)?,
            "q" => query.text = filter("q", &value)?,
            "vendor" => query.vendor = filter("vendor", &value)?,
            "modality" => query.modality = filter("modality", &value)?,
            "tools" => query.tools = query::flag("tools", &value)?,
            "vision" => query.vision = query::flag("vision", &value)?,
            "free" => query.free = query::flag("free", &value)?,
            "sort" => {
                let expected = "sort: expected listed, id, created, context, max_output, input or output";
                query.sort = ModelOrder::parse(&value).ok_or(expected)?;
            }
            "order" => {
                query.descending = match &*value {
                    "asc" => false,
                    "desc" => true,
                    _ => return Err("order: expected asc or desc".to_owned()),
                }
            }
            _ => {}
        }
    }
    Ok(query)
}

/// A text to filter by; an empty one filters nothing.
fn filter(name: &str, text: &str) -> Result<Option<String>, String> {
    if text.len() > LONGEST_FILTER {
        return Err(format!("{name}: expected at most {LONGEST_FILTER} bytes"));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Where one name leads.
#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    destination: Destination,
    /// What `input_tokens` of the query cost, in millionths of a dollar; `null` if the price is not known.
    input_micro_dollars: Option<u64>,
}

/// The aliases and profiles; with `?model=NAME`, where that name leads.
pub(super) async fn routing(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Routing {
        Name(Explained),
        All(views::routing::RoutingReport),
    }
    answer(&request, &gateway, async |gateway, query| {
        let (mut model, mut tokens) = (None, 0);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "model" if !value.is_empty() => model = Some(value),
                "input_tokens" => {
                    tokens = value.parse().map_err(|_| "input_tokens: expected a number")?;
                }
                _ => {}
            }
        }
        let Some(model) = model else { return Ok(Routing::All(views::routing::read(&gateway))) };
        endpoint::model_name(&model, &gateway.live_config(), None)?;
        let destination = views::routing::explain(&gateway, &model);
        let input_micro_dollars = views::routing::input_cost(&gateway, &destination, tokens);
        Ok(Routing::Name(Explained { destination, input_micro_dollars }))
    })
    .await
}

pub(super) async fn system(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    answer(&request, &gateway, async |gateway, _| {
        let read = web::block(move || views::system::read(&gateway)).await;
        read.map_err(|_| "the gateway is busy; try again".to_owned())
    })
    .await
}

#[derive(Serialize)]
struct Logs {
    /// The number of the latest record, to ask for later ones.
    latest: u64,
    /// The oldest first.
    #[serde(serialize_with = "each")]
    records: Vec<Arc<LoggedRecord>>,
}

fn each<S: Serializer>(records: &[Arc<LoggedRecord>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(records.iter().map(|record| &**record))
}

pub(super) async fn logs(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    answer(&request, &gateway, async |_, query| {
        let (wanted, limit) = log_query(query)?;
        let latest = *recent::latest_record().borrow();
        let mut records = recent::records(&wanted);
        // The latest ones.
        records.drain(..records.len().saturating_sub(limit));
        Ok(Logs { latest, records })
    })
    .await
}

/// Reads the filter of log records and their number. The error is for the client.
pub(super) fn log_query(text: &str) -> Result<(RecordFilter, usize), String> {
    let (mut wanted, mut limit) = (RecordFilter::default(), MOST_RECORDS);
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        match &*name {
            "level" if !value.is_empty() => {
                let expected = |_| "level: expected error, warn, info, debug or trace";
                wanted.level = value.parse().map_err(expected)?;
            }
            "q" => wanted.text = filter("q", &value)?,
            "request_id" => wanted.request_id = filter("request_id", &value)?,
            "after" => wanted.after = value.parse().map_err(|_| "after: expected a number")?,
            "limit" => limit = query::limit("limit", &value, MOST_RECORDS)?,
            _ => {}
        }
    }
    Ok((wanted, limit))
}

#[cfg(test)]
mod tests {
    use log::Level;

    use super::*;

    #[test]
    fn queries_are_read_strictly() {
        let query =
            model_query("provider=poe&q=&sort=context&order=desc&free=1&limit=5&offset=10&x=y").unwrap();
        assert_eq!((query.provider.as_deref(), query.text), (Some("poe"), None));
        assert_eq!((query.sort, query.descending, query.free), (ModelOrder::Context, true, true));
        assert_eq!((query.limit, query.offset), (5, 10));
        for wrong in ["sort=price", "order=up", "free=maybe", "limit=0", "limit=501", "offset=-1"] {
            assert!(model_query(wrong).is_err(), "{wrong}");
        }
        assert!(model_query(&format!("q={}", "x".repeat(LONGEST_FILTER + 1))).is_err());
        let (wanted, limit) = log_query("level=warn&request_id=r&after=7&limit=3").unwrap();
        assert_eq!((wanted.level, wanted.after, limit), (Level::Warn, 7, 3));
        assert!(log_query("level=loud").is_err() && log_query("after=x").is_err());
    }
}
