//! Catalog: the models that providers have listed, for as long as they hold and as a last resort beyond.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Recall`] | the models door | the provider's [`Listing`], if there is one |
//! | [`Keep`] | the models door | – |
//! | [`Survey`] | Claude Code's discovery | what is known of all providers, and whom to ask anew |
//! | [`Claim`] | whoever found an old listing | whether it is theirs to ask anew |
//!
//! It asks nobody itself: whoever finds no listing that holds gets a new one in the request's own task, so that a slow
//! provider keeps nobody else waiting.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, Message, MessageResult, Supervised};
use bytes::Bytes;

use vandamme_protocol::models::{Models, Named};

use crate::observe::Ping;
use crate::router::Lists;
use crate::snapshot::Snapshot;

pub(crate) const MAILBOX: usize = 256;
/// A list that is larger is not kept: the largest known, an aggregator's, has half a megabyte.
const LARGEST: usize = 8 << 20;

/// Before a provider is asked again in the background that has not answered.
const PAUSE: Duration = Duration::from_secs(30);

/// One listing for each provider, so that its size is bounded by the configuration.
pub struct Catalog {
    listings: HashMap<Arc<str>, Shelf>,
    /// When somebody last set out to ask a provider anew, and has not come back since.
    claims: HashMap<Arc<str>, Instant>,
    /// What the router looks at.
    lists: Snapshot<Lists>,
}

impl Catalog {
    pub(crate) fn new(lists: Snapshot<Lists>) -> Self {
        Self { listings: HashMap::new(), claims: HashMap::new(), lists }
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
}

/// A listing, and what it says.
struct Shelf {
    listing: Listing,
    models: Arc<[Named]>,
}

/// What a provider answered when it was asked for its models, byte for byte.
#[derive(Clone, Debug)]
pub struct Listing {
    pub provider: Arc<str>,
    pub body: Bytes,
    pub listed: Instant,
}

/// Asks for what a provider last listed, however old.
#[derive(Message, Debug)]
#[rtype(result = "Option<Listing>")]
pub struct Recall(pub Arc<str>);

/// Replaces what a provider has listed before.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Keep(pub Listing);

/// Asks for what is known of all these providers, whatever its age. Those whose listing is missing or older than `ttl`
/// become the asker's to ask anew.
#[derive(Message, Debug)]
#[rtype(result = "Surveyed")]
pub struct Survey {
    pub providers: Vec<Arc<str>>,
    pub ttl: Duration,
}

#[derive(Debug)]
pub struct Surveyed {
    pub known: HashMap<Arc<str>, Arc<[Named]>>,
    pub due: Vec<Arc<str>>,
}

/// Whether it is the asker's part to ask this provider anew.
#[derive(Message, Debug)]
#[rtype(result = "bool")]
pub struct Claim(pub Arc<str>);

impl Listing {
    /// Whether it may still stand for what the provider would say now.
    #[must_use]
    pub fn holds(&self, ttl: Duration) -> bool {
        self.listed.elapsed() < ttl
    }
}

impl Actor for Catalog {
    type Context = Context<Self>;
}

impl Supervised for Catalog {}

impl Handler<Recall> for Catalog {
    type Result = MessageResult<Recall>;

    fn handle(&mut self, Recall(provider): Recall, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.listings.get(&provider).map(|shelf| shelf.listing.clone()))
    }
}

impl Handler<Keep> for Catalog {
    type Result = ();

    fn handle(&mut self, Keep(listing): Keep, _: &mut Self::Context) {
        self.claims.remove(&listing.provider);
        if listing.body.len() > LARGEST {
            return;
        }
        let Ok(models) = Models::read(&listing.body).map(|models| models.named().collect::<Arc<[_]>>())
        else {
            return;
        };
        let mut lists = self.lists.load().as_ref().clone();
        lists.insert(listing.provider.clone(), models.iter().map(|model| model.id.clone()).collect());
        self.lists.store(lists);
        self.listings.insert(listing.provider.clone(), Shelf { listing, models });
    }
}

impl Handler<Survey> for Catalog {
    type Result = MessageResult<Survey>;

    fn handle(&mut self, Survey { providers, ttl }: Survey, _: &mut Self::Context) -> Self::Result {
        let (mut known, mut due) = (HashMap::new(), vec![]);
        for provider in providers {
            let shelf = self.listings.get(&provider);
            if let Some(shelf) = shelf {
                known.insert(provider.clone(), shelf.models.clone());
            }
            if !shelf.is_some_and(|shelf| shelf.listing.holds(ttl)) && self.claim(&provider) {
                due.push(provider);
            }
        }
        MessageResult(Surveyed { known, due })
    }
}

impl Handler<Claim> for Catalog {
    type Result = bool;

    fn handle(&mut self, Claim(provider): Claim, _: &mut Self::Context) -> bool {
        self.claim(&provider)
    }
}

impl Handler<Ping> for Catalog {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}
