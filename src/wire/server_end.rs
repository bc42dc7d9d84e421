//! The server's end of the channel to a worker: tokio tasks, nothing blocks.
//!
//! In and out: messages and their bodies. Large bodies are sent as descriptors.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::{Mutex, MutexGuard};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::wire::frame::{
    FrameError, FrameKind, FramePrefix, HEAD_ROOM, INLINE_LIMIT, PREFIX_LENGTH, READ_AHEAD,
};
use crate::wire::protocol::{FromWorker, ToWorker};
use crate::wire::shared_body::SharedBody;

/// A message that is being sent.
struct OutgoingMessage {
    /// Prefix and header.
    head: Vec<u8>,
    body: SharedBody,
    /// Number of bytes that the socket has taken.
    sent: usize,
}

/// The sending half of the server's end; cheap to clone, never blocks.
#[derive(Debug, Clone)]
pub struct MessageSender {
    outbox: Arc<Outbox>,
}

/// Messages to be sent. A task that sends writes to the socket itself, unless another one is writing, which
/// then writes this message too. A task is started for that only when the socket has no room.
#[derive(Debug)]
struct Outbox {
    stream: OwnedWriteHalf,
    queue: Mutex<OutboxQueue>,
}

#[derive(Debug, Default)]
struct OutboxQueue {
    waiting: VecDeque<OutgoingMessage>,
    /// A task is writing.
    writing: bool,
    /// The worker is gone, and nothing is sent any more.
    closed: bool,
}

impl std::fmt::Debug for OutgoingMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").field("head", &self.head.len()).finish_non_exhaustive()
    }
}

impl MessageSender {
    /// Sends a message, or queues it. A message to a worker that is gone is dropped: a call that waits for
    /// its answer learns of the death from the supervisor.
    pub async fn send(
        &self,
        message: &ToWorker,
        body: impl Into<SharedBody> + Send,
    ) -> Result<(), FrameError> {
        let body = body.into();
        let mut head = Vec::with_capacity(HEAD_ROOM);
        head.resize(PREFIX_LENGTH, 0);
        serde_json::to_writer(&mut head, message)?;
        let body = if body.len() > INLINE_LIMIT { in_file(body).await? } else { body };
        let (kind, inline) = match body.file() {
            Some(_) => (FrameKind::Descriptor, 0),
            None => (FrameKind::Inline, body.len()),
        };
        let prefix = FramePrefix::new(kind, head.len() - PREFIX_LENGTH, inline)?;
        head[..PREFIX_LENGTH].copy_from_slice(&prefix.encode());
        self.outbox.post(OutgoingMessage { head, body, sent: 0 });
        Ok(())
    }
}

impl Outbox {
    fn post(self: &Arc<Self>, message: OutgoingMessage) {
        {
            let mut queue = self.queue();
            if queue.closed {
                return;
            }
            if queue.writing {
                queue.waiting.push_back(message);
                return;
            }
            queue.writing = true;
        }
        let mut next = Some(message);
        while let Some(mut message) = next {
            match message.write(&self.stream) {
                Ok(()) => next = self.next(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::spawn(Arc::clone(self).drain(message));
                    return;
                }
                Err(_) => return self.give_up(),
            }
        }
    }

    /// Sends what is queued, waiting for room in the socket.
    async fn drain(self: Arc<Self>, message: OutgoingMessage) {
        let mut next = Some(message);
        while let Some(mut message) = next {
            let written = loop {
                if let Err(error) = self.stream.writable().await {
                    break Err(error);
                }
                match message.write(&self.stream) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    written => break written,
                }
            };
            if written.is_err() {
                return self.give_up();
            }
            next = self.next();
        }
    }

    /// The next message; without one, the task that posts next writes.
    fn next(&self) -> Option<OutgoingMessage> {
        let mut queue = self.queue();
        let next = queue.waiting.pop_front();
        queue.writing = next.is_some();
        next
    }

    /// The worker is gone: the supervisor answers for the requests that are still queued here.
    fn give_up(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        queue.waiting.clear();
    }

    fn queue(&self) -> MutexGuard<'_, OutboxQueue> {
        self.queue.lock()
    }
}

impl OutgoingMessage {
    /// Writes as much as there is room for; an error of kind `WouldBlock` where that is not all.
    fn write(&mut self, stream: &OwnedWriteHalf) -> io::Result<()> {
        let Self { head, body, .. } = self;
        let length = head.len() + if body.file().is_some() { 0 } else { body.len() };
        while self.sent < length {
            self.sent += match (body.file(), head.get(self.sent..)) {
                (Some(file), Some(head)) if self.sent == 0 => send_with(stream, head, file)?,
                (Some(_), Some(head)) => stream.try_write(head)?,
                (None, Some(head)) => {
                    stream.try_write_vectored(&[IoSlice::new(head), IoSlice::new(body)])?
                }
                (_, None) => stream.try_write(&body[self.sent - head.len()..])?,
            };
        }
        Ok(())
    }
}

/// Sends the descriptor with the first bytes of the head; the rest follows as plain bytes.
fn send_with(stream: &OwnedWriteHalf, head: &[u8], descriptor: &OwnedFd) -> io::Result<usize> {
    let descriptors = [descriptor.as_fd()];
    let socket: &UnixStream = stream.as_ref();
    socket.try_io(Interest::WRITABLE, || {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
        Ok(sendmsg(socket, &[IoSlice::new(head)], &mut ancillary, SendFlags::empty())?)
    })
}

/// Puts a large body into a file, unless it lies in one. Copying hundreds of megabytes takes tens of
/// milliseconds, too long for a thread that serves other requests.
async fn in_file(body: SharedBody) -> io::Result<SharedBody> {
    if body.file().is_some() {
        return Ok(body);
    }
    tokio::task::spawn_blocking(move || body.copied_to_file()).await.map_err(io::Error::other)?
}

/// The receiving half of the server's end.
#[derive(Debug)]
pub struct MessageReceiver {
    stream: BufReader<OwnedReadHalf>,
}

impl MessageReceiver {
    /// The next message and its body; none when the worker closed the channel.
    pub async fn receive(&mut self) -> Result<Option<(FromWorker, Bytes)>, FrameError> {
        let mut prefix = [0; PREFIX_LENGTH];
        match self.stream.read_exact(&mut prefix).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let prefix = FramePrefix::decode(prefix)?;
        let mut rest = BytesMut::zeroed(prefix.header + prefix.body);
        self.stream.read_exact(&mut rest).await?;
        let body = rest.split_off(prefix.header).freeze();
        Ok(Some((serde_json::from_slice(&rest)?, body)))
    }
}

/// Takes over the server's end of the socket pair; must be called inside the runtime.
pub fn open(stream: UnixStream) -> (MessageSender, MessageReceiver) {
    let (read, stream) = stream.into_split();
    let outbox = Arc::new(Outbox { stream, queue: Mutex::default() });
    (
        MessageSender { outbox },
        MessageReceiver { stream: BufReader::with_capacity(READ_AHEAD, read) },
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream as StdStream;

    use super::*;
    use crate::testing::run_in_time;
    use crate::wire::http::HttpHead;
    use crate::wire::protocol::{ModelId, RequestId};
    use crate::wire::worker_end;

    fn pair() -> (UnixStream, OwnedFd) {
        let (server, worker) = StdStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        (UnixStream::from_std(server).unwrap(), worker.into())
    }

    fn predict(request: RequestId) -> ToWorker {
        let http = HttpHead::default();
        ToWorker::Predict { request, model: ModelId(1), force_reload: false, http, batch: None }
    }

    #[test]
    fn messages_of_every_size_arrive_in_order() {
        run_in_time(|| async {
            let (server, worker) = pair();
            let (sender, mut receiver) = open(server);
            let sizes = [0, 1, INLINE_LIMIT, INLINE_LIMIT + 1, 5, 9 << 20, 3];
            let echo = std::thread::spawn(move || {
                let (mut reader, writer) = worker_end::open(worker).unwrap();
                while let Some((message, body)) = reader.receive().unwrap() {
                    let ToWorker::Predict { request, .. } = message else { panic!("{message:?}") };
                    writer.send(&FromWorker::Fitted { request }, &body).unwrap();
                }
            });
            for (request, size) in (0..).zip(sizes) {
                let body = Bytes::from(vec![u8::try_from(request).unwrap(); size]);
                sender.send(&predict(RequestId(request)), body).await.unwrap();
            }
            for (request, size) in (0..).zip(sizes) {
                let (message, body) = receiver.receive().await.unwrap().unwrap();
                assert_eq!(message, FromWorker::Fitted { request: RequestId(request) });
                assert_eq!(body.len(), size);
                assert!(body.iter().all(|byte| u64::from(*byte) == request));
            }
            drop((sender, receiver));
            tokio::task::spawn_blocking(move || echo.join().unwrap()).await.unwrap();
        });
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_socket_without_room_holds_up_nobody() {
        const EACH: u64 = 40;
        let (server, worker) = pair();
        let (sender, _receiver) = open(server);
        let senders: Vec<_> = (0..4)
            .map(|n| {
                let sender = sender.clone();
                tokio::spawn(async move {
                    for m in 0..EACH {
                        let size = usize::try_from(m * 13_007).unwrap();
                        let body = Bytes::from(vec![u8::try_from(n).unwrap(); size]);
                        sender.send(&predict(RequestId(n * EACH + m)), body).await.unwrap();
                    }
                })
            })
            .collect();
        // The worker does not read yet, and there are 40 MB.
        for sent in senders {
            sent.await.unwrap();
        }
        let read = tokio::task::spawn_blocking(move || {
            let (mut reader, _writer) = worker_end::open(worker).unwrap();
            let mut next = [0; 4];
            for _ in 0..4 * EACH {
                let (message, body) = reader.receive().unwrap().unwrap();
                let ToWorker::Predict { request, .. } = message else { panic!("{message:?}") };
                let (n, m) = (request.0 / EACH, request.0 % EACH);
                let expected = &mut next[usize::try_from(n).unwrap()];
                assert_eq!(m, *expected, "in the order of their sender");
                *expected += 1;
                assert_eq!(body.len(), usize::try_from(m * 13_007).unwrap());
                assert!(body.iter().all(|byte| u64::from(*byte) == n));
            }
            assert!(!reader.comes_within(std::time::Duration::from_millis(1), None).unwrap());
        });
        read.await.unwrap();
    }

    #[test]
    fn a_closed_channel_ends_the_stream() {
        run_in_time(|| async {
            let (server, worker) = pair();
            let (_sender, mut receiver) = open(server);
            drop(worker);
            assert!(receiver.receive().await.unwrap().is_none());
        });
    }

    #[test]
    fn garbage_is_an_error_and_no_panic() {
        run_in_time(|| async {
            let (server, worker) = pair();
            let (_sender, mut receiver) = open(server);
            std::io::Write::write_all(&mut StdStream::from(worker), &[9; 64]).unwrap();
            assert!(matches!(receiver.receive().await, Err(FrameError::UnknownKind(9))));
        });
    }
}
