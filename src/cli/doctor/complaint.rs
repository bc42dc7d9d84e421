//! What Label Studio says of an ML backend that it cannot use, and what to do about it.

use reqwest::Url;

use super::probe::Found;

/// Advice for a complaint of Label Studio about the backend at `url`. `from_here`: what this machine finds at
/// that address. `addresses`: those worth pasting.
pub(super) fn advice(complaint: &str, url: &Url, from_here: &Found, addresses: &str) -> String {
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
            "Label Studio does not know this host: connect one of"
        };
        return format!("{hint} {addresses}");
    }
    if says(&["Connection refused", "NewConnectionError", "No route to host", "unreachable"]) {
        return match from_here {
            Found::Nothing(_) => {
                format!("nothing answers at {host}:{port}: start the server there")
            }
            _ if is_loopback(host) => format!(
                "this machine reaches it and Label Studio does not: in a container `{host}` means the \
                 container itself, so connect another of {addresses}"
            ),
            _ => format!(
                "this machine reaches it and Label Studio does not: let the firewall pass port {port}, or \
                 connect another of {addresses}"
            ),
        };
    }
    if says(&["timed out", "Timeout"]) {
        return match from_here {
            Found::Backend(_) => format!(
                "Label Studio waits 1 s for /health and 3 s for /setup, and a firewall may swallow port {port}: \
                 look into the server's log, or raise ML_TIMEOUT_HEALTH and ML_TIMEOUT_SETUP of Label Studio"
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
        Found::Stranger(_) => {
            format!("another program answers at {host}:{port}: connect one of {addresses}")
        }
        Found::Nothing(_) => format!("nothing answers at {host}:{port}: start the server there"),
        Found::Locked => {
            "enter the user and the password of the server under Settings → Model, Basic Auth"
                .into()
        }
        Found::Backend(_) => "the server's log and its /health say why it fails".into(),
    }
}

/// The heart of a complaint: Python's HTTP client wraps a cause in its own words.
pub(super) fn in_short(complaint: &str) -> &str {
    let cause = complaint.rsplit_once("Caused by ").map_or(complaint, |(_, cause)| cause);
    let heart = if cause.len() == complaint.len() {
        cause
    } else {
        cause.rsplit_once(": ").map_or(cause, |(_, heart)| heart)
    };
    heart.trim_end_matches(['\'', '"', ')']).trim_start_matches(['\'', '"'])
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

    fn told(complaint: &str, url: &str, from_here: &Found) -> String {
        advice(complaint, &url.parse().unwrap(), from_here, "http://192.168.1.5:9090")
    }

    const REFUSED: &str = "HTTPConnectionPool(host='localhost', port=9090): Max retries exceeded with url: \
                           /versions (Caused by NewConnectionError(\"HTTPConnection(host='localhost', port=9090): \
                           Failed to establish a new connection: [Errno 111] Connection refused\"))";

    #[test]
    fn a_complaint_is_shown_without_its_wrapping() {
        assert_eq!(in_short(REFUSED), "[Errno 111] Connection refused");
        let plain = "500 Server Error: KeyError for url: http://h/setup";
        assert_eq!(in_short(plain), plain);
    }

    #[test]
    fn each_complaint_has_its_remedy() {
        let nothing = Found::Nothing("nothing listens there".into());
        let stranger = Found::Stranger("/health is answered with 404".into());
        for (complaint, url, from_here, remedy) in [
            (REFUSED, "http://localhost:9090", &nothing, "start the server there"),
            (
                REFUSED,
                "http://localhost:9090",
                &Found::Locked,
                "`localhost` means the container itself",
            ),
            (REFUSED, "http://10.1.1.1:9090", &Found::Locked, "let the firewall pass port 9090"),
            ("401 Client Error: Unauthorized", "http://h", &Found::Locked, "Basic Auth"),
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
            ("Failed to resolve 'x'", "http://x", &nothing, "does not know this host"),
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
