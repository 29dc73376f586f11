//! `GET /health/live` and `GET /health/ready`, for orchestrators and load balancers. Everybody may read them.

use std::time::Duration;

use actix_web::rt::time::timeout;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::NO_PROVIDER;
use crate::api::report;
use crate::gateway::Gateway;

/// A part of the gateway that takes longer to answer does not work.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the process works: 200, or 503 if a part of it does not answer, so that only a restart helps. Failing providers
/// and a shutdown make no difference.
pub(in crate::api) async fn live(gateway: web::Data<Gateway>) -> HttpResponse {
    let check = || {
        let gateway = gateway.clone();
        async move { gateway.unresponsive(PATIENCE).await }
    };
    // The thread that runs the shared check may hang itself.
    let silent = match timeout(2 * PATIENCE, gateway.liveness.share(&(), check)).await {
        Ok(Ok(silent)) => silent,
        Ok(Err(_)) | Err(_) => vec!["a worker thread".to_owned()],
    };
    if silent.is_empty() {
        return report::uncached(HttpResponse::Ok().json(json!({"status": "live"})));
    }
    let message = format!("{} does not answer; restart the gateway", silent.join(", "));
    unavailable("unresponsive", &message)
}

/// Whether requests belong here: 200, or 503 while the gateway shuts down or has no provider.
pub(in crate::api) async fn ready(gateway: web::Data<Gateway>) -> HttpResponse {
    if !gateway.is_ready() {
        return unavailable("draining", "the gateway is shutting down");
    }
    if gateway.live_config().settings.providers.is_empty() {
        return unavailable("unconfigured", NO_PROVIDER);
    }
    report::uncached(HttpResponse::Ok().json(json!({"status": "ready"})))
}

fn unavailable(status: &str, message: &str) -> HttpResponse {
    let report = json!({"status": status, "message": message});
    report::uncached(HttpResponse::ServiceUnavailable().json(report))
}

#[cfg(test)]
mod tests {
    use actix_web::rt::time::sleep;

    use super::*;
    use crate::config::{Config, Overrides};

    /// Requirement: readiness ends when a drain begins; liveness does not.
    #[actix_web::test]
    async fn a_draining_gateway_is_live_but_not_ready() {
        let environment = [("OPENAI_API_KEY".to_owned(), "sk-test".to_owned())].into();
        let overrides =
            Overrides { environment, working_directory: "/absent".into(), ..Overrides::default() };
        let gateway = web::Data::new(Gateway::start(Config::load(&overrides).unwrap()).unwrap());
        // The supervisor's timer must have started before the system ends.
        sleep(Duration::from_millis(1)).await;
        assert_eq!(ready(gateway.clone()).await.status(), 200);
        gateway.leave_rotation();
        assert_eq!(ready(gateway.clone()).await.status(), 503);
        assert_eq!(live(gateway).await.status(), 200);
    }
}
