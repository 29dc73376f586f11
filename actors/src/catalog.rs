//! Catalog: the models that providers have listed, for as long as they hold and as a last resort beyond.
//!
//! | message | from | answer |
//! |---|---|---|
//! | [`Recall`] | the models door | the provider's [`Listing`], if there is one |
//! | [`Keep`] | the models door | – |
//! | [`Forget`] | supervisor | – |
//!
//! It asks nobody itself: whoever finds no listing that holds gets a new one in the request's own task, so that a slow
//! provider keeps nobody else waiting.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Context, Handler, Message, MessageResult, Supervised};
use bytes::Bytes;

use vandamme_protocol::models::Models;

use crate::observe::Ping;
use crate::router::Lists;
use crate::snapshot::Snapshot;

pub(crate) const MAILBOX: usize = 256;
/// A list that is larger is not kept: the largest known, an aggregator's, has half a megabyte.
const LARGEST: usize = 8 << 20;

/// One listing for each provider, so that its size is bounded by the configuration.
pub struct Catalog {
    listings: HashMap<Arc<str>, Listing>,
    /// What the router looks at.
    lists: Snapshot<Lists>,
}

impl Catalog {
    pub(crate) fn new(lists: Snapshot<Lists>) -> Self {
        Self { listings: HashMap::new(), lists }
    }
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

/// These providers are gone, or others under the same names.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(crate) struct Forget(pub(crate) Vec<Arc<str>>);

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
        MessageResult(self.listings.get(&provider).cloned())
    }
}

impl Handler<Keep> for Catalog {
    type Result = ();

    fn handle(&mut self, Keep(listing): Keep, _: &mut Self::Context) {
        if listing.body.len() <= LARGEST {
            if let Ok(models) = Models::read(&listing.body) {
                let mut lists = self.lists.load().as_ref().clone();
                lists.insert(listing.provider.clone(), models.ids().collect());
                self.lists.store(lists);
            }
            self.listings.insert(listing.provider.clone(), listing);
        }
    }
}

impl Handler<Forget> for Catalog {
    type Result = ();

    fn handle(&mut self, Forget(providers): Forget, _: &mut Self::Context) {
        let mut lists = self.lists.load().as_ref().clone();
        for provider in &providers {
            self.listings.remove(provider);
            lists.remove(provider);
        }
        self.lists.store(lists);
    }
}

impl Handler<Ping> for Catalog {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}
