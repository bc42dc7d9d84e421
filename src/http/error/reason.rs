//! The reason phrase of an error: Label Studio shows its user that and nothing of the body, so it says in
//! one line what was wrong.

use std::fmt::Write;

use hyper::ext::ReasonPhrase;

/// Maximum length of a reason phrase, in bytes.
const REASON_LENGTH: usize = 120;

/// The start of a detail, as far as it is safe in a status line.
pub(in crate::http) fn reason_phrase(detail: &str) -> Option<ReasonPhrase> {
    ReasonPhrase::try_from(reason_line(detail).into_bytes()).ok()
}

/// The same as a text of printable ASCII, with `\u` for the rest.
pub(in crate::http) fn reason_line(detail: &str) -> String {
    let line = detail.lines().next().unwrap_or_default();
    let mut reason = String::new();
    for character in line.chars() {
        let room = REASON_LENGTH - reason.len();
        if character == ' ' || character.is_ascii_graphic() {
            if room == 0 {
                break;
            }
            reason.push(character);
        } else {
            let mut escaped = String::new();
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            if escaped.len() > room {
                break;
            }
            reason.push_str(&escaped);
        }
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(detail: &str) -> String {
        String::from_utf8(reason_phrase(detail).unwrap().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_reason_phrase_is_one_short_ascii_line() {
        assert_eq!(reason("KeyError: 'sentiment'\nmore"), "KeyError: 'sentiment'");
        assert_eq!(reason("KeyError: 'é'\u{0}"), "KeyError: '\\u00e9'\\u0000");
        assert_eq!(reason(&"x".repeat(500)).len(), REASON_LENGTH);
        assert!(reason(&"é".repeat(500)).len() <= REASON_LENGTH);
        assert_eq!(reason("a\r\nX-Evil: 1"), "a");
    }
}
