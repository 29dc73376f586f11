//! The part of the configuration that a reload replaces, with all keys that this process has ever had.

use std::collections::HashSet;

use actix_web::http::header::{HeaderName, HeaderValue};
use vandamme_actors::secret::{self, ApiKey, Secrets};
use vandamme_actors::settings::Settings;

use crate::access_keys::{AccessKeys, KeyHash};
use crate::caller::GatewayKeys;

/// The most keys that are remembered as secrets, replaced ones included. The oldest are forgotten first.
const MOST_KEYS: usize = 10_000;

/// The configuration that holds now. A reload replaces it as a whole.
pub(crate) struct LiveConfig {
    pub(crate) settings: Settings,
    /// The keys that open the gateway.
    pub(crate) access: AccessKeys,
    /// All keys and credentials that this process has had. Requests in flight may still use those of an earlier configuration.
    pub(crate) secrets: Secrets,
    /// All keys that have ever opened the gateway. None of them is sent to an upstream: a reload may have replaced the key that
    /// admitted a request in flight.
    pub(crate) gateway_keys: GatewayKeys,
    /// What `gateway_keys` consists of, the oldest first.
    key_texts: Vec<ApiKey>,
    key_hashes: Vec<KeyHash>,
    /// What `secrets` searches for, the oldest first.
    known: Vec<ApiKey>,
}

impl LiveConfig {
    pub(super) fn new(settings: Settings, keys: ConfiguredKeys, before: Option<&Self>) -> Self {
        let ConfiguredKeys { proxy_key, access, exports } = keys;
        let earlier = |of: fn(&Self) -> &[ApiKey]| before.map(of).unwrap_or_default().iter().cloned();
        let known =
            latest(earlier(|live| &live.known).chain(credentials(&settings, proxy_key.as_ref(), &exports)));
        let key_texts = latest(earlier(|live| &live.key_texts).chain(proxy_key));
        let earlier = before.map(|live| live.key_hashes.clone()).unwrap_or_default();
        let key_hashes = latest_by(earlier.into_iter().chain(access.hashes()), |hash| *hash);
        Self {
            settings,
            access,
            secrets: Secrets::new(known.iter().cloned()),
            gateway_keys: GatewayKeys::new(key_texts.clone(), key_hashes.iter().copied()),
            key_texts,
            key_hashes,
            known,
        }
    }
}

/// The keys of a configuration that open the gateway.
pub(super) struct ConfiguredKeys {
    pub(super) proxy_key: Option<ApiKey>,
    pub(super) access: AccessKeys,
    /// The headers of telemetry exports. Set at the start; later configurations keep them as secrets.
    pub(super) exports: Vec<(HeaderName, HeaderValue)>,
}

/// All secrets of a configuration.
fn credentials(
    settings: &Settings,
    proxy_key: Option<&ApiKey>,
    exports: &[(HeaderName, HeaderValue)],
) -> Vec<ApiKey> {
    let catalogue = settings.top_models.as_ref().map(|top| &top.catalogue);
    let providers: Vec<_> = settings.providers.iter().chain(catalogue).collect();
    let headers = providers.iter().flat_map(|provider| &provider.custom_headers).chain(exports);
    let in_headers = headers
        .filter_map(|(name, value)| Some(secret::in_header(name.as_str(), value.to_str().ok()?)))
        .flatten();
    // The key that stands for a cloud identity is no secret.
    let with_keys = providers.iter().filter(|provider| provider.identity.is_none());
    let keys = with_keys.flat_map(|provider| &provider.keys).chain(proxy_key).cloned();
    let services = settings
        .web_search
        .iter()
        .flat_map(|search| search.services())
        .filter_map(|service| service.key.clone());
    keys.chain(in_headers).chain(services).collect()
}

/// The most recent [`MOST_KEYS`], each once, at its last position.
fn latest(keys: impl Iterator<Item = ApiKey>) -> Vec<ApiKey> {
    latest_by(keys, |key| KeyHash::from_key(key.expose().as_bytes()))
}

fn latest_by<K>(keys: impl Iterator<Item = K>, hash: impl Fn(&K) -> KeyHash) -> Vec<K> {
    let all: Vec<_> = keys.collect();
    let mut seen = HashSet::new();
    let mut kept: Vec<_> =
        all.into_iter().rev().filter(|key| seen.insert(hash(key))).take(MOST_KEYS).collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_keys_are_kept_each_once() {
        let keys = |texts: &[&str]| -> Vec<String> {
            let latest = latest(texts.iter().map(|text| ApiKey::new(*text)));
            latest.iter().map(|key| key.expose().to_owned()).collect()
        };
        assert_eq!(keys(&["a", "b", "a", "c"]), ["b", "a", "c"]);
        let many: Vec<_> = (0..MOST_KEYS + 2).map(|number| number.to_string()).collect();
        let kept = keys(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((kept.len(), kept[0].as_str()), (MOST_KEYS, "2"));
    }
}
