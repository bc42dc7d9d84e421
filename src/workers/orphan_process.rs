//! Worker processes that outlived their server.
//!
//! A worker ends by itself when its server is gone, but not at the same instant; its last writes must not
//! disturb the next run of its job. So the next server kills it first. A process is identified by boot, pid
//! and start time, which together are unique.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::os::processes::{boot_id, start_time};

/// How long a killed process may take to disappear.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Identifies a running process for [`kill`]; none on systems that cannot do so (only Linux can).
pub fn identify(pid: u32) -> Option<String> {
    Some(format!("{}/{pid}/{}", boot_id()?, start_time(pid)?))
}

/// Kills the process group of a process if it still runs, and waits until it is gone.
pub fn kill(worker: &str) {
    let Some(pid) = worker.split('/').nth(1).and_then(|pid| pid.parse::<u32>().ok()) else {
        return;
    };
    let runs = || identify(pid).is_some_and(|now| now == worker);
    let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let (Some(group), true) = (group, runs()) else { return };
    tracing::warn!(pid, "a training worker of the server before still runs and is ended");
    // It may end by itself at this moment, which is what is wanted.
    let _ = kill_process_group(group, Signal::KILL);
    let deadline = Instant::now() + KILL_TIMEOUT;
    while runs() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn only_the_very_process_is_ended() {
        let spawn = || {
            Command::new("sleep").arg("60").process_group(0).stdin(Stdio::null()).spawn().unwrap()
        };
        let (mut other, mut meant) = (spawn(), spawn());
        let named = identify(meant.id()).unwrap();
        let earlier = named.rsplit_once('/').unwrap().0.to_owned() + "/1";
        kill(&earlier);
        assert!(meant.try_wait().unwrap().is_none(), "started at another time");
        let reaper = thread::spawn(move || meant.wait().unwrap());
        kill(&named);
        assert!(!reaper.join().unwrap().success());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
