//! Catalog: the models that providers have listed, for as long as they hold and as a last resort beyond; on disk, too.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Recall`] | the models door | the provider's [`Listing`], if there is one |
//! | [`Keep`] | the models door | – |
//! | [`Survey`] | Claude Code's discovery | what is known of all providers, and whom to ask anew |
//! | [`Settle`] | a command that is about to end | – |
//! | `Warm` | supervisor | – |
//! | [`Claim`] | whoever found an old listing | whether it is theirs to ask anew |
//! | `Forget` | supervisor | – |
//!
//! It sends no requests itself, so that a slow provider delays no other. `exchange::listing` fetches new listings; requests that
//! need the same one share one call. A thread of its own reads and writes the disk.

mod disk;
pub mod store;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt as _, AsyncContext as _, Context, Handler, Message, ResponseActFuture,
    ResponseFuture, Supervised, WrapFuture as _, fut,
};
use actix_rt::time::timeout;
use bytes::Bytes;
use futures_util::future::join_all;

use vandamme_protocol::models::{Models, Named};

pub(crate) use self::disk::Disk;
use crate::clock::{self, Millis, millis};
use crate::observe::Ping;
use crate::router::Lists;
use crate::settings::ProviderSettings;
use crate::snapshot::Snapshot;

pub(crate) const MAILBOX: usize = 256;
/// A list that is larger is not kept: the largest known, an aggregator's, has half a megabyte.
const LARGEST: usize = 8 << 20;
/// Before a provider is asked again in the background that has not answered.
const PAUSE: Duration = Duration::from_secs(30);
/// A disk that takes longer is as good as none.
const DISK_PATIENCE: Duration = Duration::from_millis(250);

/// The same where nobody waits.
const WARMING: Duration = Duration::from_secs(10);

/// How long a command waits for the disk before it ends.
const SETTLING: Duration = Duration::from_secs(5);

/// One listing for each provider, so that its size is bounded by the configuration.
pub struct Catalog {
    shelves: HashMap<Arc<str>, Shelf>,
    /// When somebody last set out to ask a provider anew, and has not come back since.
    claims: HashMap<Arc<str>, Instant>,
    /// What the router looks at.
    lists: Snapshot<Lists>,
    disk: Disk,
}

/// A listing, and what it says.
struct Shelf {
    /// Of the provider's address: after a change of the configuration there may be another one under the same name.
    fingerprint: String,
    listing: Listing,
    models: Arc<[Named]>,
}

/// What a listing is kept under: after a change of the configuration there may be another provider under the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListingKey {
    pub provider: Arc<str>,
    /// Of the provider's address and extra headers.
    pub fingerprint: String,
}

impl ListingKey {
    #[must_use]
    pub fn new(provider: &ProviderSettings) -> Self {
        Self { provider: provider.name.clone(), fingerprint: store::fingerprint(provider) }
    }
}

/// What a provider answered when it was asked for its models, byte for byte.
#[derive(Clone, Debug)]
pub struct Listing {
    pub provider: Arc<str>,
    pub body: Bytes,
    pub listed: Millis,
}

/// Asks for what a provider last listed, however old. One that is older than `ttl` is looked up on disk, too: somebody else
/// may have a newer one.
#[derive(Message, Debug)]
#[rtype(result = "Option<Listing>")]
pub struct Recall {
    pub provider: Arc<ProviderSettings>,
    pub ttl: Duration,
}

/// Replaces what a provider has listed before.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Keep {
    pub provider: Arc<ProviderSettings>,
    pub listing: Listing,
}

/// Asks for what is known of all these providers, whatever its age. Those whose listing is missing or older than `ttl`
/// become the asker's to ask anew.
#[derive(Message, Debug)]
#[rtype(result = "Surveyed")]
pub struct Survey {
    pub providers: Vec<Arc<ProviderSettings>>,
    pub ttl: Duration,
}

#[derive(Debug)]
pub struct Surveyed {
    pub known: HashMap<Arc<str>, Arc<[Named]>>,
    pub due: Vec<Arc<ProviderSettings>>,
}

/// These providers there are: what the disk has of them is known from now on, to the router, too.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Warm(pub(crate) Vec<Arc<ProviderSettings>>);

/// Answered when the disk has done what it was told before, or takes too long over it.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Settle(pub Arc<ProviderSettings>);

/// Whether it is the asker's part to ask this provider anew: not if somebody else does, or has just done so.
#[derive(Message, Debug)]
#[rtype(result = "bool")]
pub struct Claim {
    pub provider: Arc<ProviderSettings>,
    pub ttl: Duration,
}

/// These providers are gone, or others under the same names.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Forget(pub(crate) Vec<Arc<str>>);

impl Listing {
    /// What the provider says now.
    #[must_use]
    pub fn fresh(provider: &ProviderSettings, body: Bytes) -> Self {
        Self { provider: provider.name.clone(), body, listed: clock::wall() }
    }

    /// Whether it may still stand for what the provider would say now.
    #[must_use]
    pub fn holds(&self, ttl: Duration) -> bool {
        // One of the future is of a clock that went wrong.
        clock::wall().checked_sub(self.listed).is_some_and(|age| age < millis(ttl))
    }
}

impl Catalog {
    pub(crate) fn new(lists: Snapshot<Lists>, disk: Disk) -> Self {
        Self { shelves: HashMap::new(), claims: HashMap::new(), lists, disk }
    }

    /// The disk that a catalog with this cache directory has.
    pub(crate) fn disk(cache: Option<&Path>) -> Disk {
        Disk::start(cache)
    }

    fn shelf(&self, provider: &ProviderSettings) -> Option<&Shelf> {
        let shelf = self.shelves.get(&provider.name)?;
        (shelf.fingerprint == store::fingerprint(provider)).then_some(shelf)
    }

    fn holds(&self, provider: &ProviderSettings, ttl: Duration) -> bool {
        self.shelf(provider).is_some_and(|shelf| shelf.listing.holds(ttl))
    }

    /// Puts it in the old one's place, if it is newer and a list.
    fn shelve(&mut self, provider: &ProviderSettings, listing: Listing) {
        // One of the future is of a clock that went wrong, and is newer than nothing.
        let newer = |shelf: &Shelf| (listing.listed + 1..=clock::wall()).contains(&shelf.listing.listed);
        if listing.body.len() > LARGEST || self.shelf(provider).is_some_and(newer) {
            return;
        }
        let models: Arc<[Named]> = match Models::read(&listing.body) {
            Ok(models) => models.named().collect(),
            Err(_no_list) => return,
        };
        let mut lists = self.lists.load().as_ref().clone();
        lists.insert(provider.name.clone(), models.iter().map(|model| model.id.clone()).collect());
        self.lists.store(lists);
        let fingerprint = store::fingerprint(provider);
        self.shelves.insert(provider.name.clone(), Shelf { fingerprint, listing, models });
    }

    /// Whether this provider is to be asked in the background now: one at a time does, and not again at once after it
    /// has failed.
    fn claim(&mut self, provider: &Arc<str>) -> bool {
        let free = self.claims.get(provider).is_none_or(|claimed| claimed.elapsed() >= PAUSE);
        if free {
            self.claims.insert(provider.clone(), Instant::now());
        }
        free
    }

    fn surveyed(&mut self, Survey { providers, ttl }: Survey) -> Surveyed {
        let (mut known, mut due) = (HashMap::new(), vec![]);
        for provider in providers {
            if let Some(shelf) = self.shelf(&provider) {
                known.insert(provider.name.clone(), shelf.models.clone());
            }
            if !self.holds(&provider, ttl) && self.claim(&provider.name) {
                due.push(provider);
            }
        }
        Surveyed { known, due }
    }
}

impl Actor for Catalog {
    type Context = Context<Self>;
}

impl Supervised for Catalog {}

impl Handler<Recall> for Catalog {
    type Result = ResponseActFuture<Self, Option<Listing>>;

    fn handle(&mut self, Recall { provider, ttl }: Recall, _: &mut Self::Context) -> Self::Result {
        let recalled = |catalog: &Self, provider: &ProviderSettings| {
            catalog.shelf(provider).map(|shelf| shelf.listing.clone())
        };
        if self.holds(&provider, ttl) {
            return Box::pin(fut::ready(recalled(self, &provider)));
        }
        let read = timeout(DISK_PATIENCE, self.disk.clone().read(provider.clone()));
        Box::pin(read.into_actor(self).map(move |found, catalog, _| {
            if let Ok(Some(listing)) = found {
                catalog.shelve(&provider, listing);
            }
            recalled(catalog, &provider)
        }))
    }
}

impl Handler<Keep> for Catalog {
    type Result = ();

    fn handle(&mut self, Keep { provider, listing }: Keep, _: &mut Self::Context) {
        self.claims.remove(&provider.name);
        self.shelve(&provider, listing.clone());
        // The demo has another address at every start.
        if !provider.demo {
            self.disk.write(provider, listing);
        }
    }
}

impl Handler<Survey> for Catalog {
    type Result = ResponseActFuture<Self, Surveyed>;

    fn handle(&mut self, survey: Survey, _: &mut Self::Context) -> Self::Result {
        let old = survey.providers.iter().filter(|provider| !self.holds(provider, survey.ttl));
        let reads = old.map(|provider| {
            let (provider, disk) = (provider.clone(), self.disk.clone());
            async move { (provider.clone(), disk.read(provider).await) }
        });
        let reads = timeout(DISK_PATIENCE, join_all(reads));
        Box::pin(reads.into_actor(self).map(move |found, catalog, _| {
            for (provider, listing) in found.into_iter().flatten() {
                if let Some(listing) = listing {
                    catalog.shelve(&provider, listing);
                }
            }
            catalog.surveyed(survey)
        }))
    }
}

impl Handler<Settle> for Catalog {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Settle(provider): Settle, _: &mut Self::Context) -> Self::Result {
        // It does one thing after the other.
        let behind = timeout(SETTLING, self.disk.clone().read(provider));
        Box::pin(async move { drop(behind.await) })
    }
}

impl Handler<Warm> for Catalog {
    type Result = ();

    fn handle(&mut self, Warm(providers): Warm, context: &mut Self::Context) {
        for provider in providers.into_iter().filter(|provider| self.shelf(provider).is_none()) {
            let read = timeout(WARMING, self.disk.clone().read(provider.clone()));
            context.spawn(read.into_actor(self).map(move |found, catalog, _| {
                if let Ok(Some(listing)) = found {
                    catalog.shelve(&provider, listing);
                }
            }));
        }
    }
}

impl Handler<Claim> for Catalog {
    type Result = bool;

    fn handle(&mut self, Claim { provider, ttl }: Claim, _: &mut Self::Context) -> bool {
        !self.holds(&provider, ttl) && self.claim(&provider.name)
    }
}

impl Handler<Forget> for Catalog {
    type Result = ();

    fn handle(&mut self, Forget(providers): Forget, _: &mut Self::Context) {
        let mut lists = self.lists.load().as_ref().clone();
        for provider in &providers {
            self.shelves.remove(provider);
            self.claims.remove(provider);
            lists.remove(provider);
        }
        self.lists.store(lists);
    }
}

impl Handler<Ping> for Catalog {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::provider;

    const TTL: Duration = Duration::from_secs(60);

    fn listing(listed: Millis) -> Listing {
        Listing { provider: "p".into(), body: Bytes::from_static(br#"{"data":[{"id":"m"}]}"#), listed }
    }

    #[actix_rt::test]
    async fn one_asker_at_a_time_is_sent_and_none_where_the_list_holds() {
        let catalog = Catalog::new(Snapshot::new(Lists::new()), Catalog::disk(None)).start();
        let provider = provider("p").build();
        let claim = || catalog.send(Claim { provider: provider.clone(), ttl: TTL });
        assert!(claim().await.unwrap());
        assert!(!claim().await.unwrap());

        catalog.send(Keep { provider: provider.clone(), listing: listing(clock::wall()) }).await.unwrap();

        // Also for whoever has recalled the old one a moment before.
        assert!(!claim().await.unwrap());
        let surveyed = catalog.send(Survey { providers: vec![provider.clone()], ttl: TTL }).await.unwrap();
        assert_eq!((&*surveyed.known["p"][0].id, surveyed.due.len()), ("m", 0));
    }

    #[actix_rt::test]
    async fn an_older_list_never_takes_a_newer_ones_place() {
        let lists = Snapshot::new(Lists::new());
        let catalog = Catalog::new(lists.clone(), Catalog::disk(None)).start();
        let provider = provider("p").build();
        let now = clock::wall();
        for listed in [now, now - 5000] {
            catalog.send(Keep { provider: provider.clone(), listing: listing(listed) }).await.unwrap();
        }
        let recall = Recall { provider: provider.clone(), ttl: TTL };
        assert_eq!(catalog.send(recall).await.unwrap().unwrap().listed, now);
        assert!(lists.load()["p"].contains("m"));

        // Of a clock that went wrong: it is known, but does not hold.
        let future = listing(now + 3_600_000);
        assert!(!future.holds(TTL));
        for listing in [future, listing(now + 1)] {
            catalog.send(Keep { provider: provider.clone(), listing }).await.unwrap();
        }
        let recall = Recall { provider: provider.clone(), ttl: TTL };
        assert_eq!(catalog.send(recall).await.unwrap().unwrap().listed, now + 1);
        // At another address there is another list.
        let elsewhere =
            Arc::new(ProviderSettings { base_url: "http://127.0.0.1:2".into(), ..(*provider).clone() });
        assert!(catalog.send(Recall { provider: elsewhere, ttl: TTL }).await.unwrap().is_none());
    }
}
