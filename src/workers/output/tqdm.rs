//! Progress bars in the form that tqdm draws them, `epoch 1:  45%|####5     | 45/100 [00:01<…]`.

use crate::wire::record::FitProgress;

/// What tqdm counts unless it is told.
const DEFAULT_UNIT: &str = "it";

/// Reads a bar; none for other text.
pub fn parse(text: &str) -> Option<FitProgress> {
    let (before, after) = text.split_once("%|")?;
    let (_, counts) = after.split_once("| ")?;
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (name, percent) = before.split_at(before.len() - digits);
    let percent: f64 = percent.parse().ok().filter(|percent| *percent <= 100.0)?;
    let name = name.trim().trim_end_matches(':');
    let (counts, rest) = counts.split_once(" [")?;
    let fraction = exact(counts).unwrap_or(percent / 100.0);
    let counted = in_words(counts, rest);
    let message = if name.is_empty() { counted } else { format!("{name}: {counted}") };
    Some(FitProgress { fraction: Some(fraction), message: Some(message), ..FitProgress::default() })
}

/// `45 of 100 epochs`, from `45/100` and `00:01<00:01, 44.9epoch/s]`.
fn in_words(counts: &str, rest: &str) -> String {
    let Some((done, total)) = counts.split_once('/') else { return counts.to_owned() };
    let (done, total) = (done.trim(), total.trim());
    let unit = unit(rest).filter(|unit| *unit != DEFAULT_UNIT).unwrap_or("step");
    // Counts with a prefix are those of a unit: `1.2k` of `kB`.
    let unit = if total.ends_with(|letter: char| letter.is_ascii_alphabetic()) {
        unit.strip_prefix(|letter: char| "kMGTP".contains(letter)).unwrap_or(unit)
    } else {
        unit
    };
    let is_word = unit.len() > 2 && unit.chars().all(char::is_alphabetic) && !unit.ends_with('s');
    let plural = match unit {
        _ if !is_word || total == "1" => "",
        "batch" => "es",
        _ => "s",
    };
    format!("{done} of {total} {unit}{plural}")
}

/// The unit of the rate: `00:01<00:01, 44.9epoch/s]`, or `2.00s/epoch` where one takes longer than a second.
fn unit(rest: &str) -> Option<&str> {
    let (_, rate) = rest.split_once(", ")?;
    let rate = rate.split([',', ']']).next()?.trim();
    let rate =
        rate.trim_start_matches(|letter: char| letter.is_ascii_digit() || ".?".contains(letter));
    let unit = rate.strip_suffix("/s").or_else(|| rate.strip_prefix("s/"))?.trim();
    Some(unit).filter(|unit| !unit.is_empty())
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
        assert_eq!(read(bar), Some((0.45, "45 of 100 steps".into())));
        let named = "epoch 1:  33%|###3      | 1/3 [00:01<00:02,  1.00s/it, loss=0.5]";
        assert_eq!(read(named), Some((1.0 / 3.0, "epoch 1: 1 of 3 steps".into())));
        let units = "model.pt:  50%|##   | 1.2k/2.4k [00:00<00:00, 3kB/s]";
        assert_eq!(read(units), Some((0.5, "model.pt: 1.2k of 2.4k B".into())));
    }

    #[test]
    fn a_bar_says_what_it_counts() {
        for (counts, expected) in [
            ("340/1000 [00:01<00:02, 44.9epoch/s]", "340 of 1000 epochs"),
            ("1/3 [00:02<00:04,  2.00s/batch, loss=0.5]", "1 of 3 batches"),
            ("0/1 [00:00<?, ?image/s]", "0 of 1 image"),
            ("0/4 [00:00<?, ?it/s]", "0 of 4 steps"),
            ("2/4 [00:00<00:01]", "2 of 4 steps"),
            ("1.2k/2.4k [00:00<00:00, 3.1ktasks/s]", "1.2k of 2.4k tasks"),
            ("2/4 [00:00<00:00, 3.1 files/s]", "2 of 4 files"),
        ] {
            assert_eq!(read(&format!(" 10%|#   | {counts}")).unwrap().1, expected, "{counts}");
        }
    }

    #[test]
    fn other_text_is_none() {
        for text in ["", "45%", "100% sure", "12it [00:01, 11.9it/s]", "x%|y| z", "500%|#| 5/1 ["] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
