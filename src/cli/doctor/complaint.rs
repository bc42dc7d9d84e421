//! Turns what Label Studio says about an ML backend that it cannot use into advice.

use reqwest::Url;

use crate::cli::probe::ProbeResult;

/// Advice for a complaint of Label Studio about the backend at `url`. `from_here`: what this machine finds at
/// that address. `addresses`: those to paste instead.
pub(super) fn advice(
    complaint: &str,
    url: &Url,
    from_here: &ProbeResult,
    addresses: &str,
) -> String {
    let says = |words: &[&str]| words.iter().any(|word| complaint.contains(word));
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    if says(&["reserved network address", "SsrfBlocked", "banned subnet"]) {
        return "Label Studio refuses private addresses: set ML_BLOCK_LOCAL_IP=false and \
                SSRF_PROTECTION_ENABLED=false in its environment, and restart it"
            .into();
    }
    if says(&["401", "authentication parameters"]) {
        return "enter the user and the password of the server under Settings → Model, Basic Auth"
            .into();
    }
    if says(&[
        "Name or service not known",
        "Failed to resolve",
        "NameResolution",
        "resolve hostname",
    ]) {
        let hint = if host == "host.docker.internal" {
            "start Label Studio's container with --add-host=host.docker.internal:host-gateway, or connect \
             another of"
        } else {
            "Label Studio cannot resolve this host name: connect one of"
        };
        return format!("{hint} {addresses}");
    }
    if says(&["Connection refused", "NewConnectionError", "No route to host", "unreachable"]) {
        return match from_here {
            ProbeResult::Nothing(_) => {
                format!("nothing answers at {host}:{port}: start the server there")
            }
            _ if is_loopback(host) => format!(
                "this machine reaches it and Label Studio does not: in a container `{host}` means the \
                 container itself, so connect another of {addresses}"
            ),
            _ => format!(
                "this machine reaches it and Label Studio does not: open port {port} in the firewall, or \
                 connect another of {addresses}"
            ),
        };
    }
    if says(&["timed out", "Timeout"]) {
        return match from_here {
            ProbeResult::Backend(_) => format!(
                "Label Studio waits 1 s for /health and 3 s for /setup, and a firewall may swallow port {port}: \
                 check the server's log, or raise ML_TIMEOUT_HEALTH and ML_TIMEOUT_SETUP of Label Studio"
            ),
            _ => {
                format!("nothing answers at {host}:{port} in time: connect another of {addresses}")
            }
        };
    }
    if says(&["CERTIFICATE_VERIFY_FAILED", "SSLError"]) {
        return "Label Studio does not trust the certificate: set REQUESTS_CA_BUNDLE in its environment".into();
    }
    match from_here {
        ProbeResult::Stranger(_) => {
            format!("another program answers at {host}:{port}: connect one of {addresses}")
        }
        ProbeResult::Nothing(_) => {
            format!("nothing answers at {host}:{port}: start the server there")
        }
        ProbeResult::Locked => {
            "enter the user and the password of the server under Settings → Model, Basic Auth"
                .into()
        }
        ProbeResult::Backend(_) => "see the server's log and its /health for the reason".into(),
    }
}

/// The cause in a complaint, without the words in which Python's HTTP client wraps it.
pub(super) fn in_short(complaint: &str) -> String {
    let Some((_, cause)) = complaint.rsplit_once("Caused by ") else { return complaint.to_owned() };
    // A colon behind an opening bracket and one word, as in `(block: 127.0.0.0/8)`, belongs to the sentence.
    let is_in_brackets = |at: usize| {
        let word = cause[..at].rsplit('(').next().unwrap_or_default();
        cause[..at].contains('(') && !word.is_empty() && word.chars().all(char::is_alphabetic)
    };
    let mut colons = cause.rmatch_indices(": ");
    let inner =
        colons.find(|(at, _)| !is_in_brackets(*at)).map_or(cause, |(at, _)| &cause[at + 2..]);
    let quoted = inner.rsplit_once("('").or_else(|| inner.rsplit_once("(\""));
    let inner = quoted.map_or(inner, |(_, inner)| inner);
    let bare = inner.trim_end_matches(['\'', '"', ')', ',']).trim_start_matches(['\'', '"']);
    let open = bare.matches('(').count().saturating_sub(bare.matches(')').count());
    format!("{bare}{}", ")".repeat(open))
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(complaint: &str, url: &str, from_here: &ProbeResult) -> String {
        advice(complaint, &url.parse().unwrap(), from_here, "http://192.168.1.5:9090")
    }

    const REFUSED: &str = "HTTPConnectionPool(host='localhost', port=9090): Max retries exceeded with url: \
                           /versions (Caused by NewConnectionError(\"HTTPConnection(host='localhost', port=9090): \
                           Failed to establish a new connection: [Errno 111] Connection refused\"))";

    #[test]
    fn a_complaint_is_shown_without_its_wrapping() {
        assert_eq!(in_short(REFUSED), "[Errno 111] Connection refused");
        let plain = "URL resolves to a reserved network address (block: 127.0.0.0/8)";
        assert_eq!(in_short(plain), plain);
        for wrapped in [
            format!(
                "HTTPConnectionPool(host='h', port=1): failed (Caused by SsrfBlockedUrlError('{plain}'))"
            ),
            format!(
                "Pool(host='h'): Max retries (Caused by ProtocolError(\"it: failed\", Blocked('{plain}')))"
            ),
            format!("Pool(host='h'): Max retries (Caused by Blocked: {plain})"),
        ] {
            assert_eq!(in_short(&wrapped), plain, "{wrapped}");
        }
    }

    #[test]
    fn each_complaint_has_its_remedy() {
        let nothing = ProbeResult::Nothing("nothing listens there".into());
        let stranger = ProbeResult::Stranger("/health is answered with 404".into());
        for (complaint, url, from_here, remedy) in [
            (REFUSED, "http://localhost:9090", &nothing, "start the server there"),
            (
                REFUSED,
                "http://localhost:9090",
                &ProbeResult::Locked,
                "`localhost` means the container itself",
            ),
            (
                REFUSED,
                "http://10.1.1.1:9090",
                &ProbeResult::Locked,
                "open port 9090 in the firewall",
            ),
            ("401 Client Error: Unauthorized", "http://h", &ProbeResult::Locked, "Basic Auth"),
            (
                "URL resolves to a reserved network address (block: 127.0.0.0/8)",
                "http://h",
                &nothing,
                "SSRF_PROTECTION_ENABLED=false",
            ),
            (
                "Failed to resolve 'host.docker.internal'",
                "http://host.docker.internal",
                &nothing,
                "--add-host",
            ),
            ("Failed to resolve 'x'", "http://x", &nothing, "cannot resolve this host name"),
            (
                "Read timed out. (read timeout=1.0)",
                "http://h",
                &nothing,
                "in time: connect another",
            ),
            ("SSLError(CERTIFICATE_VERIFY_FAILED)", "https://h", &nothing, "REQUESTS_CA_BUNDLE"),
            ("Expecting value: line 1 column 1 (char 0)", "http://h", &stranger, "another program"),
        ] {
            let advice = told(complaint, url, from_here);
            assert!(advice.contains(remedy), "{complaint}: {advice}");
        }
    }
}
