//! Web search that the gateway runs itself: its upstream gets an ordinary tool, the gateway runs the searches that the model
//! calls, and asks the model again with their results. The client gets one reply, as from an upstream that searches by itself.
//!
//! Each round is a run with calls of its own, all with the lease of the first one: one permit, one key.

mod rounds;
mod service_call;
mod spent;

use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use vandamme_actors::converter::{Batch, Flow, FlowProgress, Opened, UpstreamBody};
use vandamme_actors::routing::Route;
use vandamme_actors::settings::{Api, WebSearch};
use vandamme_protocol::convert::client::responses::UpstreamKind;
use vandamme_protocol::convert::passthrough::{self, MessagesTap};
use vandamme_protocol::convert::{ReplyCodec, WholeReply, client, upstream};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::openai::members::OpenAiMembers;
use vandamme_protocol::web_search::{Conversation, is_mentioned, is_mentioned_by_name};

use self::rounds::SearchRounds;
use self::spent::CountingRounds;
use super::attempt::{Answered, EVENTS};
use super::run::{Served, serve_request};
use super::run_record::RunRecord;
use super::translation::{ClientReplyApi, Translation, UpstreamReplyApi};
use super::{Origin, ProxyRequest, ReplyForm, RouteTrace, Targets, UpstreamCall};
use crate::failure::{Failure, UpstreamError};
use crate::gateway::Gateway;

/// Makes the calls of a request, in several rounds if the gateway runs its searches.
pub(super) async fn serve(
    gateway: &Arc<Gateway>,
    request: &ProxyRequest,
    record: RunRecord<'_>,
) -> Result<Served, Failure> {
    match SearchPlan::new(gateway, request)? {
        None => serve_request(gateway, request, record).await,
        // Boxed, so that other requests do not carry its size.
        Some(plan) => Box::pin(plan.serve(gateway, request, record)).await,
    }
}

/// A request whose searches the gateway runs.
pub(super) struct SearchPlan {
    conversation: Conversation,
    search: Arc<WebSearch>,
    /// For a client of OpenAI's APIs: how Messages become its reply, and what of its request was left out.
    back: Option<(Translation, Option<HeaderValue>)>,
}

impl SearchPlan {
    /// `None` if the gateway runs no search for this request, which is so for all requests unless a service is configured.
    fn new(gateway: &Gateway, request: &ProxyRequest) -> Result<Option<Self>, Failure> {
        let live = gateway.live_config();
        let Some(search) = &live.settings.web_search else { return Ok(None) };
        let is_searchable = request.upstream_call == UpstreamCall::Reply
            && matches!(request.origin, Origin::Client)
            && match request.api {
                Api::Messages => is_mentioned(&request.body),
                Api::ChatCompletions | Api::Responses => is_mentioned_by_name(&request.body),
            };
        if !is_searchable || search.services().next().is_none() {
            return Ok(None);
        }
        // A name that leads nowhere gets its error from the run.
        let Ok(route) = request.route(gateway) else { return Ok(None) };
        if searches_itself(request.api, &route, search) {
            return Ok(None);
        }
        match request.api {
            Api::Messages => Self::read(&request.body, search, None),
            Api::ChatCompletions => Self::of_chat(request, &route, search),
            Api::Responses => Self::of_responses(request, &route, search),
        }
    }

    fn of_chat(
        request: &ProxyRequest,
        route: &Route,
        search: &Arc<WebSearch>,
    ) -> Result<Option<Self>, Failure> {
        let target = client::chat::MessagesUpstream {
            provider: &route.provider.name,
            model: &route.model,
            requested_model: &request.head.model,
        };
        // A request that cannot be translated may still pass through, without a search.
        let Ok(translated) = client::chat::request(&request.body, &target) else { return Ok(None) };
        let dropped = match route.provider.api_for(Api::Messages, &route.model) {
            Api::ChatCompletions => translated.dropped.without_members(upstream::chat::is_kept),
            Api::Responses => translated.dropped.without_members(OpenAiMembers::reads_of_chat),
            Api::Messages => translated.dropped,
        };
        let dropped = dropped.header().and_then(|names| HeaderValue::from_str(&names).ok());
        let back = Translation {
            upstream: UpstreamReplyApi::Messages,
            client: ClientReplyApi::Chat(translated.reply),
        };
        let back = (back, dropped);
        let mut plan = Self::read(&translated.body, search, Some(back))?;
        if let Some(plan) = &mut plan {
            plan.conversation.set_model(&request.head.model);
        }
        Ok(plan)
    }

    fn of_responses(
        request: &ProxyRequest,
        route: &Route,
        search: &Arc<WebSearch>,
    ) -> Result<Option<Self>, Failure> {
        let target = client::responses::MessagesTarget {
            provider: &route.provider.name,
            model: &route.model,
            requested_model: &request.head.model,
            upstream: match route.provider.api_for(Api::Messages, &route.model) {
                Api::Messages => UpstreamKind::Messages,
                Api::ChatCompletions => UpstreamKind::ChatCompletions,
                Api::Responses => UpstreamKind::Responses,
            },
        };
        // As in `of_chat`.
        let Ok(translated) = client::responses::request(&request.body, &target) else { return Ok(None) };
        let dropped = translated.dropped.header().and_then(|names| HeaderValue::from_str(&names).ok());
        let client = ClientReplyApi::Responses(Box::new(translated.reply));
        let back = (Translation { upstream: UpstreamReplyApi::Messages, client }, dropped);
        let mut plan = Self::read(&translated.body, search, Some(back))?;
        if let Some(plan) = &mut plan {
            plan.conversation.set_model(&request.head.model);
        }
        Ok(plan)
    }

    fn read(
        body: &[u8],
        search: &Arc<WebSearch>,
        back: Option<(Translation, Option<HeaderValue>)>,
    ) -> Result<Option<Self>, Failure> {
        let conversation = Conversation::read(body);
        let conversation = conversation.map_err(|error| Failure::Malformed(error.to_string()))?;
        Ok(conversation.map(|conversation| Self { conversation, search: search.clone(), back }))
    }

    /// Serves the request.
    pub(super) async fn serve(
        self,
        gateway: &Arc<Gateway>,
        request: &ProxyRequest,
        record: RunRecord<'_>,
    ) -> Result<Served, Failure> {
        let Self { conversation, search, back } = self;
        let (back, dropped) = back.unzip();
        let mut rounds = SearchRounds::new(gateway.clone(), request, conversation, search)?;
        rounds.record_calls(record.later_calls());
        rounds.run_earlier_searches().await;
        let first = rounds.request(Targets::WithFallbacks)?;
        let Served { answered, mut lease } = serve_request(gateway, &first, record).await?;
        lease.reply_started();
        let outer = Box::new(lease.of_the_whole_reply());
        let headers = rounds.begin(*answered, lease)?;
        let answered = match request.reply_form() {
            ReplyForm::Stream => streamed(gateway, request, (headers, back), rounds).await?,
            ReplyForm::Whole => whole((headers, back), rounds).await?,
        };
        Ok(Served { answered: Box::new(answered.with_dropped(dropped.flatten())), lease: outer })
    }
}

/// Whether the upstream gets the client's search as it is. Claude's own search is never replaced.
fn searches_itself(client: Api, route: &Route, search: &WebSearch) -> bool {
    let provider = &route.provider;
    let has_search = match provider.api_for(client, &route.model) {
        Api::Messages => provider.serves_claude,
        Api::ChatCompletions => {
            search.prefers_provider() && provider.dialect.hosted_search(&route.model).is_some()
        }
        Api::Responses => search.prefers_provider() && provider.dialect.web_search.is_some(),
    };
    has_search || provider.demo
}

/// The client's request in the form of one round.
fn round_request(request: &ProxyRequest, body: Vec<u8>, targets: Targets) -> Result<ProxyRequest, Failure> {
    let round = request.with_body(Bytes::from(body));
    let round = round.ok_or_else(|| Failure::Malformed("the request of a round is no request".to_owned()))?;
    let chat_body = match request.api {
        Api::ChatCompletions | Api::Responses => Some(request.body.clone()),
        Api::Messages => round.chat_body.clone(),
    };
    Ok(ProxyRequest { api: Api::Messages, targets, chat_body, trace: RouteTrace::default(), ..round })
}

/// The reply of all rounds as a stream that the converter reads like an upstream's.
async fn streamed(
    gateway: &Gateway,
    request: &ProxyRequest,
    (mut headers, back): (HeaderMap, Option<Translation>),
    rounds: SearchRounds,
) -> Result<Answered, Failure> {
    let live = gateway.live_config();
    let codec: Box<dyn ReplyCodec> = match back {
        None => Box::new(MessagesTap::new()),
        Some(back) => back.codec(),
    };
    let codec = Box::new(CountingRounds { codec, spent: rounds.spent() });
    let mut flow = Flow::new(codec, request.api, live.settings.limits.event, live.secrets.clone());
    let mut upstream: UpstreamBody = Box::pin(stream::unfold(rounds, |mut rounds| async move {
        let bytes = rounds.next().await?;
        Some((Ok(bytes), rounds))
    }));
    let mut first = Batch::default();
    let mut ended = false;
    while !flow.started() && !ended {
        let Some(Ok(bytes)) = upstream.next().await else { break };
        match flow.take(bytes, &mut first) {
            FlowProgress::More => {}
            FlowProgress::Ended => ended = true,
            FlowProgress::Faulted(fault) | FlowProgress::Oversized(fault) => return Err(failed(fault)),
        }
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENTS));
    Ok(Answered::Opened { headers, opened: Box::new(Opened { upstream, flow, first, ended, failed: None }) })
}

/// The same reply in one piece.
async fn whole(
    (mut headers, back): (HeaderMap, Option<Translation>),
    mut rounds: SearchRounds,
) -> Result<Answered, Failure> {
    let mut events = BytesMut::new();
    while let Some(bytes) = rounds.next().await {
        events.extend_from_slice(&bytes);
    }
    // An upstream's failure in a later round keeps its status.
    if let Some(failure) = rounds.take_failure() {
        return Err(failure);
    }
    let body = Bytes::from(passthrough::events_as_message(&events).map_err(failed)?);
    let (body, closing) = match back {
        None => {
            let closing = passthrough::parsed_message(&body).unwrap_or_default();
            (body, closing)
        }
        Some(back) => {
            let WholeReply { body, summary } = back.whole(&body).map_err(failed)?;
            (body.into(), summary)
        }
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Answered::Buffered { status: 200, headers, form: ReplyForm::Whole, body, closing })
}

fn failed(fault: Fault) -> Failure {
    Failure::Upstream(Box::new(UpstreamError::from_fault(fault)))
}
