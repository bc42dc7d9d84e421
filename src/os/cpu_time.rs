//! How much processor time another process got, and how long its threads waited for more.
//!
//! Linux counts both for each thread. Elsewhere nothing is known.

use std::time::Duration;

/// Times of all threads of a process together, since each of them began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTimes {
    pub running: Duration,
    /// Ready to run, while the processors did something else.
    pub waiting: Duration,
}

/// The times of a process; none where the system does not count them, or the process is gone.
pub fn of_process(pid: u32) -> Option<CpuTimes> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    // A thread may end meanwhile.
    let counts =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok());
    counts
        .filter_map(|counts| parse(&counts))
        .reduce(|a, b| CpuTimes { running: a.running + b.running, waiting: a.waiting + b.waiting })
}

/// Reads nanoseconds of running, nanoseconds of waiting and the number of time slices.
fn parse(counts: &str) -> Option<CpuTimes> {
    let mut counts = counts.split_ascii_whitespace().map(|count| count.parse().ok());
    let mut next = || Some(Duration::from_nanos(counts.next()??));
    Some(CpuTimes { running: next()?, waiting: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_stands_before_waiting() {
        let (running, waiting) = (Duration::from_secs(2), Duration::from_nanos(7));
        assert_eq!(parse("2000000000 7 3\n"), Some(CpuTimes { running, waiting }));
        assert_eq!(parse("2000000000\n"), None);
        assert_eq!(parse(""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_times_of_a_process_grow_while_it_computes() {
        let me = std::process::id();
        // A kernel may be built without these counts.
        let Some(before) = of_process(me) else { return };
        let mut sum = 0_u64;
        while of_process(me).unwrap().running < before.running + Duration::from_millis(20) {
            sum = (0..100_000).fold(sum, u64::wrapping_add);
        }
        std::hint::black_box(sum);
        assert_eq!(of_process(0), None);
    }
}
