//! The header `Prefer: wait=N` (RFC 7240): how long a client wants to wait for the end of a job.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

const PREFER: &str = "prefer";
/// Header of an answer that followed the preference.
pub(in crate::http) const PREFERENCE_APPLIED: &str = "preference-applied";
/// Longest wait in seconds; a client that prefers a longer one waits this long.
const LONGEST: u64 = 3_600;

/// The wait that a client prefers; none if it wants the answer at once.
pub(in crate::http) struct Prefer(pub(in crate::http) Option<Duration>);

impl<S: Sync> FromRequestParts<S> for Prefer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(wait(&parts.headers)))
    }
}

/// Of several preferences the first counts, as the RFC says; one that is not a number is ignored.
pub(in crate::http) fn wait(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|wish| {
            let (name, value) = wish.split(';').next()?.split_once('=')?;
            let seconds = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("wait").then(|| seconds.parse::<u64>().ok())
        })
        .flatten()
        .map(|seconds| Duration::from_secs(seconds.min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, value.parse().unwrap());
        }
        wait(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn the_first_wish_counts() {
        assert_eq!(of(&["wait=10"]), Some(10));
        assert_eq!(of(&["respond-async, Wait = \"5\"; x=y", "wait=7"]), Some(5));
        assert_eq!(of(&["return=minimal", "wait=100000"]), Some(LONGEST));
        for none in ["", "wait", "wait=", "wait=-1", "wait=soon", "waiting=5"] {
            assert_eq!(of(&[none]), None, "{none}");
        }
    }

    #[test]
    fn a_wish_is_followed_up_to_an_hour() {
        for (wish, wait) in [
            ("wait=0", Some(0)),
            ("wait=3599", Some(3_599)),
            ("wait=3600", Some(3_600)),
            ("wait=3601", Some(3_600)),
            ("wait=18446744073709551615", Some(3_600)),
            ("wait=18446744073709551616", None),
            ("WAIT=\"7\"", Some(7)),
            (" wait = 7 ", Some(7)),
            ("wait=7;a=b", Some(7)),
            ("a;wait=7", None),
            ("wait=1.5", None),
            ("await=7", None),
            // The first one counts, also where it is not a number.
            ("wait=soon, wait=7", None),
            ("respond-async, wait=7, wait=8", Some(7)),
        ] {
            assert_eq!(of(&[wish]), wait, "{wish}");
        }
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["respond-async", "wait=7"]), Some(7));
        let mut headers = HeaderMap::new();
        headers.append(PREFER, axum::http::HeaderValue::from_bytes(b"\xff").unwrap());
        headers.append(PREFER, "wait=7".parse().unwrap());
        assert_eq!(wait(&headers), Some(Duration::from_secs(7)));
    }
}
