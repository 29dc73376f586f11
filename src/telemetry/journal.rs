//! One record as one entry of systemd's journal (its native protocol), and the socket that takes entries.

use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use log::kv::{Key, Value, VisitSource};
use log::{Level, Record};

use super::field::Field;
use super::line;
use super::writer::LogDestination;

/// Where journald listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";
/// `journalctl -t vandamme-proxy` finds the entries by this.
const IDENTIFIER: &str = "vandamme-proxy";
/// The most bytes of an entry before further fields are omitted. A datagram must fit into the socket's send buffer (208 KiB).
const FULL: usize = 64 << 10;
/// The longest name that journald accepts.
const LONGEST_NAME: usize = 64;
/// Fields of every entry, which key-values cannot set.
const OWN: [&str; 4] = ["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "TARGET"];

/// Whether stderr is a stream to the journal: systemd passes the stream's device and inode in `JOURNAL_STREAM`.
pub(super) fn has_stderr() -> bool {
    let Ok(stat) = rustix::fs::fstat(io::stderr().as_fd()) else { return false };
    std::env::var("JOURNAL_STREAM").is_ok_and(|stream| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The syslog priority of a level.
pub(super) fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Writes the entry of a record. No value contains a line end, so text from outside cannot add a field.
pub(super) fn write(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    let mut entry = entry(record.level(), &record.args().to_string());
    push(&mut entry, "TARGET", record.target());
    let visited = record.key_values().visit(&mut Fields(&mut entry));
    visited.map_err(io::Error::other)?;
    out.write_all(&entry)
}

fn entry(level: Level, message: &str) -> Vec<u8> {
    let mut entry = Vec::with_capacity(512);
    push(&mut entry, "MESSAGE", message);
    push(&mut entry, "PRIORITY", &priority(level).to_string());
    push(&mut entry, "SYSLOG_IDENTIFIER", IDENTIFIER);
    entry
}

fn push(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'=');
    entry.extend_from_slice(line::one_line(value).as_bytes());
    entry.push(b'\n');
}

struct Fields<'a>(&'a mut Vec<u8>);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        if self.0.len() < FULL
            && let Some(value) = Field::new(&value).text()
            && let Some(name) = field_name(key.as_str())
        {
            push(self.0, &name, &value);
        }
        Ok(())
    }
}

/// A key as a name that journald accepts: upper-case letters, digits and underscores, a letter first.
fn field_name(key: &str) -> Option<String> {
    let valid = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String =
        key.chars().map(valid).skip_while(|c| !c.is_ascii_uppercase()).take(LONGEST_NAME).collect();
    (!name.is_empty() && !OWN.contains(&name.as_str())).then_some(name)
}

/// The socket that takes entries, one datagram each.
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    /// Entries that were not taken since the last one that was.
    lost: u64,
}

impl Journal {
    /// # Errors
    /// If no process listens on this socket.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // The connection is only a test. Without one, each entry looks the path up again, so a journald that is started anew
        // with another socket gets the later ones.
        UnixDatagram::unbound()?.connect(path)?;
        Ok(Self { socket, path: path.to_owned(), lost: 0 })
    }

    fn send(&mut self, entry: &[u8]) {
        if self.socket.send_to(entry, &self.path).is_err() {
            self.lost += 1;
            return;
        }
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            self.send(&self::entry(
                Level::Warn,
                &format!("{lost} log lines lost: the journal did not take them"),
            ));
        }
    }
}

impl LogDestination for Journal {
    fn write(&mut self, record: &[u8]) {
        self.send(record);
    }

    fn report_dropped(&mut self, count: u64) {
        self.send(&entry(
            Level::Warn,
            &format!("{count} log lines dropped: the journal took them too slowly"),
        ));
    }

    /// Every datagram has been sent.
    fn flush(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn written(level: Level, args: std::fmt::Arguments<'_>, pairs: &[(&str, &str)]) -> String {
        let mut out = Vec::new();
        let record =
            Record::builder().level(level).target("vandamme::x").args(args).key_values(&pairs).build();
        write(&mut out, &record).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Requirement: an entry has MESSAGE, PRIORITY, SYSLOG_IDENTIFIER and the record's key-values as fields, and text from
    /// outside adds none.
    #[test]
    fn a_record_is_one_entry_whatever_it_contains() {
        let pairs = [("REQUEST_ID", "r1"), ("key.id", "k\nPRIORITY=0"), ("message", "forged"), ("EMPTY", "")];
        let entry = written(Level::Warn, format_args!("failed\nPRIORITY=0"), &pairs);
        assert_eq!(
            entry,
            "MESSAGE=failed\\nPRIORITY=0\nPRIORITY=4\nSYSLOG_IDENTIFIER=vandamme-proxy\nTARGET=vandamme::x\n\
             REQUEST_ID=r1\nKEY_ID=k\\nPRIORITY=0\n"
        );
    }

    /// Requirement: priorities follow syslog: err, warning, info, debug.
    #[test]
    fn levels_are_syslog_priorities() {
        for (level, number) in [(Level::Error, 3), (Level::Warn, 4), (Level::Info, 6), (Level::Debug, 7)] {
            assert_eq!(priority(level), number);
        }
    }

    /// Requirement: names of fields are valid for the journal.
    #[test]
    fn names_are_valid() {
        for (key, name) in [
            ("request_id", Some("REQUEST_ID")),
            ("_pid", Some("PID")),
            ("9lives", Some("LIVES")),
            ("größe", Some("GR__E")),
            ("", None),
            ("__", None),
            ("PRIORITY", None),
        ] {
            assert_eq!(field_name(key).as_deref(), name, "{key}");
        }
        assert_eq!(field_name(&"a".repeat(100)).unwrap().len(), LONGEST_NAME);
    }

    /// Requirement: an entry has a bound.
    #[test]
    fn an_entry_has_a_bound() {
        let long = "x".repeat(100_000);
        let pairs: Vec<(&str, &str)> = (0..100).map(|_| ("field", long.as_str())).collect();
        assert!(written(Level::Info, format_args!("{long}"), &pairs).len() < FULL + (16 << 10));
    }

    /// Requirement: a journal that is gone loses entries without an error and reports how many when it is back.
    #[test]
    fn lost_entries_are_counted() {
        let path = std::env::temp_dir().join(format!("vdm-journal-{}", std::process::id()));
        let _left_over = std::fs::remove_file(&path);
        assert!(Journal::open(&path).is_err());
        let bind = || {
            let socket = UnixDatagram::bind(&path).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket
        };
        let receive = |socket: &UnixDatagram| {
            let mut buffer = vec![0; 4096];
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        let first = bind();
        let mut journal = Journal::open(&path).unwrap();
        journal.write(&entry(Level::Info, "one"));
        assert!(receive(&first).starts_with("MESSAGE=one\n"));
        drop(first);
        std::fs::remove_file(&path).unwrap();
        journal.write(&entry(Level::Info, "two"));
        let second = bind();
        journal.write(&entry(Level::Info, "three"));
        journal.report_dropped(7);
        let entries: Vec<String> = (0..3).map(|_| receive(&second)).collect();
        assert!(entries[0].starts_with("MESSAGE=three\n"));
        assert!(entries[1].starts_with("MESSAGE=1 log lines lost"), "{entries:?}");
        assert!(entries[2].starts_with("MESSAGE=7 log lines dropped"), "{entries:?}");
        std::fs::remove_file(&path).unwrap();
    }
}
