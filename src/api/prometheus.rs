//! `GET /metrics`: all numbers in the formats that Prometheus reads.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::connection::ConnectionLimiter;
use super::{render_error, report};
use crate::gateway::Gateway;
use crate::metrics::{self, TextFormat};
use crate::request_id::RequestId;

pub(super) async fn scrape(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    if let Some(refusal) = report::turned_away(&request, &gateway, "the metrics", &id) {
        return refusal;
    }
    let limiter = request.app_data::<web::Data<ConnectionLimiter>>();
    let connections = limiter.map(|limiter| limiter.open());
    let format = accepted(request.headers());
    match metrics::collect(&gateway, connections).await.text(format) {
        Ok(text) => {
            let mut response = HttpResponse::Ok().content_type(format.content_type()).body(text);
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
            report::uncached(response)
        }
        Err(error) => {
            log::error!("the metrics cannot be written: {error}");
            let message = "the metrics cannot be written";
            render_error::error(Api::Messages, ErrorKind::Api, message, id.as_str())
        }
    }
}

/// OpenMetrics for a client that prefers it, such as Prometheus; otherwise the text that every client reads.
fn accepted(headers: &HeaderMap) -> TextFormat {
    let (mut open, mut classic) = (0.0, 0.0);
    let values = headers.get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        let best = match kind.as_str() {
            "application/openmetrics-text" => &mut open,
            "text/plain" => &mut classic,
            _ => continue,
        };
        *best = weight.max(*best);
    }
    if open > 0.0 && open >= classic { TextFormat::OpenMetrics } else { TextFormat::Prometheus }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requirement: content negotiation as Prometheus expects it.
    #[test]
    fn open_metrics_is_for_clients_that_prefer_it() {
        for (accept, expected) in [
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                TextFormat::OpenMetrics,
            ),
            ("text/plain;version=0.0.4, application/openmetrics-text;q=0.1", TextFormat::Prometheus),
            ("application/openmetrics-text;q=0", TextFormat::Prometheus),
            ("*/*", TextFormat::Prometheus),
            ("text/html", TextFormat::Prometheus),
            ("Application/OpenMetrics-Text", TextFormat::OpenMetrics),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(accepted(&headers), expected, "{accept}");
        }
        assert_eq!(accepted(&HeaderMap::new()), TextFormat::Prometheus);
    }
}
