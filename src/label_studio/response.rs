//! What Label Studio's answers mean: in, an HTTP response; out, its parsed body or an error.

use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::LabelStudioError;

/// Maximum length of the message of an error answer that is shown, in characters.
const MAX_DETAIL: usize = 300;

/// Parses the body of a successful answer; turns any other answer into an error.
pub(super) async fn read<T: DeserializeOwned>(
    response: Response,
    what: &str,
) -> Result<T, LabelStudioError> {
    let status = response.status();
    let mut url = response.url().clone();
    url.set_query(None);
    let failed = |error| LabelStudioError::transport(url.as_str(), &error);
    let body = response.bytes().await.map_err(failed)?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| LabelStudioError::Answer {
            what: what.to_owned(),
            reason: error.to_string(),
        });
    }
    let detail = detail(&body);
    Err(match status {
        StatusCode::UNAUTHORIZED if detail.contains("legacy token authentication") => {
            LabelStudioError::LegacyTokensOff
        }
        StatusCode::UNAUTHORIZED => LabelStudioError::UnknownToken("API key"),
        StatusCode::FORBIDDEN if detail.contains("reserved network address") => {
            LabelStudioError::PrivateAddress { what: detail }
        }
        StatusCode::FORBIDDEN => LabelStudioError::Forbidden { what: format!("{what}: {detail}") },
        _ => LabelStudioError::Status { status, what: what.to_owned(), detail },
    })
}

/// The message of an error answer: `detail` and validation errors, or else the start of the text.
fn detail(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct ErrorDetail {
        #[serde(alias = "error")]
        detail: String,
        #[serde(default)]
        validation_errors: serde_json::Value,
    }
    let text = match serde_json::from_slice::<ErrorDetail>(body) {
        Ok(error) if error.validation_errors.is_null() => error.detail,
        Ok(error) => format!("{}: {}", error.detail, error.validation_errors),
        Err(_) if body.trim_ascii_start().starts_with(b"<") => "an HTML page".into(),
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    text.chars().take(MAX_DETAIL).collect()
}
