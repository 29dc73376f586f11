//! Tests of the history as a whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rusqlite::Connection;
use vandamme_protocol::request::ToolHistory;
use vandamme_protocol::vocabulary::Usage;

use super::prune::{self, Counts};
use super::queue::{self, Next, Queue};
use super::row::DETAILS;
use super::schema::{self, HOUR, MIGRATIONS};
use super::write::{Batch, Merged, Statements};
use super::{
    Dimension, HistoryHandle, HistorySettings, HistoryStorage, RequestQuery, Retention, Selection,
    StoredRequest, UsageQuery, UsageSums, details, totals, usage, usage_of_file, write,
};
use crate::clock;
use crate::cost::Cost;
use crate::ledger::{
    CacheLoss, CacheLossCause, CallRecord, FinishedRequest, Record, RequestEnd, RequestSummary, RequestTotals,
};
use crate::secret::ApiKey;
use crate::settings::Api;

const RETENTION: Retention = Retention { age: Duration::from_secs(90 * 86_400), requests: 1_000_000 };

/// A directory of its own, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("vdm-history-{:016x}-{number}", fastrand::u64(..));
        Self(std::env::temp_dir().join(name))
    }

    fn file(&self) -> PathBuf {
        self.0.join("state/history.db")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn finished(id: u64, ended: u64) -> FinishedRequest {
    let request =
        RequestSummary { model: "fast".into(), streamed: true, size: 10, ..RequestSummary::default() };
    let record = Record {
        request_id: format!("req_{id}").into(),
        request: RequestSummary { api: Some(Api::Messages), ..request },
        provider: Some("p".into()),
        model: Some("m".into()),
        upstream_api: None,
        failed_targets: vec![],
        calls: vec![],
        key: None,
        status: 200,
        upstream_calls: 1,
        usage: Usage { input: 3, output: 2, ..Usage::default() },
        tool_calls: 0,
        verdicts: None,
        stop_reason: None,
        images: Default::default(),
        reply_size: 20,
        first_event: Some(Duration::from_millis(4)),
        elapsed: Duration::from_millis(40),
        end: RequestEnd::Succeeded,
        reported: Default::default(),
    };
    FinishedRequest { record, ended, cost: None, cache_loss: None }
}

fn any_usage() -> impl Strategy<Value = Usage> {
    (0..50u64, 0..50u64, 0..9u64, 0..9u64, 0..5u64, 0..5u64).prop_map(
        |(input, output, cache_read, cache_creation, cache_creation_1h, reasoning)| Usage {
            input,
            output,
            cache_read,
            cache_creation,
            cache_creation_1h,
            reasoning,
        },
    )
}

fn any_end() -> impl Strategy<Value = RequestEnd> {
    prop_oneof![
        Just(RequestEnd::Succeeded),
        Just(RequestEnd::Cancelled),
        Just(RequestEnd::cancelled_by_operator()),
        Just(RequestEnd::Failed { kind: "api_error", message: "it failed".to_owned() }),
    ]
}

/// A request that ended within six hours.
fn any_finished() -> impl Strategy<Value = FinishedRequest> {
    let names = (0..3usize, 0..3usize, 0..3usize, 0..4usize);
    let amounts = (any_usage(), proptest::option::of((0..900u64, -50..50i64)), 0..400u64, 0..900u64);
    (names, amounts, any_end(), any::<bool>(), 0..6 * HOUR, proptest::option::of(0..40u64)).prop_map(
        |((provider, model, client, session), (usage, cost, size, elapsed), end, streamed, at, first)| {
            let name = |prefix: &str, number: usize| Some(format!("{prefix}{number}").into());
            let mut finished = finished(at, 1_000 * HOUR + at);
            let record = &mut finished.record;
            record.provider = name("p", provider).filter(|_| provider > 0);
            record.model = name("m", model).filter(|_| provider > 0);
            record.request = RequestSummary {
                streamed,
                client: name("c", client).filter(|_| client > 0),
                session: name("s", session).filter(|_| session > 0),
                size: size as usize,
                tools: ToolHistory { uses: 2, results: 1 },
                ..record.request.clone()
            };
            (record.usage, record.end, record.reply_size) = (usage, end, size * 2);
            record.elapsed = Duration::from_millis(elapsed);
            record.first_event = first.map(Duration::from_millis).filter(|first| *first <= record.elapsed);
            finished.cost =
                cost.map(|(micro_dollars, saved)| Cost { micro_dollars, saved_micro_dollars: saved });
            finished
        },
    )
}

fn write_batch(connection: &mut Connection, batch: &Batch) {
    write::write(&mut Statements::prepare(connection).unwrap(), batch, 7, &|text| text).unwrap();
}

fn all(group_by: &[Dimension], interval: Option<Duration>) -> UsageQuery {
    let selection = Selection { since: 0, until: u64::MAX, filters: vec![] };
    UsageQuery { selection, group_by: group_by.to_vec(), interval, groups: 1_000 }
}

fn total(connection: &Connection, query: &UsageQuery) -> UsageSums {
    let mut sums = UsageSums::default();
    for row in usage::usage(connection, query).unwrap() {
        sums.merge(&row.sums);
    }
    sums
}

fn expected<'f>(requests: impl IntoIterator<Item = &'f FinishedRequest>) -> UsageSums {
    let mut sums = UsageSums::default();
    requests.into_iter().for_each(|finished| sums.merge(&UsageSums::of(finished)));
    sums
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Requirement: the sums over rows, the sums over buckets and the totals are what was recorded, also if the queue was full and
    /// details were dropped.
    #[test]
    fn sums_over_rows_and_buckets_are_what_was_recorded(
        requests in proptest::collection::vec((any_finished(), any::<bool>()), 0..60),
        size in 1..20usize,
    ) {
        let mut connection = schema::in_memory().unwrap();
        for chunk in requests.chunks(size) {
            let mut batch = Batch::default();
            for (finished, has_room) in chunk {
                match has_room {
                    true => batch.requests.push(Arc::new(finished.clone())),
                    false => batch.merged.add(finished),
                }
            }
            write_batch(&mut connection, &batch);
        }
        let everything = expected(requests.iter().map(|(finished, _)| finished));

        // From the buckets.
        prop_assert_eq!(&total(&connection, &all(&[], None)), &everything);
        prop_assert_eq!(&total(&connection, &all(&Dimension::ALL, Some(Duration::from_secs(3600)))), &everything);
        // From the rows, and the sums over what has none.
        prop_assert_eq!(&total(&connection, &all(&[], Some(Duration::from_secs(60)))), &everything);
        prop_assert_eq!(&total(&connection, &all(&Dimension::ALL, Some(Duration::from_secs(1)))), &everything);

        let dropped = requests.iter().filter(|(_, has_room)| !has_room).count() as u64;
        let counts = Counts::read(&connection).unwrap();
        prop_assert_eq!((counts.requests + dropped, counts.dropped), (requests.len() as u64, dropped));

        let mut totals = RequestTotals::default();
        for (_, _, row) in totals::of_others(&connection, 0).unwrap().iter() {
            totals += row.streamed;
            totals += row.whole;
        }
        prop_assert_eq!(
            (totals.requests, totals.failed, totals.tokens, totals.elapsed, totals.tool_uses),
            (everything.requests, everything.failed, everything.usage, everything.duration, everything.tool_uses)
        );
    }

    /// Requirement: a question about any time and any group counts exactly the requests in it.
    #[test]
    fn a_selection_counts_the_requests_in_it(
        requests in proptest::collection::vec(any_finished(), 0..60),
        (from, to) in (0..7 * HOUR, 0..7 * HOUR),
        (provider, session) in (0..3usize, 0..4usize),
    ) {
        let mut connection = schema::in_memory().unwrap();
        let requests: Vec<_> = requests.into_iter().map(Arc::new).collect();
        write_batch(&mut connection, &Batch { requests: requests.clone(), merged: Merged::default() });
        let (since, until) = (1_000 * HOUR + from, 1_000 * HOUR + to);
        let text = |prefix: &str, number: usize| if number == 0 { String::new() } else { format!("{prefix}{number}") };
        let filters =
            vec![(Dimension::Provider, text("p", provider)), (Dimension::Session, text("s", session))];
        let name = |name: &Option<Arc<str>>| name.as_deref().unwrap_or_default().to_owned();
        let is_in = |finished: &&Arc<FinishedRequest>| {
            (since..until).contains(&finished.ended)
                && name(&finished.record.provider) == text("p", provider)
                && name(&finished.record.request.session) == text("s", session)
        };
        let everything = expected(requests.iter().filter(is_in).map(|finished| &**finished));
        let selection = Selection { since, until, filters };
        for (group_by, interval) in [
            (vec![], None),
            (vec![Dimension::Client, Dimension::Day], Some(Duration::from_secs(7200))),
            (vec![Dimension::Model], Some(Duration::from_secs(10))),
        ] {
            let query = UsageQuery { selection: selection.clone(), group_by, interval, groups: 1_000 };
            prop_assert_eq!(&total(&connection, &query), &everything);
        }
        let query = RequestQuery { selection, limit: 1_000, ..RequestQuery::default() };
        let page = details::requests(&connection, &query).unwrap();
        prop_assert_eq!(page.requests.len() as u64, everything.requests);
    }
}

/// Requirement: groups beyond the limit are summed up, and nothing is lost.
#[test]
fn the_smallest_groups_are_summed_up() {
    let mut connection = schema::in_memory().unwrap();
    let mut batch = Batch::default();
    for (model, count) in [("a", 5), ("b", 3), ("c", 1), ("d", 1)] {
        for number in 0..count {
            let mut finished = finished(number, 1_000 * HOUR);
            finished.record.model = Some(model.into());
            batch.requests.push(Arc::new(finished));
        }
    }
    write_batch(&mut connection, &batch);
    let query = UsageQuery { groups: 2, ..all(&[Dimension::Model], None) };
    let rows = usage::usage(&connection, &query).unwrap();
    let found: Vec<_> = rows.iter().map(|row| (row.group[0].to_string(), row.sums.requests)).collect();
    assert_eq!(found, [("(other)".to_owned(), 2), ("a".to_owned(), 5), ("b".to_owned(), 3)]);
}

/// Requirement: a client that names a new session in every request does not fill the history with sums.
#[test]
fn the_groups_of_an_hour_are_bounded() {
    let mut connection = schema::in_memory().unwrap();
    let request = |number: u64| {
        let mut finished = finished(number, 1_000 * HOUR);
        finished.record.request.session = Some(format!("session-{number}").into());
        Arc::new(finished)
    };
    for start in [0, 700, 1_400] {
        let requests = (start..start + 700).map(request).collect();
        write_batch(&mut connection, &Batch { requests, merged: Merged::default() });
    }
    let counts = Counts::read(&connection).unwrap();
    assert_eq!(counts.buckets, write::GROUPS as u64 + 1);
    assert_eq!(total(&connection, &all(&[], None)).requests, 2_100);
}

/// Requirement: a database of version 1 is migrated, and keeps its content.
#[test]
fn a_database_of_version_1_is_migrated() {
    let directory = Directory::new();
    std::fs::create_dir_all(directory.0.join("state")).unwrap();
    let old = Connection::open(directory.file()).unwrap();
    old.execute_batch(MIGRATIONS[0]).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    write_as_version_1(&old, "req_1");

    let mut new = schema::open(&directory.file()).unwrap();

    let version: usize =
        new.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap() as usize;
    assert_eq!(version, MIGRATIONS.len());
    // A process of the version before may still write.
    write_as_version_1(&old, "req_2");
    let batch = Batch { requests: vec![Arc::new(finished(3, 5))], merged: Merged::default() };
    write_batch(&mut new, &batch);
    assert_eq!(total(&new, &all(&[], None)).requests, 1);
    for id in ["req_1", "req_2", "req_3"] {
        let stored = details::request(&new, id).unwrap().expect(id);
        assert_eq!((stored.role, stored.purpose, stored.web_searches), (None, None, 0), "{id}");
    }
}

/// Writes the details of a request with the columns of version 1 only.
fn write_as_version_1(connection: &Connection, id: &str) {
    const LATER: [&str; 5] = ["parent", "purpose", "verdicts", "role", "web_searches"];
    let columns: Vec<_> = DETAILS.into_iter().filter(|column| !LATER.contains(column)).collect();
    let values =
        columns.iter().map(|column| if *column == "request_id" { format!("'{id}'") } else { "0".to_owned() });
    let values: Vec<_> = values.collect();
    let insert = format!("INSERT INTO requests ({}) VALUES ({})", columns.join(", "), values.join(", "));
    connection.execute(&insert, []).unwrap();
}

/// Requirement: what is written of a request is what is read.
#[test]
fn a_request_is_read_as_it_was_recorded() {
    let connection = schema::in_memory().unwrap();
    let mut finished = finished(1, 9_000);
    finished.record.end =
        RequestEnd::Failed { kind: "overloaded_error", message: "busy sk-secret".to_owned() };
    finished.record.failed_targets = vec!["q:n".to_owned()];
    finished.record.request.session = Some("s".into());
    finished.record.reported.web_searches = 3;
    finished.cost = Some(Cost { micro_dollars: 7, saved_micro_dollars: -2 });
    finished.cache_loss = Some(CacheLoss {
        cause: CacheLossCause::Tools,
        by_provider: true,
        tokens: 5_000,
        micro_dollars: Some(3),
    });
    let redact = |text: String| text.replace("sk-secret", "[key]");
    let batch = Batch { requests: vec![Arc::new(finished.clone())], merged: Merged::default() };
    write::write(&mut Statements::prepare(&connection).unwrap(), &batch, 1, &redact).unwrap();

    let found = details::request(&connection, "req_1").unwrap().unwrap();

    let expected = StoredRequest { error: Some("busy [key]".to_owned()), ..StoredRequest::from(&finished) };
    assert_eq!(found, redacted(&finished, &redact));
    assert_eq!(found, expected);
    assert!(details::request(&connection, "req_2").unwrap().is_none());
    let by_text = |text: &str| {
        let selection = Selection { since: 0, until: u64::MAX, filters: vec![] };
        let query = RequestQuery { selection, text: Some(text.to_owned()), cursor: None, limit: 5 };
        details::requests(&connection, &query).unwrap().requests.len()
    };
    assert_eq!((by_text("BUSY"), by_text("eq_1"), by_text("sk-secret"), by_text("%")), (1, 1, 0, 0));
}

/// The request with the texts that come from outside of the gateway as they are stored.
fn redacted(finished: &FinishedRequest, redact: &dyn Fn(String) -> String) -> StoredRequest {
    let mut stored = StoredRequest::from(finished);
    let apply = |text: Option<String>| text.map(redact);
    stored.requested_model = redact(stored.requested_model);
    stored.model = apply(stored.model);
    stored.client = apply(stored.client);
    stored.session = apply(stored.session);
    stored.agent = apply(stored.agent);
    stored.error = apply(stored.error);
    stored.stop_reason = apply(stored.stop_reason);
    stored.failed_targets = stored.failed_targets.into_iter().map(redact).collect();
    for call in &mut stored.calls {
        call.model = redact(std::mem::take(&mut call.model));
        call.upstream_request_id = call.upstream_request_id.take().map(redact);
    }
    stored
}

/// What the rows of one batch have in common, and what not, is the same whichever values follow one another.
fn any_detailed() -> impl Strategy<Value = FinishedRequest> {
    let text = || proptest::option::of(proptest::sample::select(&["a", "sk-secret", "ü \"", "b"][..]));
    let texts = (text(), text(), text(), text(), text(), 0..3usize, 0..3usize);
    (any_finished(), texts, proptest::option::of(0..3u32)).prop_map(|(mut finished, texts, lost)| {
        let (model, agent, stop_reason, key, error, calls, targets) = texts;
        let shared = |text: Option<&str>| text.map(Arc::<str>::from);
        let record = &mut finished.record;
        record.model = shared(model);
        record.request.agent = shared(agent);
        record.request.role = (calls > 1).then(|| "subagent.Explore".into());
        record.request.messages = calls as u32;
        record.stop_reason = shared(stop_reason);
        record.key = key.map(|key| ApiKey::new(key).id());
        record.upstream_api = key.map(|_| Api::ChatCompletions);
        if let Some(message) = error {
            record.end = RequestEnd::Failed { kind: "api_error", message: message.to_owned() };
        }
        record.failed_targets = vec!["q:sk-secret".to_owned(); targets];
        let call = CallRecord {
            provider: "p".into(),
            model: model.unwrap_or("m").into(),
            key: record.key,
            status: key.map(|_| 200),
            outcome: key.map(|_| "answered"),
            upstream_request_id: agent.map(|id| format!("{id} {stop_reason:?}").into()),
            started: Duration::from_millis(calls as u64),
            elapsed: record.elapsed,
        };
        record.calls = vec![call; calls];
        finished.cache_loss = lost.map(|tokens| CacheLoss {
            cause: CacheLossCause::Message(Some(tokens)),
            by_provider: tokens == 0,
            tokens: tokens.into(),
            micro_dollars: None,
        });
        finished
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Requirement: each row of a batch holds its own request, redacted, also where only changed values are bound.
    #[test]
    fn every_request_of_a_batch_is_read_as_it_was_recorded(
        mut requests in proptest::collection::vec(any_detailed(), 1..30),
    ) {
        let redact = |text: String| text.replace("sk-secret", "[key]");
        for (number, finished) in requests.iter_mut().enumerate() {
            finished.record.request_id = format!("req_{number}").into();
        }
        let connection = schema::in_memory().unwrap();
        let mut statements = Statements::prepare(&connection).unwrap();
        for half in requests.chunks(requests.len().div_ceil(2)) {
            let batch = Batch { requests: half.iter().cloned().map(Arc::new).collect(), merged: Merged::default() };
            write::write(&mut statements, &batch, 1, &redact).unwrap();
        }
        for finished in &requests {
            let found = details::request(&connection, &finished.record.request_id).unwrap();
            prop_assert_eq!(found, Some(redacted(finished, &redact)));
        }
        let sums = total(&connection, &all(&[], Some(Duration::from_secs(3_600))));
        prop_assert_eq!(sums, expected(&requests));
    }
}

/// Requirement: pages follow one another without a gap, newest first.
#[test]
fn pages_of_requests_follow_one_another() {
    let mut connection = schema::in_memory().unwrap();
    let requests = (1..=7).map(|id| Arc::new(finished(id, 10 * id))).collect();
    write_batch(&mut connection, &Batch { requests, merged: Merged::default() });
    let (mut found, mut cursor) = (vec![], None);
    loop {
        let selection = Selection { since: 0, until: u64::MAX, filters: vec![] };
        let query = RequestQuery { selection, text: None, cursor, limit: 3 };
        let page = details::requests(&connection, &query).unwrap();
        found.extend(page.requests.into_iter().map(|request| request.request_id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, ["req_7", "req_6", "req_5", "req_4", "req_3", "req_2", "req_1"]);
}

/// Requirement: the history is bounded by age and number. The sums outlive the details.
#[test]
fn what_is_old_or_too_much_is_removed_and_the_sums_stay() {
    let mut connection = schema::in_memory().unwrap();
    let requests = (0..100).map(|hour| Arc::new(finished(hour, hour * HOUR + 5))).collect();
    write_batch(&mut connection, &Batch { requests, merged: Merged::default() });
    let retention = Retention { age: Duration::from_millis(50 * HOUR), requests: 30 };
    let mut counts = Counts::read(&connection).unwrap();
    let mut steps = 0;
    while prune::step(&connection, &retention, &mut counts, 100 * HOUR).unwrap() {
        steps += 1;
        assert!(steps < 200, "pruning ends");
    }
    let after = Counts::read(&connection).unwrap();
    assert_eq!((after.requests, after.buckets), (30, 30), "as many sums as details are kept");
    assert_eq!((counts.requests, counts.buckets), (30, 30));

    let retention = Retention { requests: 5, ..retention };
    let roomy = Retention { requests: 1_000, ..retention };
    counts.buckets = 0;
    assert!(prune::step(&connection, &retention, &mut counts, 100 * HOUR).unwrap());
    assert!(!prune::step(&connection, &roomy, &mut counts, 100 * HOUR).unwrap());
    assert_eq!(Counts::read(&connection).unwrap().requests, 5);
    assert_eq!(total(&connection, &all(&[], None)).requests, 30, "from the sums");
    assert_eq!(
        total(&connection, &all(&[], Some(Duration::from_secs(60)))).requests,
        30,
        "finer than they are"
    );
    let selection = Selection { since: 80 * HOUR, until: 97 * HOUR, filters: vec![] };
    let some = UsageQuery { selection, ..all(&[], None) };
    assert_eq!(total(&connection, &some).requests, 17);
}

fn start(directory: &Directory) -> HistoryHandle {
    let history = HistoryHandle::default();
    history.start(HistorySettings { file: Some(directory.file()), retention: RETENTION }, |text| text);
    history
}

async fn count(history: &HistoryHandle) -> u64 {
    history.flushed().await;
    let rows = history.usage(all(&[], None)).await.unwrap();
    rows.iter().map(|row| row.sums.requests).sum()
}

/// Requirement: the history is the same after a restart; the file is for its user only.
#[actix_rt::test]
async fn a_history_continues_where_it_ended() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = Directory::new();
    let first = start(&directory);
    first.record(&Arc::new(finished(1, clock::wall())));
    assert_eq!(count(&first).await, 1);
    // Both write for a while, as during a restart.
    let second = start(&directory);
    first.record(&Arc::new(finished(2, clock::wall())));
    first.flushed().await;
    second.record(&Arc::new(finished(3, clock::wall())));
    assert_eq!(count(&second).await, 3);
    let earlier: u64 = crate::ledger::RequestStore::earlier_totals(&second)
        .unwrap()
        .iter()
        .map(|(_, _, totals)| totals.streamed.requests)
        .sum();
    assert_eq!(earlier, 2, "the totals of others, its own left out");
    for name in ["history.db", "history.db-wal", "history.db-shm"] {
        let mode = std::fs::metadata(directory.0.join("state").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(usage_of_file(&directory.file(), &all(&[], None)).unwrap()[0].sums.requests, 3);
    let status = second.status();
    assert_eq!((status.storage, status.waiting, status.dropped), (HistoryStorage::File, 0, 0));
    assert!(status.bytes > 0 && status.oldest.is_some());
}

/// Requirement: a damaged database is moved aside, and one of a newer version is left alone; neither fails the start.
#[actix_rt::test]
async fn a_database_that_cannot_be_used_does_not_fail_the_start() {
    let directory = Directory::new();
    std::fs::create_dir_all(directory.0.join("state")).unwrap();
    std::fs::write(directory.file(), "this is no database, but long enough to look like one ".repeat(40))
        .unwrap();
    let history = start(&directory);
    history.record(&Arc::new(finished(1, clock::wall())));
    assert_eq!(count(&history).await, 1);
    let names = || {
        let entries = std::fs::read_dir(directory.0.join("state")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
    };
    assert!(names().iter().any(|name| name.starts_with("history.db.corrupt-")), "{:?}", names());

    let newer = Directory::new();
    std::fs::create_dir_all(newer.0.join("state")).unwrap();
    let connection = Connection::open(newer.file()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let history = start(&newer);
    history.record(&Arc::new(finished(1, clock::wall())));
    assert_eq!(count(&history).await, 1);
    assert_eq!(history.status().storage, HistoryStorage::Memory);
    let tables: u64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
        .unwrap() as u64;
    assert_eq!(tables, 0, "it is left alone");
}

/// Requirement: while the database cannot be written, sums wait; when it can be written again, nothing but details is missing.
#[actix_rt::test]
async fn a_directory_that_appears_later_gets_all_sums() {
    let directory = Directory::new();
    std::fs::create_dir_all(&directory.0).unwrap();
    // A file is in the place of the directory.
    std::fs::write(directory.0.join("state"), "").unwrap();
    let history = start(&directory);
    let recorded = super::queue::WAITING as u64 + 2_500;
    for id in 0..recorded {
        history.record(&Arc::new(finished(id, clock::wall())));
    }
    let until = Instant::now() + Duration::from_secs(20);
    while history.status().error.is_none() {
        assert!(Instant::now() < until, "the failure is reported");
        actix_rt::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(history.status().storage, HistoryStorage::Unavailable);
    assert!(history.usage(all(&[], None)).await.is_err());

    std::fs::remove_file(directory.0.join("state")).unwrap();
    assert_eq!(count(&history).await, recorded);
    let status = history.status();
    assert!(status.error.is_none(), "{status:?}");
    assert!(status.dropped >= 500 && status.dropped + status.requests == recorded, "{status:?}");
    let by_minute = history.usage(all(&[], Some(Duration::from_secs(60)))).await.unwrap();
    assert_eq!(by_minute.iter().map(|row| row.sums.requests).sum::<u64>(), recorded);
}

/// Requirement: a flood costs the details of some requests, which are counted, and no sum; the next second has its own details.
#[actix_rt::test]
async fn details_are_kept_for_so_many_requests_of_a_second() {
    let history = HistoryHandle::default();
    history.start(HistorySettings { file: None, retention: RETENTION }, |text| text);
    let most = super::queue::DETAILS_PER_SECOND as u64;
    let second = clock::wall() / 1_000 * 1_000;
    for id in 0..most + 10 {
        history.record(&Arc::new(finished(id, second + id % 1_000)));
    }
    history.record(&Arc::new(finished(most + 10, second + 1_000)));
    assert_eq!(count(&history).await, most + 11);
    let status = history.status();
    assert_eq!((status.requests, status.dropped), (most + 1, 10), "{status:?}");
}

/// Requirement: requests without details are written at once, too.
#[actix_rt::test]
async fn a_request_without_details_wakes_the_writer() {
    let queue = super::queue::Queue::default();
    assert!(queue.open());
    let now = clock::wall();
    let record = |id| queue.add(&Arc::new(finished(id, now)));
    (0..super::queue::DETAILS_PER_SECOND as u64).for_each(record);
    while matches!(queue.next(Duration::ZERO), super::queue::Next::Write(_)) {}
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| queue.next(Duration::from_secs(30)));
        std::thread::sleep(Duration::from_millis(100));
        let began = Instant::now();
        record(1_000_000);
        assert!(matches!(writer.join(), Ok(super::queue::Next::Write(_))));
        assert!(began.elapsed() < Duration::from_secs(20));
    });
}

/// Requirement (`VDM_HISTORY=off`): the same questions are answered from memory.
#[actix_rt::test]
async fn a_history_in_memory_answers_the_same_questions() {
    let history = HistoryHandle::default();
    assert!(history.usage(all(&[], None)).await.is_err(), "it has not started");
    history.start(HistorySettings { file: None, retention: RETENTION }, |text| text);
    history.record(&Arc::new(finished(1, clock::wall())));
    assert_eq!(count(&history).await, 1);
    assert_eq!(history.status().storage, HistoryStorage::Memory);
    assert!(history.request("req_1".to_owned()).await.unwrap().is_some());
    assert_eq!(history.sessions(all(&[], None).selection, 5).await.unwrap(), []);
}

/// Requirement: a question that takes too long ends, and the next one is answered.
#[actix_rt::test]
async fn a_question_whose_asker_leaves_is_interrupted() {
    let state = Arc::new(super::state::HistoryState::default());
    let connection = Arc::new(parking_lot::Mutex::new(schema::in_memory().unwrap()));
    state.set_source(super::state::Source::Memory(connection));
    let reader = super::reader::Reader::start(state).unwrap();
    let endless = |connection: &Connection| {
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
    };
    let asked = actix_rt::time::timeout(Duration::from_millis(300), reader.ask(endless)).await;
    assert!(asked.is_err(), "it does not end by itself");
    let next = actix_rt::time::timeout(Duration::from_secs(20), reader.ask(|_| Ok(5))).await;
    assert_eq!(next.unwrap(), Ok(5));
}

/// Requirement: requests collect for longer only while many arrive, so that a lone one is soon in the history.
#[test]
fn many_requests_collect_for_longer_than_a_few() {
    let queue = Queue::default();
    queue.open();
    let second = std::cell::Cell::new(0);
    let wait = |requests: usize| {
        let began = Instant::now();
        // Each wait is in a second of its own, which has details left.
        second.set(second.get() + 1_000);
        (0..requests).for_each(|id| queue.add(&Arc::new(finished(id as u64, second.get()))));
        let Next::Write(batch) = queue.next(Duration::ZERO) else { panic!("requests wait") };
        assert_eq!(batch.requests.len(), requests);
        began.elapsed()
    };
    assert!(wait(queue::BUSY) >= queue::BUSY_DELAY);
    // On a busy machine, some waits are longer.
    let is_short = |requests| (0..20).any(|_| wait(requests) < queue::BUSY_DELAY);
    assert!(is_short(1) && is_short(queue::BUSY - 1) && is_short(queue::BATCH));
}
