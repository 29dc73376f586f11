//! Stores the models cache on disk: one file for each address of a provider, replaced as a whole, validated when read.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use vandamme_protocol::models::{Models, cached};

use super::{LARGEST, Listing};
use crate::routing::Lists;
use crate::settings::ProviderSettings;

/// The most addresses kept per provider. The address changes with the base URL and with every extra header.
const MAX_FILES: usize = 8;
/// The age from which a temporary file counts as abandoned by its writer.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);
/// The most bytes that the file format adds to a list.
const FORMAT_OVERHEAD: usize = 4096;

/// The directory `{cache}/models`, which other processes on this machine share.
#[derive(Clone, Debug)]
pub struct ModelListStore {
    directory: PathBuf,
}

/// Numbers the temporary files of this process, so that their names are unique.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

impl ModelListStore {
    /// The store below the cache directory `cache`. Creates nothing.
    #[must_use]
    pub fn new(cache: &Path) -> Self {
        Self { directory: cache.join("models") }
    }

    /// The directory of the cache files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The listing stored by this or another process. An invalid file counts as missing.
    #[must_use]
    pub fn read(&self, provider: &ProviderSettings) -> Option<Listing> {
        let path = self.file(provider);
        let about = fs::metadata(&path).ok()?;
        let sized = usize::try_from(about.len()).is_ok_and(|size| size <= LARGEST + FORMAT_OVERHEAD);
        if !about.is_file() || !sized {
            return None;
        }
        let (listed, body) = cached::read(&fs::read(path).ok()?)?;
        Some(Listing { provider: provider.name.clone(), body: Bytes::from(body), listed })
    }

    /// The model ids of all these providers, in the form that the router uses.
    #[must_use]
    pub fn lists(&self, providers: &[Arc<ProviderSettings>]) -> Lists {
        let listed = providers.iter().filter(|provider| !provider.passthrough).filter_map(|provider| {
            let listing = self.read(provider)?;
            let models = Models::read(&listing.body).ok()?;
            Some((provider.name.clone(), models.named().map(|model| model.id).collect()))
        });
        listed.collect()
    }

    /// Replaces the file atomically: a reader sees the old or the new one as a whole.
    ///
    /// # Errors
    /// The directory cannot be created or written.
    pub fn write(&self, provider: &ProviderSettings, listing: &Listing) -> io::Result<()> {
        let second = i64::try_from(listing.listed / 1000).unwrap_or_default();
        let Some(content) =
            cached::write(&provider.name, &provider.base_url, (second, listing.body.as_ref()))
        else {
            return Ok(());
        };
        let path = self.file(provider);
        let directory = self.directory.join(&*provider.name);
        fs::create_dir_all(&directory)?;
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let unique = format!("{}.{:08x}{number}.tmp", path.display(), fastrand::u32(..));
        let written = fs::write(&unique, content).and_then(|()| fs::rename(&unique, &path));
        if written.is_err() {
            drop(fs::remove_file(&unique));
        }
        sweep(&directory, &path);
        written
    }

    /// Removes the files of all providers, and returns their number. Other files stay.
    #[must_use]
    pub fn clear(&self) -> usize {
        let directories = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let files = directories.flat_map(|directory| fs::read_dir(directory.path()).into_iter().flatten());
        let paths = files.flatten().map(|file| file.path()).filter(|path| is_ours(path));
        paths.filter(|path| fs::remove_file(path).is_ok()).count()
    }

    fn file(&self, provider: &ProviderSettings) -> PathBuf {
        self.directory.join(&*provider.name).join(format!("models-{}.json", fingerprint(provider)))
    }
}

/// Identifies the model list: equal for providers with the same list.
pub(super) fn fingerprint(provider: &ProviderSettings) -> String {
    let text =
        |value: &'_ actix_http::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: Vec<_> =
        provider.custom_headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    cached::fingerprint(&provider.name, &provider.base_url, &headers)
}

/// Removes the oldest files and abandoned temporary files, to keep the directory small.
fn sweep(directory: &Path, current: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let dated = entries.flatten().filter_map(|entry| {
        let about = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some((about.modified().ok()?, entry.path()))
    });
    let mut files: Vec<_> = dated.filter(|(_, path)| path != current && is_ours(path)).collect();
    files.sort_unstable_by(|one, other| other.cmp(one));
    let now = SystemTime::now();
    let mut kept = 1;
    for (modified, path) in files {
        let is_temporary = path.extension().is_some_and(|extension| extension == "tmp");
        let is_obsolete = match is_temporary {
            true => now.duration_since(modified).is_ok_and(|age| age > ABANDONED_AFTER),
            false => {
                kept += 1;
                kept > MAX_FILES
            }
        };
        if is_obsolete {
            drop(fs::remove_file(path));
        }
    }
}

fn is_ours(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
        name.starts_with("models-") && (name.ends_with(".json") || name.ends_with(".tmp"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::provider;

    /// A temporary directory that is removed with this value.
    struct TempDir(PathBuf);

    impl TempDir {
        fn new() -> Self {
            let unique = format!("vdm-store-{:x}", fastrand::u64(..));
            Self(std::env::temp_dir().join(unique))
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn listing(body: &str) -> Listing {
        Listing { provider: "p".into(), body: Bytes::from(body.to_owned()), listed: 1_700_000_000_000 }
    }

    #[test]
    fn the_file_path_matches_the_original() {
        let directory = TempDir::new();
        let store = ModelListStore::new(&directory.0);
        let mut settings = (*provider("openai").build()).clone();
        settings.base_url = "http://127.0.0.1:18090/openai/v1".into();
        assert!(store.read(&settings).is_none());

        store.write(&settings, &listing(r#"{"data":[{"id":"m"}]}"#)).unwrap();

        assert!(directory.0.join("models/openai/models-1220a92a7997.json").is_file());
        let read = store.read(&settings).unwrap();
        assert_eq!((read.body.as_ref(), read.listed), (&br#"{"data":[{"id":"m"}]}"#[..], 1_700_000_000_000));
        // Another address has another list.
        settings.base_url.push('x');
        assert!(store.read(&settings).is_none());
    }

    #[test]
    fn fifty_concurrent_writers_leave_one_whole_file() {
        let directory = TempDir::new();
        let (store, settings) = (ModelListStore::new(&directory.0), provider("p").build());
        let bodies: Vec<_> = (0..50)
            .map(|n| format!(r#"{{"data":[{{"id":"m-{n}","pad":"{}"}}]}}"#, "x".repeat(n * 997)))
            .collect();
        // Every read returns a whole list.
        let write = |body: &str| {
            store.write(&settings, &listing(body)).unwrap();
            let read = store.read(&settings).unwrap();
            assert!(bodies.iter().any(|body| read.body == body.as_bytes()));
        };
        std::thread::scope(|scope| {
            for body in &bodies {
                let write = &write;
                scope.spawn(move || (0..4).for_each(|_| write(body)));
            }
        });
        let left: Vec<_> = fs::read_dir(directory.0.join("models/p")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn an_invalid_cache_file_counts_as_missing_and_is_replaced() {
        let directory = TempDir::new();
        let (store, settings) = (ModelListStore::new(&directory.0), provider("p").build());
        let path = store.file(&settings);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for garbage in
            ["", "{\"schema_version\": 1", "\u{0}\u{0}", &"9".repeat(LARGEST + FORMAT_OVERHEAD + 1)]
        {
            fs::write(&path, garbage).unwrap();
            assert!(store.read(&settings).is_none());
        }
        store.write(&settings, &listing(r#"{"data":[]}"#)).unwrap();
        assert!(store.read(&settings).is_some());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(store.read(&settings).is_none());
        assert!(store.write(&settings, &listing(r#"{"data":[]}"#)).is_err());
    }

    #[test]
    fn the_lists_of_old_addresses_do_not_pile_up() {
        let directory = TempDir::new();
        let store = ModelListStore::new(&directory.0);
        let mut settings: ProviderSettings = (*provider("p").build()).clone();
        for n in 0..20 {
            settings.base_url = format!("http://h/{n}");
            store.write(&settings, &listing(r#"{"data":[]}"#)).unwrap();
        }
        let files = || fs::read_dir(directory.0.join("models/p")).unwrap().count();
        assert_eq!(files(), MAX_FILES);
        assert!(store.read(&settings).is_some());
        fs::write(directory.0.join("models/p/notes.txt"), "a person's").unwrap();
        store.write(&settings, &listing(r#"{"data":[]}"#)).unwrap();
        assert_eq!(files(), MAX_FILES + 1);
    }

    #[test]
    fn an_extra_header_makes_another_list() {
        let mut settings = (*provider("p").build()).clone();
        let plain = fingerprint(&settings);
        settings.custom_headers.push((
            actix_http::header::HeaderName::from_static("x-team"),
            actix_http::header::HeaderValue::from_static("a"),
        ));
        assert_ne!(fingerprint(&settings), plain);
    }
}
