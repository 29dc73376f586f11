//! The sessions whose prompt cache was lost since the gateway started.

use serde::Serialize;
use vandamme_actors::ledger::{CacheView, SessionCache};
use vandamme_actors::secret::Secrets;

use super::group::requests;
use crate::dashboard::gather::shown;
use crate::dashboard::units::{Count, Money, Share};

/// The most sessions that are shown.
const MOST: usize = 50;

/// One session that has paid for the same prompt again.
#[derive(Debug, Serialize)]
pub(super) struct Loss {
    pub(super) session: String,
    pub(super) client: String,
    pub(super) address: String,
    pub(super) losses: Count,
    pub(super) tokens: Count,
    /// What these tokens cost more than from the cache; `None` if no price is known.
    pub(super) cost: Money,
    pub(super) cache_hits: Share,
    pub(super) used: u64,
}

/// The most expensive ones first.
pub(super) fn losses(view: &CacheView, secrets: &Secrets) -> Vec<Loss> {
    let mut lost: Vec<&SessionCache> = view.sessions.iter().filter(|session| session.losses > 0).collect();
    lost.sort_by_key(|session| std::cmp::Reverse((session.lost_micro_dollars, session.lost_tokens)));
    lost.truncate(MOST);
    lost.into_iter().map(|session| Loss::new(session, secrets)).collect()
}

impl Loss {
    fn new(cache: &SessionCache, secrets: &Secrets) -> Self {
        let session = shown(&cache.session, secrets);
        Self {
            address: requests("session", &session),
            session,
            client: cache.client.as_deref().map(|client| shown(client, secrets)).unwrap_or_default(),
            losses: Count(cache.losses),
            tokens: Count(cache.lost_tokens),
            cost: Money(Some(cache.lost_micro_dollars).filter(|cost| *cost > 0)),
            cache_hits: Share::of(cache.read, cache.prompt),
            used: cache.used,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str, losses: u64, lost_micro_dollars: u64) -> SessionCache {
        SessionCache {
            client: None,
            session: name.into(),
            prompt: 100,
            read: 25,
            losses,
            lost_tokens: 75,
            lost_micro_dollars,
            used: 1,
        }
    }

    /// Requirement: sessions with lost caches are shown, the most expensive first.
    #[test]
    fn sessions_with_losses_are_shown() {
        let sessions = vec![session("kept", 0, 0), session("cheap", 1, 0), session("dear", 2, 9)];
        let view = CacheView { sessions, losses: 3, lost_tokens: 150 };
        let shown = losses(&view, &Secrets::new([]));
        let named: Vec<_> = shown.iter().map(|loss| (loss.session.as_str(), loss.cost.to_string())).collect();
        assert_eq!(named, [("dear", "<$0.0001".to_owned()), ("cheap", "unpriced".to_owned())]);
        assert_eq!(shown[0].cache_hits, Share(Some(0.25)));
    }
}
