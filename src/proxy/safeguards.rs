//! Verdicts on tool calls for clients in auto mode (`safeguards`), for upstreams that do not judge themselves.
//!
//! A call is judged as soon as its block is complete, while the reply goes on; the end of the reply waits for the verdicts. Without
//! a judge the gateway answers that it does not judge. Only a provider that serves Claude judges itself: its answer passes.

mod judged_body;
mod judging;

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::select;
use vandamme_actors::converter;
use vandamme_actors::ledger::VerdictCounts;
use vandamme_actors::outcome::Outcome;
use vandamme_actors::provider::Lease;
use vandamme_actors::recorder::RequestRecorder;
use vandamme_actors::settings::{Api, Judge, JudgeMode};
use vandamme_protocol::safeguards::{self, JudgedStream, Verdict};

use self::judged_body::{JudgedBody, Shadow};
use self::judging::{Judging, Session};
use super::attempt::Answered;
use super::origin::Parent;
use super::run::{self, Ran, Served, record_buffered};
use super::{ProxyReply, ProxyRequest, ReplyForm, ReplyStream, UpstreamCall};
use crate::gateway::Gateway;

/// Answers a client's request for verdicts.
pub(super) struct Guard {
    gateway: Arc<Gateway>,
    /// `None` if nobody judges.
    session: Option<(Session, JudgeMode)>,
}

/// The value of `safeguard_results`, and its counts.
pub(super) struct Answer {
    pub(super) results: String,
    pub(super) counts: Option<VerdictCounts>,
}

impl Guard {
    /// `None` if the client does not ask, if the upstream judges, or if a codec answers.
    pub(super) fn new(gateway: &Arc<Gateway>, request: &ProxyRequest, lease: &Lease) -> Option<Self> {
        let asked = request.head.safeguards.clone()?;
        let provider = &lease.provider;
        let is_reply = request.api == Api::Messages && request.upstream_call == UpstreamCall::Reply;
        // No upstream of Chat Completions judges, whatever it serves.
        let judges_itself = provider.runs_claude() && provider.api == Api::Messages;
        if !is_reply || judges_itself || !safeguards::asks_for_verdicts(request.body.get(asked)?) {
            return None;
        }
        let session = provider.judge.as_ref().map(|judge| Self::session(gateway, request, judge));
        let session = session.unwrap_or_default();
        // The codec of another API answers without a judge.
        (session.is_some() || provider.api == Api::Messages)
            .then(|| Self { gateway: gateway.clone(), session })
    }

    fn session(
        gateway: &Arc<Gateway>,
        request: &ProxyRequest,
        judge: &Judge,
    ) -> Option<(Session, JudgeMode)> {
        let parent = Parent::new(request, &gateway.live_config())?;
        Some((Session::new(gateway.clone(), parent, judge.target.clone(), request.body.clone()), judge.mode))
    }

    /// The reply with verdicts.
    pub(super) async fn reply(self, ran: Ran) -> ProxyReply {
        let Ran { served: Served { answered, mut lease }, mut entry } = ran;
        match *answered {
            Answered::Opened { headers, opened } => {
                entry.record.status = 200;
                lease.reply_started();
                let live = self.gateway.live_config();
                let cancellation = entry.cancellation();
                let (body, held) = converter::start_held(*opened, &live.settings.limits, *entry, *lease);
                let body = JudgedBody::new(self, body, (held, cancellation));
                ProxyReply::Streaming { headers, body: ReplyStream::Completed(Box::new(body)) }
            }
            answered @ Answered::Raw { .. } => {
                let served = Served { answered: Box::new(answered), lease };
                run::reply(&self.gateway, Ran { served, entry })
            }
            Answered::Buffered { status, headers, form, body, closing } => {
                // Its permit may be the one that a judge needs.
                lease.finish(Outcome::Answered);
                entry.call_ended(Outcome::Answered);
                // These count even if the client disconnects while the calls are judged.
                entry.record.usage = closing.usage.unwrap_or_default();
                entry.record.tool_calls = closing.tool_calls;
                let (body, shadow) = self.judge_whole(body, form, &mut entry).await;
                record_buffered(&mut entry, closing, status, body.len());
                if let Some(judging) = shadow {
                    self.shadow(judging, Some(*entry));
                }
                ProxyReply::Buffered { status, headers, form, body }
            }
        }
    }

    /// Judges the calls of a reply that the gateway has in full. In shadow mode the verdicts come later.
    async fn judge_whole(
        &self,
        body: Bytes,
        form: ReplyForm,
        entry: &mut RequestRecorder,
    ) -> (Bytes, Option<Judging>) {
        let limit = self.gateway.live_config().settings.limits.event;
        let mut stream = JudgedStream::new(limit.max(body.len()));
        let (passed, calls) = match form {
            ReplyForm::Whole => (Bytes::new(), safeguards::calls_of_message(&body)),
            ReplyForm::Stream => (stream.push(body.clone()), stream.take_calls()),
        };
        let mut judging = self.judging();
        judging.add(calls);
        judging.reply_ended();
        let (answer, shadow) = match self.is_shadow() {
            true => (self.unsupported(), Some(judging)),
            false => (self.awaited(judging, entry).await, None),
        };
        entry.record.verdicts = answer.counts;
        let body = match form {
            ReplyForm::Whole => safeguards::message_with_results(&body, &answer.results),
            ReplyForm::Stream => [passed, stream.finish(&answer.results)].concat().into(),
        };
        (body, shadow)
    }

    async fn awaited(&self, mut judging: Judging, entry: &RequestRecorder) -> Answer {
        let cancellation = entry.cancellation();
        {
            let (drained, cancelled) =
                (pin!(self.gateway.must_end_replies()), pin!(cancellation.cancelled()));
            // What is missing then has no verdict.
            select(pin!(judging.finished()), select(drained, cancelled)).await;
        }
        self.answer(&judging)
    }

    fn judging(&self) -> Judging {
        Judging::new(self.session.as_ref().map(|(session, _)| session.clone()))
    }

    fn is_shadow(&self) -> bool {
        matches!(self.session, Some((_, JudgeMode::Shadow)))
    }

    /// Records the verdicts of a reply that its client has without them.
    fn shadow(&self, judging: Judging, mut record: Option<RequestRecorder>) {
        if let Some(record) = &mut record {
            record.reply_complete();
        }
        // Beyond the bound a reply is not judged: its client has it already, and others must not wait for a slow judge.
        if let Some(admission) = self.gateway.judge_in_shadow() {
            let shadow = Shadow { gateway: self.gateway.clone(), judging, record, _admission: admission };
            actix_web::rt::spawn(shadow.finish());
        }
    }

    /// Whether the client waits for verdicts.
    fn answers(&self) -> bool {
        matches!(self.session, Some((_, JudgeMode::Answers)))
    }

    /// What is known now. Calls without a verdict are unavailable.
    fn answer(&self, judging: &Judging) -> Answer {
        if !self.answers() {
            return self.unsupported();
        }
        let verdicts = judging.verdicts();
        let counts = counted(verdicts, JudgeMode::Answers);
        self.gateway.counters.count_verdicts(counts);
        let results = safeguards::results(verdicts.iter().map(|(id, verdict)| (&**id, verdict)));
        Answer { results, counts: Some(counts) }
    }

    fn unsupported(&self) -> Answer {
        Answer { results: safeguards::unsupported(), counts: None }
    }
}

fn counted(verdicts: &[(String, Verdict)], mode: JudgeMode) -> VerdictCounts {
    let mut counts = VerdictCounts { shadow: mode == JudgeMode::Shadow, ..VerdictCounts::default() };
    for (_, verdict) in verdicts {
        let count = match verdict {
            Verdict::NotFlagged => &mut counts.not_flagged,
            Verdict::Flagged { .. } => &mut counts.flagged,
            Verdict::Unavailable(_) => &mut counts.unavailable,
        };
        *count += 1;
    }
    counts
}
