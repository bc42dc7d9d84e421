//! Runs functions before and after forks of the process, and locks what a fork may copy.
//!
//! POSIX runs handlers of `pthread_atfork` around every `fork`, whether Python, gunicorn or uWSGI calls it.
//! `posix_spawn` and `vfork` run none, but these only start other programs. The same on every system.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Makes every later fork call `before` in the thread that forks, then `after` in that thread of the
/// parent (also if the fork failed) and in the child.
#[expect(unsafe_code, reason = "the standard library does not offer it")]
pub fn around_forks(before: extern "C" fn(), after: extern "C" fn()) -> io::Result<()> {
    // SAFETY: both are functions of this program that take nothing, and it is never unloaded.
    let status = unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    if status == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(status)) }
}

/// Locks a mutex of the standard library, which user code may fork. Its whole state is in itself, while
/// `parking_lot` keeps a table of all waiting threads, which a child would inherit locked. A panic of another
/// thread does not count: what the mutex guards is whole after every step.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
