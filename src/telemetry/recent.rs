//! The latest log records, in memory, for the dashboard. Records are formatted before the lock is taken.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::time::{SystemTime, UNIX_EPOCH};

use log::kv::{Key, Value, VisitSource};
use log::{Level, Record};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use super::line::one_line;

/// The most records that are kept.
const RECORDS: usize = 1_000;
/// The most bytes that their texts take together.
const BYTES: usize = 1 << 20;
/// How a request id begins, and its length.
const REQUEST_ID: (&str, usize) = ("req_", 28);

/// It is one for the whole process, as the logger is.
static RECENT: LazyLock<RecentRecords> = LazyLock::new(RecentRecords::default);

/// A log record as text, without keys and prompts as every log line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LoggedRecord {
    /// Counts the records of this process.
    pub(crate) number: u64,
    /// In milliseconds since 1970.
    pub(crate) at: u64,
    #[serde(serialize_with = "in_lower_case")]
    pub(crate) level: Level,
    pub(crate) target: Box<str>,
    pub(crate) request_id: Option<Box<str>>,
    pub(crate) message: Box<str>,
}

/// Which records are wanted.
#[derive(Clone, Debug)]
pub(crate) struct RecordFilter {
    /// The least severe level.
    pub(crate) level: Level,
    /// A part of the message or of the target, in any case.
    pub(crate) text: Option<String>,
    pub(crate) request_id: Option<String>,
    /// Only records with a higher number.
    pub(crate) after: u64,
}

impl Default for RecordFilter {
    fn default() -> Self {
        Self { level: Level::Trace, text: None, request_id: None, after: 0 }
    }
}

struct RecentRecords {
    ring: Mutex<Ring>,
    /// The number of the latest record.
    latest: watch::Sender<u64>,
}

#[derive(Default)]
struct Ring {
    records: VecDeque<Arc<LoggedRecord>>,
    bytes: usize,
    number: u64,
}

impl Default for RecentRecords {
    fn default() -> Self {
        Self { ring: Mutex::default(), latest: watch::Sender::new(0) }
    }
}

/// Keeps a record.
pub(super) fn keep(record: &Record<'_>) {
    let message = one_line(&record.args().to_string());
    let mut field = RequestIdField(None);
    let _nothing_can_fail = record.key_values().visit(&mut field);
    let request_id = field.0.or_else(|| named_request(&message).map(str::to_owned));
    // Readers show the id beside the message.
    let rest = request_id.as_deref().and_then(|id| message.strip_prefix(id)?.strip_prefix(' '));
    let message = rest.map(str::to_owned).unwrap_or(message);
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let number = RECENT.ring.lock().push(LoggedRecord {
        number: 0,
        at: u64::try_from(at).unwrap_or(u64::MAX),
        level: record.level(),
        target: record.target().into(),
        request_id: request_id.map(String::into_boxed_str),
        message: message.into_boxed_str(),
    });
    RECENT.latest.send_replace(number);
}

/// The records that match, the oldest first.
pub(crate) fn records(filter: &RecordFilter) -> Vec<Arc<LoggedRecord>> {
    let mut records: Vec<_> = RECENT.ring.lock().records.iter().cloned().collect();
    let text = filter.text.as_ref().map(|text| text.to_lowercase());
    records.retain(|record| {
        let has_text = |text: &String| {
            let id = record.request_id.as_deref().unwrap_or_default();
            let texts = [&*record.message, &*record.target, id];
            texts.iter().any(|part| part.to_lowercase().contains(text))
        };
        let is_of_request = |id: &String| record.request_id.as_deref() == Some(id.as_str());
        record.number > filter.after
            && record.level <= filter.level
            && text.as_ref().is_none_or(has_text)
            && filter.request_id.as_ref().is_none_or(is_of_request)
    });
    records
}

/// The number of the latest record, and a signal when there is another one.
pub(crate) fn latest_record() -> watch::Receiver<u64> {
    RECENT.latest.subscribe()
}

impl Ring {
    /// Adds a record, and drops the oldest ones beyond the bounds. Returns its number.
    fn push(&mut self, record: LoggedRecord) -> u64 {
        self.number += 1;
        self.bytes += record.size();
        self.records.push_back(Arc::new(LoggedRecord { number: self.number, ..record }));
        while self.records.len() > RECORDS || self.bytes > BYTES {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.size());
        }
        self.number
    }
}

impl LoggedRecord {
    fn size(&self) -> usize {
        let id = self.request_id.as_ref().map_or(0, |id| id.len());
        size_of::<Self>() + self.target.len() + id + self.message.len()
    }
}

/// The value of the field with the request's id.
struct RequestIdField(Option<String>);

impl<'kvs> VisitSource<'kvs> for RequestIdField {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        if key.as_str().eq_ignore_ascii_case("request_id") {
            self.0 = Some(one_line(&value.to_string()));
        }
        Ok(())
    }
}

/// The request id at the beginning of a message.
fn named_request(message: &str) -> Option<&str> {
    let (start, length) = REQUEST_ID;
    message.split(' ').next().filter(|word| word.starts_with(start) && word.len() == length)
}

fn in_lower_case<S: serde::Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&level.as_str().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(message: &str) -> LoggedRecord {
        LoggedRecord {
            number: 0,
            at: 0,
            level: Level::Info,
            target: "t".into(),
            request_id: None,
            message: message.into(),
        }
    }

    proptest! {
        /// Requirement (issue 16, 6): the latest records are kept, within a number and a size.
        #[test]
        fn the_ring_is_bounded(lengths in proptest::collection::vec(0..9_000_usize, 1..2_000)) {
            let mut ring = Ring::default();
            for &length in &lengths {
                ring.push(record(&"x".repeat(length)));
                prop_assert!(ring.records.len() <= RECORDS && ring.bytes <= BYTES);
            }
            let bytes: usize = ring.records.iter().map(|record| record.size()).sum();
            prop_assert_eq!(bytes, ring.bytes);
            let numbers: Vec<_> = ring.records.iter().map(|record| record.number).collect();
            let all = lengths.len() as u64;
            let expected: Vec<_> = (all - numbers.len() as u64 + 1..=all).collect();
            prop_assert_eq!(numbers, expected);
        }
    }

    /// Requirement: a record has its request's id once, and is found by it.
    #[test]
    fn a_record_has_the_id_of_its_request_once() {
        let id = "req_fedcba98765432100fedcba9";
        let args = format_args!("{id} call 1 failed");
        keep(&Record::builder().level(Level::Error).target("unit::once").args(args).build());
        let text = Some("REQ_FEDCBA98765432100".to_owned());
        let found = records(&RecordFilter { level: Level::Error, text, ..RecordFilter::default() });
        let [record] = &found[..] else { panic!("one record: {found:?}") };
        assert_eq!((&*record.message, record.request_id.as_deref()), ("call 1 failed", Some(id)));
    }

    #[test]
    fn the_request_id_is_a_field_or_the_first_word() {
        let id = "req_0123456789abcdef01234567";
        assert_eq!(named_request(&format!("{id} call 1 failed")), Some(id));
        assert_eq!(named_request("req_1 call"), None);
        let pairs = [("REQUEST_ID", "r1"), ("model", "m")];
        let args = format_args!("a message about {id}");
        keep(
            &Record::builder().level(Level::Warn).target("unit::test").args(args).key_values(&pairs).build(),
        );
        let filter = RecordFilter {
            level: Level::Warn,
            text: Some("UNIT::".to_owned()),
            request_id: Some("r1".to_owned()),
            after: 0,
        };
        let found = records(&filter);
        assert_eq!((found.len(), found[0].level), (1, Level::Warn));
        assert!(records(&RecordFilter { level: Level::Error, ..filter.clone() }).is_empty());
        assert!(records(&RecordFilter { after: found[0].number, ..filter }).is_empty());
    }
}
