//! The descriptions of images in memory, and the calls that describe images now.

use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::single_flight::SingleFlight;

/// The most descriptions that are kept.
const MOST: usize = 8_192;
/// The most bytes of all descriptions that are kept.
const MOST_BYTES: usize = 16 << 20;

/// An image, by the hash of its data or of its URL, and the target that describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ImageKey([u8; 32]);

impl ImageKey {
    /// `parts` must be unambiguous together.
    pub(crate) fn new<'p>(parts: impl IntoIterator<Item = &'p str>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

/// Why an image has no description, in a wording for the model that cannot see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotDescribed(pub(crate) Arc<str>);

#[derive(Default)]
pub(crate) struct ImageDescriptions {
    kept: Mutex<Kept>,
    /// The calls that run now.
    pub(crate) running: SingleFlight<ImageKey, Result<Arc<str>, NotDescribed>>,
}

impl ImageDescriptions {
    pub(crate) fn find(&self, key: &ImageKey) -> Option<Arc<str>> {
        self.kept.lock().texts.get(key).cloned()
    }

    pub(crate) fn keep(&self, key: ImageKey, text: Arc<str>) {
        self.kept.lock().put(key, text);
    }
}

/// The descriptions, of which those that were not used for the longest time are dropped first.
struct Kept {
    texts: LruCache<ImageKey, Arc<str>>,
    bytes: usize,
}

impl Default for Kept {
    fn default() -> Self {
        Self { texts: LruCache::unbounded(), bytes: 0 }
    }
}

impl Kept {
    fn put(&mut self, key: ImageKey, text: Arc<str>) {
        self.bytes += text.len();
        if let Some(before) = self.texts.put(key, text) {
            self.bytes -= before.len();
        }
        while self.bytes > MOST_BYTES || self.texts.len() > MOST {
            let Some((_, oldest)) = self.texts.pop_lru() else { return };
            self.bytes -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> ImageKey {
        ImageKey::new([number.to_string().as_str()])
    }

    /// Requirement: descriptions are bounded in number and in bytes; those in use stay.
    #[test]
    fn descriptions_have_bounds() {
        let descriptions = ImageDescriptions::default();
        for number in 0..MOST + 10 {
            descriptions.keep(key(number), "text".into());
            assert!(descriptions.find(&key(0)).is_some());
        }
        assert_eq!(descriptions.kept.lock().texts.len(), MOST);
        assert!(descriptions.find(&key(1)).is_none() && descriptions.find(&key(MOST)).is_some());

        let large: Arc<str> = "x".repeat(MOST_BYTES / 4).into();
        for number in 0..10 {
            descriptions.keep(key(number), large.clone());
            descriptions.keep(key(number), large.clone());
        }
        let kept = descriptions.kept.lock();
        assert_eq!((kept.texts.len(), kept.bytes), (4, MOST_BYTES));
    }

    /// Requirement: two images never have the same key because of where one part of it ends.
    #[test]
    fn parts_of_a_key_do_not_run_together() {
        assert_ne!(ImageKey::new(["ab", "c"]), ImageKey::new(["a", "bc"]));
        assert_eq!(ImageKey::new(["ab", "c"]), ImageKey::new(["ab", "c"]));
    }
}
