//! Files that tasks refer to: whether they can be fetched.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{StatusCode, Url};

use super::{LabelStudio, LabelStudioError, address};

/// The first bytes of a file, or of the answer instead of it.
#[derive(Debug)]
pub struct FilePrefix {
    pub status: StatusCode,
    pub content_type: String,
    pub bytes: Vec<u8>,
    /// Whether redirects led to another server, for instance of a cloud storage.
    pub is_from_other_server: bool,
}

impl LabelStudio {
    /// Fetches at most `max_bytes` from a path of Label Studio or from an address. The token is sent to
    /// Label Studio only, also when that redirects to another server.
    pub async fn download_prefix(
        &self,
        target: &str,
        max_bytes: usize,
    ) -> Result<FilePrefix, LabelStudioError> {
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
        while bytes.len() < max_bytes
            && let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))?
        {
            bytes.extend_from_slice(&chunk);
        }
        bytes.truncate(max_bytes);
        Ok(FilePrefix {
            status: response.status(),
            content_type,
            bytes,
            is_from_other_server: response.url().origin() != url.origin(),
        })
    }
}
