//! A door for the fuzzing targets: what handlers read out of a request, and how they refuse it.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, HeaderValue, Uri};

use super::error::{ApiError, reason_phrase};
use super::extract::fields::Fields;
use super::extract::prefer;
use super::extract::query as extract_query;
use super::routes::{jobs, predict};
use crate::ids::ProjectKey;
use crate::training::events::EventProject;
use crate::workers::pool::Priority;

/// A refusal as a client sees it.
#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    pub detail: String,
    /// Bytes of the reason phrase; none where the standard one is sent.
    pub reason: Option<Vec<u8>>,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let reason = reason_phrase(&error.detail).map(|reason| reason.as_bytes().to_vec());
        Self { status: error.status.as_u16(), detail: error.detail, reason }
    }
}

/// The top-level fields of a body.
#[derive(Debug)]
pub struct Scanned<'a>(Fields<'a>);

impl<'a> Scanned<'a> {
    pub fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        Ok(Self(Fields::read(body)?))
    }

    pub fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(serde_json::value::RawValue::get)
    }

    pub fn project(&self) -> Result<String, Refusal> {
        Ok(self.0.project()?.to_string())
    }

    pub fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        Ok(self.0.text(name)?)
    }

    pub fn flag(&self, name: &str, absent: bool) -> Result<bool, Refusal> {
        Ok(self.0.flag(name, absent)?)
    }

    pub fn list(&self, name: &str) -> Result<&'a str, Refusal> {
        Ok(self.0.list(name)?.get())
    }

    pub fn object(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        Ok(self.0.object(name)?.map(serde_json::value::RawValue::get))
    }

    /// Whether /predict takes the request for one behind which a person waits.
    pub fn is_interactive(&self) -> Result<bool, Refusal> {
        Ok(predict::priority(self.0.object("params")?)? == Priority::Interactive)
    }

    /// The key of the project that a webhook event is about, whose id alone is otherwise known as
    /// `known`; and its labelling config.
    pub fn event_project(&self, known: Option<String>) -> (String, Option<String>) {
        let event = EventProject::read(self.0.get("project"));
        (event.key(known.map(ProjectKey::from)).to_string(), event.label_config)
    }

    /// The id that `/job_status` asks for.
    pub fn job(&self) -> Result<u64, Refusal> {
        let text = jobs::asked(&self.0)?;
        Ok(jobs::id(&text).map_err(ApiError::from)?.0)
    }
}

/// Query arguments; none if `target` is not the target of a request.
pub fn query(target: &[u8]) -> Option<BTreeMap<String, String>> {
    Uri::try_from(target).ok().map(|uri| extract_query::arguments(&uri))
}

/// The seconds that a header `Prefer` asks to wait; none if no header has such a value.
pub fn prefer(value: &[u8]) -> Option<u64> {
    let mut headers = HeaderMap::new();
    headers.insert("prefer", HeaderValue::from_bytes(value).ok()?);
    prefer::wait(&headers).map(|wait| wait.as_secs())
}
