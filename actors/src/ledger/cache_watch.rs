//! Watches the prompt caches of sessions, and notices when one is lost: a request of a conversation reads much less from the cache
//! than the request before it left there.
//!
//! A session has several conversations: each agent and each model has its own, and Claude Code sends side requests with prompts
//! of their own. A request continues a conversation if it has at least half of that one's messages at the same positions. What
//! starts anew, such as the request after `/compact`, continues none, so it loses nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use vandamme_protocol::reported::CacheMissReason;
use vandamme_protocol::request::{PrefixChange, PromptPrefix};
use vandamme_protocol::vocabulary::Usage;

use super::cache_loss::{CacheLoss, CacheLossCause};
use super::{Record, RequestSummary, printable};
use crate::clock::{self, Millis};
use crate::cost::Cost;
use crate::secret::KeyId;

/// The most sessions that are watched; the one that was idle for longest is forgotten.
const MOST_SESSIONS: usize = 1_024;
/// The most conversations of a session.
const MOST_CONVERSATIONS: usize = 8;
/// Less than this is not worth a warning, in tokens.
const LEAST_CACHED: u64 = 4_096;
/// How long a cache keeps a prompt if the vendor does not report it.
const USUALLY_KEPT: Duration = Duration::from_secs(5 * 60);
const LONG_KEPT: Duration = Duration::from_secs(60 * 60);
/// The shortest time between two warnings about one session.
const WARNING_INTERVAL: Millis = 60_000;

/// What the watch knows of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCache {
    pub client: Option<Arc<str>>,
    pub session: Arc<str>,
    /// The prompt tokens of the session, cached ones included.
    pub prompt: u64,
    /// Those that were read from a cache: `read / prompt` is the hit rate.
    pub read: u64,
    pub losses: u64,
    pub lost_tokens: u64,
    pub lost_micro_dollars: u64,
    /// When its last request ended.
    pub used: Millis,
}

/// The sessions with the newest requests first, and the sums since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheView {
    pub sessions: Vec<SessionCache>,
    pub losses: u64,
    pub lost_tokens: u64,
}

/// A loss before its cost is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) cause: CacheLossCause,
    pub(super) by_provider: bool,
    pub(super) tokens: u64,
    /// Whether a warning is due.
    pub(super) warn: bool,
}

#[derive(Debug, Default)]
pub(super) struct CacheWatch {
    sessions: HashMap<SessionKey, Session>,
    losses: u64,
    lost_tokens: u64,
}

/// Session ids are the client's to choose, so each client has its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SessionKey {
    client: Option<Arc<str>>,
    session: Arc<str>,
}

#[derive(Debug, Default)]
struct Session {
    conversations: Vec<Conversation>,
    prompt: u64,
    read: u64,
    losses: u64,
    lost_tokens: u64,
    lost_micro_dollars: u64,
    used: Millis,
    warned: Option<Millis>,
}

/// The last request of a conversation.
#[derive(Debug)]
struct Conversation {
    agent: Option<Arc<str>>,
    requested: Arc<str>,
    provider: Option<Arc<str>>,
    model: Option<Arc<str>>,
    key: Option<KeyId>,
    prefix: Arc<PromptPrefix>,
    /// The tokens that the cache held after the request.
    cached: u64,
    kept: Duration,
    ended: Millis,
    /// The id of the reply.
    message_id: Option<Box<str>>,
}

impl CacheWatch {
    /// Notes a request that ended at this time; the loss, if it lost its conversation's cache.
    pub(super) fn note(&mut self, record: &Record, ended: Millis) -> Option<Lost> {
        let prompt = prompt_tokens(&record.usage);
        let prefix = record.request.prefix.as_ref()?;
        let key =
            SessionKey { client: record.request.client.clone(), session: record.request.session.clone()? };
        if prompt == 0 {
            return None;
        }
        if !self.sessions.contains_key(&key) && self.sessions.len() >= MOST_SESSIONS {
            self.forget_the_oldest();
        }
        let session = self.sessions.entry(key).or_default();
        session.used = ended;
        session.prompt = session.prompt.saturating_add(prompt);
        session.read = session.read.saturating_add(record.usage.cache_read);
        let lost = session.note(record, prefix, ended)?;
        self.losses = self.losses.saturating_add(1);
        self.lost_tokens = self.lost_tokens.saturating_add(lost.tokens);
        Some(lost)
    }

    /// The id of the reply to the last request of the conversation that this request continues.
    pub(super) fn previous_message(&self, request: &RequestSummary) -> Option<Box<str>> {
        let key = SessionKey { client: request.client.clone(), session: request.session.clone()? };
        let prefix = request.prefix.as_ref()?;
        let mut conversations = self.sessions.get(&key)?.conversations.iter().rev();
        conversations.find(|known| known.is_continued_by(request, prefix))?.message_id.clone()
    }

    /// Adds what a loss of this record's session has cost.
    pub(super) fn add_cost(&mut self, record: &Record, micro_dollars: u64) {
        let Some(session) = record.request.session.clone() else { return };
        let key = SessionKey { client: record.request.client.clone(), session };
        if let Some(session) = self.sessions.get_mut(&key) {
            session.lost_micro_dollars = session.lost_micro_dollars.saturating_add(micro_dollars);
        }
    }

    pub(super) fn view(&self) -> CacheView {
        let mut sessions: Vec<_> = self.sessions.iter().map(|(key, session)| session.view(key)).collect();
        sessions.sort_unstable_by(|one, other| (other.used, &one.session).cmp(&(one.used, &other.session)));
        CacheView { sessions, losses: self.losses, lost_tokens: self.lost_tokens }
    }

    fn forget_the_oldest(&mut self) {
        let oldest = self.sessions.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            self.sessions.remove(&oldest);
        }
    }
}

impl Session {
    fn note(&mut self, record: &Record, prefix: &Arc<PromptPrefix>, ended: Millis) -> Option<Lost> {
        let continued =
            self.conversations.iter().position(|known| known.is_continued_by(&record.request, prefix));
        let Some(at) = continued else {
            if self.conversations.len() >= MOST_CONVERSATIONS {
                self.conversations.remove(0);
            }
            self.conversations.push(Conversation::new(record, prefix, USUALLY_KEPT, ended));
            return None;
        };
        // The most recent one is the last.
        let known = self.conversations.remove(at);
        let loss = known.loss(record, prefix, ended);
        self.conversations.push(Conversation::new(record, prefix, known.kept, ended));
        let (own, tokens) = loss?;
        let reported = reported(record, own);
        self.losses = self.losses.saturating_add(1);
        self.lost_tokens = self.lost_tokens.saturating_add(tokens);
        let warn = self.warned.is_none_or(|warned| ended.saturating_sub(warned) >= WARNING_INTERVAL);
        if warn {
            self.warned = Some(ended);
        }
        Some(Lost { cause: reported.unwrap_or(own), by_provider: reported.is_some(), tokens, warn })
    }

    fn view(&self, key: &SessionKey) -> SessionCache {
        let &Self { prompt, read, losses, lost_tokens, lost_micro_dollars, used, .. } = self;
        let SessionKey { client, session } = key.clone();
        SessionCache { client, session, prompt, read, losses, lost_tokens, lost_micro_dollars, used }
    }
}

impl Conversation {
    /// `kept` is how long the cache keeps the prompt if this request does not say it.
    fn new(record: &Record, prefix: &Arc<PromptPrefix>, kept: Duration, ended: Millis) -> Self {
        let Usage { cache_read, cache_creation, cache_creation_1h, .. } = record.usage;
        let kept = match (cache_creation, cache_creation_1h) {
            (0, _) => kept,
            (_, 0) => USUALLY_KEPT,
            (_, _) => LONG_KEPT,
        };
        Self {
            agent: record.request.agent.clone(),
            requested: record.request.model.clone(),
            provider: record.provider.clone(),
            model: record.model.clone(),
            key: record.key,
            prefix: prefix.clone(),
            cached: cache_read.saturating_add(cache_creation),
            kept,
            ended,
            message_id: record.reported.message_id.clone(),
        }
    }

    fn is_continued_by(&self, request: &RequestSummary, prefix: &PromptPrefix) -> bool {
        let shorter = self.prefix.messages.len().min(prefix.messages.len());
        self.requested == request.model
            && self.agent == request.agent
            && shorter > 0
            && self.prefix.common_messages(prefix) * 2 >= shorter
    }

    fn loss(&self, record: &Record, prefix: &PromptPrefix, ended: Millis) -> Option<(CacheLossCause, u64)> {
        let usage = &record.usage;
        let started = ended.saturating_sub(clock::millis(record.elapsed));
        let is_expected = self.cached >= LEAST_CACHED
            // A request that runs beside this one reads what was cached before.
            && started >= self.ended
            // A shortened history needs less than the cache holds.
            && prefix.messages.len() >= self.prefix.messages.len()
            && prompt_tokens(usage) >= self.cached;
        let is_lost = usage.cache_read < self.cached / 2;
        (is_expected && is_lost)
            .then(|| (self.cause(record, prefix, started), self.cached - usage.cache_read))
    }

    fn cause(&self, record: &Record, prefix: &PromptPrefix, started: Millis) -> CacheLossCause {
        let gap = Duration::from_millis(started.saturating_sub(self.ended));
        if self.provider != record.provider || self.model != record.model {
            return CacheLossCause::Target;
        }
        if self.key != record.key {
            return CacheLossCause::Key;
        }
        if gap > self.kept {
            return CacheLossCause::Expired { gap, kept: self.kept };
        }
        match self.prefix.change(prefix) {
            Some(PrefixChange::Tools) => CacheLossCause::Tools,
            Some(PrefixChange::System) => CacheLossCause::System,
            Some(PrefixChange::Message(number)) => CacheLossCause::Message(Some(number)),
            None => CacheLossCause::Vendor,
        }
    }
}

/// Writes the warning. Sessions are the client's to name.
pub(super) fn log(record: &Record, loss: &CacheLoss) {
    let CacheLoss { cause, by_provider, tokens, micro_dollars } = loss;
    let source = if *by_provider { " (reported by the provider)" } else { "" };
    let session = record.request.session.as_deref().unwrap_or_default();
    let cost = micro_dollars.map(|micro_dollars| {
        let cost = Cost { micro_dollars, saved_micro_dollars: 0 };
        format!(" for {cost} more than from the cache")
    });
    log::warn!(
        REQUEST_ID:% = record.request_id,
        CACHE_LOSS = cause.name();
        "{} session {} lost its prompt cache: {cause}{source}; {tokens} tokens were paid again{}",
        record.request_id,
        printable(session),
        cost.unwrap_or_default(),
    );
}

/// The cause that the provider reports.
fn reported(record: &Record, own: CacheLossCause) -> Option<CacheLossCause> {
    Some(match record.reported.cache_miss? {
        CacheMissReason::Model => CacheLossCause::Target,
        CacheMissReason::System => CacheLossCause::System,
        CacheMissReason::Tools => CacheLossCause::Tools,
        CacheMissReason::Messages if matches!(own, CacheLossCause::Message(_)) => own,
        CacheMissReason::Messages => CacheLossCause::Message(None),
    })
}

/// All tokens of the prompt.
fn prompt_tokens(usage: &Usage) -> u64 {
    usage.input.saturating_add(usage.cache_read).saturating_add(usage.cache_creation)
}

#[cfg(test)]
mod tests {
    use super::super::RequestEnd;
    use super::super::totals::tests::record;
    use super::*;

    const MINUTE: Millis = 60_000;

    /// A request of a session, by its texts, and what it read from and wrote to the cache.
    struct Turn<'a> {
        system: &'a str,
        tools: &'a str,
        messages: &'a [&'a str],
        cached: (u64, u64),
    }

    impl Turn<'_> {
        fn record(&self) -> Record {
            let messages: Vec<_> = self
                .messages
                .iter()
                .map(|text| serde_json::json!({"role": "user", "content": text}))
                .collect();
            let body = serde_json::json!({
                "model": "m", "system": self.system, "tools": [{"name": self.tools}], "messages": messages,
            });
            let mut record = record("m", RequestEnd::Succeeded);
            record.elapsed = Duration::from_secs(1);
            record.request.session = Some("s".into());
            record.request.prefix = PromptPrefix::read(body.to_string().as_bytes()).map(Arc::new);
            let (cache_read, cache_creation) = self.cached;
            record.usage = Usage { input: 100, output: 10, cache_read, cache_creation, ..Usage::default() };
            record
        }
    }

    const FIRST: Turn<'_> =
        Turn { system: "be brief", tools: "Read", messages: &["a", "b"], cached: (0, 50_000) };

    /// The cause of the loss in a request that follows the first one after a time.
    fn after_first(turn: &Turn<'_>, gap: Millis) -> Option<(CacheLossCause, u64)> {
        let mut watch = CacheWatch::default();
        assert_eq!(watch.note(&FIRST.record(), 0), None);
        watch.note(&turn.record(), 1_000 + gap).map(|lost| (lost.cause, lost.tokens))
    }

    #[test]
    fn a_conversation_that_reads_its_cache_loses_nothing() {
        let next = Turn { messages: &["a", "b", "c"], cached: (50_000, 1_000), ..FIRST };
        assert_eq!(after_first(&next, MINUTE), None);
        let half = Turn { messages: &["a", "b", "c"], cached: (25_000, 26_000), ..FIRST };
        assert_eq!(after_first(&half, MINUTE), None);
    }

    #[test]
    fn each_cause_is_named() {
        let lost = Turn { messages: &["a", "b", "c"], cached: (0, 51_000), ..FIRST };
        let cause = |turn: &Turn<'_>, gap| after_first(turn, gap).map(|(cause, _)| cause);
        assert_eq!(after_first(&lost, MINUTE), Some((CacheLossCause::Vendor, 50_000)));
        assert_eq!(cause(&Turn { system: "be long", ..lost }, MINUTE), Some(CacheLossCause::System));
        assert_eq!(cause(&Turn { tools: "Write", ..lost }, MINUTE), Some(CacheLossCause::Tools));
        let edited = Turn { messages: &["a", "B", "c"], cached: (9_000, 42_000), ..FIRST };
        assert_eq!(after_first(&edited, MINUTE), Some((CacheLossCause::Message(Some(2)), 41_000)));
        let expired =
            CacheLossCause::Expired { gap: Duration::from_secs(6 * 60), kept: Duration::from_secs(5 * 60) };
        assert_eq!(cause(&lost, 6 * MINUTE), Some(expired));
    }

    #[test]
    fn another_target_or_key_loses_the_cache() {
        let next = Turn { messages: &["a", "b", "c"], cached: (0, 51_000), ..FIRST };
        let cause = |change: fn(&mut Record)| {
            let mut watch = CacheWatch::default();
            watch.note(&FIRST.record(), 0);
            let mut record = next.record();
            change(&mut record);
            watch.note(&record, MINUTE).map(|lost| lost.cause)
        };
        assert_eq!(cause(|record| record.provider = Some("other".into())), Some(CacheLossCause::Target));
        assert_eq!(cause(|record| record.model = Some("other".into())), Some(CacheLossCause::Target));
        let key = crate::secret::ApiKey::new("k").id();
        let mut watch = CacheWatch::default();
        watch.note(&FIRST.record(), 0);
        let lost = watch.note(&Record { key: Some(key), ..next.record() }, MINUTE);
        assert_eq!(lost.map(|lost| lost.cause), Some(CacheLossCause::Key));
    }

    #[test]
    fn a_cache_of_one_hour_is_kept_for_one_hour() {
        let mut watch = CacheWatch::default();
        let mut first = FIRST.record();
        first.usage.cache_creation_1h = first.usage.cache_creation;
        watch.note(&first, 0);
        let reads = Turn { messages: &["a", "b", "c"], cached: (50_000, 0), ..FIRST };
        assert_eq!(watch.note(&reads.record(), 30 * MINUTE), None);
        let lost = Turn { messages: &["a", "b", "c", "d"], cached: (0, 51_000), ..FIRST };
        let cause = watch.note(&lost.record(), 80 * MINUTE).map(|lost| lost.cause);
        assert_eq!(cause, Some(CacheLossCause::Vendor), "50 minutes after the last request");
    }

    #[test]
    fn what_starts_anew_loses_nothing() {
        let compacted = Turn { messages: &["a summary", "c"], cached: (5_000, 9_000), ..FIRST };
        let side_request = Turn { system: "a title", messages: &["a"], cached: (0, 0), ..FIRST };
        let rewound = Turn { messages: &["a"], cached: (0, 60_000), ..FIRST };
        for turn in [compacted, side_request, rewound] {
            assert_eq!(after_first(&turn, MINUTE), None);
        }
        let next = Turn { messages: &["a", "b", "c"], cached: (0, 51_000), ..FIRST };
        let is_lost = |change: fn(&mut Record)| {
            let mut watch = CacheWatch::default();
            watch.note(&FIRST.record(), 10 * MINUTE);
            let mut record = next.record();
            change(&mut record);
            watch.note(&record, 11 * MINUTE).is_some()
        };
        assert!(is_lost(|_| ()));
        assert!(!is_lost(|record| record.request.session = Some("another".into())));
        assert!(!is_lost(|record| record.request.agent = Some("sub".into())));
        assert!(!is_lost(|record| record.request.model = "another".into()));
        assert!(!is_lost(|record| record.request.client = Some("another".into())));
        assert!(!is_lost(|record| record.elapsed = Duration::from_secs(120)), "they ran side by side");
    }

    /// The provider's own word precedes the comparison, which cannot see everything.
    #[test]
    fn the_providers_word_precedes_ours() {
        let next = Turn { messages: &["a", "b", "c"], cached: (0, 51_000), ..FIRST };
        for (reason, cause) in [
            (CacheMissReason::Tools, CacheLossCause::Tools),
            (CacheMissReason::System, CacheLossCause::System),
            (CacheMissReason::Model, CacheLossCause::Target),
            (CacheMissReason::Messages, CacheLossCause::Message(None)),
        ] {
            let mut watch = CacheWatch::default();
            let mut first = FIRST.record();
            first.reported.message_id = Some("msg_1".into());
            watch.note(&first, 0);
            let mut record = next.record();
            assert_eq!(watch.previous_message(&record.request).as_deref(), Some("msg_1"));
            record.reported.cache_miss = Some(reason);
            let lost = watch.note(&record, MINUTE).unwrap();
            assert_eq!((lost.cause, lost.by_provider), (cause, true));
            assert_eq!(watch.previous_message(&record.request), None, "this reply had no id");
        }
    }

    /// A side request in between does not hide that the conversation goes on.
    #[test]
    fn a_side_request_does_not_interrupt_a_conversation() {
        let mut watch = CacheWatch::default();
        watch.note(&FIRST.record(), 0);
        let side_request = Turn { system: "a title", messages: &["x"], cached: (0, 0), ..FIRST };
        assert_eq!(watch.note(&side_request.record(), 10_000), None);
        let next = Turn { messages: &["a", "b", "c"], cached: (0, 51_000), ..FIRST };
        assert!(watch.note(&next.record(), MINUTE).is_some());
    }

    #[test]
    fn warnings_are_rate_limited_and_sums_are_kept() {
        let mut watch = CacheWatch::default();
        watch.note(&FIRST.record(), 0);
        let texts = ["a", "b", "c", "d", "e", "f", "g"];
        let warned: Vec<bool> = (3..6)
            .map(|count| {
                let turn = Turn { messages: &texts[..count], cached: (0, 50_000), ..FIRST };
                watch.note(&turn.record(), count as u64 * 20_000).unwrap().warn
            })
            .collect();
        assert_eq!(warned, [true, false, false]);
        let view = watch.view();
        let [session] = &view.sessions[..] else { panic!("one") };
        assert_eq!((session.losses, session.lost_tokens, session.read), (3, 150_000, 0));
        assert_eq!((view.losses, session.prompt), (3, 4 * 50_100));
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let mut watch = CacheWatch::default();
        for number in 0..MOST_SESSIONS as u64 + 5 {
            let mut record = FIRST.record();
            record.request.session = Some(number.to_string().into());
            watch.note(&record, number);
        }
        let view = watch.view();
        assert_eq!(view.sessions.len(), MOST_SESSIONS);
        assert!(view.sessions.iter().all(|session| session.used >= 5));
    }
}
