//! How much of what was written to a connection the other side has not confirmed.
//!
//! Known on Linux only.

use std::os::fd::AsFd;

/// Bytes that were written and that the other side has not confirmed; none where the system does not tell.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call without a safe wrapper")]
pub fn unconfirmed(socket: impl AsFd) -> Option<usize> {
    use std::os::fd::AsRawFd;

    let mut bytes: libc::c_int = 0;
    let socket = socket.as_fd();
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and this request writes one `c_int`
    // where its argument points.
    let told = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if told == 0 { usize::try_from(bytes).ok() } else { None }
}

#[cfg(not(target_os = "linux"))]
pub fn unconfirmed(_socket: impl AsFd) -> Option<usize> {
    None
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_is_on_its_way_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut there = listener.accept().unwrap().0;
        here.set_nonblocking(true).unwrap();
        let (piece, mut written) = (vec![0; 64 << 10], 0);
        while let Ok(more) = here.write(&piece) {
            written += more;
        }
        assert!(unconfirmed(&here).unwrap() > 0, "there is no room for more");
        there.read_exact(&mut vec![0; written]).unwrap();
        while unconfirmed(&here).unwrap() > 0 {
            std::thread::yield_now();
        }
    }
}
