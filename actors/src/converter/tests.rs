//! What a client gets of a reply, and in which pieces.

use std::collections::VecDeque;
use std::future::poll_fn;

use actix_rt::time::timeout;
use futures_util::{StreamExt as _, stream};
use tokio::sync::oneshot;
use vandamme_protocol::convert::passthrough::MessagesTap;

use super::*;
use crate::provider::Size;
use crate::registry::Registry;
use crate::router::{self, Destination, Dispatch};
use crate::secret::Secrets;
use crate::settings::{Api, Metrics};
use crate::snapshot::Snapshot;
use crate::supervisor::Supervisor;
use crate::testing::{limits, provider, settings};

const FIRST: &str = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n";
const STOP: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

async fn lease(registry: &Snapshot<Registry>) -> Lease {
    let (reply, answer) = oneshot::channel();
    let destination = Destination::Name("p:m".into());
    let dispatch = Dispatch {
        destination,
        session: None,
        size: Size::default(),
        when_busy: crate::provider::WhenBusy::Queue,
        reply,
    };
    router::thread_router(registry).do_send(dispatch);
    let lease = async { answer.await.ok()?.ok()?.lease.answer().await?.ok() };
    timeout(PATIENCE, lease).await.expect("in time").expect("a lease")
}

/// The body of a reply whose first event has come, and whose events may have `limit` bytes.
async fn body(upstream: UpstreamBody, limit: usize) -> ReplyBody {
    let (_supervisor, registry) = Supervisor::start_tree(settings(vec![provider("p").build()]));
    let lease = lease(&registry).await;
    let entry = RequestRecorder::open("id".into(), registry, Metrics::Kept);
    let mut flow = Flow::new(Box::new(MessagesTap::new()), Api::Messages, limit, Secrets::new(vec![]));
    let mut first = Batch::default();
    flow.take(Bytes::from_static(FIRST.as_bytes()), &mut first);
    start(Opened { upstream, flow, first, ended: false, failed: None }, &limits(), entry, lease)
}

/// Pieces that are all ready. Like the body of a connection, it must not be polled after its end.
fn ready(pieces: &[&'static str]) -> impl Stream<Item = Result<Bytes, PayloadError>> + 'static {
    let pieces: VecDeque<_> = pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect();
    stream::unfold(pieces, |mut pieces| async { Some((Ok(pieces.pop_front()?), pieces)) })
}

/// What the body has now.
fn next(body: &mut ReplyBody) -> Option<Bytes> {
    match body.poll_bytes(&mut Task::from_waker(std::task::Waker::noop())) {
        Poll::Ready(Some(Ok(bytes))) => Some(bytes),
        Poll::Ready(None) | Poll::Pending => None,
    }
}

/// All of the body, as far as it comes.
async fn rest(mut body: ReplyBody) -> String {
    let all = async {
        let mut all = Vec::new();
        while let Some(Ok(bytes)) = poll_fn(|task| body.poll_bytes(task)).await {
            all.extend_from_slice(&bytes);
        }
        all
    };
    String::from_utf8(timeout(PATIENCE, all).await.expect("in time")).expect("text")
}

/// Requirement: what the upstream has ready leaves with the head of the reply, and in one piece.
#[actix_rt::test]
async fn a_burst_is_there_before_the_converter_runs() {
    for events in [1, 50] {
        let burst = vec![DELTA; events];
        let mut body = body(Box::pin(ready(&burst).chain(stream::pending())), 1 << 20).await;
        assert_eq!(next(&mut body).expect("the first event"), FIRST);
        assert_eq!(next(&mut body).expect("the burst"), burst.concat());
        assert!(next(&mut body).is_none());
    }
}

/// Requirement: the end of a body that comes with the last event is noticed once, and the reply is complete.
#[actix_rt::test]
async fn a_whole_reply_in_one_burst_is_complete() {
    let body = body(Box::pin(ready(&[DELTA, STOP])), 1 << 20).await;
    assert_eq!(rest(body).await, [FIRST, DELTA, STOP].concat());
}

/// Requirement: a stream that is cut ends with an error, also if the cut comes with a burst.
#[actix_rt::test]
async fn a_cut_in_a_burst_is_an_error_behind_its_events() {
    let broken = stream::iter([Err(PayloadError::Incomplete(None))]);
    for upstream in [Box::pin(ready(&[DELTA]).chain(broken)) as UpstreamBody, Box::pin(ready(&[DELTA]))] {
        let all = rest(body(upstream, 1 << 20).await).await;
        let error = all.strip_prefix(&[FIRST, DELTA].concat()).expect("the events");
        assert!(error.starts_with("event: error\n"), "{all}");
    }
}

/// Requirement: the bound on one event is the same however much arrives at once.
#[actix_rt::test]
async fn the_bound_on_an_event_counts_in_a_burst() {
    let part = "data: twenty bytes here\n";
    let pieces = [part, part, part, "\n", STOP];
    let all = rest(body(Box::pin(ready(&pieces)), 3 * part.len() - 1).await).await;
    assert!(all.contains("an event of more than 71 bytes"), "{all}");
    let all = rest(body(Box::pin(ready(&pieces)), 3 * part.len()).await).await;
    assert!(all.ends_with(STOP), "{all}");
}

/// Requirement: a panic while the burst is converted costs the rest of the reply, not its head and its first event.
#[actix_rt::test]
async fn a_panic_in_a_burst_leaves_an_error_behind_the_first_event() {
    let upstream = stream::poll_fn(|_| panic!("a test"));
    let all = rest(body(Box::pin(upstream), 1 << 20).await).await;
    assert!(all.starts_with(&[FIRST, "event: error\n"].concat()), "{all}");
}
