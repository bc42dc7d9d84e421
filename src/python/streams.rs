//! Writing to the worker's own stdout and stderr, past whatever user code put in their place.

use std::io;
use std::os::fd::BorrowedFd;

/// Writes records to descriptor 1 or 2. Blocks while the pipe is full.
pub(super) fn write(stream: i32, records: &str) -> io::Result<()> {
    // SAFETY: descriptors 1 and 2 are open for the whole life of a worker; user code that closes
    // them gets an error from the write.
    let stream = unsafe { BorrowedFd::borrow_raw(stream) };
    let mut rest = records.as_bytes();
    while !rest.is_empty() {
        match rustix::io::write(stream, rest) {
            Ok(written) => rest = &rest[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
