//! `GET /api/ui/requests` and `/api/ui/requests/{id}`: the requests that have ended, newest first.

use std::time::SystemTime;

use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use vandamme_actors::history::{RequestPage, RequestQuery, StoredRequest};
use vandamme_actors::secret::Secrets;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::{csv_file, failed, invalid, refusal, request_row};
use crate::api::render_error;
use crate::api::{query, report};
use crate::gateway::Gateway;
use crate::request_id::RequestId;
use crate::usage_report::{Csv, Form, Members, read_filter, recent};

/// The most requests of an answer in JSON and in CSV, and the usual number.
const MOST: usize = 1_000;
const MOST_IN_CSV: usize = 10_000;
const LIMIT: usize = 100;
/// The cursor of the next page of a CSV file.
const NEXT: HeaderName = HeaderName::from_static("x-vdm-next-cursor");
/// The longest text that is searched for.
const LONGEST_TEXT: usize = 512;

/// What is asked, and the form of the answer.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    query: RequestQuery,
    form: Form,
}

/// A page of requests.
#[derive(Serialize)]
struct Answer {
    requests: Vec<Members>,
    /// The cursor of the next page.
    next: Option<String>,
}

pub(crate) async fn list(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    if let Some(refusal) = refusal(&request, &gateway, &id) {
        return refusal;
    }
    let Question { query, form } = match Question::parse(request.query_string(), SystemTime::now()) {
        Ok(question) => question,
        Err(message) => return invalid(&message, &id),
    };
    let (history, live) = (gateway.registry.load().history.clone(), gateway.live_config());
    match history.requests(query).await {
        Ok(RequestPage { requests, next }) => match form {
            Form::Json => {
                let rows = requests.iter().map(|request| request_row::row(request, &live.secrets));
                let answer = Answer { requests: rows.collect(), next: next.map(|next| next.to_string()) };
                report::uncached(HttpResponse::Ok().json(answer))
            }
            Form::Csv => with_next(csv_file("requests", csv_of(&requests, &live.secrets)), next),
        },
        Err(error) => failed(&error, &id),
    }
}

pub(crate) async fn one(
    request: HttpRequest,
    path: web::Path<String>,
    gateway: web::Data<Gateway>,
) -> HttpResponse {
    let id = RequestId::new();
    if let Some(refusal) = refusal(&request, &gateway, &id) {
        return refusal;
    }
    let (history, live) = (gateway.registry.load().history.clone(), gateway.live_config());
    match history.request(path.into_inner()).await {
        Ok(Some(found)) => report::uncached(HttpResponse::Ok().json(request_row::row(&found, &live.secrets))),
        Ok(None) => {
            let message = "no request with this id has ended, or its details are no longer kept";
            render_error::error(Api::Messages, ErrorKind::NotFound, message, id.as_str())
        }
        Err(error) => failed(&error, &id),
    }
}

impl Question {
    fn parse(text: &str, now: SystemTime) -> Result<Self, String> {
        let (mut form, mut limit) = (Form::Json, None);
        let mut query = RequestQuery { selection: recent(now), ..RequestQuery::default() };
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "q" if value.len() > LONGEST_TEXT => {
                    return Err(format!("q: a text may have {LONGEST_TEXT} bytes"));
                }
                "q" => query.text = Some(value.into_owned()).filter(|text| !text.is_empty()),
                "cursor" if value.is_empty() => {}
                "cursor" => {
                    let cursor = value.parse().map_err(|_| "cursor: expected the value of `next`")?;
                    query.cursor = Some(cursor);
                }
                "limit" => limit = Some(query::limit(&name, &value, MOST_IN_CSV)?),
                "format" => form = Form::parse(&value)?,
                name if read_filter(&mut query.selection, name, &value, now)? => {}
                name => return Err(format!("unknown parameter '{}'", report::one_line(name))),
            }
        }
        query.limit = match (form, limit) {
            (Form::Json, Some(limit)) if limit > MOST => {
                return Err(format!("limit: expected a number from 1 to {MOST}"));
            }
            (Form::Json, limit) => limit.unwrap_or(LIMIT),
            (Form::Csv, limit) => limit.unwrap_or(MOST_IN_CSV),
        };
        Ok(Self { query, form })
    }
}

/// CSV has no place for the cursor of the next page.
fn with_next(mut response: HttpResponse, next: Option<u64>) -> HttpResponse {
    if let Some(next) = next {
        response.headers_mut().insert(NEXT, next.into());
    }
    response
}

fn csv_of(requests: &[StoredRequest], secrets: &Secrets) -> String {
    let columns = |request: &StoredRequest| {
        let mut cells = request_row::row(request, secrets).cells();
        // Lists have no form in a table.
        cells.retain(|(name, _)| {
            !["calls", "failed_targets"].contains(&name.as_str()) && !name.starts_with("cache_loss")
        });
        cells
    };
    let mut csv = Csv::default();
    csv.line(columns(&StoredRequest::default()).iter().map(|(name, _)| name));
    for request in requests {
        csv.line(columns(request).iter().map(|(_, cell)| cell));
    }
    csv.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_strictly() {
        let parse = |text| Question::parse(text, SystemTime::UNIX_EPOCH);
        let query = parse("q=Opus&cursor=7&limit=3&end=cancelled").unwrap().query;
        assert_eq!((query.text.as_deref(), query.cursor, query.limit), (Some("Opus"), Some(7), 3));
        assert_eq!(parse("").unwrap().query.limit, LIMIT);
        assert_eq!(parse("format=csv").unwrap().query.limit, MOST_IN_CSV);
        for wrong in ["cursor=x", "limit=1001", "limit=0", "colour=red", "format=pdf"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
