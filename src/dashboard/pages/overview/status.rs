//! The line on top of the overview: one sentence about the whole gateway, from what providers and requests show.

use serde::Serialize;
use vandamme_actors::clock::Millis;

use super::provider_card::ProviderCard;
use crate::dashboard::present::WINDOW;
use crate::dashboard::units::{Count, Share};
use crate::live::{self, Failures};

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
    /// Since when; `None` while everything works, or if the time is not known.
    pub(super) since: Option<Millis>,
}

/// What the requests of the last minutes show.
#[derive(Debug, Default)]
pub(super) struct Recent {
    counted: live::Share,
    /// They do not decide about the status.
    client_errors: u64,
    /// Since when a share of them fails that counts as failing or as degraded.
    failing_since: Option<Millis>,
    degraded_since: Option<Millis>,
}

impl Recent {
    pub(super) fn read(failures: &Failures, since: Millis, until: Millis) -> Self {
        Self {
            counted: failures.share(since, until),
            client_errors: failures.client_errors(since, until),
            failing_since: failures.failing_since(until, WINDOW, FAILING),
            degraded_since: failures.failing_since(until, WINDOW, DEGRADED),
        }
    }

    /// The text while everything works.
    fn text(&self) -> String {
        let succeeded = Share(Some(1.0 - self.counted.value()));
        let errors = match self.client_errors {
            0 if self.counted.requests == 0 => return "No request in the last 5 minutes.".to_owned(),
            0 => String::new(),
            1 => " 1 request failed because of a client error.".to_owned(),
            more => format!(" {} requests failed because of client errors.", Count(more)),
        };
        match self.counted.requests {
            0 => format!("In the last 5 minutes{errors}"),
            _ => format!("{succeeded} of the requests of the last 5 minutes succeeded.{errors}"),
        }
    }
}

impl Status {
    /// The gateway stops.
    pub(super) fn draining() -> Self {
        let text = "Requests in flight finish; new ones are refused.".to_owned();
        Self { state: "warn", heading: "Shutting down", text, since: None }
    }

    pub(super) fn new(recent: &Recent, providers: &[ProviderCard]) -> Self {
        let status = |state, heading, text: String| Self { state, heading, text, since: None };
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
        let share = recent.counted.value();
        let failing = || {
            let share = format!(
                "{} of the requests of the last 5 minutes failed{}.",
                Share(Some(share)),
                where_failed(providers)
            );
            let avoided = [&down[..], &warned[..]].concat();
            if avoided.is_empty() { share } else { format!("{share} {}", sentence(&avoided)) }
        };
        let times = || providers.iter().filter_map(|card| card.since);
        match () {
            () if down.len() == providers.len() => {
                Self { since: times().max(), ..status("down", "Down", sentence(&down)) }
            }
            () if share >= FAILING => {
                Self { since: recent.failing_since, ..status("down", "Failing", failing()) }
            }
            () if share >= DEGRADED => {
                Self { since: recent.degraded_since, ..status("warn", "Degraded", failing()) }
            }
            () if !down.is_empty() || !warned.is_empty() => Self {
                since: times().min(),
                ..status("warn", "Degraded", sentence(&[down, warned].concat()))
            },
            () => status("ok", "Up", recent.text()),
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
            since: (state != "ok").then_some(7),
            demo: false,
            requests: Count(10),
            success: Share(Some(success)),
            client_errors: Count(0),
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
        let recent = Recent {
            counted: live::Share { requests: 20, failed: 6 },
            degraded_since: Some(5),
            ..Recent::default()
        };
        let cards = [card("good", "ok", 1.0), card("poor", "ok", 0.9), card("bad", "warn", 0.5)];

        let status = Status::new(&recent, &cards);

        assert_eq!((status.state, status.heading, status.since), ("warn", "Degraded", Some(5)));
        let text = "30.0 % of the requests of the last 5 minutes failed (bad 50.0 %, poor 10.0 %). bad: 1 of 2 keys ready.";
        assert_eq!(status.text, text);
    }

    /// Requirement: a client's mistake is not the gateway's: requests that fail because of it leave the status as it is, and it says so.
    #[test]
    fn client_errors_leave_the_status() {
        let cards = [card("good", "ok", 1.0)];
        let shown = |requests, client_errors| {
            let counted = live::Share { requests, failed: 0 };
            let status = Status::new(&Recent { counted, client_errors, ..Recent::default() }, &cards);
            assert_eq!((status.state, status.since), ("ok", None));
            status.text
        };
        let succeeded = "100 % of the requests of the last 5 minutes succeeded.";
        assert_eq!(shown(0, 0), "No request in the last 5 minutes.");
        assert_eq!(shown(1, 0), succeeded);
        assert_eq!(shown(1, 30), format!("{succeeded} 30 requests failed because of client errors."));
        assert_eq!(shown(0, 1), "In the last 5 minutes 1 request failed because of a client error.");
    }

    /// Requirement: the status says since when: a provider since it is avoided, all of them since the last one is.
    #[test]
    fn the_status_says_since_when_providers_are_avoided() {
        let at = |state, since| ProviderCard { since: Some(since), ..card("p", state, 1.0) };
        let since = |cards: &[ProviderCard]| Status::new(&Recent::default(), cards).since;
        assert_eq!(since(&[at("down", 9), at("warn", 4), card("q", "ok", 1.0)]), Some(4));
        assert_eq!(since(&[at("down", 9), at("down", 4)]), Some(9));
    }
}
