//! Clients at work: model requests, and a reader of pages and metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Trouble;
use crate::client::{Connection, Listener};
use crate::recorded::Recorded;
use crate::requests::{Api, Request};
use crate::tally::{Outcome, Tally};

/// What a load knows.
#[derive(Clone)]
pub(crate) struct World {
    /// Its name in the tally.
    pub(crate) name: &'static str,
    pub(crate) listener: Listener,
    pub(crate) tally: Arc<Tally>,
    pub(crate) pool: Pool,
}

/// Requests that are drawn and written in advance, since that takes longer than to serve them.
#[derive(Clone)]
pub(crate) struct Pool(Arc<[(Request, Vec<u8>)]>);

impl Pool {
    pub(crate) fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let drawn = (0..POOL).map(|_| {
            let request = Request::draw(&mut rng);
            let bytes = request.bytes(&mut rng);
            (request, bytes)
        });
        Self(drawn.collect())
    }
}

const PAGES: [&str; 22] = [
    "/health",
    "/health/ready",
    "/v1/models",
    "/v1/models?format=openai",
    "/v1/aliases",
    "/v1/profiles",
    "/top-models",
    "/metrics",
    "/metrics/running-totals",
    "/metrics/running-totals?format=json",
    "/metrics/logs",
    "/metrics/active-requests",
    "/api/ui/snapshot",
    "/api/ui/usage",
    "/api/ui/requests",
    "/api/ui/providers",
    "/api/ui/models",
    "/api/ui/routing",
    "/api/ui/system",
    "/api/ui/top",
    "/dashboard",
    "/",
];
const POOL: usize = 600;
/// Between two pages. A dashboard reads about as often.
const PAGE_INTERVAL: Duration = Duration::from_millis(150);
/// How long a stream of events is read.
const WATCHED: Duration = Duration::from_secs(2);

/// Sends drawn requests for so long, from so many clients.
pub(crate) async fn requests(
    world: World,
    clients: u64,
    (length, seed): (Duration, u64),
) -> Result<(), Trouble> {
    let until = Instant::now() + length;
    let mut running = JoinSet::new();
    for number in 0..clients {
        let world = world.clone();
        running.spawn(async move { client(&world, until, Rng::with_seed(seed + number)).await });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

async fn client(world: &World, until: Instant, mut rng: Rng) -> Result<(), Trouble> {
    let mut kept = None;
    while Instant::now() < until {
        let (request, bytes) = &world.pool.0[rng.usize(..world.pool.0.len())];
        // Some clients open a connection for each request.
        let reused = kept.take().filter(|_| rng.u8(..8) != 0);
        kept = send(world, (request, bytes), reused).await?;
    }
    Ok(())
}

/// Sends one request; the connection, if it can be used again.
async fn send(
    world: &World,
    (request, bytes): (&Request, &[u8]),
    kept: Option<Connection>,
) -> Result<Option<Connection>, Trouble> {
    let mut connection = match kept {
        Some(kept) => kept,
        None => Connection::open(&world.listener).await?,
    };
    let reply = connection.ask(bytes).await;
    let (outcome, kept) = match reply {
        Ok(reply) => {
            (Outcome::of_reply(request, reply.status, &reply.body), (!reply.closes).then_some(connection))
        }
        // An idle connection of an old worker, or a stream that the upstream cut.
        Err(_) => (Outcome::Other, None),
    };
    world.tally.count(world.name, request, outcome);
    Ok(kept)
}

/// Requests every recorded reply once with either client API.
pub(crate) async fn recorded(world: World, replies: Arc<[RecordedKind]>, seed: u64) -> Result<(), Trouble> {
    let (mut rng, mut kept) = (Rng::with_seed(seed), None);
    for (number, reply) in replies.iter().enumerate() {
        for client in [Api::Messages, Api::Chat] {
            let request = Request::recorded(number, (client, reply.api), reply.form);
            let bytes = request.bytes(&mut rng);
            kept = send(&world, (&request, &bytes), kept).await?;
        }
    }
    Ok(())
}

/// The API and the form of a recorded reply.
#[derive(Clone, Copy)]
pub(crate) struct RecordedKind {
    api: Api,
    form: crate::requests::Form,
}

impl From<&Recorded> for RecordedKind {
    fn from(recorded: &Recorded) -> Self {
        Self { api: recorded.api, form: recorded.form }
    }
}

/// Reads pages and metrics for so long, as a dashboard and a monitoring system do.
pub(crate) async fn pages(world: World, length: Duration) -> Result<(), Trouble> {
    let until = Instant::now() + length;
    let mut pages = PAGES.iter().cycle();
    let mut kept = None;
    while Instant::now() < until {
        let mut connection = match kept.take() {
            Some(kept) => kept,
            None => Connection::open(&world.listener).await?,
        };
        let path = pages.next().copied().unwrap_or_default();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip\r\naccept: */*\r\n\r\n");
        if let Ok(reply) = connection.ask(request.as_bytes()).await {
            kept = (!reply.closes).then_some(connection);
        }
        sleep(PAGE_INTERVAL).await;
    }
    Ok(())
}

/// Reads the streams of events of the dashboard for so long.
pub(crate) async fn events(world: World, length: Duration) -> Result<(), Trouble> {
    let until = Instant::now() + length;
    while Instant::now() < until {
        for path in ["/metrics/active-requests/stream", "/api/ui/stream"] {
            let mut connection = Connection::open(&world.listener).await?;
            let request =
                format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n");
            // It does not end by itself.
            let _watched = timeout(WATCHED, connection.ask(request.as_bytes())).await;
        }
    }
    Ok(())
}
