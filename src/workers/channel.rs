//! The two ends of the socket pair between the server and a worker.
//!
//! [`blocking`] is the worker's end (plain threads), [`open`] the server's (tokio). Both carry
//! `(message, body)`; only the server's end sends bodies by descriptor.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use bytes::{Bytes, BytesMut};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::frame::{FrameError, INLINE_LIMIT, Kind, PREFIX, Prefix};
use super::handoff;
use super::protocol::{FromWorker, ToWorker};

struct Outgoing {
    /// Prefix and header.
    head: Vec<u8>,
    body: Body,
}

enum Body {
    Inline(Bytes),
    Handoff(OwnedFd),
}

/// The sending half of the server's end; cheap to clone, never blocks.
#[derive(Debug, Clone)]
pub struct Sender {
    outgoing: mpsc::UnboundedSender<Outgoing>,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").field("head", &self.head.len()).finish_non_exhaustive()
    }
}

impl Sender {
    /// Puts a message on its way. A message to a worker that is gone is dropped: whoever waits for
    /// its answer learns of the death from the supervisor.
    pub async fn send(&self, message: &ToWorker, body: Bytes) -> Result<(), FrameError> {
        let header = serde_json::to_vec(message)?;
        let (kind, inline) =
            if body.len() > INLINE_LIMIT { (Kind::Handoff, 0) } else { (Kind::Inline, body.len()) };
        let prefix = Prefix::new(kind, header.len(), inline)?;
        let mut head = Vec::with_capacity(PREFIX + header.len());
        head.extend_from_slice(&prefix.encode());
        head.extend_from_slice(&header);
        let body = match kind {
            Kind::Inline => Body::Inline(body),
            Kind::Handoff => Body::Handoff(pack(body).await?),
        };
        let _ = self.outgoing.send(Outgoing { head, body });
        Ok(())
    }
}

/// Copying hundreds of megabytes takes tens of milliseconds, too long for a thread that serves
/// other requests.
async fn pack(body: Bytes) -> io::Result<OwnedFd> {
    tokio::task::spawn_blocking(move || handoff::pack(&body)).await.map_err(io::Error::other)?
}

/// The receiving half of the server's end.
#[derive(Debug)]
pub struct Receiver {
    stream: BufReader<OwnedReadHalf>,
}

impl Receiver {
    /// The next message and its body; none when the worker closed the channel.
    pub async fn receive(&mut self) -> Result<Option<(FromWorker, Bytes)>, FrameError> {
        let mut prefix = [0; PREFIX];
        match self.stream.read_exact(&mut prefix).await {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let prefix = Prefix::decode(prefix)?;
        let mut rest = BytesMut::zeroed(prefix.header + prefix.body);
        self.stream.read_exact(&mut rest).await?;
        let body = rest.split_off(prefix.header).freeze();
        Ok(Some((serde_json::from_slice(&rest)?, body)))
    }
}

/// Takes over the server's end of the socket pair; must be called inside the runtime.
pub fn open(stream: UnixStream) -> (Sender, Receiver) {
    let (read, write) = stream.into_split();
    let (outgoing, queue) = mpsc::unbounded_channel();
    tokio::spawn(write_all(write, queue));
    (Sender { outgoing }, Receiver { stream: BufReader::with_capacity(64 << 10, read) })
}

async fn write_all(mut stream: OwnedWriteHalf, mut queue: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(Outgoing { head, body }) = queue.recv().await {
        let written = match body {
            Body::Inline(body) => write_inline(&mut stream, &head, &body).await,
            Body::Handoff(descriptor) => write_handoff(&mut stream, &head, &descriptor).await,
        };
        // The worker is gone: the supervisor answers for the requests that are still queued here.
        if written.is_err() {
            return;
        }
    }
}

async fn write_inline(stream: &mut OwnedWriteHalf, head: &[u8], body: &[u8]) -> io::Result<()> {
    let mut done = 0;
    while done < head.len() {
        let slices = [IoSlice::new(&head[done..]), IoSlice::new(body)];
        done += stream.write_vectored(&slices).await?;
    }
    stream.write_all(&body[done - head.len()..]).await
}

/// The descriptor rides on the first bytes of the head; the rest follows as plain bytes.
async fn write_handoff(
    stream: &mut OwnedWriteHalf,
    head: &[u8],
    descriptor: &OwnedFd,
) -> io::Result<()> {
    let descriptors = [descriptor.as_fd()];
    let socket: &UnixStream = stream.as_ref();
    let sent = socket
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
            Ok(sendmsg(socket, &[IoSlice::new(head)], &mut ancillary, SendFlags::empty())?)
        })
        .await?;
    stream.write_all(&head[sent..]).await
}

/// The worker's end of the channel: plain threads, no runtime.
pub mod blocking {
    use std::collections::VecDeque;
    use std::io::{IoSliceMut, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::{Arc, Mutex, PoisonError};

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::{
        FrameError, FromWorker, IoSlice, Kind, MaybeUninit, OwnedFd, PREFIX, Prefix, ToWorker,
        handoff, io,
    };

    /// Receives what the server sends, descriptors included.
    #[derive(Debug)]
    pub struct Reader {
        socket: Arc<UnixStream>,
        descriptors: VecDeque<OwnedFd>,
    }

    /// Sends to the server; whole messages, whichever threads send at once.
    #[derive(Debug)]
    pub struct Writer {
        socket: Arc<UnixStream>,
        sending: Mutex<()>,
    }

    /// Takes over the worker's end of the socket pair.
    pub fn open(channel: OwnedFd) -> Result<(Reader, Writer), FrameError> {
        rustix::io::fcntl_setfd(&channel, rustix::io::FdFlags::CLOEXEC).map_err(io::Error::from)?;
        // One descriptor for both: children that the model forks close exactly that one.
        let socket = Arc::new(UnixStream::from(channel));
        let writer = Writer { socket: Arc::clone(&socket), sending: Mutex::new(()) };
        Ok((Reader { socket, descriptors: VecDeque::new() }, writer))
    }

    impl Reader {
        /// The next message and its body; none when the server closed the channel.
        pub fn receive(&mut self) -> Result<Option<(ToWorker, Vec<u8>)>, FrameError> {
            let mut prefix = [0; PREFIX];
            if !self.fill(&mut prefix)? {
                return Ok(None);
            }
            let prefix = Prefix::decode(prefix)?;
            let mut header = vec![0; prefix.header];
            let mut body = vec![0; prefix.body];
            if !self.fill(&mut header)? || !self.fill(&mut body)? {
                return Ok(None);
            }
            if prefix.kind == Kind::Handoff {
                let descriptor =
                    self.descriptors.pop_front().ok_or(FrameError::DescriptorMissing)?;
                body = handoff::unpack(descriptor)?;
            }
            Ok(Some((serde_json::from_slice(&header)?, body)))
        }

        /// Fills `out`; false at the end of the stream.
        fn fill(&mut self, out: &mut [u8]) -> Result<bool, FrameError> {
            let mut done = 0;
            while done < out.len() {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
                let mut ancillary = RecvAncillaryBuffer::new(&mut space);
                let received = rustix::io::retry_on_intr(|| {
                    recvmsg(
                        &*self.socket,
                        &mut [IoSliceMut::new(&mut out[done..])],
                        &mut ancillary,
                        RecvFlags::CMSG_CLOEXEC,
                    )
                })
                .map_err(io::Error::from)?;
                for message in ancillary.drain() {
                    if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                        self.descriptors.extend(descriptors);
                    }
                }
                if received.bytes == 0 {
                    return Ok(false);
                }
                done += received.bytes;
            }
            Ok(true)
        }
    }

    impl Writer {
        pub fn send(&self, message: &FromWorker, body: &[u8]) -> Result<(), FrameError> {
            let header = serde_json::to_vec(message)?;
            let prefix = Prefix::new(Kind::Inline, header.len(), body.len())?;
            let mut head = Vec::with_capacity(PREFIX + header.len());
            head.extend_from_slice(&prefix.encode());
            head.extend_from_slice(&header);
            let _whole = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
            let mut socket = &*self.socket;
            let mut done = 0;
            while done < head.len() {
                done +=
                    socket.write_vectored(&[IoSlice::new(&head[done..]), IoSlice::new(body)])?;
            }
            socket.write_all(&body[done - head.len()..])?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream as StdStream;

    use super::*;
    use crate::workers::protocol::HttpHead;

    fn pair() -> (UnixStream, OwnedFd) {
        let (server, worker) = StdStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        (UnixStream::from_std(server).unwrap(), worker.into())
    }

    fn predict(request: u64) -> ToWorker {
        ToWorker::Predict { request, model: 1, force_reload: false, http: HttpHead::default() }
    }

    #[tokio::test]
    async fn messages_of_every_size_arrive_in_order() {
        let (server, worker) = pair();
        let (sender, mut receiver) = open(server);
        let sizes = [0, 1, INLINE_LIMIT, INLINE_LIMIT + 1, 5, 9 << 20, 3];
        let echo = std::thread::spawn(move || {
            let (mut reader, writer) = blocking::open(worker).unwrap();
            while let Some((message, body)) = reader.receive().unwrap() {
                let ToWorker::Predict { request, .. } = message else { panic!("{message:?}") };
                writer.send(&FromWorker::Fitted { request }, &body).unwrap();
            }
        });
        for (request, size) in (0..).zip(sizes) {
            let body = Bytes::from(vec![u8::try_from(request).unwrap(); size]);
            sender.send(&predict(request), body).await.unwrap();
        }
        for (request, size) in (0..).zip(sizes) {
            let (message, body) = receiver.receive().await.unwrap().unwrap();
            assert_eq!(message, FromWorker::Fitted { request });
            assert_eq!(body.len(), size);
            assert!(body.iter().all(|byte| u64::from(*byte) == request));
        }
        drop((sender, receiver));
        tokio::task::spawn_blocking(move || echo.join().unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn a_closed_channel_ends_the_stream() {
        let (server, worker) = pair();
        let (_sender, mut receiver) = open(server);
        drop(worker);
        assert!(receiver.receive().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn garbage_is_an_error_and_no_panic() {
        let (server, worker) = pair();
        let (_sender, mut receiver) = open(server);
        std::io::Write::write_all(&mut StdStream::from(worker), &[9; 64]).unwrap();
        assert!(matches!(receiver.receive().await, Err(FrameError::UnknownKind(9))));
    }
}
