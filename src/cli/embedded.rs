//! A gateway without a door: what a command asks of providers takes the way that a client's request would, with the same
//! keys, repeats and lists.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::System;
use actix_rt::time::sleep;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use vandamme_actors::router::Unroutable;
use vandamme_actors::settings::{ProviderSettings, Settings};
use vandamme_actors::supervisor::Supervisor;
use vandamme_actors::upstream::{Wiring, client_config};

use super::exit_code::Exit;
use super::progress::Progress;
use super::{configured, say};
use crate::config::{Config, DemoMode};
use crate::demo;
use crate::gateway::Gateway;

/// Which providers are meant.
pub(super) enum Whom<'a> {
    /// The default one, or that of this name.
    One(Option<&'a str>),
    All,
}

/// Does `work` with the gateway that this configuration makes; what is wrong with it is told.
pub(super) fn with_gateway<F>(file: Option<PathBuf>, work: F) -> Exit
where
    F: AsyncFnOnce(Arc<Gateway>) -> Exit,
{
    let config = match configured(file) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let worked = System::new().block_on(async {
        let Config { mut settings, proxies, proxy_api_key, demo: mode, .. } = config;
        let _demo = match mode {
            DemoMode::Off => None,
            DemoMode::Forced | DemoMode::Fallback => Some(embedded(&mut settings)?),
        };
        let connect_timeout = settings.limits.connect_timeout;
        let wiring = Wiring { tls: client_config()?, proxies, connect_timeout };
        let (_supervisor, roster) = Supervisor::start_tree(settings.clone());
        // An actor that has a timer and never came to run panics when the system ends.
        sleep(Duration::from_millis(1)).await;
        Ok::<_, String>(work(Arc::new(Gateway::new(settings, roster, wiring, proxy_api_key))).await)
    });
    worked.unwrap_or_else(|refusal| {
        say(format_args!("vdm: {refusal}\n"));
        Exit::Internal
    })
}

fn embedded(settings: &mut Settings) -> Result<demo::Demo, String> {
    let demo = demo::start().map_err(|error| format!("the demo provider cannot be started: {error}"))?;
    demo::embed(settings, &demo.base_url);
    Ok(demo)
}

/// The providers of this name, or all. The error for an unknown name contains the name that is near.
pub(super) fn providers(gateway: &Gateway, whom: &Whom<'_>) -> Result<Vec<Arc<ProviderSettings>>, Exit> {
    let routes = gateway.roster.load().routes.clone();
    let terms = gateway.terms();
    let settings = &terms.settings;
    let found = match whom {
        Whom::One(name) => routes.provider(*name).map(|provider| vec![provider.clone()]),
        Whom::All if settings.providers.is_empty() => Err(Unroutable::NoProvider),
        Whom::All => Ok(settings.providers.clone()),
    };
    found.map_err(|reason| {
        say(format_args!("vdm: {reason}\n"));
        Exit::Failed
    })
}

/// Asks all of them at once, and tells who is still being waited for. The answers are in the order of `asked`.
pub(super) async fn each<'a, T, F>(asked: &'a [String], ask: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    let progress = Progress::new();
    let mut waiting: Vec<&'a str> = asked.iter().map(String::as_str).collect();
    let tell = |waiting: &[&str]| match waiting {
        [] => progress.tell(""),
        _ => progress.tell(&format!("waiting for {}", waiting.join(", "))),
    };
    tell(&waiting);
    let mut running: FuturesUnordered<_> = (0..asked.len())
        .map(|index| {
            let answer = ask(index);
            async move { (index, answer.await) }
        })
        .collect();
    let mut answers: Vec<(usize, T)> = vec![];
    while let Some((index, answer)) = running.next().await {
        answers.push((index, answer));
        if let Some(place) = waiting.iter().position(|name| *name == asked[index]) {
            waiting.remove(place);
        }
        tell(&waiting);
    }
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
