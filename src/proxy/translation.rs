//! Selects the codec that translates a reply between the APIs of provider and client, for every form of the reply.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use vandamme_protocol::convert::client::chat::{self, ChatEncoder, ReplyIdentity};
use vandamme_protocol::convert::client::messages::MessagesEncoder;
use vandamme_protocol::convert::upstream::chat::ChatDecoder;
use vandamme_protocol::convert::upstream::messages::MessagesDecoder;
use vandamme_protocol::convert::{
    CodecStep, ReplyCodec, ReplyDecoder, ReplyEncoder, ReplySummary, Transcoder, WholeReply, upstream,
};
use vandamme_protocol::fault::Fault;
use vandamme_protocol::{compat, sse};

/// The facts of the request that its reply needs.
#[derive(Clone)]
pub(super) enum Translation {
    /// From Chat Completions to the Messages API.
    ChatToMessages(upstream::chat::ChatReplyContext),
    /// From the Messages API to Chat Completions.
    MessagesToChat(chat::MessagesReplyContext),
}

impl Translation {
    /// Adapts the reply to an edit of the converted request.
    pub(super) fn follow(&mut self, translated: &Bytes, edited: &Bytes) {
        match self {
            Self::ChatToMessages(context)
                if compat::has_member(translated, "stop") && !compat::has_member(edited, "stop") =>
            {
                context.cut_at_stop_sequences();
            }
            Self::ChatToMessages(_) | Self::MessagesToChat(_) => {}
        }
    }

    /// For a stream that stays one.
    pub(super) fn codec(self) -> Box<dyn ReplyCodec> {
        match self {
            Self::ChatToMessages(context) => Box::new(messages_of_chat(context)),
            Self::MessagesToChat(context) => Box::new(chat_of_messages(context)),
        }
    }

    pub(super) fn whole(self, body: &[u8]) -> Result<WholeReply, Fault> {
        match self {
            Self::ChatToMessages(context) => messages_of_chat(context).whole(body),
            Self::MessagesToChat(context) => chat_of_messages(context).whole(body),
        }
    }

    /// A whole reply for a client that wants a stream.
    pub(super) fn whole_as_events(self, body: &[u8], out: &mut BytesMut) -> Result<ReplySummary, Fault> {
        match self {
            Self::ChatToMessages(context) => messages_of_chat(context).whole_as_stream(body, out),
            Self::MessagesToChat(context) => chat_of_messages(context).whole_as_stream(body, out),
        }
    }

    /// A stream for a client that wants a whole reply.
    pub(super) fn collected(self, body: &[u8]) -> Result<WholeReply, Fault> {
        match self {
            Self::ChatToMessages(context) => collect(messages_of_chat(context), body),
            Self::MessagesToChat(context) => collect(chat_of_messages(context), body),
        }
    }
}

fn messages_of_chat(context: upstream::chat::ChatReplyContext) -> Transcoder<ChatDecoder, MessagesEncoder> {
    Transcoder::new(ChatDecoder::new(context, fastrand::u128(..)), MessagesEncoder::new())
}

fn chat_of_messages(context: chat::MessagesReplyContext) -> Transcoder<MessagesDecoder, ChatEncoder> {
    let identity = ReplyIdentity { seed: fastrand::u128(..), created: now() };
    Transcoder::new(MessagesDecoder::new(), ChatEncoder::new(context, identity))
}

fn collect<D: ReplyDecoder, E: ReplyEncoder>(
    transcoder: Transcoder<D, E>,
    stream: &[u8],
) -> Result<WholeReply, Fault> {
    let mut collector = transcoder.collector();
    for data in sse::events(stream).filter_map(|event| event.data()) {
        match collector.push(&data) {
            CodecStep::More => {}
            CodecStep::End => break,
            CodecStep::Fault(fault) => return Err(fault),
        }
    }
    collector.finish()
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    // A clock before 1970 yields 0.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
