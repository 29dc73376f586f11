//! Fetches the report of a gateway every second, on a thread of its own, and waits for signals.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use actix_rt::System;
use actix_rt::time::sleep;
use futures_util::future::{Either, select};

use super::PATH;
use crate::cli::find_gateway::GatewayAddress;
use crate::process::Signals;
use crate::top::TopReport;

const INTERVAL: Duration = Duration::from_secs(1);
/// Reports that the screen has not taken yet. Further ones are dropped.
const WAITING: usize = 4;

/// What the screen receives.
pub(super) enum FeedEvent {
    Report(Result<Box<TopReport>, String>),
    /// A signal ends the program.
    Stop,
}

/// Starts the thread. It ends with the receiver.
pub(super) fn start(gateway: GatewayAddress) -> Receiver<FeedEvent> {
    let (sender, receiver) = sync_channel(WAITING);
    // It goes on until the program exits; without it, the screen reports that the connection was lost.
    thread::spawn(move || System::new().block_on(run(&gateway, &sender)));
    receiver
}

async fn run(gateway: &GatewayAddress, screen: &SyncSender<FeedEvent>) {
    let Ok(mut signals) = Signals::listen() else { return };
    let reports = Box::pin(report_for_ever(gateway, screen));
    let signal = Box::pin(signals.next());
    if let Either::Right(_) = select(reports, signal).await {
        // The queue has room: the screen empties it ten times a second.
        let _gone = screen.send(FeedEvent::Stop);
    }
}

/// Returns when the screen has gone.
async fn report_for_ever(gateway: &GatewayAddress, screen: &SyncSender<FeedEvent>) {
    loop {
        sleep(INTERVAL).await;
        let answer = gateway.get(PATH).await.map_err(String::from);
        let report = answer.and_then(|body| parse(&body)).map(Box::new);
        if let Err(TrySendError::Disconnected(_)) = screen.try_send(FeedEvent::Report(report)) {
            return;
        }
    }
}

pub(super) fn parse(body: &[u8]) -> Result<TopReport, String> {
    serde_json::from_slice(body).map_err(|error| {
        format!("the gateway's report cannot be read ({error}): is it of the same version as this command?")
    })
}
