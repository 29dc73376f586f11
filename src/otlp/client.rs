//! Sends exports to the collector, with retries as the protocol requires them.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::rt::time::{sleep, timeout};
use bytes::Bytes;
use futures_util::future::select;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use vandamme_actors::settings::ProviderSettings;
use vandamme_actors::upstream::{self, CallHead, CallUrl};

use crate::config::OtlpConfig;
use crate::gateway::Gateway;

/// The most calls for one export.
const MOST_CALLS: u32 = 5;
/// The first pause between two calls; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, whatever the collector names.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const LONGEST_ANSWER: usize = 64 << 10;

/// One collector's endpoint.
pub(super) struct Client {
    url: String,
    headers: HeaderMap,
    timeout: Duration,
    gateway: Arc<Gateway>,
    /// The collector, as the HTTP client of this thread knows it.
    collector: ProviderSettings,
    /// Once it is `true`, nothing is repeated.
    stop: watch::Receiver<bool>,
    /// The last export failed, and this has been logged.
    is_failing: bool,
}

/// The result of one export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// All but this number were accepted.
    Accepted {
        rejected: u64,
    },
    Dropped,
}

/// Why a call did not succeed.
struct CallFailed {
    message: String,
    retry: Retry,
}

/// Whether another call may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    No,
    /// After the usual pause, or the one that the collector has named.
    After(Option<Duration>),
}

/// The answer to an export.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    partial_success: PartialSuccess,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartialSuccess {
    /// A number, or a text with one.
    rejected_spans: Value,
    rejected_data_points: Value,
}

impl Sent {
    pub(super) fn accepted(self, all: u64) -> u64 {
        all - self.rejected(all)
    }

    pub(super) fn rejected(self, all: u64) -> u64 {
        match self {
            Self::Accepted { rejected } => rejected.min(all),
            Self::Dropped => all,
        }
    }
}

impl Client {
    pub(super) fn new(
        url: String,
        config: &OtlpConfig,
        gateway: Arc<Gateway>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let agent = concat!("vdm/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        for (name, value) in &config.headers {
            headers.insert(name.clone(), value.clone());
        }
        let collector = ProviderSettings { name: "(otlp)".into(), ..crate::demo::provider(&url) };
        Self { url, headers, timeout: config.timeout, gateway, collector, stop, is_failing: false }
    }

    /// Sends an export, several times if necessary.
    pub(super) async fn send(&mut self, export: &Value) -> Sent {
        let body = Bytes::from(export.to_string());
        let mut pause = FIRST_PAUSE;
        for call in 1.. {
            let failed = match self.call(body.clone()).await {
                Ok(rejected) => {
                    if std::mem::take(&mut self.is_failing) {
                        log::info!("telemetry is exported again to {}", self.url);
                    }
                    return Sent::Accepted { rejected };
                }
                Err(failed) => failed,
            };
            let Retry::After(named) = failed.retry else { return self.give_up(&failed.message) };
            if call >= MOST_CALLS || *self.stop.borrow() {
                return self.give_up(&failed.message);
            }
            let wait = named.unwrap_or_else(|| pause.mul_f64(0.5 + fastrand::f64())).min(LONGEST_PAUSE);
            pause = pause.saturating_mul(2);
            drop(select(Box::pin(sleep(wait)), Box::pin(self.stop.changed())).await);
        }
        Sent::Dropped
    }

    /// Logs only the first of several failures.
    fn give_up(&mut self, message: &str) -> Sent {
        if !std::mem::replace(&mut self.is_failing, true) {
            let secrets = &self.gateway.live_config().secrets;
            let message = secrets.scrub(message.to_owned());
            log::warn!(
                "telemetry cannot be exported to {}: {message}; it is dropped until the collector accepts it",
                self.url
            );
        }
        Sent::Dropped
    }

    async fn call(&self, body: Bytes) -> Result<u64, CallFailed> {
        let answered = timeout(self.timeout, self.answer(body)).await;
        answered.unwrap_or_else(|_elapsed| {
            let message = format!("no answer within {} s", self.timeout.as_secs_f64());
            Err(CallFailed { message, retry: Retry::After(None) })
        })
    }

    async fn answer(&self, body: Bytes) -> Result<u64, CallFailed> {
        let again = |message: String| CallFailed { message, retry: Retry::After(None) };
        let stopped = |_closed| again("the HTTP client has stopped".to_owned());
        let client = upstream::client(&self.collector, &self.gateway.wiring).await.map_err(stopped)?;
        let url = CallUrl::parse(&self.url).map_err(|error| again(error.to_string()))?;
        let head = CallHead { method: Method::POST, url, headers: self.headers.clone() };
        let response = client.send(head, || body.clone()).await;
        let mut response = response.map_err(|error| again(error.to_string()))?;
        let status = response.status().as_u16();
        let named =
            response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let text = response.body().limit(LONGEST_ANSWER).await;
        match status {
            200..=299 => {
                let text = text.unwrap_or_default();
                Ok(rejected(&text))
            }
            429 | 502..=504 => Err(CallFailed {
                message: format!("status {status}"),
                retry: Retry::After(named.map(Duration::from_secs)),
            }),
            _ => {
                let text = text.unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                let text = vandamme_actors::excerpt::one_line(&text, vandamme_actors::excerpt::LINE);
                Err(CallFailed { message: format!("status {status} {text}"), retry: Retry::No })
            }
        }
    }
}

/// How many spans or data points the collector has refused.
fn rejected(answer: &[u8]) -> u64 {
    let PartialSuccess { rejected_spans, rejected_data_points } =
        serde_json::from_slice::<Answer>(answer).unwrap_or_default().partial_success;
    let number = |value: Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0);
    number(rejected_spans) + number(rejected_data_points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_spans_are_counted_in_both_forms_of_numbers() {
        for (answer, expected) in [
            ("{}", 0),
            ("", 0),
            (r#"{"partialSuccess": {}}"#, 0),
            (r#"{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "x"}}"#, 2),
            (r#"{"partialSuccess": {"rejectedDataPoints": 3}}"#, 3),
        ] {
            assert_eq!(rejected(answer.as_bytes()), expected, "{answer}");
        }
        assert_eq!((Sent::Dropped.accepted(3), Sent::Dropped.rejected(3)), (0, 3));
        assert_eq!(Sent::Accepted { rejected: 5 }.accepted(3), 0);
    }
}
