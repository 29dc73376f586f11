//! Catalog: owns the model lists that providers have returned. It serves a list while it is valid, and afterwards as a
//! last resort; lists are stored on disk, too.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`GetListing`] | the models endpoint | the provider's [`Listing`], if there is one |
//! | [`StoreListing`] | the models endpoint | – |
//! | [`ListKnown`] | Claude Code's discovery | the known models of all providers, and the providers to refresh |
//! | [`ClearLists`] | an operator's order | the number of removed files |
//! | [`Flush`] | a command that is about to exit | – |
//! | `LoadFromDisk` | supervisor | – |
//! | [`ClaimRefresh`] | a request that found an outdated listing | whether that request refreshes it |
//! | `ForgetProvider` | supervisor | – |
//!
//! The catalog sends no requests itself, so that a slow provider delays no other. `src/models/list.rs` fetches new
//! listings; requests that need the same one share one call. A separate thread reads and writes the disk.

mod clear;
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

pub use self::clear::ClearLists;
pub(crate) use self::disk::Disk;
use crate::clock::{self, Millis, millis};
use crate::observe::Ping;
use crate::routing::Lists;
use crate::settings::ProviderSettings;
use crate::snapshot::Snapshot;

pub(crate) const MAILBOX: usize = 256;
/// A larger list is not kept. The largest known list, an aggregator's, has half a megabyte.
const LARGEST: usize = 8 << 20;
/// The time before a provider that has not answered is asked again in the background.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);
/// The longest wait for the disk; a slower disk counts as none.
const DISK_PATIENCE: Duration = Duration::from_millis(250);

/// The longest wait for the disk where no request waits.
const WARM_PATIENCE: Duration = Duration::from_secs(10);

/// How long a command waits for the disk before it exits.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

/// One listing for each provider, so that the configuration bounds the catalog's size.
pub struct Catalog {
    entries: HashMap<Arc<str>, CatalogEntry>,
    /// The start of each refresh that has not returned a listing yet.
    claims: HashMap<Arc<str>, Instant>,
    /// The model ids that the router uses.
    lists: Snapshot<Lists>,
    disk: Disk,
}

/// A listing and the models in it.
struct CatalogEntry {
    /// Identifies the provider's address: after a configuration change, another provider may have the same name.
    fingerprint: String,
    listing: Listing,
    models: Arc<[Named]>,
}

/// The key of a listing: after a configuration change, another provider may have the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListingKey {
    pub provider: Arc<str>,
    /// Identifies the provider's address and extra headers.
    pub fingerprint: String,
}

impl ListingKey {
    /// The key for this provider and its current address.
    #[must_use]
    pub fn new(provider: &ProviderSettings) -> Self {
        Self { provider: provider.name.clone(), fingerprint: store::fingerprint(provider) }
    }
}

/// A provider's answer to a request for its models, byte for byte.
#[derive(Clone, Debug)]
pub struct Listing {
    pub provider: Arc<str>,
    pub body: Bytes,
    pub listed: Millis,
}

/// Requests a provider's last listing, whatever its age. If it is older than `ttl`, the disk is read, too: another
/// process may have stored a newer one.
#[derive(Message, Debug)]
#[rtype(result = "Option<Listing>")]
pub struct GetListing {
    pub provider: Arc<ProviderSettings>,
    pub ttl: Duration,
}

/// Replaces a provider's listing.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct StoreListing {
    pub provider: Arc<ProviderSettings>,
    pub listing: Listing,
}

/// Requests the listings of all these providers, whatever their age. The sender must refresh those in
/// [`KnownListings::due`], which are missing or older than `ttl`.
#[derive(Message, Debug)]
#[rtype(result = "KnownListings")]
pub struct ListKnown {
    pub providers: Vec<Arc<ProviderSettings>>,
    pub ttl: Duration,
}

/// The answer to [`ListKnown`]: the known models by provider, and the providers to refresh.
#[derive(Debug)]
pub struct KnownListings {
    pub known: HashMap<Arc<str>, Arc<[Named]>>,
    pub due: Vec<Arc<ProviderSettings>>,
}

/// Loads the listings of these providers from disk, for the router as well.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct LoadFromDisk(pub(crate) Vec<Arc<ProviderSettings>>);

/// Answered when the disk has finished all earlier jobs, or after a timeout.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Flush(pub Arc<ProviderSettings>);

/// Asks whether the sender should refresh this provider's listing: `false` if another request is doing so or has just
/// done so.
#[derive(Message, Debug)]
#[rtype(result = "bool")]
pub struct ClaimRefresh {
    pub provider: Arc<ProviderSettings>,
    pub ttl: Duration,
}

/// Removes the listings of these providers, which are gone or whose names now belong to other providers.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct ForgetProvider(pub(crate) Vec<Arc<str>>);

impl Listing {
    /// A listing that the provider has just returned.
    #[must_use]
    pub fn fresh(provider: &ProviderSettings, body: Bytes) -> Self {
        Self { provider: provider.name.clone(), body, listed: clock::wall() }
    }

    /// The time since the provider sent it.
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_millis(clock::wall().saturating_sub(self.listed))
    }

    /// Whether the listing is young enough to be served without a refresh.
    #[must_use]
    pub fn holds(&self, ttl: Duration) -> bool {
        // A listing from the future comes from a wrong clock.
        clock::wall().checked_sub(self.listed).is_some_and(|age| age < millis(ttl))
    }
}

impl Catalog {
    pub(crate) fn new(lists: Snapshot<Lists>, disk: Disk) -> Self {
        Self { entries: HashMap::new(), claims: HashMap::new(), lists, disk }
    }

    /// Starts the disk thread for this cache directory.
    pub(crate) fn disk(cache: Option<&Path>) -> Disk {
        Disk::start(cache)
    }

    fn entry(&self, provider: &ProviderSettings) -> Option<&CatalogEntry> {
        let entry = self.entries.get(&provider.name)?;
        (entry.fingerprint == store::fingerprint(provider)).then_some(entry)
    }

    fn is_fresh(&self, provider: &ProviderSettings, ttl: Duration) -> bool {
        self.entry(provider).is_some_and(|entry| entry.listing.holds(ttl))
    }

    /// Stores a listing if it is newer than the stored one and can be parsed.
    fn insert_if_newer(&mut self, provider: &ProviderSettings, listing: Listing) {
        // A listing from the future comes from a wrong clock and never counts as newer.
        let newer =
            |entry: &CatalogEntry| (listing.listed + 1..=clock::wall()).contains(&entry.listing.listed);
        if listing.body.len() > LARGEST || self.entry(provider).is_some_and(newer) {
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
        self.entries.insert(provider.name.clone(), CatalogEntry { fingerprint, listing, models });
    }

    /// Claims the background refresh of this provider. Fails while another refresh is running, and for a while after
    /// one has failed.
    fn claim(&mut self, provider: &Arc<str>) -> bool {
        let free = self.claims.get(provider).is_none_or(|claimed| claimed.elapsed() >= REFRESH_PAUSE);
        if free {
            self.claims.insert(provider.clone(), Instant::now());
        }
        free
    }

    fn surveyed(&mut self, ListKnown { providers, ttl }: ListKnown) -> KnownListings {
        let (mut known, mut due) = (HashMap::new(), vec![]);
        for provider in providers {
            if let Some(entry) = self.entry(&provider) {
                known.insert(provider.name.clone(), entry.models.clone());
            }
            if !self.is_fresh(&provider, ttl) && self.claim(&provider.name) {
                due.push(provider);
            }
        }
        KnownListings { known, due }
    }
}

impl Actor for Catalog {
    type Context = Context<Self>;
}

impl Supervised for Catalog {}

impl Handler<GetListing> for Catalog {
    type Result = ResponseActFuture<Self, Option<Listing>>;

    fn handle(&mut self, GetListing { provider, ttl }: GetListing, _: &mut Self::Context) -> Self::Result {
        let recalled = |catalog: &Self, provider: &ProviderSettings| {
            catalog.entry(provider).map(|entry| entry.listing.clone())
        };
        if self.is_fresh(&provider, ttl) {
            return Box::pin(fut::ready(recalled(self, &provider)));
        }
        let read = timeout(DISK_PATIENCE, self.disk.clone().read(provider.clone()));
        Box::pin(read.into_actor(self).map(move |found, catalog, _| {
            if let Ok(Some(listing)) = found {
                catalog.insert_if_newer(&provider, listing);
            }
            recalled(catalog, &provider)
        }))
    }
}

impl Handler<StoreListing> for Catalog {
    type Result = ();

    fn handle(&mut self, StoreListing { provider, listing }: StoreListing, _: &mut Self::Context) {
        self.claims.remove(&provider.name);
        self.insert_if_newer(&provider, listing.clone());
        // The demo provider has another address at every start.
        if !provider.demo {
            self.disk.write(provider, listing);
        }
    }
}

impl Handler<ListKnown> for Catalog {
    type Result = ResponseActFuture<Self, KnownListings>;

    fn handle(&mut self, survey: ListKnown, _: &mut Self::Context) -> Self::Result {
        let old = survey.providers.iter().filter(|provider| !self.is_fresh(provider, survey.ttl));
        let reads = old.map(|provider| {
            let (provider, disk) = (provider.clone(), self.disk.clone());
            async move { (provider.clone(), disk.read(provider).await) }
        });
        let reads = timeout(DISK_PATIENCE, join_all(reads));
        Box::pin(reads.into_actor(self).map(move |found, catalog, _| {
            for (provider, listing) in found.into_iter().flatten() {
                if let Some(listing) = listing {
                    catalog.insert_if_newer(&provider, listing);
                }
            }
            catalog.surveyed(survey)
        }))
    }
}

impl Handler<Flush> for Catalog {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Flush(provider): Flush, _: &mut Self::Context) -> Self::Result {
        // The disk thread handles jobs in order.
        let behind = timeout(SETTLE_PATIENCE, self.disk.clone().read(provider));
        Box::pin(async move { drop(behind.await) })
    }
}

impl Handler<LoadFromDisk> for Catalog {
    type Result = ();

    fn handle(&mut self, LoadFromDisk(providers): LoadFromDisk, context: &mut Self::Context) {
        for provider in providers.into_iter().filter(|provider| self.entry(provider).is_none()) {
            let read = timeout(WARM_PATIENCE, self.disk.clone().read(provider.clone()));
            context.spawn(read.into_actor(self).map(move |found, catalog, _| {
                if let Ok(Some(listing)) = found {
                    catalog.insert_if_newer(&provider, listing);
                }
            }));
        }
    }
}

impl Handler<ClaimRefresh> for Catalog {
    type Result = bool;

    fn handle(&mut self, ClaimRefresh { provider, ttl }: ClaimRefresh, _: &mut Self::Context) -> bool {
        !self.is_fresh(&provider, ttl) && self.claim(&provider.name)
    }
}

impl Handler<ForgetProvider> for Catalog {
    type Result = ();

    fn handle(&mut self, ForgetProvider(providers): ForgetProvider, _: &mut Self::Context) {
        let mut lists = self.lists.load().as_ref().clone();
        for provider in &providers {
            self.entries.remove(provider);
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
    async fn one_refresh_runs_at_a_time_and_none_while_the_list_is_valid() {
        let catalog = Catalog::new(Snapshot::new(Lists::new()), Catalog::disk(None)).start();
        let provider = provider("p").build();
        let claim = || catalog.send(ClaimRefresh { provider: provider.clone(), ttl: TTL });
        assert!(claim().await.unwrap());
        assert!(!claim().await.unwrap());

        catalog
            .send(StoreListing { provider: provider.clone(), listing: listing(clock::wall()) })
            .await
            .unwrap();

        // The same holds for a request that has read the old listing just before.
        assert!(!claim().await.unwrap());
        let surveyed = catalog.send(ListKnown { providers: vec![provider.clone()], ttl: TTL }).await.unwrap();
        assert_eq!((&*surveyed.known["p"][0].id, surveyed.due.len()), ("m", 0));
    }

    #[actix_rt::test]
    async fn an_older_list_never_takes_a_newer_ones_place() {
        let lists = Snapshot::new(Lists::new());
        let catalog = Catalog::new(lists.clone(), Catalog::disk(None)).start();
        let provider = provider("p").build();
        let now = clock::wall();
        for listed in [now, now - 5000] {
            catalog
                .send(StoreListing { provider: provider.clone(), listing: listing(listed) })
                .await
                .unwrap();
        }
        let recall = GetListing { provider: provider.clone(), ttl: TTL };
        assert_eq!(catalog.send(recall).await.unwrap().unwrap().listed, now);
        assert!(lists.load()["p"].contains("m"));

        // A listing with a wrong clock is known but not valid.
        let future = listing(now + 3_600_000);
        assert!(!future.holds(TTL));
        for listing in [future, listing(now + 1)] {
            catalog.send(StoreListing { provider: provider.clone(), listing }).await.unwrap();
        }
        let recall = GetListing { provider: provider.clone(), ttl: TTL };
        assert_eq!(catalog.send(recall).await.unwrap().unwrap().listed, now + 1);
        // Another address has another list.
        let elsewhere =
            Arc::new(ProviderSettings { base_url: "http://127.0.0.1:2".into(), ..(*provider).clone() });
        assert!(catalog.send(GetListing { provider: elsewhere, ttl: TTL }).await.unwrap().is_none());
    }
}
