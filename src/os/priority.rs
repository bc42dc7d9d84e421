//! How much processor time a thread gets while others compete for it.
//!
//! Linux has a scheduling class of threads that compute only while a processor has nothing else to do, and
//! keeps a niceness for each thread. Elsewhere only the niceness of the whole process can be raised.

use std::io;

use rustix::process::setpriority_process;

/// The niceness that comes closest to computing only while nothing else does.
const MOST_NICE: i32 = 19;

/// Makes this thread, and those that it starts, compute with a niceness; without one, only while a processor
/// has nothing else to do. Where the system does not allow that, they compute as before.
pub fn lower(nice: Option<i32>) {
    lower_by(nice, only_while_idle);
}

fn lower_by(nice: Option<i32>, only_while_idle: impl FnOnce() -> io::Result<()>) {
    let wanted = nice.or_else(|| only_while_idle().err().map(|_| MOST_NICE));
    if let Some(nice) = wanted {
        let _ = setpriority_process(None, nice);
    }
}

/// Another thread that has something to do then preempts this one at once, instead of waiting for the end of
/// the time slice of one that is merely nice.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call without a safe wrapper")]
fn only_while_idle() -> io::Result<()> {
    let of_idle = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads `of_idle` and keeps nothing of it.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const of_idle) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn only_while_idle() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

// Elsewhere the priority of the whole test run would be lowered.
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::thread;

    use rustix::process::getpriority_process;

    use super::*;

    /// Niceness and scheduling class of a thread on which `lower` ran.
    fn after(lower: impl FnOnce() + Send + 'static) -> (i32, String) {
        let ran = thread::spawn(move || {
            lower();
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            // Counted from the state, which follows the name in parentheses.
            let class = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().nth(38);
            (getpriority_process(None).unwrap(), class.unwrap().to_owned())
        });
        ran.join().unwrap()
    }

    #[test]
    fn a_thread_computes_while_nothing_else_does_or_with_a_niceness() {
        let (usual, class) = after(|| {});
        let idle = after(|| lower(None));
        // A sandbox may refuse it.
        let refused = (MOST_NICE, class.clone());
        assert!(idle == (usual, libc::SCHED_IDLE.to_string()) || idle == refused, "{idle:?}");
        assert_eq!(after(|| lower(Some(15))), (15, class));
        let refuse = || Err(io::ErrorKind::Unsupported.into());
        assert_eq!(after(move || lower_by(None, refuse)), refused);
    }
}
