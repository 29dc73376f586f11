//! Finds the end of an HTTP/1.1 reply (RFC 9112), and decides whether its connection can carry another request.
//!
//! [`ReplyReader`] alone decides this in the gateway: the HTTP client behind it receives heads without framing headers
//! and bodies without chunks, so the two cannot disagree about the end of a reply.

use bytes::{Buf as _, BytesMut};
use thiserror::Error;

use self::chunked::ChunkDecoder;
use self::head::{BodyEnd, Parsed};

mod chunked;
mod head;

/// The largest head of a reply, interim heads included, in bytes. The HTTP client has the same limit.
pub const LARGEST_HEAD: usize = 128 << 10;

/// Why a reply cannot be read. The connection that it came on must be closed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ReplyError {
    #[error("the reply is not HTTP/1.1")]
    NotHttp,
    #[error("the head of the reply is malformed")]
    Head,
    #[error("the head of the reply has more than {} KiB or more than {} headers", LARGEST_HEAD >> 10, head::MOST_HEADERS)]
    HeadTooLarge,
    #[error("the upstream switched protocols (101), which the request did not ask for")]
    Switched,
    #[error("the content-length of the reply is invalid or contradicts itself")]
    Length,
    #[error("the reply has a transfer-encoding other than chunked")]
    TransferEncoding,
    #[error("the chunks of the reply are malformed")]
    Chunks,
    #[error("the connection closed before the end of the reply")]
    Cut,
}

/// Reads one reply to a GET or POST request: skips interim (1xx) heads and removes the framing.
#[derive(Debug, Default)]
pub struct ReplyReader {
    state: ReplyState,
    /// Bytes of interim heads so far.
    interim: usize,
    /// Bytes at the front of the input that are known not to contain the end of a head.
    searched: usize,
    /// The status of the final head.
    status: u16,
    close: Close,
    /// How long the upstream keeps an idle connection, in seconds, if it states so.
    keep_alive: Option<u64>,
}

#[derive(Debug, Default)]
enum ReplyState {
    #[default]
    Head,
    /// The number of missing bytes of the body.
    Length(u64),
    Chunked(ChunkDecoder),
    UntilClose,
    End,
}

/// Whether the connection must close after the reply, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Close {
    #[default]
    No,
    /// The upstream closes the connection, or its framing is ambiguous.
    Yes,
    /// Bytes follow the end of the reply: the upstream and the gateway disagree about where it ends.
    Excess,
}

impl ReplyReader {
    /// Reads heads from the front of `input`. After the final head, appends it to `output` in the form for the HTTP
    /// client and returns true; the rest of `input` belongs to the body. Returns false if more input is needed.
    ///
    /// # Errors
    /// The head is malformed or too large. The reader cannot be used any further.
    pub fn head(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Result<bool, ReplyError> {
        while matches!(self.state, ReplyState::Head) {
            let start = &input[..input.len().min(head::PREFIX.len())];
            if !head::PREFIX.starts_with(start) {
                return Err(ReplyError::NotHttp);
            }
            let Some(length) = head::find_end(input, &mut self.searched) else {
                return if input.len() + self.interim > LARGEST_HEAD {
                    Err(ReplyError::HeadTooLarge)
                } else {
                    Ok(false)
                };
            };
            if length + self.interim > LARGEST_HEAD {
                return Err(ReplyError::HeadTooLarge);
            }
            let parsed = head::parse(&input[..length], output)?;
            self.searched = 0;
            input.advance(length);
            match parsed {
                Parsed::Interim => self.interim += length,
                Parsed::Final { status, body, reusable, keep_alive } => {
                    self.status = status;
                    self.close = if reusable { Close::No } else { Close::Yes };
                    self.keep_alive = keep_alive;
                    self.state = match body {
                        BodyEnd::Length(0) => ReplyState::End,
                        BodyEnd::Length(length) => ReplyState::Length(length),
                        BodyEnd::Chunked => ReplyState::Chunked(ChunkDecoder::default()),
                        BodyEnd::UntilClose => ReplyState::UntilClose,
                    };
                }
            }
        }
        if self.ended() && !input.is_empty() {
            self.close = Close::Excess;
        }
        Ok(true)
    }

    /// Moves the body's content to the front of `bytes` and returns its length. Call this after [`head`](Self::head)
    /// has returned true.
    ///
    /// # Errors
    /// The chunks are malformed. The reader cannot be used any further.
    pub fn body(&mut self, bytes: &mut [u8]) -> Result<usize, ReplyError> {
        match &mut self.state {
            ReplyState::Length(missing) => {
                let available = bytes.len() as u64;
                if available < *missing {
                    *missing -= available;
                    return Ok(bytes.len());
                }
                let length = usize::try_from(*missing).map_err(|_| ReplyError::Length)?;
                self.end(bytes.len() - length);
                Ok(length)
            }
            ReplyState::Chunked(chunked) => {
                let decoded = chunked.decode(bytes)?;
                if decoded.ended {
                    self.end(bytes.len() - decoded.read);
                }
                Ok(decoded.length)
            }
            ReplyState::UntilClose => Ok(bytes.len()),
            ReplyState::Head | ReplyState::End => {
                self.end(bytes.len());
                Ok(0)
            }
        }
    }

    fn end(&mut self, excess: usize) {
        self.state = ReplyState::End;
        if excess > 0 {
            self.close = Close::Excess;
        }
    }

    /// Reports that the connection has closed.
    ///
    /// # Errors
    /// The reply is incomplete.
    pub fn closed(&mut self) -> Result<(), ReplyError> {
        match self.state {
            ReplyState::UntilClose => self.state = ReplyState::End,
            ReplyState::End => {}
            ReplyState::Head | ReplyState::Length(_) | ReplyState::Chunked(_) => return Err(ReplyError::Cut),
        }
        self.close = self.close.max(Close::Yes);
        Ok(())
    }

    /// Whether the final head is still missing.
    pub fn in_head(&self) -> bool {
        matches!(self.state, ReplyState::Head)
    }

    /// Returns the status of the reply; 0 before its final head.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the reply has been read completely.
    pub fn ended(&self) -> bool {
        matches!(self.state, ReplyState::End)
    }

    /// Whether the connection can carry another request: the reply ended exactly where its framing says, the framing is
    /// unambiguous, and the upstream keeps the connection open.
    pub fn reusable(&self) -> bool {
        self.ended() && self.close == Close::No
    }

    /// Whether bytes followed the end of the reply.
    pub fn has_excess(&self) -> bool {
        self.close == Close::Excess
    }

    /// Returns how long the upstream keeps an idle connection, in seconds (`keep-alive: timeout=5`), if it states so.
    pub fn keep_alive(&self) -> Option<u64> {
        self.keep_alive
    }
}
