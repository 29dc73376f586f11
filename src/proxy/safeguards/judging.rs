//! The judge's calls for one reply: several at once, each repeated once, and bounded in number and time.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::time::timeout;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use vandamme_protocol::safeguards::{self, JudgeContext, Judgement, Missing, ToolCall, Verdict};

use crate::gateway::Gateway;
use crate::proxy::origin::{Parent, Purpose};
use crate::proxy::subrequest::{Subrequest, SubrequestError};

/// The most calls to the judge at once for one reply.
const AT_ONCE: usize = 8;
/// The most calls of one reply that are judged.
const MOST: usize = 128;
/// The longest wait for the verdicts after the end of the reply.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest time of one call to the judge, so that a repeat fits into the wait.
const CALL: Duration = Duration::from_secs(28);
/// How long a call that found no free permit waits for the end of the reply, which frees the reply's own.
const BUSY: Duration = Duration::from_secs(28);
/// How often the judge is asked about a call.
const TRIES: usize = 2;

/// What all judge's calls of a reply share.
#[derive(Clone)]
pub(super) struct Session(Rc<Shared>);

struct Shared {
    gateway: Arc<Gateway>,
    parent: Parent,
    target: Arc<str>,
    /// The client's request.
    body: Bytes,
    /// Read for the first call.
    context: std::cell::OnceCell<JudgeContext>,
}

impl Session {
    pub(super) fn new(gateway: Arc<Gateway>, parent: Parent, target: Arc<str>, body: Bytes) -> Self {
        Self(Rc::new(Shared { gateway, parent, target, body, context: std::cell::OnceCell::new() }))
    }

    async fn verdict(self, call: ToolCall, mut ended: watch::Receiver<bool>) -> (String, Verdict) {
        let mut verdict = Verdict::Unavailable(Missing::Error);
        if !call.is_cut && serde_json::from_str::<serde::de::IgnoredAny>(&call.input).is_err() {
            return (call.id, Verdict::Unavailable(Missing::InputUnparsed));
        }
        for _ in 0..TRIES {
            let unavailable = match self.ask(&call).await {
                Ok(verdict) => return (call.id, verdict),
                Err(Unanswered::Unreadable(missing)) => missing,
                Err(Unanswered::Failed(error)) => {
                    let id = self.0.parent.id();
                    log::warn!(REQUEST_ID = id; "{id} the judge gives no verdict: {error}");
                    if error == SubrequestError::Busy {
                        drop(timeout(BUSY, ended.wait_for(|ended| *ended)).await);
                    }
                    missing(&error)
                }
            };
            verdict = Verdict::Unavailable(unavailable);
        }
        (call.id, verdict)
    }

    async fn ask(&self, call: &ToolCall) -> Result<Verdict, Unanswered> {
        let Shared { gateway, parent, target, body, context } = &*self.0;
        let check = format!("{:016x}", fastrand::u64(..));
        let request = context.get_or_init(|| JudgeContext::read(body)).request(call, &check);
        let asked = Subrequest {
            parent: parent.clone(),
            purpose: Purpose::Judge,
            target: target.to_string(),
            body: request.body,
            deadline: CALL,
        };
        let reply = asked.send(gateway.clone()).await.map_err(Unanswered::Failed)?;
        match safeguards::judgement(&reply, &check).map_err(Unanswered::Unreadable)? {
            Judgement::Block { reason } => Ok(Verdict::Flagged { explanation: reason }),
            // Nobody has seen the whole call.
            Judgement::Allow if request.is_cut => Ok(Verdict::Unavailable(Missing::InputTooLong)),
            Judgement::Allow => Ok(Verdict::NotFlagged),
        }
    }
}

enum Unanswered {
    Unreadable(Missing),
    Failed(SubrequestError),
}

fn missing(error: &SubrequestError) -> Missing {
    match error {
        SubrequestError::Timeout(_) => Missing::Timeout,
        SubrequestError::Busy | SubrequestError::Failed { .. } => Missing::Error,
    }
}

/// The verdicts of one reply on their way. Dropping it closes the judge's calls.
pub(super) struct Judging {
    /// `None` if nobody judges.
    session: Option<Session>,
    waiting: VecDeque<ToolCall>,
    running: FuturesUnordered<LocalBoxFuture<'static, (String, Verdict)>>,
    /// By the ids of the calls, in their order.
    verdicts: Vec<(String, Verdict)>,
    ended: watch::Sender<bool>,
}

impl Judging {
    pub(super) fn new(session: Option<Session>) -> Self {
        Self {
            session,
            waiting: VecDeque::new(),
            running: FuturesUnordered::new(),
            verdicts: Vec::new(),
            ended: watch::Sender::new(false),
        }
    }

    /// Adds further calls of the reply. Calls beyond [`MOST`] are ignored.
    pub(super) fn add(&mut self, calls: Vec<ToolCall>) {
        if self.session.is_none() {
            return;
        }
        for call in calls {
            // Until there is another verdict.
            let pending = Verdict::Unavailable(Missing::Timeout);
            if self.verdicts.len() < MOST {
                self.verdicts.push((call.id.clone(), pending));
                self.waiting.push_back(call);
            }
        }
        self.fill();
    }

    fn fill(&mut self) {
        let Some(session) = &self.session else { return };
        while self.running.len() < AT_ONCE
            && let Some(call) = self.waiting.pop_front()
        {
            self.running.push(session.clone().verdict(call, self.ended.subscribe()).boxed_local());
        }
    }

    /// The reply has ended, and its permit is free.
    pub(super) fn reply_ended(&self) {
        self.ended.send_replace(true);
    }

    /// Ready when there is a verdict on every call so far.
    pub(super) fn poll(&mut self, task: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(Some((id, verdict))) = self.running.poll_next_unpin(task) {
            if let Some(place) = self.verdicts.iter_mut().find(|(known, _)| *known == id) {
                place.1 = verdict;
            }
            self.fill();
        }
        if self.running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits for the verdicts, as long as a client may wait.
    pub(super) async fn finished(&mut self) {
        // Calls that are still open then have no verdict.
        drop(timeout(PATIENCE, std::future::poll_fn(|task| self.poll(task))).await);
    }

    pub(super) fn verdicts(&self) -> &[(String, Verdict)] {
        &self.verdicts
    }
}

/// The longest wait after the end of a reply.
pub(super) fn patience() -> Duration {
    PATIENCE
}
