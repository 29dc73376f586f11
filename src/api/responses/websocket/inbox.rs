//! Reads the client's messages from the bytes of its connection.

use actix_codec::Decoder as _;
use actix_http::ws::{CloseReason, Codec, Frame, Item};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;

pub(super) struct Inbox {
    payload: Payload,
    codec: Codec,
    unread: BytesMut,
    /// The frames so far of a message in several frames.
    message: Option<BytesMut>,
    /// The longest message.
    limit: usize,
}

/// A message of the client, or a control frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    Text(Bytes),
    Ping(Bytes),
    Pong,
    Close(Option<CloseReason>),
}

/// Why no further message can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The client has disconnected.
    Gone,
    TooLarge,
    Binary,
    Protocol,
}

impl Inbox {
    pub(super) fn new(payload: Payload, limit: usize) -> Self {
        let codec = Codec::new().max_size(limit);
        Self { payload, codec, unread: BytesMut::new(), message: None, limit }
    }

    /// The next message. A future of it can be dropped at any time: nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Incoming, Broken> {
        loop {
            while self.has_frame()? {
                let frame = self.codec.decode(&mut self.unread).map_err(|_| Broken::Protocol)?;
                let Some(frame) = frame else { break };
                if let Some(incoming) = self.incoming(frame)? {
                    return Ok(incoming);
                }
            }
            let Some(Ok(bytes)) = self.payload.next().await else { return Err(Broken::Gone) };
            self.unread.extend_from_slice(&bytes);
        }
    }

    /// Reads and discards what the client still sends, until it closes the connection.
    pub(super) async fn discard(&mut self) {
        loop {
            match self.next().await {
                Ok(Incoming::Text(_) | Incoming::Ping(_) | Incoming::Pong) => {}
                Ok(Incoming::Close(_)) | Err(Broken::Gone) => return,
                Err(Broken::TooLarge | Broken::Binary | Broken::Protocol) => break,
            }
        }
        while let Some(Ok(_)) = self.payload.next().await {}
    }

    /// Whether the next frame has arrived completely. The codec would reserve memory for a frame of any announced length, and
    /// would check the length only at its end.
    fn has_frame(&self) -> Result<bool, Broken> {
        let Some(length) = announced(&self.unread) else { return Ok(false) };
        let earlier = self.message.as_ref().map_or(0, BytesMut::len);
        if length.payload > (self.limit - earlier.min(self.limit)) as u64 {
            return Err(Broken::TooLarge);
        }
        Ok(self.unread.len() as u64 >= length.header + length.payload)
    }

    fn incoming(&mut self, frame: Frame) -> Result<Option<Incoming>, Broken> {
        Ok(match frame {
            Frame::Text(text) => Some(Incoming::Text(text)),
            Frame::Ping(data) => Some(Incoming::Ping(data)),
            Frame::Pong(_) => Some(Incoming::Pong),
            Frame::Close(reason) => Some(Incoming::Close(reason)),
            Frame::Binary(_) | Frame::Continuation(Item::FirstBinary(_)) => return Err(Broken::Binary),
            Frame::Continuation(Item::FirstText(text)) => {
                self.message = Some(BytesMut::from(&*text));
                None
            }
            Frame::Continuation(Item::Continue(text)) => {
                self.message.get_or_insert_default().extend_from_slice(&text);
                None
            }
            Frame::Continuation(Item::Last(text)) => {
                let mut message = self.message.take().unwrap_or_default();
                message.extend_from_slice(&text);
                Some(Incoming::Text(message.freeze()))
            }
        })
    }
}

/// The lengths of a frame's header and of its payload.
struct Announced {
    header: u64,
    payload: u64,
}

/// What the header at the start of these bytes announces (RFC 6455, section 5.2); `None` if it is incomplete.
fn announced(bytes: &[u8]) -> Option<Announced> {
    const MASKED: u8 = 0x80;
    let second = *bytes.get(1)?;
    let extension = |length: usize| bytes.get(2..2 + length);
    let (extended, payload) = match second & !MASKED {
        126 => (2, extension(2)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))),
        127 => (8, extension(8)?.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))),
        short => (0, u64::from(short)),
    };
    let mask = if second & MASKED == 0 { 0 } else { 4 };
    let header = 2 + extended + mask;
    (bytes.len() as u64 >= header).then_some(Announced { header, payload })
}

#[cfg(test)]
mod tests {
    use actix_http::ws::{OpCode, Parser};
    use actix_web::FromRequest as _;
    use actix_web::test::TestRequest;

    use super::*;

    /// Everything that is read of these bytes, which arrive in pieces of `size`.
    async fn read(bytes: &[u8], size: usize, limit: usize) -> (Vec<Incoming>, Broken) {
        let pieces: Vec<_> = bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let stream = Box::pin(futures_util::stream::iter(pieces));
        let mut payload = actix_http::Payload::Stream { payload: stream as _ };
        let request = TestRequest::default().to_http_request();
        let payload = Payload::from_request(&request, &mut payload).await.unwrap();
        let mut inbox = Inbox::new(payload, limit);
        let mut messages = vec![];
        loop {
            match inbox.next().await {
                Ok(incoming) => messages.push(incoming),
                Err(broken) => return (messages, broken),
            }
        }
    }

    /// A whole message.
    fn frame(out: &mut BytesMut, text: &[u8], code: OpCode) {
        Parser::write_message(out, text, code, true, true);
    }

    /// A frame that others follow.
    fn begun(out: &mut BytesMut, text: &[u8], code: OpCode) {
        Parser::write_message(out, text, code, false, true);
    }

    #[actix_web::test]
    async fn messages_are_the_same_in_pieces_of_any_size() {
        let long = vec![b'x'; 70_000];
        let mut bytes = BytesMut::new();
        frame(&mut bytes, b"one", OpCode::Text);
        frame(&mut bytes, b"", OpCode::Text);
        begun(&mut bytes, b"t", OpCode::Text);
        frame(&mut bytes, b"p", OpCode::Ping);
        begun(&mut bytes, b"w", OpCode::Continue);
        frame(&mut bytes, b"o", OpCode::Continue);
        frame(&mut bytes, &[b'y'; 200], OpCode::Text);
        frame(&mut bytes, &long, OpCode::Text);
        Parser::write_close(&mut bytes, None, true);
        let expected = vec![
            Incoming::Text("one".into()),
            Incoming::Text(Bytes::new()),
            Incoming::Ping("p".into()),
            Incoming::Text("two".into()),
            Incoming::Text(vec![b'y'; 200].into()),
            Incoming::Text(long.into()),
            Incoming::Close(None),
        ];
        for size in [1, 2, 3, 7, 100, 4096, bytes.len()] {
            let (messages, broken) = read(&bytes, size, 1 << 20).await;
            assert_eq!((&messages, broken), (&expected, Broken::Gone), "{size}");
        }
    }

    #[actix_web::test]
    async fn a_message_above_the_limit_is_refused_at_its_header() {
        let mut bytes = BytesMut::new();
        frame(&mut bytes, &[b'x'; 11], OpCode::Text);
        assert_eq!(read(&bytes[..6], 6, 10).await, (vec![], Broken::TooLarge));
        let mut bytes = BytesMut::new();
        begun(&mut bytes, b"12345", OpCode::Text);
        frame(&mut bytes, b"123456", OpCode::Continue);
        assert_eq!(read(&bytes, 100, 10).await, (vec![], Broken::TooLarge));
        assert_eq!(read(&bytes, 100, 11).await.0.len(), 1);
        let huge = [0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
        assert_eq!(read(&huge, 100, 1 << 20).await, (vec![], Broken::TooLarge));
    }

    #[actix_web::test]
    async fn what_the_protocol_forbids_ends_the_connection() {
        let mut unmasked = BytesMut::new();
        Parser::write_message(&mut unmasked, b"x", OpCode::Text, true, false);
        let mut binary = BytesMut::new();
        frame(&mut binary, b"x", OpCode::Binary);
        let mut orphan = BytesMut::new();
        frame(&mut orphan, b"x", OpCode::Continue);
        let mut nested = BytesMut::new();
        begun(&mut nested, b"x", OpCode::Text);
        frame(&mut nested, b"x", OpCode::Text);
        let mut compressed = BytesMut::new();
        frame(&mut compressed, b"x", OpCode::Text);
        compressed[0] |= 0x40;
        for (bytes, broken) in [
            (unmasked, Broken::Protocol),
            (binary, Broken::Binary),
            (orphan, Broken::Protocol),
            (nested, Broken::Protocol),
            (compressed, Broken::Protocol),
            (BytesMut::from(&b"\x83\x80abcd"[..]), Broken::Protocol),
        ] {
            assert_eq!(read(&bytes, 100, 100).await, (vec![], broken), "{bytes:?}");
        }
    }
}
