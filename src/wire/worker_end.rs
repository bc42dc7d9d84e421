//! The worker's end of the channel: plain threads, no runtime.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::os::descriptor_passing::receive;
use crate::os::wakeup::Wakeup;
use crate::wire::frame::{
    FrameError, FrameKind, FramePrefix, HEAD_ROOM, PREFIX_LENGTH, READ_AHEAD,
};
use crate::wire::protocol::{FromWorker, ToWorker};
use crate::wire::shared_body::{self, ReceivedBody};

/// Receives what the server sends, descriptors included.
#[derive(Debug)]
pub struct ChannelReader {
    socket: Arc<UnixStream>,
    descriptors: VecDeque<OwnedFd>,
    /// Bytes that were read ahead; `left` is the range that was not handed out yet.
    ahead: Box<[u8]>,
    left: Range<usize>,
}

/// Sends to the server. Threads may send at the same time; messages do not mix.
#[derive(Debug)]
pub struct ChannelWriter {
    socket: Arc<UnixStream>,
    sending: Mutex<()>,
}

/// Takes over the worker's end of the socket pair.
pub fn open(channel: OwnedFd) -> Result<(ChannelReader, ChannelWriter), FrameError> {
    rustix::io::fcntl_setfd(&channel, rustix::io::FdFlags::CLOEXEC).map_err(io::Error::from)?;
    // One descriptor for both: children that the model forks close exactly that one.
    let socket = Arc::new(UnixStream::from(channel));
    let writer = ChannelWriter { socket: Arc::clone(&socket), sending: Mutex::new(()) };
    let ahead = vec![0; READ_AHEAD].into_boxed_slice();
    Ok((ChannelReader { socket, descriptors: VecDeque::new(), ahead, left: 0..0 }, writer))
}

impl ChannelReader {
    /// The next message and its body; none when the server closed the channel.
    pub fn receive(&mut self) -> Result<Option<(ToWorker, ReceivedBody)>, FrameError> {
        let mut prefix = [0; PREFIX_LENGTH];
        if !self.fill(&mut prefix)? {
            return Ok(None);
        }
        let prefix = FramePrefix::decode(prefix)?;
        let mut header = vec![0; prefix.header];
        let mut body = vec![0; prefix.body];
        if !self.fill(&mut header)? || !self.fill(&mut body)? {
            return Ok(None);
        }
        let body = if prefix.kind == FrameKind::Descriptor {
            let descriptor = self.descriptors.pop_front().ok_or(FrameError::DescriptorMissing)?;
            shared_body::unpack(descriptor)?
        } else {
            ReceivedBody::Inline(body)
        };
        Ok(Some((serde_json::from_slice(&header)?, body)))
    }

    /// Whether something comes within `patience`, and before `wakeup` wakes; the end of the stream counts.
    pub fn comes_within(&self, patience: Duration, wakeup: Option<&Wakeup>) -> io::Result<bool> {
        if !self.left.is_empty() {
            return Ok(true);
        }
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        let socket = PollFd::new(&*self.socket, PollFlags::IN);
        let Some(wakeup) = wakeup else {
            return Ok(
                rustix::io::retry_on_intr(|| poll(&mut [socket.clone()], Some(&patience)))? > 0
            );
        };
        let mut waited = [socket, PollFd::new(wakeup, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut waited, Some(&patience)))?;
        if !waited[1].revents().is_empty() {
            wakeup.clear();
        }
        Ok(!waited[0].revents().is_empty())
    }

    /// Whether a whole message was read ahead.
    pub fn has_message(&self) -> bool {
        let ahead = &self.ahead[self.left.clone()];
        let Some(prefix) = ahead.first_chunk::<PREFIX_LENGTH>() else { return false };
        FramePrefix::decode(*prefix)
            .is_ok_and(|of| PREFIX_LENGTH + of.header + of.body <= ahead.len())
    }

    /// Fills `out`; false at the end of the stream.
    fn fill(&mut self, out: &mut [u8]) -> Result<bool, FrameError> {
        let mut done = 0;
        while done < out.len() {
            if !self.left.is_empty() {
                let length = self.left.len().min(out.len() - done);
                let begin = self.left.start;
                out[done..done + length].copy_from_slice(&self.ahead[begin..begin + length]);
                self.left.start += length;
                done += length;
                continue;
            }
            // What is long is not copied twice.
            let rest = &mut out[done..];
            let is_long = rest.len() >= READ_AHEAD;
            let into = if is_long { rest } else { &mut self.ahead };
            let length = receive(&*self.socket, into, &mut self.descriptors)?;
            if length == 0 {
                return Ok(false);
            }
            if is_long {
                done += length;
            } else {
                self.left = 0..length;
            }
        }
        Ok(true)
    }
}

impl ChannelWriter {
    pub fn send(&self, message: &FromWorker, body: &[u8]) -> Result<(), FrameError> {
        let mut head = Vec::with_capacity(HEAD_ROOM);
        head.resize(PREFIX_LENGTH, 0);
        serde_json::to_writer(&mut head, message)?;
        let prefix = FramePrefix::new(FrameKind::Inline, head.len() - PREFIX_LENGTH, body.len())?;
        head[..PREFIX_LENGTH].copy_from_slice(&prefix.encode());
        let _whole = self.sending.lock();
        let mut socket = &*self.socket;
        let mut done = 0;
        while done < head.len() {
            done += socket.write_vectored(&[IoSlice::new(&head[done..]), IoSlice::new(body)])?;
        }
        socket.write_all(&body[done - head.len()..])?;
        Ok(())
    }
}
