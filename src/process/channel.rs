//! The channel between the master and a worker: messages as JSON, each with an optional attachment and descriptors, over a
//! pair of Unix sockets. It also carries a master's state to the program that replaces it.

pub(crate) mod messages;

use std::fs::File;
use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use vandamme_actors::exported_state;

/// The longest message: a report of a reload may be long.
const LONGEST_MESSAGE: usize = 2 << 20;
/// The longest attachment: the state that a worker hands over.
const LONGEST_ATTACHMENT: usize = exported_state::MAX_BYTES;
/// The most descriptors of one message.
const MOST_DESCRIPTORS: usize = 32;
/// The header of a message: the lengths of its JSON and of its attachment, in bytes.
const HEADER: usize = 8;
/// The longest time for a started message to be written or read completely.
const PATIENCE: Duration = Duration::from_secs(5);

/// Descriptors that arrive must not leak into programs that this process starts.
#[cfg(target_os = "linux")]
const RECEIVE: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const RECEIVE: RecvFlags = RecvFlags::empty();

/// One end of the channel.
pub(crate) struct Channel {
    socket: UnixStream,
}

/// One message as it arrived.
pub(crate) struct Packet<T> {
    /// `None` if it is of another version and cannot be understood.
    pub(crate) message: Option<T>,
    /// Empty if the message has none.
    pub(crate) attachment: Vec<u8>,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Channel {
    /// Both ends. Neither is inherited by another program.
    ///
    /// # Errors
    /// If the process has no descriptors left.
    pub(crate) fn pair() -> Result<(Self, OwnedFd)> {
        let (ours, theirs) = UnixStream::pair()?;
        Ok((Self::new(ours)?, theirs.into()))
    }

    /// The channel that this process has as its stdin, which becomes `/dev/null`.
    ///
    /// # Errors
    /// If stdin is no socket.
    pub(crate) fn from_stdin() -> Result<Self> {
        let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
        rustix::net::sockopt::socket_type(&socket)?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Self::new(socket.into())
    }

    /// # Errors
    /// If it is no socket.
    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> Result<Self> {
        Self::new(descriptor.into())
    }

    fn new(socket: UnixStream) -> Result<Self> {
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket })
    }

    pub(crate) fn try_clone(&self) -> Result<Self> {
        Ok(Self { socket: self.socket.try_clone()? })
    }

    /// Sends one message.
    ///
    /// # Errors
    /// If it is too long, if the other end is closed, or if it is not read in time. After an error the channel is unusable.
    pub(crate) fn send<T: Serialize>(
        &self,
        message: &T,
        attachment: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<()> {
        let json = serde_json::to_vec(message)?;
        if json.len() > LONGEST_MESSAGE || attachment.len() > LONGEST_ATTACHMENT {
            return Err(Error::new(ErrorKind::InvalidInput, "the message is too long for the channel"));
        }
        let frame = [&length(json.len()), &length(attachment.len()), &*json, attachment].concat();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(Error::new(ErrorKind::InvalidInput, "too many descriptors for one message"));
        }
        let mut sent =
            retried(|| sendmsg(&self.socket, &[IoSlice::new(&frame)], &mut control, SendFlags::empty()))?;
        while let Some(rest) = frame.get(sent..).filter(|rest| !rest.is_empty()) {
            sent += retried(|| rustix::net::send(&self.socket, rest, SendFlags::empty()))?;
        }
        Ok(())
    }

    /// Waits for the next message; `None` once the other end is closed.
    ///
    /// # Errors
    /// If the message is too long, or is cut off.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> Result<Option<Packet<T>>> {
        let mut descriptors = Vec::new();
        let mut header = [0; HEADER];
        self.socket.set_read_timeout(None)?;
        let begun = self.read(&mut header, &mut descriptors)?;
        if begun == 0 {
            return Ok(None);
        }
        self.socket.set_read_timeout(Some(PATIENCE))?;
        self.fill(&mut header[begun..], &mut descriptors)?;
        let (json, attachment) = (size(&header[..4]), size(&header[4..]));
        if json > LONGEST_MESSAGE || attachment > LONGEST_ATTACHMENT {
            return Err(Error::new(ErrorKind::InvalidData, "the message is too long for the channel"));
        }
        let mut text = vec![0; json];
        self.fill(&mut text, &mut descriptors)?;
        let mut attached = vec![0; attachment];
        self.fill(&mut attached, &mut descriptors)?;
        Ok(Some(Packet { message: serde_json::from_slice(&text).ok(), attachment: attached, descriptors }))
    }

    fn fill(&self, mut buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<()> {
        while !buffer.is_empty() {
            let read = self.read(buffer, descriptors)?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            buffer = &mut buffer[read..];
        }
        Ok(())
    }

    fn read(&self, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let read =
            retried(|| recvmsg(&self.socket, &mut [IoSliceMut::new(&mut *buffer)], &mut control, RECEIVE))?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(arrived) = message {
                descriptors.extend(arrived);
            }
        }
        Ok(read.bytes)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A signal may interrupt a system call.
fn retried<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            outcome => return Ok(outcome?),
        }
    }
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

fn size(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |size, byte| size << 8 | usize::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::thread;

    use super::*;

    fn pair() -> [Channel; 2] {
        let (one, other) = Channel::pair().unwrap();
        [one, Channel::from_descriptor(other).unwrap()]
    }

    /// Requirement: messages, descriptors and a state of up to 8 MiB pass between master and worker unchanged.
    #[test]
    fn a_message_arrives_with_its_attachment_and_its_descriptors() {
        let [one, other] = pair();
        let (mut near, far) = UnixStream::pair().unwrap();
        let state: Vec<u8> = (0..LONGEST_ATTACHMENT).map(|at| (at % 251) as u8).collect();
        let sent = state.clone();
        let sending = thread::spawn(move || {
            one.send(&"first", &sent, &[far.as_fd()]).unwrap();
            one.send(&"second", &[], &[]).unwrap();
        });

        let packet = other.receive::<String>().unwrap().unwrap();

        assert_eq!((packet.message.as_deref(), packet.attachment == state), (Some("first"), true));
        let mut passed: Vec<UnixStream> = packet.descriptors.into_iter().map(UnixStream::from).collect();
        passed[0].write_all(b"hi").unwrap();
        let mut read = [0; 2];
        near.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"hi");
        let packet = other.receive::<String>().unwrap().unwrap();
        assert_eq!((packet.message.as_deref(), packet.descriptors.len()), (Some("second"), 0));
        sending.join().unwrap();
        assert!(other.receive::<String>().unwrap().is_none(), "the other end is closed");
    }

    /// Requirement: processes of two versions can talk to each other: an unknown message is skipped.
    #[test]
    fn a_message_of_another_version_is_skipped() {
        let [one, other] = pair();
        one.send(&serde_json::json!({"new": 1}), &[], &[]).unwrap();
        one.send(&"known", &[], &[]).unwrap();
        assert_eq!(other.receive::<String>().unwrap().unwrap().message, None);
        assert_eq!(other.receive::<String>().unwrap().unwrap().message.as_deref(), Some("known"));
    }

    /// Requirement: every message has a bound.
    #[test]
    fn what_is_too_long_is_refused_on_both_ends() {
        let [one, other] = pair();
        assert!(one.send(&"", &vec![0; LONGEST_ATTACHMENT + 1], &[]).is_err());
        (&one.socket).write_all(&[0xff; HEADER]).unwrap();
        assert!(other.receive::<String>().is_err());
    }
}
