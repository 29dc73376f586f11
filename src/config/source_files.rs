//! The files of the configuration. They are read from the disk and remembered; a valid configuration can be loaded again from
//! that copy, whatever is on the disk by then.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Read as _, Result};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// The largest copy of all files together, in bytes.
const LARGEST_COPY: usize = 4 << 20;

/// Reads files, and remembers what they contain.
pub(super) struct SourceFiles {
    /// Relative paths start here.
    directory: PathBuf,
    /// What is read instead of the disk.
    copy: Option<SavedFiles>,
    read: RefCell<SavedFiles>,
}

/// A file as it was read.
pub(super) struct SourceFile {
    pub(super) bytes: Vec<u8>,
    pub(super) modified: Option<SystemTime>,
    /// `None` if it comes from a copy.
    pub(super) metadata: Option<Metadata>,
}

/// Why a file cannot be used.
pub(super) enum Unreadable {
    Failed(Error),
    /// A directory or a pipe, for example.
    NotRegular,
    TooLong,
}

/// A copy of the files of a configuration. It contains keys, so it stays in memory.
#[derive(Clone, Default, PartialEq)]
pub struct SavedFiles(BTreeMap<PathBuf, SavedFile>);

#[derive(Clone, PartialEq)]
struct SavedFile {
    bytes: Vec<u8>,
    modified: Option<SystemTime>,
}

/// What precedes the bytes of all files in the form for the master.
#[derive(Serialize, Deserialize)]
struct Entry {
    path: Vec<u8>,
    length: usize,
    /// Since 1970.
    modified: Option<Duration>,
}

impl SourceFiles {
    pub(super) fn on_disk(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), copy: None, read: RefCell::default() }
    }

    pub(super) fn from_copy(directory: &Path, copy: SavedFiles) -> Self {
        Self { copy: Some(copy), ..Self::on_disk(directory) }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Everything that was read.
    pub(super) fn saved(&self) -> SavedFiles {
        self.read.borrow().clone()
    }

    /// A file of text, of any length.
    pub(super) fn text(&self, path: &Path) -> Result<String> {
        let path = self.directory.join(path);
        let bytes = match &self.copy {
            Some(copy) => copy.find(&path)?.bytes.clone(),
            None => std::fs::read(&path)?,
        };
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::new(ErrorKind::InvalidData, "stream did not contain valid UTF-8"))?;
        self.remember(path, SavedFile { bytes: text.clone().into_bytes(), modified: None });
        Ok(text)
    }

    /// A regular file of at most so many bytes.
    pub(super) fn regular(
        &self,
        path: impl AsRef<Path>,
        largest: u64,
    ) -> std::result::Result<SourceFile, Unreadable> {
        let path = self.directory.join(path);
        let (saved, metadata) = match &self.copy {
            Some(copy) => (copy.find(&path).map_err(Unreadable::Failed)?.clone(), None),
            None => {
                let (saved, metadata) = from_disk(&path, largest)?;
                (saved, Some(metadata))
            }
        };
        let SavedFile { bytes, modified } = saved.clone();
        self.remember(path, saved);
        Ok(SourceFile { bytes, modified, metadata })
    }

    fn remember(&self, path: PathBuf, file: SavedFile) {
        self.read.borrow_mut().0.insert(path, file);
    }
}

fn from_disk(path: &Path, largest: u64) -> std::result::Result<(SavedFile, Metadata), Unreadable> {
    // Opening a pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(Unreadable::Failed)?;
    if !metadata.is_file() {
        return Err(Unreadable::NotRegular);
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(largest + 1).read_to_end(&mut bytes));
    read.map_err(Unreadable::Failed)?;
    if bytes.len() as u64 > largest {
        return Err(Unreadable::TooLong);
    }
    Ok((SavedFile { bytes, modified: metadata.modified().ok() }, metadata))
}

impl SavedFiles {
    /// Files that are not on the disk.
    pub(crate) fn of(files: impl IntoIterator<Item = (PathBuf, String)>) -> Self {
        let saved = |text: String| SavedFile { bytes: text.into_bytes(), modified: None };
        Self(files.into_iter().map(|(path, text)| (path, saved(text))).collect())
    }

    fn find(&self, path: &Path) -> Result<&SavedFile> {
        self.0.get(path).ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// These files, with newer versions of some of them.
    #[must_use]
    pub(crate) fn updated(&self, newer: &Self) -> Self {
        let mut files = self.0.clone();
        files.extend(newer.0.clone());
        Self(files)
    }

    /// For [`parse`](Self::parse); `None` if the files are too large together.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
        let entry = |(path, file): (&PathBuf, &SavedFile)| Entry {
            path: path.as_os_str().as_bytes().to_vec(),
            length: file.bytes.len(),
            modified: file.modified.and_then(since),
        };
        let entries: Vec<_> = self.0.iter().map(entry).collect();
        let mut bytes = serde_json::to_vec(&entries).ok()?;
        bytes.push(b'\n');
        self.0.values().for_each(|file| bytes.extend_from_slice(&file.bytes));
        (bytes.len() <= LARGEST_COPY).then_some(bytes)
    }

    /// `None` if the bytes are not a copy.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = memchr::memchr(b'\n', bytes)?;
        let entries: Vec<Entry> = serde_json::from_slice(bytes.get(..end)?).ok()?;
        let mut rest = bytes.get(end + 1..)?;
        let mut files = BTreeMap::new();
        for Entry { path, length, modified } in entries {
            let (content, after) = rest.split_at_checked(length)?;
            rest = after;
            let modified = modified.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
            let file = SavedFile { bytes: content.to_vec(), modified };
            files.insert(PathBuf::from(OsString::from_vec(path)), file);
        }
        rest.is_empty().then_some(Self(files))
    }
}

/// Without their contents.
impl fmt::Debug for SavedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn saved(files: Vec<(Vec<u8>, Vec<u8>, Option<u32>)>) -> SavedFiles {
        let file = |(path, bytes, seconds): (Vec<u8>, Vec<u8>, Option<u32>)| {
            let since = |seconds: u32| SystemTime::UNIX_EPOCH + Duration::new(seconds.into(), seconds % 1000);
            (PathBuf::from(OsString::from_vec(path)), SavedFile { bytes, modified: seconds.map(since) })
        };
        SavedFiles(files.into_iter().map(file).collect())
    }

    proptest! {
        /// Requirement: any files, whatever their names and contents, come back as they were.
        #[test]
        fn a_copy_comes_back_as_it_was(files: Vec<(Vec<u8>, Vec<u8>, Option<u32>)>) {
            let files = saved(files);
            let bytes = files.to_bytes().unwrap();
            prop_assert!(SavedFiles::parse(&bytes) == Some(files.clone()));
            prop_assert!(SavedFiles::parse(&[&bytes[..], b"x"].concat()).is_none());
        }

        /// Requirement: no bytes make the parser panic.
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes: Vec<u8>) {
            let _ = SavedFiles::parse(&bytes);
        }
    }

    /// Requirement: the copy has a bound, and its contents are not printed.
    #[test]
    fn a_copy_is_bounded_and_is_not_printed() {
        let files = saved(vec![(b"/a".to_vec(), vec![b'k'; LARGEST_COPY], None)]);
        assert_eq!((files.to_bytes(), format!("{files:?}")), (None, "[\"/a\"]".to_owned()));
    }
}
