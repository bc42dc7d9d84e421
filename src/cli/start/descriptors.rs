//! The system's limit on open files, and how many connections it allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Minimum number of connections, whatever the limit.
const MIN_CONNECTIONS: u64 = 16;

/// Number of connections, at most `wanted`, that fit beside `others`. Raises the soft limit as far as needed
/// and allowed, and no further: child processes inherit it, and some try every number below it.
pub(super) fn room(wanted: u64, others: u64) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let needed = wanted.saturating_add(others);
    let most = maximum.unwrap_or(u64::MAX);
    let mut limit = current.unwrap_or(u64::MAX);
    if limit < needed && limit < most {
        let raised = needed.min(most);
        match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }) {
            Ok(()) => limit = raised,
            Err(error) => tracing::debug!("the limit on open files stays at {limit}: {error}"),
        }
    }
    let room = left(limit, wanted, others);
    if room < wanted {
        tracing::warn!(
            "at most {room} connections at a time instead of {wanted}: no more than {limit} files may be open \
             (ulimit -n)"
        );
    }
    usize::try_from(room).unwrap_or(usize::MAX)
}

fn left(limit: u64, wanted: u64, others: u64) -> u64 {
    limit.saturating_sub(others).max(MIN_CONNECTIONS).min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_need_is_left_to_them() {
        assert_eq!(left(1 << 20, 4096, 300), 4096);
        assert_eq!(left(1024, 4096, 300), 724);
        assert_eq!(left(256, 4096, 300), MIN_CONNECTIONS);
        assert_eq!(left(256, 4, 300), 4);
    }
}
