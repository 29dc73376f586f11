//! `POST /admin/restart`: replaces the worker with the program on disk, as `vdm server restart` does. Open streams continue.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use vandamme_actors::settings::Api;
use vandamme_protocol::vocabulary::ErrorKind;

use super::super::endpoint::Refused;
use super::{act, busy};
use crate::gateway::{Gateway, Listener};
use crate::process::control::client::{self, Running};
use crate::process::control::{ControlCommand, ControlReply, WorkerStatus};

const NO_MASTER: &str = "this gateway runs without a master (--no-master), so it cannot replace its own worker: use `vdm server restart` or restart its service";
const NO_SOCKET: &str =
    "the master of this gateway cannot be reached over its control socket: use `vdm server restart`";

/// The restart that was not done.
#[derive(Serialize)]
struct NotRestarted {
    refused: Vec<String>,
}

#[derive(Serialize)]
struct Restarted {
    version: String,
    worker: Option<WorkerStatus>,
}

/// Why there is no master to ask.
enum NoMaster {
    /// It does not answer.
    Unreachable,
    /// This process is the gateway's only one.
    None,
}

pub(in crate::api) async fn restart(gateway: web::Data<Gateway>) -> HttpResponse {
    act(&gateway, async |gateway, id| {
        let Some(listener) = gateway.listener().cloned() else { return busy().response(Api::Messages, id) };
        let refused = |text: &str| Refused(409, ErrorKind::InvalidRequest, text.to_owned());
        // The control socket is read on a thread that may block.
        match web::block(move || order_restart(&listener)).await {
            Ok(Ok(ControlReply::Restarted(status))) => {
                HttpResponse::Ok().json(Restarted { version: status.version, worker: status.worker })
            }
            Ok(Ok(ControlReply::Refused(refused))) => {
                HttpResponse::UnprocessableEntity().json(NotRestarted { refused })
            }
            Ok(Err(NoMaster::None)) => refused(NO_MASTER).response(Api::Messages, id),
            Ok(Err(NoMaster::Unreachable)) => refused(NO_SOCKET).response(Api::Messages, id),
            Ok(Ok(
                ControlReply::Status(_)
                | ControlReply::Stopping { .. }
                | ControlReply::Joined { .. }
                | ControlReply::Reloaded(_)
                | ControlReply::HealthReset(_)
                | ControlReply::DashboardLink { .. },
            ))
            | Err(_) => busy().response(Api::Messages, id),
        }
    })
    .await
}

/// Orders the restart from this worker's own master, and waits for its answer.
fn order_restart(listener: &Listener) -> Result<ControlReply, NoMaster> {
    let own = std::process::id();
    let serves_here =
        |running: &Running| running.status.worker.as_ref().is_some_and(|worker| worker.pid == Some(own));
    let found = client::find(&listener.address.ip().to_string(), listener.address.port());
    let found = found.into_iter().chain(client::running()).collect::<Vec<_>>();
    if found.iter().any(|running| running.status.pid == own) {
        return Err(NoMaster::None);
    }
    let master = found.into_iter().find(serves_here).ok_or(NoMaster::Unreachable)?;
    let mut answers =
        client::ask(&master.socket, ControlCommand::Restart).map_err(|_| NoMaster::Unreachable)?;
    answers.next().ok().flatten().ok_or(NoMaster::Unreachable)
}
