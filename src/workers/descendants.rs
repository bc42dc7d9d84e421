//! Processes that user code started and that left their worker's process group: daemons, processes in
//! sessions of their own.
//!
//! Every worker has a mark in its environment, which all its descendants inherit; they are found by it
//! in /proc. Elsewhere than on Linux only the process group ends with its worker.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process, kill_process_group};

/// Name of the mark in the environment of a worker.
pub const MARK: &str = "LABEL_STUDIO_ML_WORKER";
/// A process that is found may just have started another one.
const MOST_ROUNDS: usize = 10;
/// Python's own process that removes named semaphores and shared memory once all who used them are
/// gone, and then ends. Killed with the others, it would leave them behind for ever.
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
    let environment = fs::read("/proc/self/environ").unwrap_or_default();
    let begin = [MARK.as_bytes(), b"="].concat();
    let own = environment.split(|byte| *byte == 0).find(|entry| entry.starts_with(&begin));
    // Another group than its own is that of somebody else.
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
        match end_once(group, mark) {
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

/// Kills what is there, but for this process; how many that were. None where the system does not tell
/// what is there.
#[cfg(target_os = "linux")]
fn end_once(group: Pid, mark: Option<&[u8]>) -> Option<usize> {
    use rustix::process::{PidfdFlags, getuid, pidfd_open, pidfd_send_signal};
    use std::os::unix::fs::MetadataExt;

    let (me, user) = (getpid(), getuid().as_raw());
    let mut ended = 0;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let Some(pid) = number.and_then(Pid::from_raw).filter(|pid| *pid != me) else { continue };
        // Most processes of a machine are another user's, and are not looked at.
        if user != 0 && entry.metadata().is_ok_and(|process| process.uid() != user) {
            continue;
        }
        // Opened before it is looked at, so that no later process of this number is met.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        let folder = entry.path();
        let Some(its_group) = group_of(&folder) else { continue };
        let meant = its_group == group.as_raw_nonzero().get()
            || mark.is_some_and(|mark| has_mark(&folder, mark));
        if meant && !is_tracker(&folder) {
            ended += usize::from(pidfd_send_signal(&process, Signal::KILL).is_ok());
        }
    }
    Some(ended)
}

#[cfg(not(target_os = "linux"))]
fn end_once(_group: Pid, _mark: Option<&[u8]>) -> Option<usize> {
    None
}

/// The process group of a process; none for one that has ended.
#[cfg(target_os = "linux")]
fn group_of(process: &Path) -> Option<i32> {
    let stat = fs::read(process.join("stat")).ok()?;
    // The name of the program comes second, in parentheses, and may hold anything.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(1)?.parse().ok()).flatten()
}

#[cfg(target_os = "linux")]
fn has_mark(process: &Path, mark: &[u8]) -> bool {
    fs::read(process.join("environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == mark))
}

#[cfg(target_os = "linux")]
fn is_tracker(process: &Path) -> bool {
    fs::read(process.join("cmdline"))
        .is_ok_and(|command| memchr::memmem::find(&command, TRACKER).is_some())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn only_processes_of_the_mark_are_ended() {
        let sleeping = |mark: &OsStr| {
            // A shell in between, that is gone at once.
            let mut shell = Command::new("sh");
            shell.args(["-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"]).env(MARK, mark);
            let said = shell.stdin(Stdio::null()).output().unwrap().stdout;
            String::from_utf8(said).unwrap().trim().to_owned()
        };
        let runs = |pid: &str| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
        };
        // Nobody has the highest number of all.
        let group = Pid::from_raw(i32::MAX).unwrap();
        let (mark, other) = (new_mark(), new_mark());
        let (meant, spared) = (sleeping(&mark), sleeping(&other));
        assert!(runs(&meant) && runs(&spared));
        end_all(group, &mark);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while runs(&meant) {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
        assert!(runs(&spared), "it has another mark");
        end_all(group, &other);
    }
}
