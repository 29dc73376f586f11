//! The training, from the first start to the last command.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::Trouble;
use crate::client::Listener;
use crate::gateway::Gateway;
use crate::load::{self, Pool, RecordedKind, World};
use crate::recorded;
use crate::tally::Tally;
use crate::tls::Identity;
use crate::upstream;

/// Clients of the load.
const CLIENTS: u64 = 12;
/// The load over TLS is a quarter of the one over HTTP.
const TLS_SHARE: u32 = 4;
/// Complete replies of each kind of request.
const LEAST: u64 = 10;
/// The training stops by itself.
const LONGEST: Duration = Duration::from_secs(300);

/// Commands that users run, with their exit codes. They read the configuration, call providers or ask the gateway.
const COMMANDS: [(&[&str], i32); 19] = [
    (&["--version"], 0),
    (&["--help"], 0),
    (&["explain", "sonnet", "openai:gpt-6.1-sol", "work:haiku", "groq:opus"], 0),
    (&["aliases"], 0),
    (&["models", "list"], 0),
    (&["models", "list", "--provider", "openai", "--refresh", "--json"], 0),
    (&["test", "providers"], 0),
    (&["test", "connection"], 0),
    (&["test", "models"], 0),
    (&["config", "show"], 0),
    (&["health", "server", "--live"], 0),
    (&["health", "upstream", "--all"], 0),
    (&["health", "reset"], 0),
    (&["server", "status"], 0),
    (&["usage", "--by", "model"], 0),
    (&["top", "--once"], 0),
    (&["key", "new", "alice"], 0),
    (&["completions", "bash"], 0),
    (&["explain"], 2),
];

/// Trains the gateway `binary` with a load of this length.
pub(crate) fn train(binary: &str, length: Duration, seed: u64) -> Result<String, Trouble> {
    thread::spawn(|| {
        thread::sleep(LONGEST);
        eprintln!("training: not done after {} s", LONGEST.as_secs());
        std::process::exit(1);
    });
    let binary = std::fs::canonicalize(binary).map_err(|error| format!("{binary}: {error}"))?;
    let recorded = recorded::load()?;
    let kinds: Arc<[RecordedKind]> = recorded.iter().map(RecordedKind::from).collect();
    let upstream = upstream::start(recorded)?;
    let tally = Arc::new(Tally::default());
    let pool = Pool::draw(seed);
    let world = |name: &'static str, listener: Listener| World {
        name,
        listener,
        tally: Arc::clone(&tally),
        pool: pool.clone(),
    };
    over_http((&binary, upstream), (world, kinds), (length, seed))?;
    over_tls((&binary, upstream), world, (length / TLS_SHARE, seed + 1_000))?;
    tally.check(LEAST).map_err(|trouble| format!("{trouble}\n{tally}"))?;
    Ok(format!("complete, other replies:\n{tally}"))
}

fn over_http(
    (binary, upstream): (&Path, u16),
    (world, kinds): (impl Fn(&'static str, Listener) -> World, Arc<[RecordedKind]>),
    (length, seed): (Duration, u64),
) -> Result<(), Trouble> {
    let gateway = Gateway::start(binary, ("http", upstream), None)?;
    let world = world("HTTP", Listener { address: gateway.address, tls: None });
    runtime()?.block_on(async {
        let reading = tokio::try_join!(
            load::requests(world.clone(), CLIENTS, (length, seed)),
            load::pages(world.clone(), length),
            load::events(world.clone(), length),
        );
        reading?;
        load::recorded(world.clone(), kinds, seed).await
    })?;
    for (words, code) in COMMANDS {
        gateway.run(words, code)?;
    }
    for path in ["/admin/health/reset", "/admin/reload", "/admin/models/refresh", "/admin/caches/clear"] {
        gateway.post(path)?;
    }
    gateway.run(&["server", "reload"], 0)?;
    // Another worker, so that the start and the end of one are trained, too.
    gateway.run(&["server", "restart"], 0)?;
    runtime()?.block_on(load::requests(world, CLIENTS, (length / 20, seed + 500)))?;
    gateway.stop()
}

fn over_tls(
    (binary, upstream): (&Path, u16),
    world: impl Fn(&'static str, Listener) -> World,
    (length, seed): (Duration, u64),
) -> Result<(), Trouble> {
    let identity = Identity::new()?;
    let gateway = Gateway::start(binary, ("tls", upstream), Some(&identity))?;
    let world = world("TLS", Listener { address: gateway.address, tls: Some(identity.connector()?) });
    runtime()?.block_on(load::requests(world, CLIENTS, (length, seed)))?;
    gateway.stop()
}

fn runtime() -> Result<tokio::runtime::Runtime, Trouble> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}
