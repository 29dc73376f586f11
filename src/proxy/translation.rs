//! Selects the codec that translates a reply between the APIs of provider and client, for every form of the reply.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use vandamme_protocol::convert::client::chat::{ChatEncoder, MessagesReplyContext, ReplyIdentity};
use vandamme_protocol::convert::client::messages::MessagesEncoder;
use vandamme_protocol::convert::client::responses::{ResponsesClientContext, ResponsesEncoder};
use vandamme_protocol::convert::upstream::chat::{ChatDecoder, ChatReplyContext};
use vandamme_protocol::convert::upstream::messages::MessagesDecoder;
use vandamme_protocol::convert::upstream::responses::{ResponsesDecoder, ResponsesReplyContext};
use vandamme_protocol::convert::{
    CodecStep, ReplyCodec, ReplyDecoder, ReplyEncoder, ReplySummary, Transcoder, WholeReply,
};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::{compat, sse};

/// The facts of the request that its reply needs.
#[derive(Clone)]
pub(super) struct Translation {
    pub(super) upstream: UpstreamReplyApi,
    pub(super) client: ClientReplyApi,
}

/// The API of the upstream's reply.
#[derive(Clone)]
pub(super) enum UpstreamReplyApi {
    Messages,
    Chat(ChatReplyContext),
    Responses(ResponsesReplyContext),
}

/// The API of the client's reply.
#[derive(Clone)]
pub(super) enum ClientReplyApi {
    Messages,
    Chat(MessagesReplyContext),
    Responses(Box<ResponsesClientContext>),
}

/// What is done with a decoder and an encoder, whichever they are.
trait Conversion {
    type Output;

    fn run<D, E>(self, transcoder: Transcoder<D, E>) -> Self::Output
    where
        D: ReplyDecoder + 'static,
        E: ReplyEncoder + 'static;
}

impl Translation {
    /// Adapts the reply to an edit of the converted request.
    pub(super) fn follow(&mut self, translated: &Bytes, edited: &Bytes) {
        match &mut self.upstream {
            UpstreamReplyApi::Chat(context)
                if compat::has_member(translated, "stop") && !compat::has_member(edited, "stop") =>
            {
                context.cut_at_stop_sequences();
            }
            UpstreamReplyApi::Messages | UpstreamReplyApi::Chat(_) | UpstreamReplyApi::Responses(_) => {}
        }
    }

    /// For a stream that stays one.
    pub(super) fn codec(self) -> Box<dyn ReplyCodec> {
        self.convert(IntoCodec)
    }

    pub(super) fn whole(self, body: &[u8]) -> Result<WholeReply, Fault> {
        self.convert(IntoWhole { body })
    }

    /// A whole reply for a client that wants a stream.
    pub(super) fn whole_as_events(self, body: &[u8], out: &mut BytesMut) -> Result<ReplySummary, Fault> {
        self.convert(WholeIntoEvents { body, out })
    }

    /// A stream for a client that wants a whole reply.
    pub(super) fn collected(self, body: &[u8]) -> Result<WholeReply, Fault> {
        self.convert(Collected { body })
    }

    fn convert<C: Conversion>(self, conversion: C) -> C::Output {
        let Self { upstream, client } = self;
        let identity = || ReplyIdentity { seed: fastrand::u128(..), created: now() };
        match client {
            ClientReplyApi::Messages => upstream.convert(MessagesEncoder::new(), conversion),
            ClientReplyApi::Chat(context) => {
                upstream.convert(ChatEncoder::new(context, identity()), conversion)
            }
            ClientReplyApi::Responses(context) => {
                upstream.convert(ResponsesEncoder::new(*context, identity()), conversion)
            }
        }
    }
}

impl UpstreamReplyApi {
    fn convert<E: ReplyEncoder + 'static, C: Conversion>(self, encoder: E, conversion: C) -> C::Output {
        match self {
            Self::Messages => conversion.run(Transcoder::new(MessagesDecoder::new(), encoder)),
            Self::Chat(context) => {
                conversion.run(Transcoder::new(ChatDecoder::new(context, fastrand::u128(..)), encoder))
            }
            Self::Responses(context) => {
                conversion.run(Transcoder::new(ResponsesDecoder::new(context, fastrand::u128(..)), encoder))
            }
        }
    }
}

struct IntoCodec;

impl Conversion for IntoCodec {
    type Output = Box<dyn ReplyCodec>;

    fn run<D, E>(self, transcoder: Transcoder<D, E>) -> Self::Output
    where
        D: ReplyDecoder + 'static,
        E: ReplyEncoder + 'static,
    {
        Box::new(transcoder)
    }
}

struct IntoWhole<'b> {
    body: &'b [u8],
}

impl Conversion for IntoWhole<'_> {
    type Output = Result<WholeReply, Fault>;

    fn run<D: ReplyDecoder, E: ReplyEncoder>(self, transcoder: Transcoder<D, E>) -> Self::Output {
        transcoder.whole(self.body)
    }
}

struct WholeIntoEvents<'b> {
    body: &'b [u8],
    out: &'b mut BytesMut,
}

impl Conversion for WholeIntoEvents<'_> {
    type Output = Result<ReplySummary, Fault>;

    fn run<D: ReplyDecoder, E: ReplyEncoder>(self, transcoder: Transcoder<D, E>) -> Self::Output {
        transcoder.whole_as_stream(self.body, self.out)
    }
}

struct Collected<'b> {
    body: &'b [u8],
}

impl Conversion for Collected<'_> {
    type Output = Result<WholeReply, Fault>;

    fn run<D: ReplyDecoder, E: ReplyEncoder>(self, transcoder: Transcoder<D, E>) -> Self::Output {
        let mut collector = transcoder.collector();
        for data in sse::events(self.body).filter_map(|event| event.data()) {
            match collector.push(&data) {
                CodecStep::More => {}
                CodecStep::End => break,
                CodecStep::Fault(fault) => return Err(fault),
            }
        }
        collector.finish()
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    // A clock before 1970 yields 0.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
