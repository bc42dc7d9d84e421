//! Files that tasks name: whether they can be fetched.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{StatusCode, Url};

use super::{LabelStudio, LabelStudioError, address};

/// The beginning of a file.
#[derive(Debug)]
pub struct Beginning {
    pub status: StatusCode,
    pub content_type: String,
    /// What came first, at most as much as was asked for.
    pub bytes: Vec<u8>,
    /// Whether redirects led to another server, as to that of a cloud storage.
    pub elsewhere: bool,
}

impl LabelStudio {
    /// Fetches the first bytes at a path of Label Studio or at an address. The token goes to Label Studio
    /// alone, and not along when that redirects to another server.
    pub async fn download(&self, target: &str, most: usize) -> Result<Beginning, LabelStudioError> {
        let url = if target.starts_with('/') {
            let below = self.base().path().trim_end_matches('/');
            let path = target.strip_prefix(below).filter(|rest| rest.starts_with('/'));
            address::below(self.base(), path.unwrap_or(target))
        } else {
            Url::parse(target).map_err(|error| LabelStudioError::Address {
                given: target.to_owned(),
                reason: error.to_string(),
            })?
        };
        let mut request = self.http().get(url.clone());
        if url.origin() == self.base().origin() {
            request = request.header(AUTHORIZATION, self.authorization(false).await?);
        }
        let shown = format!("{}{}", url.origin().ascii_serialization(), url.path());
        let failed = |error: &reqwest::Error| LabelStudioError::transport(&shown, error);
        let mut response = request.send().await.map_err(|error| failed(&error))?;
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let mut bytes = Vec::new();
        while bytes.len() < most
            && let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))?
        {
            bytes.extend_from_slice(&chunk);
        }
        bytes.truncate(most);
        Ok(Beginning {
            status: response.status(),
            content_type,
            bytes,
            elsewhere: response.url().origin() != url.origin(),
        })
    }
}
