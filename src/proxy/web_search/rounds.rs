//! The rounds of one request: what the client gets of each, the searches between them, and the next request.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use vandamme_actors::converter::{Batch, Flow, FlowProgress, Opened};
use vandamme_actors::outcome::Outcome;
use vandamme_actors::provider::Lease;
use vandamme_actors::recorder::CallRecorder;
use vandamme_actors::settings::{Api, WebSearch};
use vandamme_protocol::convert::passthrough;
use vandamme_protocol::fault::Fault;
use vandamme_protocol::sse;
use vandamme_protocol::vocabulary::ErrorKind;
use vandamme_protocol::web_search::{Conversation, Found, Progress, SearchCall, SearchError, SearchReply};

use super::service_call::SearchClient;
use super::spent::Spent;
use super::{failed, round_request};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::proxy::attempt::Answered;
use crate::proxy::run::{Served, call_again};
use crate::proxy::{ProxyRequest, ReplyForm, Targets};

/// The most rounds, whatever is configured.
const MOST_ROUNDS: u64 = 32;
/// How many searches of one round run at the same time.
const AT_ONCE: usize = 4;

/// One request, from its first round to its last.
pub(super) struct SearchRounds {
    gateway: Arc<Gateway>,
    /// The request of the current round.
    template: Box<ProxyRequest>,
    conversation: Conversation,
    reply: SearchReply,
    search: Arc<WebSearch>,
    lease: Option<Box<Lease>>,
    stage: Stage,
    /// The events of the current round, from which the model's message is made.
    events: BytesMut,
    rounds: u64,
    /// The searches that the model has called.
    called: u64,
    failure: Option<Failure>,
    spent: Spent,
    /// Records the calls of the rounds.
    calls: Option<CallRecorder>,
}

enum Stage {
    Reading(RoundReply),
    /// The round is complete and was sent to the client.
    Searching,
    /// The results were sent to the client, but not yet to the model.
    Asking(Vec<(SearchCall, Found)>),
    Over,
}

/// The reply of one round.
enum RoundReply {
    Opened(Box<Opened>),
    Arrived(Bytes),
}

impl RoundReply {
    /// A stream that has ended with its first events gets its end.
    fn closed(mut self) -> Self {
        if let Self::Opened(opened) = &mut self
            && opened.ended
            && opened.failed.is_none()
        {
            opened.flow.end(&mut opened.first);
        }
        self
    }
}

impl SearchRounds {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        request: &ProxyRequest,
        conversation: Conversation,
        search: Arc<WebSearch>,
    ) -> Result<Self, Failure> {
        let template = Box::new(round_request(request, conversation.body(), Targets::FirstOnly)?);
        Ok(Self {
            gateway,
            template,
            conversation,
            reply: SearchReply::new(fastrand::u64(..)),
            search,
            lease: None,
            stage: Stage::Over,
            events: BytesMut::new(),
            rounds: 1,
            called: 0,
            failure: None,
            spent: Spent::default(),
            calls: None,
        })
    }

    /// Records the calls of the rounds here.
    pub(super) fn record_calls(&mut self, calls: Option<CallRecorder>) {
        self.calls = calls;
    }

    /// Runs the searches that wait since the turn before, in which the model also called a tool of the client.
    pub(super) async fn run_earlier_searches(&mut self) {
        let calls = self.conversation.take_pending();
        if calls.is_empty() {
            return;
        }
        let results = self.run(calls).await;
        results.iter().for_each(|(call, found)| self.reply.show_earlier(call, found));
        self.conversation.add_earlier(&results);
        self.count_searches();
    }

    /// The request of the next round.
    pub(super) fn request(&self, targets: Targets) -> Result<ProxyRequest, Failure> {
        round_request(&self.template, self.conversation.body(), targets)
    }

    /// Begins with the answer to the first round. Returns its headers.
    pub(super) fn begin(&mut self, answered: Answered, lease: Box<Lease>) -> Result<HeaderMap, Failure> {
        self.lease = Some(lease);
        let begun = self.read_answer(answered);
        if let Err(failure) = &begun {
            self.report(Outcome::BrokenReply, &failure.message());
        }
        begun
    }

    fn read_answer(&mut self, answered: Answered) -> Result<HeaderMap, Failure> {
        let (reply, headers) = match answered {
            Answered::Opened { headers, opened } => (RoundReply::Opened(opened), headers),
            Answered::Raw { .. } => {
                return Err(failed(Fault::bad_gateway("the upstream's reply is no message")));
            }
            Answered::Buffered { headers, form: ReplyForm::Stream, body, .. } => {
                (RoundReply::Arrived(body), headers)
            }
            Answered::Buffered { headers, form: ReplyForm::Whole, body, .. } => {
                (RoundReply::Arrived(passthrough::message_as_events(&body).map_err(failed)?), headers)
            }
        };
        self.stage = Stage::Reading(reply.closed());
        Ok(headers)
    }

    /// The tokens of the complete rounds.
    pub(super) fn spent(&self) -> Spent {
        self.spent.clone()
    }

    /// Why a round after the first has failed.
    pub(super) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// The next events for the client; `None` after the end of the reply.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let mut out = BytesMut::new();
        while out.is_empty() {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Over => return None,
                Stage::Reading(reply) => self.read(reply, &mut out).await,
                Stage::Searching => {
                    let results = self.run(self.reply.calls().to_vec()).await;
                    self.reply.show(&results, &mut out);
                    self.count_searches();
                    self.stage = Stage::Asking(results);
                }
                Stage::Asking(results) => self.ask(&results, &mut out).await,
            }
        }
        Some(out.freeze())
    }

    /// Reads a piece of the round's reply.
    async fn read(&mut self, mut reply: RoundReply, out: &mut BytesMut) {
        let (piece, is_last) = match &mut reply {
            RoundReply::Arrived(body) => (std::mem::take(body), true),
            RoundReply::Opened(opened) => {
                let piece = next_piece(opened).await;
                (piece, opened.ended)
            }
        };
        self.events.extend_from_slice(&piece);
        if self.events.len() > self.gateway.live_config().settings.limits.whole_reply {
            return self.fail(ErrorKind::Api, "the upstream's reply is too large to search for", out);
        }
        let mut progress = Progress::More;
        for data in sse::events(&piece).filter_map(|event| event.data()) {
            progress = self.reply.take(&data, self.conversation.pages(), out);
            if progress != Progress::More {
                break;
            }
        }
        self.count_spent();
        match progress {
            Progress::More if is_last => {
                let fault = Fault::cut();
                self.report(Outcome::BrokenReply, &fault.message);
                self.fail(fault.kind, &fault.message, out);
            }
            Progress::More => self.stage = Stage::Reading(reply),
            Progress::Failed => self.report(Outcome::BrokenReply, "the reply ended with an error"),
            Progress::Complete => self.report(Outcome::Answered, ""),
            Progress::Searches => {
                self.report(Outcome::Answered, "");
                if self.rounds > self.most_rounds() {
                    self.reply.finish_early(out);
                } else {
                    self.stage = Stage::Searching;
                }
            }
        }
    }

    /// Counts the tokens of the rounds that are complete.
    fn count_spent(&self) {
        let spent = self.reply.usage();
        if spent != self.spent.replace(spent)
            && let Some(calls) = &self.calls
        {
            calls.set_usage(spent);
        }
    }

    /// Counts the searches that have been run.
    fn count_searches(&self) {
        if let Some(calls) = &self.calls {
            calls.set_web_searches(u32::try_from(self.reply.searches()).unwrap_or(u32::MAX));
        }
    }

    /// Tells the provider and the ledger how the round's call has ended. The lease is kept for the next round.
    fn report(&mut self, outcome: Outcome, message: &str) {
        if let Some(calls) = &self.calls {
            calls.call_ended(outcome);
        }
        if let Some(lease) = &mut self.lease {
            lease.report(outcome, message);
        }
    }

    fn fail(&mut self, kind: ErrorKind, message: &str, out: &mut BytesMut) {
        Api::Messages.error_event(kind, message, out);
        self.stage = Stage::Over;
    }

    /// The searches that this request may use.
    fn most_searches(&self) -> u64 {
        self.conversation
            .tool()
            .max_uses
            .map_or(self.search.max_searches, |own| own.min(self.search.max_searches))
    }

    /// One for each search, one in which the model learns that no more are allowed, and one to answer.
    fn most_rounds(&self) -> u64 {
        self.most_searches().saturating_add(1).min(MOST_ROUNDS)
    }

    async fn run(&mut self, calls: Vec<SearchCall>) -> Vec<(SearchCall, Found)> {
        let most = self.most_searches();
        let mut called = self.called;
        let numbered: Vec<_> = calls
            .into_iter()
            .map(|call| {
                called += 1;
                (call, called <= most)
            })
            .collect();
        self.called = called;
        let client = SearchClient {
            gateway: &self.gateway,
            request_id: &self.template.id,
            search: &self.search,
            tool: self.conversation.tool(),
        };
        let client = &client;
        let searches = numbered.into_iter().map(|(call, is_allowed)| async move {
            let found = match call.query() {
                _ if !is_allowed => Err(SearchError::MaxUsesExceeded),
                None => Err(SearchError::InvalidInput),
                Some(query) => client.search(&query).await,
            };
            (call, found)
        });
        stream::iter(searches).buffered(AT_ONCE).collect().await
    }

    /// Gives the model the results, in another round.
    async fn ask(&mut self, results: &[(SearchCall, Found)], out: &mut BytesMut) {
        let message = passthrough::events_as_message(&std::mem::take(&mut self.events));
        let message: Option<Value> = message.ok().and_then(|message| serde_json::from_slice(&message).ok());
        let content = message.and_then(|mut message| Some(message.get_mut("content")?.take()));
        let Some(lease) = self.lease.take() else { return };
        let Some(content) = content else {
            return self.fail(ErrorKind::Api, "the upstream's reply cannot be continued", out);
        };
        self.conversation.add_round(without_empty_texts(content), results);
        self.rounds += 1;
        if self.rounds > self.most_rounds() {
            self.conversation.forbid_searches();
        }
        let served = match self.request(Targets::FirstOnly) {
            Ok(request) => call_again(&self.gateway, &request, lease, self.calls.as_ref()).await,
            Err(failure) => Err(failure),
        };
        let begun = served.and_then(|Served { answered, lease }| self.begin(*answered, lease));
        if let Err(failure) = begun {
            self.fail(failure.kind(), &failure.message(), out);
            self.failure = Some(failure);
        }
    }
}

/// The next events of a stream. At its end, `opened.ended` is set, and the events end with an error unless the reply is
/// complete.
async fn next_piece(opened: &mut Opened) -> Bytes {
    let Opened { upstream, flow, first: batch, ended, .. } = opened;
    while batch.is_empty() && !*ended {
        match upstream.next().await {
            Some(Ok(chunk)) => match flow.take(chunk, batch) {
                FlowProgress::More => {}
                FlowProgress::Ended => end(flow, batch, ended),
                FlowProgress::Faulted(fault) | FlowProgress::Oversized(fault) => {
                    flow.fail(fault, batch);
                    *ended = true;
                }
            },
            Some(Err(_)) if !flow.finishing() || flow.awaits_body() => {
                flow.fail(Fault::cut(), batch);
                *ended = true;
            }
            Some(Err(_)) | None => end(flow, batch, ended),
        }
    }
    batch.take()
}

fn end(flow: &mut Flow, batch: &mut Batch, ended: &mut bool) {
    flow.end(batch);
    *ended = true;
}

/// Some upstreams refuse empty texts, although they send them.
fn without_empty_texts(mut content: Value) -> Value {
    if let Some(blocks) = content.as_array_mut() {
        blocks.retain(|block| {
            block["type"] != "text" || block["text"].as_str().is_some_and(|text| !text.trim().is_empty())
        });
    }
    content
}
