//! How much memory a process holds, and how much is free.
//!
//! On Linux both are read from /proc and /sys. Elsewhere `ps` tells what a process holds, and free memory is
//! unknown.

use std::fs;
use std::process::Command;

/// Resident memory of a process in bytes; none if it is gone, or the system does not tell.
pub fn resident(pid: u32) -> Option<u64> {
    if cfg!(target_os = "linux") { resident_by_proc(pid) } else { resident_by_ps(pid) }
}

fn resident_by_proc(pid: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

fn resident_by_ps(pid: u32) -> Option<u64> {
    let pid = pid.to_string();
    let told = Command::new("ps").args(["-o", "rss=", "-p", &pid]).output().ok()?;
    let kib: u64 = String::from_utf8(told.stdout).ok()?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Bytes that may still be used: of the machine, and of the container that this runs in. None where the
/// system does not tell.
pub fn available() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| of_machine(&text));
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let used = number("/sys/fs/cgroup/memory.current");
    let container = limit.map(|limit| limit.saturating_sub(used.unwrap_or(0)));
    machine.into_iter().chain(container).min()
}

fn of_machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_holds_memory_until_it_is_gone() {
        let own = resident(std::process::id()).unwrap();
        assert!((1 << 20..1 << 40).contains(&own), "{own}");
        assert_eq!(resident(u32::MAX), None);
    }

    #[test]
    fn ps_tells_the_same_in_kib() {
        // A small system may have no ps, or one that knows no such option.
        if let Some(own) = resident_by_ps(std::process::id()) {
            assert!((1 << 20..1 << 40).contains(&own), "{own}");
        }
        assert_eq!(resident_by_ps(u32::MAX), None);
    }

    #[test]
    fn what_is_free_is_read_from_the_system() {
        let text = "MemTotal:       24683656 kB\nMemAvailable:   20 kB\n";
        assert_eq!(of_machine(text), Some(20 << 10));
        assert_eq!(of_machine("MemTotal: 5 kB"), None);
    }
}
