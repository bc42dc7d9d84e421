//! What can go wrong between this program and Label Studio, in sentences for the user of a command.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use reqwest::StatusCode;
use thiserror::Error;

use super::ids::ProjectId;

#[derive(Debug, Error)]
pub enum LabelStudioError {
    #[error(
        "{given:?} is not an address: {reason}; set LABEL_STUDIO_URL to one like http://localhost:8080"
    )]
    Address { given: String, reason: String },
    #[error(
        "no API key is given: set LABEL_STUDIO_API_KEY to a token of Account & Settings in Label Studio"
    )]
    NoKey,
    #[error(
        "the API key contains characters that a token cannot contain: \
         copy it again from Account & Settings in Label Studio"
    )]
    MalformedKey,
    #[error("{}: {reason}", path.display())]
    CertificateFile { path: PathBuf, reason: String },
    #[error("cannot set up the HTTP client: {0}")]
    Setup(#[source] reqwest::Error),
    #[error("nothing listens at {url}: start Label Studio, or set LABEL_STUDIO_URL to its address")]
    Refused { url: String },
    #[error("the host name of {url} cannot be resolved: correct LABEL_STUDIO_URL")]
    UnknownHost { url: String },
    #[error("{url} did not answer in time: it is overloaded, or a firewall drops the packets")]
    Timeout { url: String },
    #[error(
        "the certificate of {url} is not trusted ({reason}): \
         set SSL_CERT_FILE to the file of your certificate authority"
    )]
    Certificate { url: String, reason: String },
    #[error("{url} does not speak TLS: write http:// instead of https://")]
    NoTls { url: String },
    #[error("the connection to {url} failed: {reason}")]
    Connection { url: String, reason: String },
    #[error(
        "{url} answers, but is not Label Studio ({reason}): \
         set LABEL_STUDIO_URL to the address that shows it in a browser"
    )]
    NotLabelStudio { url: String, reason: String },
    #[error(
        "legacy tokens are switched off in Label Studio: use a personal access token of \
         Account & Settings, or let an administrator switch them on under Organization, API Token Settings"
    )]
    LegacyTokensOff,
    #[error(
        "Label Studio does not accept this {0}: copy the API key again from Account & Settings"
    )]
    UnknownToken(&'static str),
    #[error(
        "Label Studio no longer accepts this access token, which expires after a few minutes: \
         use the personal access token that it was made from"
    )]
    AccessTokenExpired,
    #[error(
        "Label Studio refuses private addresses ({what}): set ML_BLOCK_LOCAL_IP=false and \
         SSRF_PROTECTION_ENABLED=false in its environment, and restart it"
    )]
    PrivateAddress { what: String },
    #[error(
        "Label Studio forbids this to the owner of the API key ({what}): \
         use the key of a member of the project"
    )]
    Forbidden { what: String },
    #[error(
        "there is no project {0} in the organisation of the API key: \
         correct the number, or use the key of a member"
    )]
    NoProject(ProjectId),
    #[error("Label Studio answered {status} to {what}: {detail}")]
    Status { status: StatusCode, what: String, detail: String },
    #[error("Label Studio's answer to {what} cannot be read: {reason}")]
    Answer { what: String, reason: String },
}

impl LabelStudioError {
    /// Whether the same request may succeed a moment later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Connection { .. } => true,
            Self::Status { status, .. } => matches!(status.as_u16(), 502..=504),
            _ => false,
        }
    }

    /// Whether Label Studio refused a request, and so changed nothing. After a time-out of this client or of
    /// a gateway nobody knows whether it made the change.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::LegacyTokensOff
            | Self::UnknownToken(_)
            | Self::AccessTokenExpired
            | Self::PrivateAddress { .. }
            | Self::Forbidden { .. }
            | Self::NoProject(_) => true,
            Self::Status { status, .. } => {
                status.is_client_error() && *status != StatusCode::REQUEST_TIMEOUT
            }
            _ => false,
        }
    }

    /// What happened to the connection, without advice for Label Studio: the server may be another one.
    pub fn summary(&self) -> String {
        match self {
            Self::Refused { .. } => "nothing listens there".into(),
            Self::Timeout { .. } => "no answer in time".into(),
            Self::UnknownHost { .. } => "its host name cannot be resolved".into(),
            Self::Certificate { reason, .. } => format!("its certificate is not trusted: {reason}"),
            Self::NoTls { .. } => "it does not speak TLS".into(),
            Self::Connection { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }

    /// Turns an error of the HTTP client about a request to `url` into one of these.
    pub fn transport(url: &str, error: &reqwest::Error) -> Self {
        let url = url.to_owned();
        if error.is_timeout() {
            return Self::Timeout { url };
        }
        let causes = causes(error);
        let text = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
        for cause in causes {
            if let Some(tls) = tls_error(cause) {
                return match tls {
                    rustls::Error::InvalidMessage(_) => Self::NoTls { url },
                    _ => Self::Certificate { url, reason: tls.to_string() },
                };
            }
            if let Some(io) = cause.downcast_ref::<io::Error>() {
                match io.kind() {
                    io::ErrorKind::ConnectionRefused => return Self::Refused { url },
                    io::ErrorKind::TimedOut => return Self::Timeout { url },
                    _ => {}
                }
            }
            if cause.to_string().starts_with("dns error") {
                return Self::UnknownHost { url };
            }
        }
        Self::Connection { url, reason: text }
    }
}

/// An error and its causes, outermost first.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source()).collect()
}

/// The TLS error inside an error. `io::Error` does not show the error it wraps as its `source`.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    error.downcast_ref::<rustls::Error>().or_else(|| {
        let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
        inner
            .downcast_ref::<rustls::Error>()
            .or_else(|| tls_error(inner.downcast_ref::<io::Error>()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_is_known_to_have_changed_nothing() {
        let status = |code: u16| LabelStudioError::Status {
            status: StatusCode::from_u16(code).unwrap(),
            what: "POST".into(),
            detail: String::new(),
        };
        assert!(status(400).is_refusal() && status(404).is_refusal());
        assert!(LabelStudioError::NoProject(ProjectId(1)).is_refusal());
        // A gateway gives up while Label Studio may still store the change.
        assert!(![408, 500, 502, 503, 504].into_iter().any(|code| status(code).is_refusal()));
        assert!(!LabelStudioError::Timeout { url: "http://a".into() }.is_refusal());
        let unread = LabelStudioError::Answer { what: "POST".into(), reason: "not JSON".into() };
        assert!(!unread.is_refusal());
    }
}
