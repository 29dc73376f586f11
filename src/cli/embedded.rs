//! A gateway without a listener: requests of a command to providers are handled as those of clients, with the same keys,
//! retries and lists.

use std::sync::Arc;
use std::time::Duration;

use actix_rt::System;
use actix_rt::time::sleep;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use vandamme_actors::routing::Unroutable;
use vandamme_actors::settings::ProviderSettings;

use super::exit_code::Exit;
use super::options::ConfigOptions;
use super::progress::ProgressLine;
use super::{configured, print_to_stderr};
use crate::gateway::Gateway;

/// The selected providers.
pub(super) enum Selection<'a> {
    /// The default one, or that of this name.
    One(Option<&'a str>),
    All,
}

/// Runs `work` with a gateway of this configuration, or prints the errors of the configuration.
pub(super) fn with_gateway<F>(options: ConfigOptions, work: F) -> Exit
where
    F: AsyncFnOnce(Arc<Gateway>) -> Exit,
{
    let config = match configured(&options) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let worked = System::new().block_on(async {
        let gateway = Arc::new(Gateway::start(config)?);
        // An actor with a timer that has never run panics when the system ends.
        sleep(Duration::from_millis(1)).await;
        Ok::<_, String>(work(gateway).await)
    });
    worked.unwrap_or_else(|refusal| {
        print_to_stderr(format_args!("vdm: {refusal}\n"));
        Exit::Internal
    })
}

/// The selected providers. The error for an unknown name suggests a similar one.
pub(super) fn providers(
    gateway: &Gateway,
    selection: &Selection<'_>,
) -> Result<Vec<Arc<ProviderSettings>>, Exit> {
    let routes = gateway.registry.load().routes.clone();
    let live = gateway.live_config();
    let settings = &live.settings;
    let found = match selection {
        Selection::One(name) => routes.provider(*name).map(|provider| vec![provider.clone()]),
        Selection::All if settings.providers.is_empty() => Err(Unroutable::NoProvider),
        Selection::All => Ok(settings.providers.clone()),
    };
    found.map_err(|reason| {
        print_to_stderr(format_args!("vdm: {reason}\n"));
        Exit::Failed
    })
}

/// Queries all of them concurrently and shows which ones are outstanding. The answers are in the order of `providers`.
pub(super) async fn each<'a, T, F>(providers: &'a [String], query: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    let progress = ProgressLine::new();
    let mut waiting: Vec<&'a str> = providers.iter().map(String::as_str).collect();
    let report_waiting = |waiting: &[&str]| match waiting {
        [] => progress.update(""),
        _ => progress.update(&format!("waiting for {}", waiting.join(", "))),
    };
    report_waiting(&waiting);
    let mut running: FuturesUnordered<_> = (0..providers.len())
        .map(|index| {
            let answer = query(index);
            async move { (index, answer.await) }
        })
        .collect();
    let mut answers: Vec<(usize, T)> = vec![];
    while let Some((index, answer)) = running.next().await {
        answers.push((index, answer));
        if let Some(place) = waiting.iter().position(|name| *name == providers[index]) {
            waiting.remove(place);
        }
        report_waiting(&waiting);
    }
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
