//! A decoder and an encoder joined: a reply of one API for a client of another, in every form that it comes and leaves in.

use bytes::{Bytes, BytesMut};

use super::{CodecForm, CodecStep, Pushed, ReplyCodec, ReplyDecoder, ReplyEncoder, ReplySummary, WholeReply};
use crate::{
    anthropic::event::{EventSink, MessagesEvent},
    fault::Fault,
    sse,
    vocabulary::Usage,
};

/// Converts one reply.
#[derive(Debug)]
pub struct Transcoder<D, E> {
    decoder: D,
    encoder: E,
}

/// Encodes events into a stream.
struct Stream<'e, E> {
    encoder: &'e mut E,
    out: &'e mut BytesMut,
}

impl<E: ReplyEncoder> EventSink for Stream<'_, E> {
    fn emit(&mut self, event: MessagesEvent<'_>) {
        self.encoder.stream(event, self.out);
    }
}

/// Encodes events into a whole reply.
struct Whole<'e, E>(&'e mut E);

impl<E: ReplyEncoder> EventSink for Whole<'_, E> {
    fn emit(&mut self, event: MessagesEvent<'_>) {
        self.0.collect(event);
    }
}

impl<D: ReplyDecoder, E: ReplyEncoder> Transcoder<D, E> {
    /// For one reply.
    pub fn new(decoder: D, encoder: E) -> Self {
        Self { decoder, encoder }
    }

    /// Takes the data of one event (its lines joined) and appends what follows from it to `out`. See [`ReplyCodec`] for
    /// whole blocks.
    pub fn push_data(&mut self, data: &[u8], out: &mut BytesMut) -> CodecStep {
        let Self { decoder, encoder } = self;
        decoder.push(data, &mut Stream { encoder, out })
    }

    /// Converts a whole reply into a whole one.
    ///
    /// # Errors
    /// The upstream's body is not JSON, is an error, or has no content.
    pub fn whole(mut self, upstream: &[u8]) -> Result<WholeReply, Fault> {
        let mut events = Whole(&mut self.encoder);
        self.decoder.push_whole(upstream, &mut events)?;
        let summary = self.decoder.finish(&mut events);
        Ok(WholeReply { body: self.encoder.into_body(), summary })
    }

    /// Converts a whole reply into a stream, appended to `out`, for an upstream that answered with JSON although a stream
    /// was asked for.
    ///
    /// # Errors
    /// See [`whole`](Self::whole). Then nothing was appended.
    pub fn whole_as_stream(mut self, upstream: &[u8], out: &mut BytesMut) -> Result<ReplySummary, Fault> {
        let mut events = Stream { encoder: &mut self.encoder, out };
        self.decoder.push_whole(upstream, &mut events)?;
        Ok(self.decoder.finish(&mut events))
    }

    /// Collects a stream into a whole reply, for an upstream that answered with a stream although a whole reply was asked
    /// for.
    pub fn collector(self) -> Collector<D, E> {
        Collector(self)
    }
}

impl<D: ReplyDecoder, E: ReplyEncoder> ReplyCodec for Transcoder<D, E> {
    fn push(&mut self, block: Bytes, out: &mut BytesMut) -> Pushed {
        for event in sse::events(&block) {
            let Some(data) = event.data() else { continue };
            match self.push_data(&data, out) {
                CodecStep::More => {}
                last @ (CodecStep::End | CodecStep::Fault(_)) => return Pushed::Converted(last),
            }
        }
        Pushed::Converted(CodecStep::More)
    }

    fn finish(&mut self, out: &mut BytesMut) -> ReplySummary {
        let Self { decoder, encoder } = self;
        decoder.finish(&mut Stream { encoder, out })
    }

    fn fail(&mut self, fault: Fault, out: &mut BytesMut) -> ReplySummary {
        let Self { decoder, encoder } = self;
        decoder.fail(fault, &mut Stream { encoder, out })
    }

    fn started(&self) -> bool {
        self.decoder.started()
    }

    fn finishing(&self) -> bool {
        self.decoder.finishing()
    }

    fn passed_error(&self) -> Option<Fault> {
        None
    }

    fn counted(&self) -> (Usage, u32) {
        self.decoder.counted()
    }

    fn form(&self) -> CodecForm {
        CodecForm::Converting
    }
}

/// Collects a streamed reply into a whole one.
#[derive(Debug)]
pub struct Collector<D, E>(Transcoder<D, E>);

impl<D: ReplyDecoder, E: ReplyEncoder> Collector<D, E> {
    /// Takes the data of one event.
    pub fn push(&mut self, data: &[u8]) -> CodecStep {
        self.0.decoder.push(data, &mut Whole(&mut self.0.encoder))
    }

    /// The upstream's body has ended.
    ///
    /// # Errors
    /// The upstream reported an error or did not finish.
    pub fn finish(mut self) -> Result<WholeReply, Fault> {
        let summary = self.0.decoder.finish(&mut Whole(&mut self.0.encoder));
        match summary.fault {
            Some(fault) => Err(fault),
            None => Ok(WholeReply { body: self.0.encoder.into_body(), summary }),
        }
    }
}
