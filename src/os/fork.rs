//! Runs functions before and after forks of the process.
//!
//! POSIX runs handlers of `pthread_atfork` around every `fork`, whether Python, gunicorn or uWSGI calls it.
//! `posix_spawn` and `vfork` run none, but these only start other programs. The same on every system.

use std::io;

/// Makes every later fork call `before` in the thread that forks, then `after` in that thread of the
/// parent (also if the fork failed) and in the child.
#[expect(unsafe_code, reason = "the standard library does not offer it")]
pub fn around_forks(before: extern "C" fn(), after: extern "C" fn()) -> io::Result<()> {
    // SAFETY: both are functions of this program that take nothing, and it is never unloaded.
    let status = unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    if status == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(status)) }
}
