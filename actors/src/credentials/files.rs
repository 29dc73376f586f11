//! Reads files that hold credentials: regular files of a bounded size, so that no file makes a reader wait.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _};
use std::path::Path;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The text of a file; what is not UTF-8 in it is replaced. `/dev/null`, with which people switch a file off, is empty.
///
/// # Errors
/// The file cannot be read, is not a regular file (a pipe would make the reader wait), or has more than 1 MiB.
pub(super) fn read_text(path: &Path) -> std::io::Result<String> {
    if path == Path::new("/dev/null") {
        return Ok(String::new());
    }
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = vec![];
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::new(ErrorKind::FileTooLarge, "it has more than 1 MiB"));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read() {
        let folder = std::env::temp_dir().join(format!("vdm-files-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&folder).unwrap();
        let file = folder.join("file");
        let said = |path: &Path| read_text(path).map_err(|error| error.to_string());

        std::fs::write(&file, "text").unwrap();
        assert_eq!(said(&file).as_deref(), Ok("text"));
        std::fs::write(&file, vec![b'x'; 1 << 20]).unwrap();
        assert!(said(&file).is_ok());
        std::fs::write(&file, vec![b'x'; (1 << 20) + 1]).unwrap();
        assert_eq!(said(&file), Err("it has more than 1 MiB".to_owned()));
        assert_eq!(said(&folder), Err("it is not a regular file".to_owned()));
        assert_eq!(said(Path::new("/dev/null")).as_deref(), Ok(""));
        assert_eq!(read_text(&folder.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
