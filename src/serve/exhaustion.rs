//! What the gateway does when its process runs out of descriptors.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::time::sleep;

use crate::api::connection::ConnectionLimiter;
use crate::gateway::Gateway;
use crate::process::descriptors::{Reserve, Supply};

/// Between two looks. An accept that has failed for want of descriptors is repeated after half a second.
const PAUSE: Duration = Duration::from_millis(250);

/// Keeps a reserve of descriptors. If the process runs out of others, this releases the reserve, closes idle connections and
/// refuses most new clients, except for the health page, until enough descriptors are free.
pub(super) async fn watch(gateway: Arc<Gateway>, limiter: Arc<ConnectionLimiter>) {
    let mut reserve = Reserve::default();
    loop {
        let supply = reserve.refill();
        if limiter.note(supply) {
            match supply {
                Supply::Exhausted => log::warn!(
                    "the process has as many open files as the system allows: idle connections are closed and new clients get 503; raise the limit (LimitNOFILE= of the systemd unit, ulimit -n)"
                ),
                Supply::Enough => log::info!("the process can open files again"),
            }
        }
        if supply == Supply::Exhausted {
            let live = gateway.live_config();
            let providers: Vec<_> =
                live.settings.providers.iter().map(|provider| provider.name.clone()).collect();
            gateway.close_idle_connections(&providers);
        }
        sleep(PAUSE).await;
    }
}
