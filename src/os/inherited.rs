//! Taking over a descriptor that the parent process left open for this one. The same on every system, and
//! `unsafe`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes over a descriptor that this process was started with. To be called once, for a number that the
/// parent process has named.
#[expect(unsafe_code, reason = "only the parent process knows the owner of the descriptor")]
pub fn take(number: RawFd) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::Error::other("the channel must not be a standard stream"));
    }
    // SAFETY: the parent process passes this descriptor to this process for this one use; nothing else in
    // the process owns it, since it is above the standard streams and was inherited.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_streams_are_not_taken() {
        for stream in [-1, 0, 1, 2] {
            assert!(take(stream).is_err());
        }
    }
}
