//! The line on top of the overview: one sentence about the whole gateway, from what providers and requests show.

use serde::Serialize;
use vandamme_actors::history::UsageSums;

use super::provider_card::ProviderCard;
use crate::dashboard::units::Share;

/// From this share of failed requests on, the gateway counts as failing.
const FAILING: f64 = 0.5;
/// From this share on, something is wrong.
const DEGRADED: f64 = 0.05;

#[derive(Debug, Serialize)]
pub(super) struct Status {
    /// `ok`, `warn` or `down`
    pub(super) state: &'static str,
    pub(super) heading: &'static str,
    pub(super) text: String,
}

impl Status {
    /// The gateway stops.
    pub(super) fn draining() -> Self {
        let text = "Requests in flight finish; new ones are refused.".to_owned();
        Self { state: "warn", heading: "Shutting down", text }
    }

    pub(super) fn new(sums: &UsageSums, providers: &[ProviderCard]) -> Self {
        let status = |state, heading, text: String| Self { state, heading, text };
        if providers.is_empty() {
            return status(
                "down",
                "No provider",
                "Set OPENAI_API_KEY, ANTHROPIC_API_KEY or another key, and reload.".to_owned(),
            );
        }
        let named = |state: &str| {
            let names = providers.iter().filter(|card| card.state == state);
            names.map(|card| format!("{}: {}", card.name, card.state_text)).collect::<Vec<_>>()
        };
        let (down, warned) = (named("down"), named("warn"));
        let failed = Share::of(sums.failed, sums.requests);
        let share = failed.0.unwrap_or_default();
        let failing = || {
            let share =
                format!("{failed} of the requests of the last 5 minutes failed{}.", where_failed(providers));
            let avoided = [&down[..], &warned[..]].concat();
            if avoided.is_empty() { share } else { format!("{share} {}", sentence(&avoided)) }
        };
        match () {
            () if down.len() == providers.len() => status("down", "Down", sentence(&down)),
            () if share >= FAILING => status("down", "Failing", failing()),
            () if share >= DEGRADED => status("warn", "Degraded", failing()),
            () if !down.is_empty() => status("warn", "Degraded", sentence(&[down, warned].concat())),
            () if !warned.is_empty() => status("warn", "Degraded", sentence(&warned)),
            () if sums.requests == 0 => status("ok", "Up", "No request in the last 5 minutes.".to_owned()),
            () => {
                let text =
                    format!("{} of the requests of the last 5 minutes succeeded.", Share(Some(1.0 - share)));
                status("ok", "Up", text)
            }
        }
    }
}

/// The providers with failed requests, the worst first: ` (openai 41.7 %, anthropic 8.9 %)`.
fn where_failed(providers: &[ProviderCard]) -> String {
    let mut failed: Vec<_> =
        providers.iter().filter_map(|card| Some((1.0 - card.success.0?, &card.name))).collect();
    failed.retain(|(share, _)| *share > 0.0);
    failed.sort_by(|one, other| other.0.total_cmp(&one.0));
    let named: Vec<_> =
        failed.iter().take(3).map(|(share, name)| format!("{name} {}", Share(Some(*share)))).collect();
    if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) }
}

fn sentence(parts: &[String]) -> String {
    format!("{}.", parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboard::units::{Count, Elapsed};

    fn card(name: &str, state: &'static str, success: f64) -> ProviderCard {
        ProviderCard {
            name: name.to_owned(),
            state,
            state_text: "1 of 2 keys ready".to_owned(),
            demo: false,
            requests: Count(10),
            success: Share(Some(success)),
            p95: Elapsed(None),
            last_error: None,
            keys: 2,
            keys_resting: 1,
            in_flight: 0,
            waiting: 0,
        }
    }

    /// Requirement: the status says which provider fails, the worst first, and which keys are avoided.
    #[test]
    fn the_status_names_what_fails() {
        let sums = UsageSums { requests: 20, failed: 6, ..UsageSums::default() };
        let cards = [card("good", "ok", 1.0), card("poor", "ok", 0.9), card("bad", "warn", 0.5)];

        let status = Status::new(&sums, &cards);

        assert_eq!((status.state, status.heading), ("warn", "Degraded"));
        let text = "30.0 % of the requests of the last 5 minutes failed (bad 50.0 %, poor 10.0 %). bad: 1 of 2 keys ready.";
        assert_eq!(status.text, text);
    }
}
