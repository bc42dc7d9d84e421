//! How much memory a process holds.

use std::fs;

/// Resident memory of a process in bytes; none if it is gone, or the system does not tell.
pub fn resident(pid: u32) -> Option<u64> {
    if cfg!(target_os = "linux") {
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
        return Some(pages * u64::try_from(rustix::param::page_size()).ok()?);
    }
    let pid = pid.to_string();
    let told = std::process::Command::new("ps").args(["-o", "rss=", "-p", &pid]).output().ok()?;
    let kib: u64 = String::from_utf8(told.stdout).ok()?.trim().parse().ok()?;
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
}
