//! Follows the files of the listener's certificate: a renewed certificate is used without a reload.

use std::sync::Arc;
use std::time::SystemTime;

use actix_web::rt::task::spawn_blocking;
use actix_web::rt::time::sleep;

use crate::config::{ListenerTls, SavedFiles};
use crate::gateway::Gateway;

/// The modification times of the two files.
type Modified = [Option<SystemTime>; 2];

/// Checks the files every `limits.certificate-check`. Files that cannot be used are logged once, and the certificate in use
/// stays.
pub(super) async fn watch(gateway: Arc<Gateway>) {
    let mut refused: Option<Modified> = None;
    loop {
        sleep(gateway.live_config().settings.limits.certificate_check).await;
        let current = gateway.tls();
        let Some(tls) = current.as_ref().clone() else { continue };
        // The file system may hang, which must not stop this thread.
        let Ok(changed) = spawn_blocking(move || changed(&tls, refused)).await else { continue };
        let Some((modified, read)) = changed else { continue };
        // A reload may have replaced the certificate meanwhile.
        if !Arc::ptr_eq(&current, &gateway.tls()) {
            continue;
        }
        match read {
            Ok((tls, files)) => {
                refused = None;
                log::info!("{} has changed; new connections use the new certificate", tls.certificate_file());
                gateway.set_tls(tls, &files);
            }
            Err(error) => {
                refused = Some(modified);
                log::warn!("the new certificate is not used, the old one stays: {error}");
            }
        }
    }
}

/// A certificate with a copy of its files.
type Read = Result<(ListenerTls, SavedFiles), String>;

/// What the files contain now, if they have changed since they were read or refused.
fn changed(tls: &ListenerTls, refused: Option<Modified>) -> Option<(Modified, Read)> {
    let modified = tls.modified_now();
    let is_known = modified == tls.modified() || Some(modified) == refused;
    (!is_known).then(|| (modified, tls.read_again()))
}
