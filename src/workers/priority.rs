//! How much a training worker may compute while others want to.

use std::io;

/// Has this thread, and those that it starts, compute with a niceness; without one, only while a processor has
/// nothing else to do. Where the system does not allow that, training takes as much as predictions.
pub(super) fn take(nice: Option<i32>) {
    let wanted = nice.or_else(|| use_what_is_left().err().map(|_| MOST_NICE));
    if let Some(nice) = wanted {
        let _ = rustix::process::setpriority_process(None, nice);
    }
}

/// What comes closest to it.
const MOST_NICE: i32 = 19;

/// A prediction that comes then displaces it at once; it would have to wait for the end of a time slice of a
/// process that is merely nice.
fn use_what_is_left() -> io::Result<()> {
    let of_idle = libc::sched_param { sched_priority: 0 };
    // Safety: the call reads `of_idle` and keeps nothing of it.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const of_idle) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
