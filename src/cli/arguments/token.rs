//! Tokens of a command line as argparse sees them.

/// `--port=1` as `--port` and `1`.
pub(super) fn name_and_value(token: &str) -> (&str, Option<&str>) {
    match token.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (token, None),
    }
}

/// Whether argparse takes a token for a value: a word, a negative number, or a text with a space.
pub(super) fn is_value(token: &str) -> bool {
    let is_number = |digits: &str| {
        digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && digits.parse::<f64>().is_ok()
    };
    match token.strip_prefix('-') {
        Some(rest) => rest.is_empty() || is_number(rest) || rest.contains(' ') && rest != "-",
        None => true,
    }
}

/// The sentence of argparse about an abbreviation of several options.
pub(super) fn ambiguous(token: &str, options: &[&str]) -> String {
    format!("ambiguous option: {token} could match {}", options.join(", "))
}
