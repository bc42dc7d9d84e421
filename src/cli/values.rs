//! Parsers for the values of options. Their errors complete a sentence that begins with the value, as in `"x" is
//! not a whole number from 1 to 256`.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Longest time that an option can set, in seconds: a day. Clocks can count more without overflow.
const LONGEST: f64 = 86_400.0;

/// Levels of Python's `logging`, all of which `LOG_LEVEL` could name in the original.
const LEVELS: [&str; 8] =
    ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL", "WARN", "NOTSET"];

/// A level of Python's `logging`, in capital letters.
pub(super) fn log_level(text: &str) -> Result<String, String> {
    let level = text.trim().to_uppercase();
    if LEVELS.contains(&level.as_str()) {
        return Ok(level);
    }
    Err("is not DEBUG, INFO, WARNING, ERROR or CRITICAL".into())
}

/// A parser for whole numbers within `range`.
pub(super) fn whole<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| match range.end() {
            most if *most < u32::MAX.into() => {
                format!("is not a whole number from {} to {most}", range.start())
            }
            _ => format!("is not a whole number ({} or more)", range.start()),
        })
    }
}

/// A port to listen on or to connect to; 0 stands for one that is free.
pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "is not a port number (1 to 65535)".into())
}

/// Any number of seconds, at most a day.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds >= 0.0 => {
            Ok(Duration::try_from_secs_f64(seconds.min(LONGEST)).unwrap_or_default())
        }
        _ => Err("is not a number of seconds (0 or more)".into()),
    }
}

pub(super) fn positive_seconds(text: &str) -> Result<Duration, String> {
    match seconds(text) {
        Ok(time) if time > Duration::ZERO => Ok(time),
        _ => Err("is not a number of seconds (more than 0)".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_refused_is_told_which_are_taken() {
        let (few, many) = (whole::<u16>(1..=256), whole::<u64>(1..=u64::MAX));
        assert_eq!(few("256"), Ok(256));
        for wrong in ["abc", "0", "257", "-1", "1.5", ""] {
            assert_eq!(few(wrong).unwrap_err(), "is not a whole number from 1 to 256", "{wrong}");
        }
        assert_eq!((port("0"), port("65535")), (Ok(0), Ok(65_535)));
        for wrong in ["abc", "65536", "-1", "1.5", ""] {
            assert_eq!(port(wrong).unwrap_err(), "is not a port number (1 to 65535)", "{wrong}");
        }
        assert_eq!(many("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(many("0").unwrap_err(), "is not a whole number (1 or more)");
    }

    #[test]
    fn a_level_is_one_of_pythons_in_any_case() {
        for (text, level) in [("debug", "DEBUG"), ("Critical", "CRITICAL"), (" warn ", "WARN")] {
            assert_eq!(log_level(text), Ok(level.to_owned()));
        }
        for wrong in ["", "loud", "10", "DEBUGGING"] {
            assert!(log_level(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction_and_are_bounded() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("inf"), Ok(Duration::from_secs(86_400)));
        for wrong in ["-1", "soon", "nan", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert!(positive_seconds("0").is_err() && seconds("0").is_ok());
        assert!(positive_seconds("soon").unwrap_err().contains("more than 0"));
    }
}
