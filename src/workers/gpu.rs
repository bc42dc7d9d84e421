//! Memory of graphics cards, as `nvidia-smi` reports it.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// Time limit for `nvidia-smi`, which answers within a second unless something is wrong with the card.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a card has less memory free than processes of these pids hold on it, so that a second copy of
/// their model would not fit beside the first.
pub async fn is_too_full_for_another(pids: &[u32]) -> bool {
    let Some(used) = ask("--query-compute-apps=pid,used_memory,gpu_uuid").await else {
        return false;
    };
    let Some(free) = ask("--query-gpu=memory.free,uuid").await else { return false };
    is_too_full(pids, &used, &free)
}

/// Takes memory in MiB, as CSV without a header.
fn is_too_full(pids: &[u32], used: &str, free: &str) -> bool {
    free.lines().filter_map(|line| line.split_once(',')).any(|(free, card)| {
        let card = card.trim();
        let held: u64 = used
            .lines()
            .filter_map(|line| {
                let mut fields = line.split(',').map(str::trim);
                let (pid, memory, on) = (fields.next()?, fields.next()?, fields.next()?);
                let is_ours = on == card && pids.contains(&pid.parse().ok()?);
                is_ours.then(|| memory.parse::<u64>().ok())?
            })
            .sum();
        held > 0 && free.trim().parse::<u64>().is_ok_and(|free| free < held)
    })
}

/// None if there is no such program, or no card.
async fn ask(query: &str) -> Option<String> {
    let asked = Command::new("nvidia-smi")
        .args([query, "--format=csv,noheader,nounits"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(TIMEOUT, asked).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_must_have_room_for_a_second_copy() {
        let used = "41, 3000, GPU-a\n42, 9000, GPU-b\n99, 500, GPU-a\n";
        assert!(
            !is_too_full(&[41], used, "4000, GPU-a\n100, GPU-b\n"),
            "the other card holds none of our processes"
        );
        assert!(is_too_full(&[41, 42], used, "4000, GPU-a\n100, GPU-b\n"));
        assert!(is_too_full(&[41], used, "2999, GPU-a\n"));
        assert!(!is_too_full(&[7], used, "0, GPU-a\n"), "these processes hold no memory");
        assert!(!is_too_full(&[41], "[N/A]\n", "nonsense\n"));
    }
}
