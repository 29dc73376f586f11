//! Refusals from a request's head alone, while its body is still being sent.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::super::wire::{Framing, Head, Wire};
use super::Answer;

/// The requests that are refused unread, and how the connection ends.
#[derive(Clone)]
pub(super) struct Unread {
    /// Without an answer, the connection is reset.
    pub(super) answer: Option<Answer>,
    /// Only requests whose body is longer than this.
    pub(super) over: usize,
    /// Whether the body is read and discarded. Otherwise the connection is closed at once.
    pub(super) polite: bool,
}

impl Unread {
    pub(super) fn claims(&self, head: &Head) -> bool {
        match Framing::of_request(head) {
            Framing::Length(length) => self.polite || length > self.over,
            Framing::Chunked | Framing::UntilClose => true,
        }
    }

    /// Closing with unread bytes is a reset, which arrives after the answer.
    pub(super) fn refuse(&self, mut stream: &TcpStream, mut wire: Wire, head: &Head) {
        let Some(answer) = &self.answer else {
            let _set = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            return;
        };
        let sent = stream.write_all(&answer.head()).and_then(|()| stream.write_all(&answer.body()));
        if self.polite {
            let _drained = sent.and_then(|()| wire.body(Framing::of_request(head)));
        } else {
            let _finished = stream.shutdown(Shutdown::Write);
        }
    }
}
