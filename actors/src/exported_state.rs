//! Exports the state that is worth keeping when the process is replaced, and imports it into the new process: the
//! health and the learned rules of each provider, the signatures, and the totals.
//!
//! The bytes are a line with the format's version and a checksum, followed by JSON. They contain no key: keys are
//! identified by a hash, callers as in the signature store. Bytes that are cut off, changed or of another version are
//! refused as a whole.
//!
//! Imported state never overrides what the new process has learned itself, and it cannot refuse more requests than the
//! gateway's own rules: cooldowns are as long as the upstream named or the configuration allows, minus the time since
//! the export.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::clock::{self, Millis};
use crate::ledger::{ExportedTotals, ImportTotals};
use crate::observe::Observe;
use crate::provider::{ExportedProvider, ImportState};
use crate::registry::Registry;
use crate::signatures::{ExportedSignatures, ImportSignatures};

/// The format's name and version. Additional members need no new version if they have a default.
const VERSION: &str = "vandamme-state 1";
/// The most bytes of an export. The usual one has some kilobytes.
pub const MAX_BYTES: usize = 8 << 20;
/// The longest text in front of the JSON: version and checksum.
const MAX_HEADER: usize = 128;

/// The state of a gateway, as one process passes it to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedState {
    /// When the state was exported, on the wall clock.
    exported_at: Millis,
    /// By name.
    providers: BTreeMap<String, ExportedProvider>,
    signatures: ExportedSignatures,
    totals: ExportedTotals,
}

/// The reason why bytes are not imported.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum StateError {
    /// The bytes are longer than any export.
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// The bytes were written by another version of the gateway, or are no exported state.
    #[error("it has another format than '{VERSION}'")]
    OtherVersion,
    /// The bytes are cut off or changed.
    #[error("it is damaged")]
    Damaged,
}

impl ExportedState {
    /// Reads the state of all actors. An actor that does not answer within `patience` is left out, with a log line.
    pub async fn read(registry: &Registry, patience: Duration) -> Self {
        let providers = registry.providers().map(async |(name, address)| {
            let answer = address.send(Observe::<ExportedProvider>::new()).timeout(patience).await;
            Some((name.to_string(), or_log(answer, name)?))
        });
        let signatures = registry.signatures.send(Observe::<ExportedSignatures>::new()).timeout(patience);
        let totals = registry.ledger.send(Observe::<ExportedTotals>::new()).timeout(patience);
        let (providers, signatures, totals) =
            futures_util::future::join3(join_all(providers), signatures, totals).await;
        Self {
            exported_at: clock::wall(),
            providers: providers.into_iter().flatten().collect(),
            signatures: or_log(signatures, "signatures").unwrap_or_default(),
            totals: or_log(totals, "ledger").unwrap_or_default(),
        }
    }

    /// Sends each actor its part. Call it before the first request if possible; what the actors have learned by then is
    /// kept. State of providers that are no longer configured is dropped. Waits up to `patience` for the actors.
    pub async fn import(self, registry: &Registry, patience: Duration) {
        // A wall clock that was set back lets waits last for their whole length once more.
        let elapsed = clock::wall().saturating_sub(self.exported_at);
        let mut of_providers = self.providers;
        let providers = registry.providers().filter_map(|(name, address)| {
            let exported = of_providers.remove(&**name)?;
            Some(async move {
                or_log(address.send(ImportState { exported, elapsed }).timeout(patience).await, name);
            })
        });
        let providers = join_all(providers.collect::<Vec<_>>());
        let exported = self.signatures;
        let signatures = registry.signatures.send(ImportSignatures { exported, elapsed }).timeout(patience);
        let totals = registry.ledger.send(ImportTotals(self.totals)).timeout(patience);
        let (_, signatures, totals) = futures_util::future::join3(providers, signatures, totals).await;
        or_log(signatures, "signatures");
        or_log(totals, "ledger");
    }

    /// The state as bytes for [`parse`](Self::parse), at most [`MAX_BYTES`]. If they would be more, the signatures are left
    /// out, then the totals, then the health.
    ///
    /// # Errors
    /// The state cannot be written as JSON.
    pub fn to_bytes(mut self) -> serde_json::Result<Vec<u8>> {
        let mut bytes = self.write()?;
        if is_too_long(&bytes, "signatures") {
            self.signatures = ExportedSignatures::default();
            bytes = self.write()?;
        }
        if is_too_long(&bytes, "totals") {
            self.totals = ExportedTotals::default();
            bytes = self.write()?;
        }
        if is_too_long(&bytes, "providers' health and rules") {
            self.providers.clear();
            bytes = self.write()?;
        }
        Ok(bytes)
    }

    fn write(&self) -> serde_json::Result<Vec<u8>> {
        // The checksum is filled in afterwards, so that the JSON is not copied.
        let mut bytes = header(&checksum(b"")).into_bytes();
        let start = bytes.len();
        serde_json::to_writer(&mut bytes, self)?;
        let header = header(&checksum(&bytes[start..]));
        bytes[..start].copy_from_slice(header.as_bytes());
        Ok(bytes)
    }

    /// Reads the bytes of an export.
    ///
    /// # Errors
    /// The bytes are not a complete export of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, StateError> {
        if bytes.len() > MAX_BYTES {
            return Err(StateError::TooLong);
        }
        let header = &bytes[..bytes.len().min(MAX_HEADER)];
        let end = memchr::memchr(b'\n', header).ok_or(StateError::OtherVersion)?;
        let header = std::str::from_utf8(&header[..end]).map_err(|_| StateError::OtherVersion)?;
        let (version, sum) = header.rsplit_once(' ').ok_or(StateError::OtherVersion)?;
        if version != VERSION {
            return Err(StateError::OtherVersion);
        }
        let json = &bytes[end + 1..];
        if sum != checksum(json) {
            return Err(StateError::Damaged);
        }
        serde_json::from_slice(json).map_err(|_| StateError::OtherVersion)
    }
}

/// Whether the bytes are too many, so that this part is left out, with a log line.
fn is_too_long(bytes: &[u8], part: &str) -> bool {
    let is_too_long = bytes.len() > MAX_BYTES;
    if is_too_long {
        log::warn!("the {part} are not carried over to the new process: the state has {} bytes", bytes.len());
    }
    is_too_long
}

fn header(checksum: &str) -> String {
    format!("{VERSION} {checksum}\n")
}

fn checksum(json: &[u8]) -> String {
    Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The answer of an actor; a log line if there is none.
fn or_log<T>(answer: Result<T, actix::MailboxError>, actor: &str) -> Option<T> {
    answer
        .inspect_err(|error| {
            log::warn!("the state of '{actor}' is not carried over to the new process: {error}")
        })
        .ok()
}

#[cfg(test)]
mod tests;
