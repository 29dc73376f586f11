//! Conversion between the API of a client and the API of an upstream.
//!
//! The Messages API is the hub. A [`ReplyDecoder`] of [`upstream`] reads an upstream's reply into Messages events, a
//! [`ReplyEncoder`] of [`client`] writes Messages events in the client's API, and a [`Transcoder`] joins the two. Where client
//! and upstream speak the same API, a tap of [`passthrough`] reads along instead. Both are [`ReplyCodec`]s.

pub mod client;
mod dropped;
pub mod passthrough;
mod transcoder;
pub mod upstream;

pub use dropped::Dropped;
pub use transcoder::{Collector, Transcoder};

use bytes::{Bytes, BytesMut};

use crate::{
    anthropic::event::{EventSink, MessagesEvent},
    fault::Fault,
    reported::Reported,
    vocabulary::{StopReason, Usage},
};

/// Everything between the events of one upstream reply and its client.
///
/// [`push`](Self::push) every block until one ends the reply or fails, then [`finish`](Self::finish) or
/// [`fail`](Self::fail), once.
///
/// ```
/// use bytes::{Bytes, BytesMut};
/// use vandamme_protocol::convert::client::messages::MessagesEncoder;
/// use vandamme_protocol::convert::upstream::chat::{ChatDecoder, ChatUpstream, PLAIN, request};
/// use vandamme_protocol::convert::{ReplyCodec as _, Transcoder};
///
/// let target = ChatUpstream { provider: "p", model: "m", requested_model: "m", dialect: &PLAIN, session: None, members: None };
/// let body = br#"{"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
/// let converted = request(body, &target)?;
///
/// let mut codec = Transcoder::new(ChatDecoder::new(converted.reply, 1), MessagesEncoder::new());
/// let mut out = BytesMut::new();
/// codec.push(Bytes::from_static(b"data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n"), &mut out);
/// assert!(out.starts_with(b"event: message_start"));
/// # Ok::<(), vandamme_protocol::fault::RequestError>(())
/// ```
pub trait ReplyCodec {
    /// Takes a block of complete server-sent events. A codec that converts appends the result to `out`.
    fn push(&mut self, block: Bytes, out: &mut BytesMut) -> Pushed;

    /// The upstream's body has ended, or its terminator has come. Completes the reply, or appends an error if the upstream
    /// did not finish.
    fn finish(&mut self, out: &mut BytesMut) -> ReplySummary;

    /// The reply cannot go on for a reason outside of it: appends an error.
    fn fail(&mut self, fault: Fault, out: &mut BytesMut) -> ReplySummary;

    /// Whether the client has been sent anything but pings.
    fn started(&self) -> bool;

    /// Whether the upstream has only announced its reply so far, apart from an error that ends it: the client would lose nothing
    /// if another upstream replied.
    fn is_announced_only(&self) -> bool {
        false
    }

    /// Whether only the terminator is missing.
    fn finishing(&self) -> bool;

    /// The error that the upstream's own events end with, where they pass as they are.
    fn passed_error(&self) -> Option<Fault>;

    /// Tokens and tool calls so far. It is called for every piece that goes out.
    fn counted(&self) -> (Usage, u32);

    /// Whether the events pass as they are, or are converted.
    fn form(&self) -> CodecForm;
}

/// Whether a codec passes the upstream's events or writes its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecForm {
    Passthrough,
    Converting,
}

/// What a block of events led to.
#[derive(Debug)]
pub enum Pushed {
    /// The client gets these bytes of the upstream's.
    Passed(PassedBlock),
    /// The block has been converted.
    Converted(CodecStep),
}

/// A block of the upstream's events as the client gets it.
#[derive(Debug, PartialEq, Eq)]
pub struct PassedBlock {
    pub block: Bytes,
    /// The offset of the event that ends the reply, if the block has it. Nothing follows that event.
    pub end: Option<usize>,
    /// The upstream's block went on behind that event.
    pub is_cut: bool,
}

/// What follows one upstream event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecStep {
    /// The next event.
    More,
    /// The end: the upstream's terminator has come.
    End,
    /// The end: the upstream reported an error or broke the protocol.
    Fault(Fault),
}

/// Reads one reply of an upstream into Messages events.
///
/// A fault that [`push`](Self::push) returns has emitted nothing: another upstream can still be tried if the reply has not
/// [started](Self::started). Otherwise it goes to [`fail`](Self::fail).
pub trait ReplyDecoder {
    /// Takes the data of one server-sent event, its lines joined.
    fn push(&mut self, data: &[u8], events: &mut impl EventSink) -> CodecStep;

    /// Takes a whole reply in place of a stream. [`finish`](Self::finish) follows.
    ///
    /// # Errors
    /// The body is not JSON, is an error, or has no content. Then nothing was emitted.
    fn push_whole(&mut self, body: &[u8], events: &mut impl EventSink) -> Result<(), Fault>;

    /// See [`ReplyCodec::finish`].
    fn finish(&mut self, events: &mut impl EventSink) -> ReplySummary;

    /// See [`ReplyCodec::fail`].
    fn fail(&mut self, fault: Fault, events: &mut impl EventSink) -> ReplySummary;

    /// See [`ReplyCodec::started`].
    fn started(&self) -> bool;

    /// See [`ReplyCodec::finishing`].
    fn finishing(&self) -> bool;

    /// See [`ReplyCodec::counted`].
    fn counted(&self) -> (Usage, u32);
}

/// Writes the events of one reply in a client's API: as a stream, or collected into one body, not both.
pub trait ReplyEncoder {
    /// Appends one event to a stream.
    fn stream(&mut self, event: MessagesEvent<'_>, out: &mut BytesMut);

    /// Adds one event to the whole reply.
    fn collect(&mut self, event: MessagesEvent<'_>);

    /// The whole reply, once its last event has been collected.
    fn into_body(self) -> Vec<u8>;
}

/// How a reply ended, or what is known of it so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplySummary {
    pub stop_reason: Option<StopReason>,
    /// Absent if the upstream reported none.
    pub usage: Option<Usage>,
    pub reported: Reported,
    /// Tool calls that the client has to run.
    pub tool_calls: u32,
    /// Why the reply is not complete.
    pub fault: Option<Fault>,
}

/// A whole reply for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeReply {
    pub body: Vec<u8>,
    pub summary: ReplySummary,
}
