//! `--workers`: a number, or as many processes as the machine has room for.

use crate::os::memory;

/// Memory that a worker is assumed to need, in bytes; the real need is known only once a model is loaded.
const MEMORY_PER_WORKER: u64 = 1 << 30;
const MAX_WORKERS: u16 = 256;

/// How many processes answer predictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WorkerCount {
    pub(super) number: u16,
    /// Why there are this many, where the user left the number open.
    pub(super) because: Option<String>,
}

/// A number from 1 on, or `auto`.
pub(super) fn parse(text: &str) -> Result<WorkerCount, String> {
    if text.eq_ignore_ascii_case("auto") {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        return Ok(fitting(cores, memory::available()));
    }
    match text.parse() {
        Ok(number) if (1..=MAX_WORKERS).contains(&number) => {
            Ok(WorkerCount { number, because: None })
        }
        _ => Err(format!("is not a whole number from 1 to {MAX_WORKERS} or auto")),
    }
}

/// One for each core, as far as there is memory for them.
fn fitting(cores: usize, memory: Option<u64>) -> WorkerCount {
    let by_cores = u16::try_from(cores).unwrap_or(MAX_WORKERS).clamp(1, MAX_WORKERS);
    let by_memory = memory.map_or(MAX_WORKERS, |memory| {
        u16::try_from(memory / MEMORY_PER_WORKER).unwrap_or(MAX_WORKERS).max(1)
    });
    let number = by_cores.min(by_memory);
    let because = match memory {
        Some(memory) if by_memory < by_cores => {
            format!("{} GiB of memory are free, for {cores} cores", memory / MEMORY_PER_WORKER)
        }
        _ => format!("there are {cores} cores"),
    };
    WorkerCount { number, because: Some(because) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_auto() {
        assert_eq!(parse("3"), Ok(WorkerCount { number: 3, because: None }));
        for wrong in ["0", "257", "-1", "many", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let auto = parse("auto").unwrap();
        assert!(auto.number >= 1 && auto.because.is_some());
    }

    #[test]
    fn one_for_each_core_that_there_is_memory_for() {
        let number = |cores, gib: Option<u64>| fitting(cores, gib.map(|gib| gib << 30)).number;
        assert_eq!(number(4, None), 4);
        assert_eq!(number(4, Some(64)), 4);
        assert_eq!(number(4, Some(3)), 3);
        assert_eq!(number(4, Some(0)), 1);
        assert_eq!(number(100_000, Some(1 << 20)), MAX_WORKERS);
        let why = fitting(4, Some(3 << 30)).because.unwrap();
        assert_eq!(why, "3 GiB of memory are free, for 4 cores");
    }
}
