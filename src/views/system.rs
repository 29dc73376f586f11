//! The gateway as a process: version, resources, caches, and the configuration that holds.

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::config::ConfigValue;
use crate::gateway::Gateway;

/// The most entries that are read of the cache directory.
const CACHE_FILES: usize = 10_000;

#[derive(Debug, Serialize)]
pub(crate) struct SystemReport {
    pub(crate) version: &'static str,
    pub(crate) pid: u32,
    /// Since this worker started to serve.
    pub(crate) uptime_seconds: u64,
    pub(crate) address: Option<String>,
    pub(crate) state: &'static str,
    pub(crate) in_flight: usize,
    pub(crate) threads: usize,
    /// Open client connections.
    pub(crate) connections: Option<usize>,
    #[serde(flatten)]
    pub(crate) resources: Resources,
    pub(crate) caches: Vec<CacheState>,
    /// Every value with its place; the ids of keys instead of the keys.
    pub(crate) configuration: Vec<ConfigValue>,
}

/// What the process uses, as far as the system tells.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Resources {
    pub(crate) resident_bytes: Option<u64>,
    /// Of all threads, since the process started.
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) open_descriptors: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CacheState {
    pub(crate) name: String,
    pub(crate) directory: String,
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    /// Of its newest file.
    pub(crate) age_seconds: Option<u64>,
}

/// Reads files, so it belongs on a thread that may block.
pub(crate) fn read(gateway: &Gateway) -> SystemReport {
    let live = gateway.live_config();
    let caches = live.settings.cache.as_deref().map(|cache| model_caches(&cache.join("models")));
    SystemReport {
        version: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        uptime_seconds: gateway.uptime().as_secs(),
        address: gateway.listener().map(|listener| listener.address.to_string()),
        state: if gateway.accepts_connections() { "running" } else { "draining" },
        in_flight: gateway.in_flight(),
        threads: gateway.threads().len(),
        connections: gateway.connections(),
        resources: Resources::read(),
        caches: caches.unwrap_or_default(),
        configuration: gateway.values().to_vec(),
    }
}

impl Resources {
    pub(crate) fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| {
            let kibibytes = line.strip_prefix("VmRSS:")?.split_whitespace().next()?;
            kibibytes.parse::<u64>().ok()
        });
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Self {
            resident_bytes: resident.map(|kibibytes| kibibytes * 1024),
            cpu_seconds: Some(used.tv_sec as f64 + used.tv_nsec as f64 / 1e9),
            open_descriptors: fs::read_dir("/proc/self/fd").ok().map(Iterator::count),
        }
    }
}

/// The cached lists of models, by provider.
fn model_caches(directory: &Path) -> Vec<CacheState> {
    let Ok(entries) = fs::read_dir(directory) else { return vec![] };
    let mut caches: Vec<_> = entries
        .flatten()
        .take(CACHE_FILES)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| model_cache(&entry.path(), &entry.file_name().to_string_lossy()))
        .filter(|cache| cache.files > 0)
        .collect();
    caches.sort_by(|one, other| one.name.cmp(&other.name));
    caches
}

fn model_cache(directory: &Path, provider: &str) -> CacheState {
    let files = fs::read_dir(directory).into_iter().flatten().flatten().take(CACHE_FILES);
    let files: Vec<_> =
        files.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).collect();
    let newest = files.iter().filter_map(|file| file.modified().ok()).max();
    CacheState {
        name: format!("models of {provider}"),
        directory: directory.display().to_string(),
        files: files.len(),
        bytes: files.iter().map(fs::Metadata::len).sum(),
        age_seconds: newest.and_then(|newest| newest.elapsed().ok()).map(|age| age.as_secs()),
    }
}
