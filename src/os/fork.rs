//! What a process does around a fork.
//!
//! Handlers of `pthread_atfork`, which POSIX runs around every `fork` of the process, no matter whether
//! Python, gunicorn or uWSGI calls it. `posix_spawn` and `vfork` run none: what they start is another
//! program at once. The same on every system.

use std::io;

/// Calls `before` in the thread that forks, then `after` there, in the parent (also if the fork failed)
/// and in the child. For as long as the process lives.
#[expect(unsafe_code, reason = "the standard library does not offer it")]
pub fn around_forks(before: extern "C" fn(), after: extern "C" fn()) -> io::Result<()> {
    // SAFETY: both are functions of this program that take nothing, and it is never unloaded.
    let status = unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    if status == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(status)) }
}
