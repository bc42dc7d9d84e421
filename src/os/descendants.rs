//! Processes that user code started and that left their worker's process group: daemons, processes in
//! sessions of their own.
//!
//! Every worker has a mark in its environment, which all its descendants inherit; they are found by it
//! where the system tells what processes there are. Elsewhere only the process group ends with its worker.

use std::ffi::{OsStr, OsString};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process, kill_process_group};

use crate::os::processes::{kill_related, own_environment};

/// Name of the mark in the environment of a worker.
pub const MARK: &str = "LABEL_STUDIO_ML_WORKER";
/// Maximum number of searches; a process that is found may just have started another one.
const MOST_ROUNDS: usize = 10;
/// Python's process that removes named semaphores and shared memory once all processes that used them are
/// gone, and then ends. Killed with the others, it would leave them behind.
const TRACKER: &[u8] = b"multiprocessing.resource_tracker";

static WORKERS: AtomicU64 = AtomicU64::new(1);

/// A mark that no other worker of any server has.
pub fn new_mark() -> OsString {
    let number = WORKERS.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{}-{number}-{now}", std::process::id()).into()
}

/// Kills a worker, if it still runs, and all its descendants: what is in its group or has its mark.
pub fn end_all(group: Pid, mark: &OsStr) {
    end(group, Some(&[MARK.as_bytes(), b"=", mark.as_encoded_bytes()].concat()));
}

/// Kills all descendants of the worker that this process is, and then this process.
pub fn end_this_worker() -> ! {
    // Not the environment of now, which user code may have changed.
    let environment = own_environment();
    let begin = [MARK.as_bytes(), b"="].concat();
    let own = environment.split(|byte| *byte == 0).find(|entry| entry.starts_with(&begin));
    // A group that this process does not lead is another program's.
    if getpgrp() == getpid() || own.is_some() {
        end(getpid(), own);
    }
    // A pool of processes replaces each one that ends, for as long as this one lives: only all at once
    // can they be ended, and the tracker with them.
    if getpgrp() == getpid() {
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    }
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}

fn end(group: Pid, mark: Option<&[u8]>) {
    for _ in 0..MOST_ROUNDS {
        match kill_related(group, mark, TRACKER) {
            Some(0) => return,
            Some(_) => {}
            // The group may be empty already, which is what is wanted.
            None => {
                let _ = kill_process_group(group, Signal::KILL);
                return;
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::os::processes::start_time;

    #[test]
    fn only_processes_of_the_mark_are_ended() {
        let sleeping = |mark: &OsStr| {
            // A shell in between, that is gone at once.
            let mut shell = Command::new("sh");
            shell.args(["-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"]).env(MARK, mark);
            let said = shell.stdin(Stdio::null()).output().unwrap().stdout;
            String::from_utf8(said).unwrap().trim().parse().unwrap()
        };
        let runs = |pid: u32| start_time(pid).is_some();
        // No process has the highest number.
        let group = Pid::from_raw(i32::MAX).unwrap();
        let (mark, other) = (new_mark(), new_mark());
        let (meant, spared) = (sleeping(&mark), sleeping(&other));
        assert!(runs(meant) && runs(spared));
        end_all(group, &mark);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while runs(meant) {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
        assert!(runs(spared), "it has another mark");
        end_all(group, &other);
    }
}
