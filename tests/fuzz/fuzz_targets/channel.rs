//! Any bytes on the channel between the server and a worker, in both directions, over a real socket
//! pair: each frame is a message or an error, and a message arrives as it was sent.
#![no_main]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::LazyLock;

use bytes::Bytes;
use label_studio_ml::wire::frame::{FrameError, FramePrefix, PREFIX_LENGTH};
use label_studio_ml::wire::protocol::{FromWorker, ToWorker};
use label_studio_ml::wire::{server_end, worker_end};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

/// More does not fit into the buffer of a socket that nobody reads yet.
const MOST: usize = 64 << 10;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_io().build().expect("a runtime"));

fuzz_target!(|data: &[u8]| {
    let Some((direction, bytes)) = data.split_first() else { return };
    if bytes.len() > MOST || announces_too_much(bytes) {
        return;
    }
    if direction % 2 == 0 { to_worker(bytes) } else { to_server(bytes) }
});

/// A reader makes room for what a prefix announces, up to the caps. Making a gigabyte of room for
/// every second input would test the system's allocator and nothing else.
fn announces_too_much(mut bytes: &[u8]) -> bool {
    while let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_LENGTH>() {
        let Ok(FramePrefix { header, body, .. }) = FramePrefix::decode(*prefix) else {
            return false;
        };
        if header + body > 2 * MOST {
            return true;
        }
        bytes = rest.get(header + body..).unwrap_or_default();
    }
    false
}

/// One end of a socket pair from which exactly `bytes` can be read.
fn filled(bytes: &[u8]) -> UnixStream {
    let (mut sender, receiver) = UnixStream::pair().expect("a socket pair");
    sender.write_all(bytes).expect("room in the buffer");
    receiver
}

fn to_worker(bytes: &[u8]) {
    let (mut reader, _writer) = worker_end::open(filled(bytes).into()).expect("a channel");
    loop {
        match reader.receive() {
            Ok(Some((message, body))) => arrives_at_worker(message, body.into_vec()),
            Ok(None) => break,
            Err(error) => return assert_said(&error),
        }
    }
}

fn to_server(bytes: &[u8]) {
    let stream = filled(bytes);
    let received = RUNTIME.block_on(async {
        let mut receiver = opened(stream).1;
        let mut received = Vec::new();
        loop {
            match receiver.receive().await {
                Ok(Some(message)) => received.push(message),
                Ok(None) => break received,
                Err(error) => {
                    assert_said(&error);
                    break received;
                }
            }
        }
    });
    for (message, body) in received {
        arrives_at_server(&message, &body);
    }
}

fn opened(stream: UnixStream) -> (server_end::MessageSender, server_end::MessageReceiver) {
    stream.set_nonblocking(true).expect("a socket");
    server_end::open(tokio::net::UnixStream::from_std(stream).expect("a runtime"))
}

/// What the server says arrives at the worker.
fn arrives_at_worker(message: ToWorker, body: Vec<u8>) {
    let (server, worker) = UnixStream::pair().expect("a socket pair");
    let body = Bytes::from(body);
    RUNTIME.block_on(async {
        let (sender, _receiver) = opened(server);
        sender.send(&message, body.clone()).await.expect("a message that came in a frame fits");
        drop(sender);
        // The task that writes ends when it has written all, and nothing more can come.
        while RUNTIME.metrics().num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
    });
    let (mut reader, _writer) = worker_end::open(worker.into()).expect("a channel");
    let (again, same) = reader.receive().expect("a frame").expect("a message");
    assert_eq!(again, message);
    assert_eq!(*same, *body);
    assert!(reader.receive().expect("the end").is_none());
}

/// What a worker says arrives at the server.
fn arrives_at_server(message: &FromWorker, body: &[u8]) {
    let (server, worker) = UnixStream::pair().expect("a socket pair");
    let (reader, writer) = worker_end::open(worker.into()).expect("a channel");
    writer.send(message, body).expect("a message that came in a frame fits");
    drop((reader, writer));
    RUNTIME.block_on(async {
        let mut receiver = opened(server).1;
        let (again, same) = receiver.receive().await.expect("a frame").expect("a message");
        assert_eq!(&again, message);
        assert_eq!(same, body);
        assert!(receiver.receive().await.expect("the end").is_none());
    });
}

fn assert_said(error: &FrameError) {
    assert!(!error.to_string().is_empty());
}
