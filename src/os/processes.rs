//! What the system tells of other processes, and ending those that belong together.
//!
//! On Linux /proc lists processes, and a pidfd stands for one process for as long as it is held. Elsewhere
//! nothing is found.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

/// Names the time since the machine was started last; none where the system does not tell.
pub fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// When a process was started, in ticks since the boot. None where the system does not tell, and for a
/// process that is gone or only waits to be reaped.
pub fn start_time(pid: u32) -> Option<u64> {
    stat(&PathBuf::from(format!("/proc/{pid}")), START_TIME)
}

/// The environment that this process was started with, whatever user code has made of it since; its entries
/// end with a zero byte. Empty where the system does not tell.
pub fn own_environment() -> Vec<u8> {
    fs::read("/proc/self/environ").unwrap_or_default()
}

/// The command line of another process; empty where the system does not tell.
pub fn command_line(pid: u32) -> Vec<String> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words =
        line.split(|&byte| byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut words: Vec<_> = words.collect();
    // A zero byte ends each of them.
    words.pop();
    words
}

/// The working folder of another process, where the system tells.
pub fn working_folder(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// Kills the processes that are in a group, or were started with an entry in their environment, except for
/// this process and those whose command line contains `spared`. Returns their number; none where the system
/// does not list processes.
#[cfg(target_os = "linux")]
pub fn kill_related(group: Pid, environment: Option<&[u8]>, spared: &[u8]) -> Option<usize> {
    use std::os::unix::fs::MetadataExt;

    use rustix::process::{PidfdFlags, Signal, getpid, getuid, pidfd_open, pidfd_send_signal};

    let (me, user) = (getpid(), getuid().as_raw());
    let mut killed = 0;
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
        let Some(its_group) = stat::<i32>(&folder, GROUP) else { continue };
        let meant = its_group == group.as_raw_nonzero().get()
            || environment.is_some_and(|entry| was_started_with(&folder, entry));
        if meant && !command_holds(&folder, spared) {
            killed += usize::from(pidfd_send_signal(&process, Signal::KILL).is_ok());
        }
    }
    Some(killed)
}

#[cfg(not(target_os = "linux"))]
pub fn kill_related(_group: Pid, _environment: Option<&[u8]>, _spared: &[u8]) -> Option<usize> {
    None
}

/// Places of fields in `stat`, counted from the state.
#[cfg(target_os = "linux")]
const GROUP: usize = 2;
const START_TIME: usize = 19;

/// A field of what Linux tells of a process in its folder; none for one that has ended.
fn stat<T: std::str::FromStr>(process: &Path, field: usize) -> Option<T> {
    let stat = fs::read(process.join("stat")).ok()?;
    // The name of the program comes second, in parentheses, and may hold anything.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace();
    let is_zombie = fields.clone().next()? == "Z";
    (!is_zombie).then(|| fields.nth(field)?.parse().ok()).flatten()
}

#[cfg(target_os = "linux")]
fn was_started_with(process: &Path, entry: &[u8]) -> bool {
    fs::read(process.join("environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|its| its == entry))
}

#[cfg(target_os = "linux")]
fn command_holds(process: &Path, text: &[u8]) -> bool {
    fs::read(process.join("cmdline"))
        .is_ok_and(|command| memchr::memmem::find(&command, text).is_some())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn sleeping(seconds: &str, mark: &str) -> Child {
        let mut command = Command::new("sleep");
        command.arg(seconds).env("OF", mark).process_group(0).stdin(Stdio::null());
        command.spawn().unwrap()
    }

    #[test]
    fn a_process_is_known_by_boot_and_start_until_it_has_ended() {
        assert!(boot_id().is_some_and(|id| id == boot_id().unwrap() && !id.is_empty()));
        let mut process = sleeping("600", "nobody");
        let pid = process.id();
        assert!(start_time(pid).unwrap() >= start_time(std::process::id()).unwrap());
        process.kill().unwrap();
        while start_time(pid).is_some() {
            std::thread::yield_now();
        }
        process.wait().unwrap();
    }

    #[test]
    fn only_what_is_related_is_killed_and_the_spared_are_not() {
        let mark = format!("processes-{}", std::process::id());
        let (mut related, mut spared) = (sleeping("600", &mark), sleeping("601", &mark));
        let mut other = sleeping("600", "others");
        // No process has the highest number.
        let nobody = Pid::from_raw(i32::MAX).unwrap();
        let entry = format!("OF={mark}");
        assert_eq!(kill_related(nobody, Some(entry.as_bytes()), b"601"), Some(1));
        assert!(!related.wait().unwrap().success());
        assert!(spared.try_wait().unwrap().is_none() && other.try_wait().unwrap().is_none());
        for process in [&mut spared, &mut other] {
            let group = Pid::from_raw(process.id().try_into().unwrap()).unwrap();
            assert_eq!(kill_related(group, None, b"nothing"), Some(1));
            process.wait().unwrap();
        }
    }
}
