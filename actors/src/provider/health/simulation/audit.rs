//! Checks every decision and counts events. The audit keeps its own record, so that a broken rule in the code does not
//! break its check as well.

mod decisions;
mod ledger;
mod refusals;

use std::collections::{BTreeMap, HashMap};

use super::upstream::CallTarget;
use super::{KEYS, MINUTE, MODELS, PROVIDERS, SECOND, World};
use crate::clock::Millis;
use crate::outcome::Outcome;
use crate::provider::health::condition::HealthCondition;
use crate::provider::health::{CallReport, Health, KeyRequest, Size};
use crate::secret::ApiKey;

const LONGEST_GUESS: Millis = 60 * SECOND;
const LONGEST_COOLDOWN: Millis = 300 * SECOND;
/// The time of the ramp after a cooldown of the host.
const RAMP: Millis = 30 * SECOND;
const SHORT_WAIT: Millis = 5 * SECOND;
/// A session that was moved although its key would have served it returns to the key within this time: the longest
/// cooldown, the ramp after it, and one probe.
const LONGEST_DETOUR: Millis = LONGEST_COOLDOWN + RAMP + 60 * SECOND;

/// A request for a key.
pub(super) struct AuditedKeyRequest<'a> {
    pub(super) provider: usize,
    pub(super) model: usize,
    pub(super) request: &'a KeyRequest<'a>,
    pub(super) keys: &'a [ApiKey],
}

/// A call that failed.
#[derive(Clone, Debug)]
pub(super) struct AuditedCall {
    pub(super) target: CallTarget,
    pub(super) outcome: Outcome,
    pub(super) is_known_to_fail: bool,
}

/// The calls that one request has made.
#[derive(Debug, Default)]
pub(super) struct Tried {
    pub(super) calls: Vec<AuditedCall>,
    /// Providers that refused because of the upstream's own wait, without a call.
    pub(super) waits: Vec<usize>,
    pub(super) is_over_budget: bool,
}

#[derive(Default)]
pub(super) struct Audit {
    ledgers: [AuditRecord; PROVIDERS],
    counts: BTreeMap<&'static str, u64>,
    /// The first and the last request that went elsewhere although this key and model work.
    detours: HashMap<CallTarget, (Millis, Millis)>,
    detour_lengths: Vec<Millis>,
}

/// The record of one provider.
#[derive(Default)]
struct AuditRecord {
    keys: [Option<Seen>; KEYS],
    keys_with_models: [[Option<Seen>; MODELS]; KEYS],
    /// Requests that failed in a row, with their times.
    models: [Vec<(u64, Millis)>; MODELS],
    hosts: Vec<(usize, Millis)>,
    /// The end of the host's last cooldown.
    host_cools_until: Option<Millis>,
    /// The time of each subject's last change.
    changed: HashMap<ConditionId, Millis>,
    /// Leases that are probes.
    probes: HashMap<u64, AuditedProbe>,
    last_calls: [[Millis; MODELS]; KEYS],
    /// First calls and retries: drawn by second, made by minute.
    drawn: BTreeMap<u64, (u64, u64)>,
    made: BTreeMap<u64, (u64, u64)>,
}

struct AuditedProbe {
    key: usize,
    model: usize,
    began: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ConditionId {
    Key(usize),
    KeyAndModel(usize, usize),
    Model(usize),
    Host,
}

/// A failure that caused a cooldown.
#[derive(Clone, Copy, Debug)]
struct Seen {
    outcome: Outcome,
    size: Size,
    at: Millis,
    /// The end of the wait that the upstream named.
    until: Option<Millis>,
    /// The number of calls since then that checked whether the wait is over.
    checks: u32,
}

impl Seen {
    fn is_refusal(self) -> bool {
        matches!(self.outcome, Outcome::OutOfCredit | Outcome::KeyRejected | Outcome::KeyForbidden)
    }

    /// Whether the upstream's wait continues for requests larger than the one that succeeded.
    fn continues_for_larger_requests(self, report: &CallReport) -> bool {
        let is_running = self.until.is_some_and(|until| until > report.at);
        is_running
            && report.at < self.at + LONGEST_COOLDOWN
            && self.wait_end(report.size, report.at).is_none()
    }

    /// The time until the next check of a long wait: 10, 20, 40 … 300 s.
    fn next_check(&self) -> Millis {
        10 * SECOND * 2_u64.pow((self.checks + 1).min(5))
    }

    fn wait_end(&self, size: Size, now: Millis) -> Option<Millis> {
        let is_large = size.body * 2 >= self.size.body && size.max_tokens * 2 >= self.size.max_tokens;
        // The cooldown ends no later than that, and a probe follows.
        let is_cooling_down = now < self.at + LONGEST_COOLDOWN;
        self.until.filter(|&until| until > now && is_large && is_cooling_down)
    }
}

/// The cooldowns that a report may change.
struct Cooldowns([(ConditionId, Option<AuditedCooldown>); 4]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AuditedCooldown {
    since: Millis,
    until: Millis,
}

impl Cooldowns {
    fn new(target: CallTarget, report: &CallReport, health: &Health) -> Self {
        let CallTarget { key, model, .. } = target;
        let cooldown = |known: Option<&HealthCondition>| {
            known
                .and_then(HealthCondition::cooldown)
                .map(|cooldown| AuditedCooldown { since: cooldown.since, until: cooldown.until })
        };
        let known = &health.keys[key];
        Self([
            (ConditionId::Key(key), cooldown(Some(&known.whole))),
            (ConditionId::KeyAndModel(key, model), cooldown(known.models.get(&report.model))),
            (ConditionId::Model(model), cooldown(health.models.get(&report.model))),
            (ConditionId::Host, cooldown(Some(&health.host))),
        ])
    }

    fn is_clear(&self, about: ConditionId) -> bool {
        self.0.iter().all(|&(one, cooldown)| one != about || cooldown.is_none())
    }
}

impl Audit {
    pub(super) fn count(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    pub(super) fn total(&self, name: &'static str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    pub(super) fn forget(&mut self, name: &'static str) {
        self.counts.remove(name);
    }

    pub(super) fn count_replacement(&mut self, provider: usize) {
        self.count("replaced actors");
        self.ledgers[provider].probes.clear();
    }

    /// Passes the report to the provider's health and checks the changes.
    pub(super) fn note(
        &mut self,
        target: CallTarget,
        report: &CallReport,
        health: &mut Health,
        world: &World,
    ) {
        let before = Cooldowns::new(target, report, health);
        let ledger = &mut self.ledgers[target.provider];
        ledger.probes.remove(&report.lease);
        ledger.read(target, report);
        health.note(report, world.fraction());
        assert!(ledger.is_reflected(target, report, health), "the health does not reflect {report:?}");
        let after = Cooldowns::new(target, report, health);
        for (&(about, is), &(_, was)) in after.0.iter().zip(&before.0) {
            if is != was {
                self.count(if is.is_some() { "cooldowns" } else { "preferred again" });
                self.ledgers[target.provider].check_change(report, about, is, &before);
            }
        }
    }

    pub(super) fn count_first_call(&mut self, provider: usize, now: Millis) {
        self.ledgers[provider].drawn.entry(now / SECOND).or_default().0 += 1;
    }

    /// Checks the budget at every draw.
    pub(super) fn count_retry(&mut self, provider: usize, now: Millis) {
        self.count("retries");
        let ledger = &mut self.ledgers[provider];
        let second = now / SECOND;
        ledger.drawn.entry(second).or_default().1 += 1;
        let window = ledger.drawn.range(second - 9..=second);
        let (requests, retries) = window.fold((0, 0), |sum, (_, one)| (sum.0 + one.0, sum.1 + one.1));
        assert!(retries <= requests / 5 + 10, "{retries} retries for {requests} requests in 10 s");
    }

    pub(super) fn count_call(&mut self, target: CallTarget, size: Size, now: Millis, tried: &Tried) {
        self.count("calls");
        assert!(tried.calls.len() < 6, "a request makes a seventh call");
        let ledger = &mut self.ledgers[target.provider];
        ledger.last_calls[target.key][target.model] = now;
        let known = [&mut ledger.keys[target.key], &mut ledger.keys_with_models[target.key][target.model]];
        for seen in known.into_iter().flatten().filter(|seen| seen.wait_end(size, now).is_some()) {
            seen.checks += 1;
        }
        let made = ledger.made.entry(now / MINUTE).or_default();
        *(if tried.calls.is_empty() { &mut made.0 } else { &mut made.1 }) += 1;
        if let Some((first, last)) = self.detours.remove(&target) {
            self.detour_lengths.push(last - first);
        }
    }

    /// Checks what can only be checked at the end.
    pub(super) fn check(&self) {
        for made in self.ledgers.iter().map(|ledger| &ledger.made) {
            for (minute, (_, retries)) in made {
                // Up to 10 s pass between the draw and the call.
                let requests: u64 = made.range(minute - 1..=*minute).map(|(_, made)| made.0).sum();
                assert!(*retries <= requests / 5 + 80, "{retries} retries in a minute");
            }
        }
        for name in NEEDED {
            assert!(self.total(name) > 0, "the day must show: {name}");
        }
        assert!(self.detour_lengths.len() > 50, "the day must show detours");
    }

    pub(super) fn print(&self, seed: u64, faults: usize) {
        println!("seed {seed}: a day with {faults} faults");
        self.counts.iter().for_each(|(name, count)| println!("{count:>8}  {name}"));
        let mut lengths = self.detour_lengths.clone();
        lengths.sort_unstable();
        let part = |part: f64| {
            lengths.get((lengths.len() as f64 * part) as usize).copied().unwrap_or_default() as f64 / 1000.0
        };
        let longest = lengths.last().copied().unwrap_or_default() as f64 / 1000.0;
        println!(
            "sessions moved although their key works again: {}, for {:.1} s (median), {:.1} s (99 %), {longest:.1} s (longest)",
            lengths.len(),
            part(0.5),
            part(0.99),
        );
    }
}

/// Counters that must not be zero: a day without these events checks too little.
const NEEDED: [&str; 6] = [
    "passed over while traffic comes back",
    "refused: the upstream's own wait",
    "refused: no target works",
    "waits for a session's key",
    "passed over",
    "probes",
];
