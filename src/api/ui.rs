//! `/api/ui/*`: what the dashboard and `vdm usage` read, as JSON and CSV.

mod request_row;
pub(super) mod requests;
pub(super) mod usage;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use vandamme_actors::history::HistoryError;
use vandamme_actors::settings::{Api, Metrics};
use vandamme_protocol::vocabulary::ErrorKind;

use super::active_requests::NO_METRICS;
use super::render_error;
use super::report;
use crate::gateway::Gateway;
use crate::request_id::RequestId;

/// The answer to a caller who may not read the history, or if none is kept.
fn refusal(request: &HttpRequest, gateway: &Gateway, id: &RequestId) -> Option<HttpResponse> {
    report::turned_away(request, gateway, "usage and requests", id).or_else(|| {
        let is_off = gateway.live_config().settings.request_metrics == Metrics::Off;
        is_off.then(|| {
            let message = format!("{}; set LOG_REQUEST_METRICS=true", NO_METRICS.message);
            render_error::error(Api::Messages, ErrorKind::NotFound, &message, id.as_str())
        })
    })
}

fn invalid(message: &str, id: &RequestId) -> HttpResponse {
    render_error::error(Api::Messages, ErrorKind::InvalidRequest, message, id.as_str())
}

fn failed(error: &HistoryError, id: &RequestId) -> HttpResponse {
    let kind = match error {
        HistoryError::TooLong | HistoryError::TooSlow => ErrorKind::InvalidRequest,
        HistoryError::NotRunning | HistoryError::Unavailable(_) => ErrorKind::Api,
        HistoryError::Busy => ErrorKind::Overloaded,
    };
    render_error::error(Api::Messages, kind, &error.to_string(), id.as_str())
}

/// A CSV file that browsers save under this name.
fn csv_file(name: &str, text: String) -> HttpResponse {
    let mut response = HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(text);
    if let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename={name}.csv")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    report::uncached(response)
}
