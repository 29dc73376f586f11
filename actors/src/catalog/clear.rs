//! Forgets all lists of models, in memory and on disk, on an operator's order.

use actix::{ActorFutureExt as _, Handler, Message, ResponseActFuture, WrapFuture as _};
use actix_rt::time::timeout;

use super::{Catalog, SETTLE_PATIENCE};
use crate::routing::Lists;

/// Forgets all lists. Answers with the number of files that were removed; `None` if the disk does not answer in time.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Option<usize>")]
pub struct ClearLists;

impl Handler<ClearLists> for Catalog {
    type Result = ResponseActFuture<Self, Option<usize>>;

    fn handle(&mut self, _: ClearLists, _: &mut Self::Context) -> Self::Result {
        let removed = timeout(SETTLE_PATIENCE, self.disk.clone().clear());
        Box::pin(removed.into_actor(self).map(|removed, catalog, _| {
            catalog.entries.clear();
            catalog.claims.clear();
            catalog.lists.store(Lists::new());
            removed.ok().flatten()
        }))
    }
}
