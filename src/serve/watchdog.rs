//! Notifies the service manager's watchdog for as long as the gateway works.

use std::sync::Arc;

use actix_web::rt::time::interval;
use tokio::time::MissedTickBehavior;

use crate::gateway::Gateway;
use crate::process::systemd;

/// Checks all parts of the gateway twice per watchdog interval, and notifies the watchdog if all of them answer. If one
/// does not, the service manager ends the process and starts it again. Returns if the watchdog is off.
pub(super) async fn watch(gateway: Arc<Gateway>) {
    let Some(limit) = systemd::watchdog() else { return };
    let half = limit / 2;
    let mut ticks = interval(half);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let silent = gateway.unresponsive(half / 2).await;
        if silent.is_empty() {
            systemd::alive();
        } else {
            log::error!(
                "{} does not answer within {:.1} s, so the watchdog is not notified; systemd restarts the service unless it answers soon",
                silent.join(", "),
                (half / 2).as_secs_f64()
            );
        }
    }
}
