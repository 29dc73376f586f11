//! What Prometheus scrapes: families of samples from the ledger's series, the actors' state and the process. Reading them never
//! waits for a request.

mod declared;
mod exposition;
mod process;
mod requests;
mod state;

pub(crate) use self::exposition::{Exposition, TextFormat};

use std::time::Duration;

use vandamme_actors::observe::Ping;

use crate::gateway::Gateway;

/// How long a scrape waits for an actor. One that does not answer is being replaced; its samples are left out.
const PATIENCE: Duration = Duration::from_secs(1);

/// Everything that is measured now. `connections` are the open client connections.
pub(crate) async fn collect(gateway: &Gateway, connections: Option<usize>) -> Exposition {
    let registry = gateway.registry.load();
    // The ledger reads its queue before it answers, so the series have every request that has ended.
    let _ = registry.ledger.send(Ping).timeout(PATIENCE).await;
    let mut exposition = Exposition::default();
    requests::add(&registry.series.snapshot(), &mut exposition);
    state::add(gateway, connections, &mut exposition).await;
    process::add(gateway.counters.started, &mut exposition);
    exposition
}
