//! Progress bars in the form that tqdm draws them, `epoch 1:  45%|####5     | 45/100 [00:01<…]`.

use crate::wire::record::FitProgress;

/// Reads a bar; none for other text.
pub fn parse(text: &str) -> Option<FitProgress> {
    let (before, after) = text.split_once("%|")?;
    let (_, counts) = after.split_once("| ")?;
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (name, percent) = before.split_at(before.len() - digits);
    let percent: f64 = percent.parse().ok().filter(|percent| *percent <= 100.0)?;
    let name = name.trim().trim_end_matches(':');
    let (counts, _) = counts.split_once(" [")?;
    let fraction = exact(counts).unwrap_or(percent / 100.0);
    let message = if name.is_empty() { counts.to_owned() } else { format!("{name} {counts}") };
    Some(FitProgress { fraction: Some(fraction), message: Some(message), ..FitProgress::default() })
}

/// The fraction of `45/100`; bars with units (`1.2k/3.4k`) are read by their percentage.
fn exact(counts: &str) -> Option<f64> {
    let (done, total) = counts.split_once('/')?;
    let (done, total): (f64, f64) = (done.trim().parse().ok()?, total.trim().parse().ok()?);
    (total > 0.0).then(|| (done / total).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(f64, String)> {
        parse(text).map(|progress| (progress.fraction.unwrap(), progress.message.unwrap()))
    }

    #[test]
    fn bars_are_read() {
        let bar = " 45%|████▌     | 45/100 [00:01<00:01, 44.9it/s]";
        assert_eq!(read(bar), Some((0.45, "45/100".into())));
        let named = "epoch 1:  33%|###3      | 1/3 [00:01<00:02,  1.00s/it, loss=0.5]";
        assert_eq!(read(named), Some((1.0 / 3.0, "epoch 1 1/3".into())));
        let units = "model.pt:  50%|##   | 1.2k/2.4k [00:00<00:00, 3kB/s]";
        assert_eq!(read(units), Some((0.5, "model.pt 1.2k/2.4k".into())));
    }

    #[test]
    fn other_text_is_none() {
        for text in ["", "45%", "100% sure", "12it [00:01, 11.9it/s]", "x%|y| z", "500%|#| 5/1 ["] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
