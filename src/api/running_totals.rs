//! `GET /metrics/running-totals`: sums over requests over the whole history, by provider and model. YAML in the Python
//! original's layout, JSON on request; `?provider=` and `?model=` are patterns.

mod pattern;
mod sums;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use vandamme_actors::clock::Millis;
use vandamme_actors::ledger::{Active, LedgerView};
use vandamme_actors::observe::Observe;
use vandamme_actors::settings::{Api, Metrics};
use vandamme_protocol::vocabulary::ErrorKind;

use self::pattern::Pattern;
use self::sums::{ProviderSums, Sums, SumsByForm, by_provider};
use super::active_requests::{Disabled, NO_METRICS};
use super::query;
use super::render_error;
use super::report::{self, Branch, Tree};
use crate::gateway::Gateway;
use crate::request_id::RequestId;
use crate::timestamp::rfc3339;

/// A ledger that does not answer within this time is restarting.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest pattern. Patterns are compared with every row.
const LONGEST_PATTERN: usize = 512;

#[derive(Deserialize)]
struct TotalsQuery {
    provider: Option<String>,
    model: Option<String>,
    include_active: Option<String>,
}

/// Which part of the ledger is reported.
struct Filter {
    provider: Option<Pattern>,
    model: Option<Pattern>,
    active: InFlightSums,
}

/// Whether the sums include requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InFlightSums {
    Included,
    LeftOut,
}

pub(super) async fn running_totals(request: HttpRequest, gateway: web::Data<Gateway>) -> HttpResponse {
    let id = RequestId::new();
    let refuse = |kind, message: &str| render_error::error(Api::Messages, kind, message, id.as_str());
    if let Some(refusal) = report::turned_away(&request, &gateway, "the totals", &id) {
        return refusal;
    }
    let filter = match Filter::parse(request.query_string()) {
        Ok(filter) => filter,
        Err(message) => return refuse(ErrorKind::InvalidRequest, &message),
    };
    if gateway.live_config().settings.request_metrics == Metrics::Off {
        return disabled(&request);
    }
    let ledger = gateway.registry.load().ledger.clone();
    let Ok(view) = ledger.send(Observe::<LedgerView>::new()).timeout(PATIENCE).await else {
        return refuse(ErrorKind::Api, "the ledger does not answer; try again");
    };
    let sections = sections(&view, &filter);
    report::uncached(if report::wants_json(&request) {
        HttpResponse::Ok().json(Tree::Map(sections))
    } else {
        let now = rfc3339(SystemTime::now());
        let text = format!("{}{}", filter.heading(&now), report::yaml(&sections));
        report::in_yaml("running-totals", &now, text)
    })
}

/// The ledger does not answer.
fn disabled(request: &HttpRequest) -> HttpResponse {
    let Disabled { message, suggestion, .. } = NO_METRICS;
    let now = rfc3339(SystemTime::now());
    report::uncached(if report::wants_json(request) {
        let (message, suggestion) = (Tree::Text(message.to_owned()), Tree::Text(suggestion.to_owned()));
        HttpResponse::Ok().json(Tree::Map(vec![
            Branch::new("_metrics_enabled", Tree::Truth(false)),
            Branch::new("message", message),
            Branch::new("suggestion", suggestion),
        ]))
    } else {
        let comments =
            format!("# Running Totals Report\n\n# Message: {message}\n# Suggestion: {suggestion}\n\n");
        report::in_yaml("running-totals", &now, format!("{comments}_metrics_enabled: false\n"))
    })
}

impl Filter {
    fn parse(query: &str) -> Result<Self, String> {
        let TotalsQuery { provider, model, include_active } = web::Query::<TotalsQuery>::from_query(query)
            .map_err(|error| format!("the query is wrong: {error}"))?
            .into_inner();
        let is_included = include_active.map_or(Ok(true), |text| query::flag("include_active", &text))?;
        let active = if is_included { InFlightSums::Included } else { InFlightSums::LeftOut };
        let pattern = |text: Option<String>| match text.filter(|text| !text.is_empty()) {
            Some(text) if text.len() > LONGEST_PATTERN => {
                Err(format!("provider and model: a pattern may have {LONGEST_PATTERN} bytes"))
            }
            text => Ok(text.map(Pattern::new)),
        };
        Ok(Self { provider: pattern(provider)?, model: pattern(model)?, active })
    }

    fn wants(&self, provider: &str, model: &str) -> bool {
        let matches = |pattern: &Option<Pattern>, text| pattern.as_ref().is_none_or(|it| it.matches(text));
        matches(&self.provider, provider) && matches(&self.model, model)
    }

    /// The comment at the top.
    fn heading(&self, now: &str) -> String {
        let provider = self.provider.as_ref().map(|pattern| format!("provider={}", pattern.text()));
        let model = self.model.as_ref().map(|pattern| format!("model={}", pattern.text()));
        let filters: Vec<String> = provider.into_iter().chain(model).collect();
        let filter = match filters.is_empty() {
            true => String::new(),
            false => format!("# Filter: {}\n\n", report::one_line(&filters.join(" & "))),
        };
        format!("# Running Totals Report\n\n# Generated: {now}\n\n{filter}#\n\n# Summary Statistics\n\n")
    }
}

fn sections(view: &LedgerView, filter: &Filter) -> Vec<Branch> {
    let wanted = |active: &&Active| filter.wants(&active.provider, &active.model);
    let running = view.active.iter().filter(wanted).filter(|_| filter.active == InFlightSums::Included);
    let rows = view.rows.iter().filter(|(provider, model, _)| filter.wants(provider, model));
    let providers = by_provider(rows, running);
    let mut total = Sums::default();
    providers.values().for_each(|provider| total += provider.rollup.total());
    let last = providers.values().filter_map(|provider| provider.last).max();
    vec![
        Branch::new("summary", summary(&total, last, view.active.len())),
        Branch::new(
            "providers",
            Tree::Map(providers.iter().map(|(name, sums)| provider_section(name, sums)).collect()),
        ),
    ]
}

fn summary(total: &Sums, last: Option<Millis>, active: usize) -> Tree {
    let last = match last {
        None => Tree::Null,
        Some(last) => Tree::Map(vec![Branch::new("top", time(last))]),
    };
    let mut branches = vec![Branch::new("last_accessed", last)];
    let counts = total.counts().into_iter();
    branches.extend(counts.map(|(name, count)| Branch::new(format!("total_{name}"), Tree::Number(count))));
    branches.push(Branch::new("active_requests", Tree::Number(active as u64)));
    branches.push(Branch::new("average_duration_ms", Tree::Number(total.average_ms())));
    branches.push(Branch::new("total_duration_ms", Tree::Number(total.elapsed_ms().round() as u64)));
    Tree::Map(branches)
}

fn provider_section(name: &str, provider: &ProviderSums) -> Branch {
    let mut branches = vec![
        Branch::new("last_accessed", provider.last.map_or(Tree::Null, time)),
        Branch::new("rollup", Tree::Map(split(&provider.rollup))),
    ];
    let model = |(name, (sums, last)): (&String, &(SumsByForm, Option<Millis>))| {
        let mut branches = vec![Branch::new("last_accessed", last.map_or(Tree::Null, time))];
        branches.extend(split(sums));
        Branch::new(name, Tree::Map(branches))
    };
    branches.push(Branch::new("models", Tree::Map(provider.models.iter().map(model).collect())));
    Branch::new(name, Tree::Map(branches)).commented(format!("{} Provider", title(name)))
}

/// Omits a way of delivery without requests.
fn split(split: &SumsByForm) -> Vec<Branch> {
    let sides = [("streaming", &split.streamed), ("non_streaming", &split.whole)];
    let used = sides.into_iter().filter(|(_, sums)| sums.requests > 0);
    let mut branches = vec![Branch::new("total", row(&split.total()))];
    branches.extend(used.map(|(name, sums)| Branch::new(name, row(sums))));
    branches
}

fn row(sums: &Sums) -> Tree {
    let counts = sums.counts().into_iter();
    let mut branches: Vec<_> = counts.map(|(name, count)| Branch::new(name, Tree::Number(count))).collect();
    branches.push(Branch::new("average_duration_ms", Tree::Number(sums.average_ms())));
    branches.push(Branch::new("total_duration_ms", Tree::Decimal(sums.elapsed_ms())));
    Tree::Map(branches)
}

fn time(at: Millis) -> Tree {
    Tree::Text(rfc3339(UNIX_EPOCH + Duration::from_millis(at)))
}

fn title(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_quoted_in_the_comment_and_cannot_end_it() {
        let filter = Filter::parse("provider=A*&model=x%0Asummary:%20%7B%7D&other=1").unwrap();

        let heading = filter.heading("2026-11-23T04:43:41Z");

        assert!(heading.contains("\n# Filter: provider=A* & model=x summary: {}\n"), "{heading}");
        assert!(heading.lines().all(|line| line.is_empty() || line.starts_with('#')), "{heading}");
        assert!(!Filter::parse("provider=").unwrap().heading("").contains("Filter"));
    }

    #[test]
    fn an_invalid_flag_is_refused() {
        assert!(Filter::parse("include_active=maybe").is_err());
        assert_eq!(Filter::parse("include_active=False").unwrap().active, InFlightSums::LeftOut);
    }

    #[test]
    fn before_the_first_request_all_numbers_are_zero() {
        let view = LedgerView::default();

        let text = report::yaml(&sections(&view, &Filter::parse("").unwrap()));

        assert!(text.starts_with("summary:\n  last_accessed: null\n  total_requests: 0\n"), "{text}");
        assert!(text.ends_with("\nproviders: {}\n"), "{text}");
    }
}
