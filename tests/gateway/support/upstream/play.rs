//! Sends an answer on its socket, including its faults.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use super::Stage;
use super::answer::{Answer, Ending, Framed, Piece};

/// Whether the connection can serve another request.
pub(super) fn play(stream: &TcpStream, stage: &Arc<Stage>, (index, answer): (usize, &Answer)) -> bool {
    let mut player = Player { stream, stage, index, chunked: answer.framing == Framed::Chunked };
    let played = player.act(answer);
    if played.is_err() {
        stage.update(index, |seen| {
            seen.closed.get_or_insert_with(std::time::Instant::now);
        });
    }
    matches!(played, Ok(true)) && answer.ending == Ending::KeepAlive
}

/// Ends the connection as the script says. The watcher also holds the socket, so it must release it first.
pub(super) fn end(stream: TcpStream, answer: &Answer, watcher: JoinHandle<()>) {
    match answer.ending {
        Ending::Reset => {
            let _set = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let _stopped = stream.shutdown(Shutdown::Read);
            let _joined = watcher.join();
            drop(stream);
        }
        Ending::KeepAlive | Ending::Close | Ending::Cut => {
            let _finished = stream.shutdown(Shutdown::Write);
            // Waits until the peer closes too: closing first, with unread bytes, would turn the FIN into a RST.
            let _joined = watcher.join();
        }
    }
}

struct Player<'a> {
    stream: &'a TcpStream,
    stage: &'a Stage,
    index: usize,
    chunked: bool,
}

impl Player<'_> {
    /// `Ok(false)` if the script stopped because the peer has disconnected or the test has ended.
    fn act(&mut self, answer: &Answer) -> io::Result<bool> {
        for piece in &answer.before_head {
            if !self.piece(piece)? {
                return Ok(false);
            }
        }
        self.write(&answer.head())?;
        for piece in &answer.pieces {
            if !self.piece(piece)? {
                return Ok(false);
            }
        }
        let proper = matches!(answer.ending, Ending::KeepAlive | Ending::Close);
        if self.chunked && proper {
            self.write(b"0\r\n\r\n")?;
        }
        Ok(true)
    }

    fn piece(&mut self, piece: &Piece) -> io::Result<bool> {
        match piece {
            Piece::Bytes(bytes) => self.body(bytes)?,
            Piece::Trickle(bytes) => {
                for byte in bytes {
                    self.body(std::slice::from_ref(byte))?;
                }
            }
            Piece::Permit => return Ok(self.stage.take_permit(self.index)),
            Piece::Pause(pause) => thread::sleep(*pause),
            Piece::Silence => {
                self.stage.hold(self.index);
                return Ok(false);
            }
            Piece::Flood(bytes) => loop {
                self.body(bytes)?;
            },
        }
        Ok(true)
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        // An empty chunk would end the body.
        if bytes.is_empty() {
            return Ok(());
        }
        if self.chunked {
            let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
            chunk.extend_from_slice(bytes);
            chunk.extend_from_slice(b"\r\n");
            self.write(&chunk)?;
        } else {
            self.write(bytes)?;
        }
        self.stage.update(self.index, |seen| seen.written += bytes.len());
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }
}
