//! Which key is next, and which must rest. Pure: time is handed in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Millis, millis};
use crate::secret::{ApiKey, KeyId};
use crate::settings::Limits;

/// A wait that nobody told us is never longer than this, so that clients keep retrying.
const GUESS_CAP: Duration = Duration::from_secs(60);
/// After this long without a request for a model it is as if its rest had not been.
const FORGOTTEN: Duration = Duration::from_secs(300);
/// Models whose limits are remembered per key; beyond, the one whose rest ends first is forgotten.
const MODELS_PER_KEY: usize = 64;

/// A provider's keys, taken in turn.
#[derive(Clone, Debug)]
pub(super) struct KeyRing {
    keys: Vec<Key>,
    next: usize,
    cooldown: Duration,
    cap: Duration,
}

#[derive(Clone, Debug)]
struct Key {
    key: ApiKey,
    whole: State,
    models: HashMap<Arc<str>, State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    rest: Option<Rest>,
    /// Rests in a row without a success between them.
    strikes: u32,
    /// A request is trying out whether the key works again.
    probing: bool,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Millis,
    cause: Cause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// 429. `said`: until when the upstream asked to wait, uncapped; without it the wait is our guess.
    RateLimited { said: Option<Millis> },
    /// 401 or 403.
    Rejected,
}

/// Why no key can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// At least one key only waits for its rate limit to pass; `said` is what is left of what the upstream asked for.
    Cooling { wait: Duration, said: Option<Duration> },
    /// Every key has been rejected.
    Rejected,
}

/// What requests have in common that should get the same key: a hash of their session and their caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session(pub u64);

/// What a key's answer says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Works,
    /// 429; `after` is what `retry-after` said.
    RateLimited {
        after: Option<Duration>,
    },
    /// 401 or 403.
    Rejected,
    /// Nothing was learnt.
    Unknown,
}

/// What a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Key,
    Model,
}

/// One key's state as others may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    pub id: KeyId,
    /// `ready`, `cooling` or `rejected`.
    pub state: &'static str,
    /// When it is tried again.
    pub until: Option<Millis>,
}

impl KeyRing {
    pub(super) fn new(keys: &[ApiKey], limits: &Limits) -> Self {
        let keys = keys
            .iter()
            .map(|key| Key { key: key.clone(), whole: State::default(), models: HashMap::new() })
            .collect();
        Self { keys, next: 0, cooldown: limits.cooldown, cap: limits.cooldown_cap }
    }

    /// The ring of these keys, of which those that are here already keep what is known of them.
    pub(super) fn of(&self, keys: &[ApiKey], limits: &Limits) -> Self {
        let mut ring = Self::new(keys, limits);
        for key in &mut ring.keys {
            if let Some(known) = self.keys.iter().find(|known| known.key.id() == key.key.id()) {
                key.clone_from(known);
            }
        }
        // The last key is never quarantined, and those that were not are no longer here.
        if ring.keys.iter().all(|key| key.rejected("")) {
            ring.keys.iter_mut().for_each(|key| key.whole = State::default());
        }
        let next = self.keys.get(self.next).map(|key| key.key.id());
        ring.next = ring.keys.iter().position(|key| Some(key.key.id()) == next).unwrap_or_default();
        ring
    }

    /// A key that is not in `tried` and does not rest: the next in turn, or that of the session. A key whose rest is over
    /// is lent to one request at a time until that one reports.
    pub(super) fn take(
        &mut self,
        now: Millis,
        model: &str,
        (tried, session): (&[KeyId], Option<Session>),
    ) -> Result<ApiKey, Exhausted> {
        let count = self.keys.len();
        let turn = (0..count).map(|step| (self.next + step) % count);
        let mut usable = turn.filter(|&at| {
            let key = &self.keys[at];
            !tried.contains(&key.key.id()) && key.usable(now, model)
        });
        let found = match session {
            Some(session) => usable.max_by_key(|&at| session.weight(self.keys[at].key.id())),
            None => usable.next(),
        };
        let Some(at) = found else { return Err(self.exhausted(now, model)) };
        if session.is_none() {
            self.next = (at + 1) % count;
        }
        let key = &mut self.keys[at];
        for state in key.states(model) {
            state.probing |= state.rest.is_some();
        }
        Ok(key.key.clone())
    }

    /// Whether every key is to be had for every model.
    pub(super) fn is_untroubled(&self) -> bool {
        self.keys.iter().all(|key| key.models.is_empty() && key.whole.rest.is_none() && !key.whole.probing)
    }

    /// Forgets what was about one model alone and has been over for so long, without anybody who came to try, that it says
    /// nothing any more.
    pub(super) fn forget_old(&mut self, now: Millis) {
        let long = millis(FORGOTTEN);
        let is_over = |rest: Rest| rest.until.saturating_add(long) <= now;
        for key in &mut self.keys {
            key.models.retain(|_, state| state.probing || !state.rest.is_none_or(is_over));
        }
    }

    /// The place of the next key in turn.
    pub(super) fn next(&self) -> usize {
        self.next
    }

    /// So many keys have been taken in turn.
    pub(super) fn turn_to(&mut self, turn: usize) {
        self.next = turn.checked_rem(self.keys.len()).unwrap_or_default();
    }

    /// Whether a key that rested is being tried out, so that no other request gets it.
    pub(super) fn is_tried_out(&self, id: KeyId, model: &str) -> bool {
        let key = self.keys.iter().find(|key| key.key.id() == id);
        key.is_some_and(|key| key.read(model).any(|state| state.probing))
    }

    /// Notes what a request with key `id` showed. Answers whether the ring's health changed.
    pub(super) fn note(
        &mut self,
        now: Millis,
        id: KeyId,
        model: &Arc<str>,
        verdict: Verdict,
        scope: Scope,
    ) -> bool {
        let others = self.keys.iter().filter(|key| key.key.id() != id).any(|key| !key.rejected(model));
        let (cooldown, cap) = (self.cooldown, self.cap);
        let Some(key) = self.keys.iter_mut().find(|key| key.key.id() == id) else { return false };
        for state in key.states(model) {
            state.probing = false;
        }
        match verdict {
            Verdict::Unknown => false,
            Verdict::Works => key.recover(now, model),
            Verdict::RateLimited { after } => {
                let state = key.scoped(model, scope);
                let guess = doubled(cooldown, state.strikes).min(GUESS_CAP);
                let said = after.map(|after| now.saturating_add(millis(after)));
                state.rest(now, after.unwrap_or(guess).min(cap), Cause::RateLimited { said });
                true
            }
            // The last key is never quarantined: the upstream's own answer is the best there is.
            Verdict::Rejected if !others => false,
            Verdict::Rejected => {
                let state = key.scoped(model, scope);
                let pause = doubled(cooldown, state.strikes).min(cap);
                state.rest(now, pause, Cause::Rejected);
                true
            }
        }
    }

    /// Forgets who is trying keys out: their reports went to somebody else.
    pub(super) fn forget_probes(&mut self) {
        for key in &mut self.keys {
            key.whole.probing = false;
            key.models.values_mut().for_each(|state| state.probing = false);
        }
    }

    pub(super) fn view(&self, now: Millis) -> Vec<KeyView> {
        self.keys.iter().map(|key| key.view(now)).collect()
    }

    fn exhausted(&self, now: Millis, model: &str) -> Exhausted {
        let cooling = self.keys.iter().flat_map(|key| key.cooling(model));
        let soonest = cooling.min_by_key(|&(until, _)| until);
        soonest.map_or(Exhausted::Rejected, |(until, said)| Exhausted::Cooling {
            wait: Duration::from_millis(until.saturating_sub(now)).min(self.cap),
            said: said.map(|said| Duration::from_millis(said.saturating_sub(now))),
        })
    }
}

impl Key {
    fn states(&mut self, model: &str) -> impl Iterator<Item = &mut State> {
        std::iter::once(&mut self.whole).chain(self.models.get_mut(model))
    }

    fn read(&self, model: &str) -> impl Iterator<Item = &State> {
        std::iter::once(&self.whole).chain(self.models.get(model))
    }

    fn usable(&self, now: Millis, model: &str) -> bool {
        self.read(model).all(|state| state.usable(now))
    }

    fn rejected(&self, model: &str) -> bool {
        self.read(model).any(|state| state.rest.is_some_and(|rest| rest.cause == Cause::Rejected))
    }

    fn cooling(&self, model: &str) -> Option<(Millis, Option<Millis>)> {
        if self.rejected(model) {
            return None;
        }
        let rests = self.read(model).filter_map(|state| state.rest);
        rests.max_by_key(|rest| rest.until).map(|rest| match rest.cause {
            Cause::RateLimited { said } => (rest.until, said),
            Cause::Rejected => (rest.until, None),
        })
    }

    /// A key that rests is not lent, so what works with it then began before, and says nothing against the rest.
    fn recover(&mut self, now: Millis, model: &str) -> bool {
        let is_over = |state: &State| state.rest.as_ref().is_none_or(|rest| rest.until <= now);
        let changed =
            self.read(model).any(|state| is_over(state) && (state.rest.is_some() || state.strikes > 0));
        if is_over(&self.whole) {
            self.whole = State::default();
        }
        if self.models.get(model).is_some_and(is_over) {
            self.models.remove(model);
        }
        changed
    }

    fn scoped(&mut self, model: &Arc<str>, scope: Scope) -> &mut State {
        match scope {
            Scope::Key => &mut self.whole,
            Scope::Model => {
                self.make_room(model);
                self.models.entry(model.clone()).or_default()
            }
        }
    }

    /// What is about one model must never be taken for a matter of the whole key.
    fn make_room(&mut self, model: &str) {
        if self.models.len() < MODELS_PER_KEY || self.models.contains_key(model) {
            return;
        }
        let end = |state: &State| state.rest.map(|rest| rest.until);
        let first = self.models.iter().min_by_key(|(_, state)| end(state)).map(|(model, _)| model.clone());
        if let Some(first) = first {
            self.models.remove(&first);
        }
    }

    fn view(&self, now: Millis) -> KeyView {
        let rest = self.whole.rest.filter(|rest| rest.until > now);
        let state = match rest.map(|rest| rest.cause) {
            None => "ready",
            Some(Cause::RateLimited { .. }) => "cooling",
            Some(Cause::Rejected) => "rejected",
        };
        KeyView { id: self.key.id(), state, until: rest.map(|rest| rest.until) }
    }
}

/// The place of the key that this session gets of these.
pub(super) fn preferred(session: Session, keys: impl Iterator<Item = KeyId>) -> Option<usize> {
    keys.enumerate().max_by_key(|&(_, key)| session.weight(key)).map(|(at, _)| at)
}

impl Session {
    /// How much this session would like this key (rendezvous hashing): when a key goes, only its own sessions move. The
    /// mixing is that of SplitMix64.
    fn weight(self, key: KeyId) -> u64 {
        let mut hash = self.0 ^ key.spread();
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }
}

impl State {
    fn usable(&self, now: Millis) -> bool {
        !self.probing && self.rest.is_none_or(|rest| rest.until <= now)
    }

    fn rest(&mut self, now: Millis, pause: Duration, cause: Cause) {
        self.strikes = self.strikes.saturating_add(1);
        self.rest = Some(Rest { until: now.saturating_add(millis(pause)), cause });
    }
}

fn doubled(base: Duration, strikes: u32) -> Duration {
    base.saturating_mul(2u32.saturating_pow(strikes.min(16)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{limits, provider};

    const MODEL: &str = "m";

    fn ring(keys: &[&str]) -> KeyRing {
        KeyRing::new(&provider("p").keys(keys).build().keys, &limits())
    }

    fn id(text: &str) -> KeyId {
        ApiKey::new(text).id()
    }

    fn take(ring: &mut KeyRing, now: Millis) -> Result<KeyId, Exhausted> {
        ring.take(now, MODEL, (&[], None)).map(|key| key.id())
    }

    fn note(ring: &mut KeyRing, now: Millis, key: &str, verdict: Verdict) {
        ring.note(now, id(key), &MODEL.into(), verdict, Scope::Key);
    }

    fn of(ring: &KeyRing, keys: &[&str]) -> KeyRing {
        ring.of(&provider("p").keys(keys).build().keys, &limits())
    }

    #[test]
    fn other_keys_come_in_and_what_is_known_of_the_others_stays() {
        let mut ring = ring(&["a", "b", "c"]);
        take(&mut ring, 0).unwrap();
        note(&mut ring, 0, "b", Verdict::RateLimited { after: None });

        let mut ring = of(&ring, &["a", "b", "d"]);

        assert_eq!([take(&mut ring, 0), take(&mut ring, 0)], [Ok(id("d")), Ok(id("a"))]);
        assert_eq!(take(&mut ring, 0), Ok(id("d")));
    }

    #[test]
    fn a_turn_goes_on_where_it_was() {
        let mut ring = ring(&["a", "b"]);
        take(&mut ring, 0).unwrap();

        assert_eq!(take(&mut of(&ring, &["a", "c", "b"]), 0), Ok(id("b")));
    }

    #[test]
    fn the_rest_of_a_model_that_nobody_wants_any_more_is_forgotten() {
        let mut ring = ring(&["a", "b"]);
        let after = Some(Duration::from_secs(1));
        ring.note(0, id("a"), &MODEL.into(), Verdict::RateLimited { after }, Scope::Model);

        ring.forget_old(300_999);
        assert!(!ring.is_untroubled());
        ring.forget_old(301_000);
        assert!(ring.is_untroubled());

        ring.note(0, id("a"), &MODEL.into(), Verdict::RateLimited { after }, Scope::Model);
        ring.take(301_000, MODEL, (&[id("b")], None)).unwrap();
        ring.forget_old(301_000);
        assert!(!ring.is_untroubled(), "it is tried just now");
    }

    #[test]
    fn of_refused_keys_alone_each_gets_another_chance() {
        let mut ring = ring(&["a", "b"]);
        note(&mut ring, 0, "a", Verdict::Rejected);

        assert_eq!(take(&mut of(&ring, &["a"]), 0), Ok(id("a")));
    }

    #[test]
    fn keys_are_taken_in_turn() {
        let mut ring = ring(&["a", "b", "c"]);

        let taken: Vec<_> = (0..4).map(|_| take(&mut ring, 0).unwrap()).collect();

        assert_eq!(taken, [id("a"), id("b"), id("c"), id("a")]);
    }

    #[test]
    fn a_success_that_began_before_a_rest_does_not_end_it() {
        let mut ring = ring(&["a", "b"]);
        let after = Some(Duration::from_secs(60));

        note(&mut ring, 0, "a", Verdict::RateLimited { after });
        note(&mut ring, 1, "a", Verdict::Works);

        assert_eq!(take(&mut ring, 2), Ok(id("b")));
        assert_eq!(take(&mut ring, 3), Ok(id("b")));
    }

    #[test]
    fn a_key_that_was_tried_is_not_lent_again() {
        let mut ring = ring(&["a", "b"]);

        assert_eq!(ring.take(0, MODEL, (&[id("a")], None)).unwrap().id(), id("b"));
        assert_eq!(ring.take(0, MODEL, (&[id("a"), id("b")], None)).unwrap_err(), Exhausted::Rejected);
    }

    #[test]
    fn a_limited_key_cools_as_long_as_the_upstream_says_but_no_longer_than_the_cap() {
        let mut ring = ring(&["a"]);
        let said = Duration::from_secs(100_000);

        note(&mut ring, 0, "a", Verdict::RateLimited { after: Some(said) });

        let wait = Duration::from_secs(300);
        assert_eq!(take(&mut ring, 0), Err(Exhausted::Cooling { wait, said: Some(said) }));
        assert_eq!(take(&mut ring, millis(wait)), Ok(id("a")));
    }

    #[test]
    fn a_guessed_wait_doubles_and_stays_within_a_minute() {
        let mut ring = ring(&["a"]);
        let mut waits = vec![];

        for _ in 0..3 {
            note(&mut ring, 0, "a", Verdict::RateLimited { after: None });
            let Err(Exhausted::Cooling { wait, said: None }) = take(&mut ring, 0) else {
                panic!("not cooling")
            };
            waits.push(wait.as_secs());
        }

        assert_eq!(waits, [30, 60, 60]);
    }

    #[test]
    fn the_least_wait_of_all_cooling_keys_counts() {
        let mut ring = ring(&["a", "b"]);

        for (key, secs) in [("a", 40), ("b", 7)] {
            note(&mut ring, 0, key, Verdict::RateLimited { after: Some(Duration::from_secs(secs)) });
        }

        let Err(Exhausted::Cooling { wait, .. }) = take(&mut ring, 1000) else { panic!("not cooling") };
        assert_eq!(wait, Duration::from_secs(6));
    }

    #[test]
    fn a_rejected_key_rests_but_the_last_one_never_does() {
        let mut ring = ring(&["a", "b"]);

        note(&mut ring, 0, "a", Verdict::Rejected);
        assert_eq!(take(&mut ring, 0), Ok(id("b")));
        note(&mut ring, 0, "b", Verdict::Rejected);

        assert_eq!(take(&mut ring, 0), Ok(id("b")));
    }

    #[test]
    fn a_key_comes_back_by_one_probe_at_a_time() {
        let mut ring = ring(&["a", "b"]);
        note(&mut ring, 0, "a", Verdict::Rejected);
        let later = 30_000;

        assert_eq!(take(&mut ring, later), Ok(id("a")));
        assert_eq!(take(&mut ring, later), Ok(id("b")));
        assert_eq!(take(&mut ring, later), Ok(id("b")));
        note(&mut ring, later, "a", Verdict::Works);

        assert_eq!(take(&mut ring, later), Ok(id("a")));
        assert_eq!(take(&mut ring, later), Ok(id("b")));
    }

    #[test]
    fn a_limit_of_one_model_leaves_the_key_usable_for_others() {
        let mut ring = ring(&["a"]);

        ring.note(0, id("a"), &MODEL.into(), Verdict::RateLimited { after: None }, Scope::Model);

        assert!(take(&mut ring, 0).is_err());
        assert_eq!(ring.take(0, "other", (&[], None)).unwrap().id(), id("a"));
    }

    #[test]
    fn a_probe_whose_report_will_not_come_can_be_forgotten() {
        let mut ring = ring(&["a"]);
        note(&mut ring, 0, "a", Verdict::RateLimited { after: None });
        let later = 30_000;
        assert_eq!(take(&mut ring, later), Ok(id("a")));
        assert!(take(&mut ring, later).is_err());

        ring.forget_probes();

        assert_eq!(take(&mut ring, later), Ok(id("a")));
    }

    fn of_session(ring: &mut KeyRing, session: u64) -> KeyId {
        ring.take(0, MODEL, (&[], Some(Session(session)))).unwrap().id()
    }

    #[test]
    fn a_session_keeps_its_key_and_does_not_move_the_turn_of_others() {
        let mut ring = ring(&["a", "b", "c"]);
        let first = of_session(&mut ring, 7);

        assert_eq!(take(&mut ring, 0), Ok(id("a")));
        assert_eq!(of_session(&mut ring, 7), first);
        assert_eq!(take(&mut ring, 0), Ok(id("b")));
    }

    #[test]
    fn sessions_are_spread_evenly() {
        let mut ring = ring(&["a", "b", "c", "d"]);
        let mut counts = HashMap::new();

        for session in 0..4000 {
            *counts.entry(of_session(&mut ring, session)).or_insert(0) += 1;
        }

        assert!(counts.len() == 4 && counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn when_a_key_rests_only_its_own_sessions_move_and_they_come_back() {
        let mut ring = ring(&["a", "b", "c"]);
        let before: Vec<_> = (0..200).map(|session| of_session(&mut ring, session)).collect();
        note(&mut ring, 0, "b", Verdict::RateLimited { after: Some(Duration::from_secs(9)) });

        for (session, key) in (0..200).zip(&before) {
            let now = of_session(&mut ring, session);
            assert!(now == *key || *key == id("b"), "session {session}");
            assert_ne!(now, id("b"));
        }
        note(&mut ring, 10_000, "b", Verdict::Works);
        let after: Vec<_> = (0..200).map(|session| of_session(&mut ring, session)).collect();
        assert_eq!(after, before);
    }

    #[test]
    fn what_the_upstream_asked_for_runs_down_too() {
        let mut ring = ring(&["a"]);
        note(&mut ring, 0, "a", Verdict::RateLimited { after: Some(Duration::from_secs(400)) });

        let Err(Exhausted::Cooling { wait, said }) = take(&mut ring, 100_000) else { panic!("not cooling") };

        assert_eq!((wait.as_secs(), said), (200, Some(Duration::from_secs(300))));
    }

    #[test]
    fn refusals_for_ever_so_many_models_leave_the_key_to_the_others() {
        for verdict in [Verdict::Rejected, Verdict::RateLimited { after: None }] {
            let mut ring = ring(&["a", "b"]);
            let model = |number: usize| -> Arc<str> { format!("m{number}").into() };

            for number in 0..3 * MODELS_PER_KEY {
                ring.note(0, id("a"), &model(number), verdict, Scope::Model);
            }

            let key = &ring.keys[0];
            assert!(key.usable(0, "other"), "{verdict:?}");
            assert_eq!(key.models.len(), MODELS_PER_KEY);
            let last = 3 * MODELS_PER_KEY - 1;
            assert!(!key.usable(0, &model(last)), "{verdict:?}");
        }
    }
}
