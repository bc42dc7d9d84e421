//! Writes to the worker's own stdout and stderr, past the streams that user code may have put there.

use std::io;

use rustix::stdio::{stderr, stdout};

/// Writes records to descriptor 1 or 2. Blocks while the pipe is full; returns an error if user code closed
/// the descriptor.
pub(super) fn write(stream: i32, records: &str) -> io::Result<()> {
    let stream = if stream == 1 { stdout() } else { stderr() };
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
