//! Receiving descriptors over a socket, such that programs that are started meanwhile do not inherit them.
//!
//! Linux marks a descriptor as it arrives. Elsewhere it is marked right afterwards: a program that another
//! thread starts in between inherits it, and keeps the memory of one body until that program ends.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::{FdFlags, fcntl_setfd, retry_on_intr};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Tells the system to mark descriptors as they arrive; none where it cannot.
#[cfg(target_os = "linux")]
const MARKS: Option<RecvFlags> = Some(RecvFlags::CMSG_CLOEXEC);
#[cfg(not(target_os = "linux"))]
const MARKS: Option<RecvFlags> = None;

/// Receives bytes into `out`, and into `descriptors` those that come with them; 0 at the end of the stream.
pub fn receive(
    socket: impl AsFd,
    out: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
) -> io::Result<usize> {
    receive_marked(socket.as_fd(), out, descriptors, MARKS)
}

fn receive_marked(
    socket: impl AsFd + Copy,
    out: &mut [u8],
    descriptors: &mut VecDeque<OwnedFd>,
    marks: Option<RecvFlags>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = marks.unwrap_or(RecvFlags::empty());
    let received =
        retry_on_intr(|| recvmsg(socket, &mut [IoSliceMut::new(out)], &mut ancillary, flags))?;
    for message in ancillary.drain() {
        let RecvAncillaryMessage::ScmRights(received) = message else { continue };
        for descriptor in received {
            if marks.is_none() {
                fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
            }
            descriptors.push_back(descriptor);
        }
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::os::unix::net::UnixStream;

    use rustix::io::fcntl_getfd;
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    #[test]
    fn a_descriptor_that_arrives_is_not_inherited() {
        for marks in [MARKS, None] {
            let (here, there) = UnixStream::pair().unwrap();
            let sent = [there.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(SendAncillaryMessage::ScmRights(&sent));
            let bytes = [IoSlice::new(b"body")];
            sendmsg(&there, &bytes, &mut ancillary, SendFlags::empty()).unwrap();

            let (mut out, mut descriptors) = ([0; 8], VecDeque::new());
            assert_eq!(receive_marked(&here, &mut out, &mut descriptors, marks).unwrap(), 4);
            assert_eq!(&out[..4], b"body");
            assert_eq!(descriptors.len(), 1);
            assert!(fcntl_getfd(&descriptors[0]).unwrap().contains(FdFlags::CLOEXEC), "{marks:?}");
        }
    }
}
