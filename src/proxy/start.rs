//! Starts a run, and waits for its outcome for a limited time. After that the client receives status 200 and pings
//! ([`deferred`](super::deferred)).

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::time::timeout;
use futures_util::FutureExt as _;
use vandamme_actors::recorder::{EarlyReply, RequestRecorder};

use super::run::{reply, run};
use super::run_record::FailedRun;
use super::safeguards::Guard;
use super::{ProxyReply, ProxyRequest, ReplyForm, web_search};
use crate::gateway::Gateway;

/// A run that has no outcome yet. A panic in it is caught and counts as its failure.
pub(crate) type RunFuture = Pin<Box<dyn Future<Output = Result<ProxyReply, FailedRun>>>>;

/// How far a run has come.
pub(crate) enum RunProgress {
    /// It has an outcome, and the client has got nothing.
    Finished(Result<ProxyReply, FailedRun>),
    /// It goes on, and the client gets the head of a stream now.
    Running(RunFuture, EarlyReply),
}

/// Runs a request until it has an outcome. A client that wants a stream gets the head of its reply after `patience` at the
/// latest.
pub(crate) async fn start(
    gateway: Arc<Gateway>,
    request: Box<ProxyRequest>,
    entry: Box<RequestRecorder>,
    patience: Duration,
) -> RunProgress {
    let form = request.reply_form();
    let early = entry.early_reply();
    let id = request.id.clone();
    let run = async move {
        let ran = run(&gateway, &request, entry, web_search::serve).await?;
        Ok(match Guard::new(&gateway, &request, &ran.served.lease) {
            None => reply(&gateway, ran),
            Some(guard) => guard.reply(ran).await,
        })
    };
    let run = AssertUnwindSafe(run).catch_unwind();
    let mut run = Box::pin(run.map(move |outcome| {
        outcome.unwrap_or_else(|_panic| {
            log::error!(REQUEST_ID:% = id; "{id} panicked; the line before says where");
            Err(FailedRun::panicked())
        })
    }));
    match form {
        ReplyForm::Whole => RunProgress::Finished(run.await),
        ReplyForm::Stream => match timeout(patience, &mut run).await {
            Ok(outcome) => RunProgress::Finished(outcome),
            Err(_elapsed) => RunProgress::Running(run, early),
        },
    }
}
