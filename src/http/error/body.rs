//! The JSON of an error: `detail`, `error_code`, `request`, `result` with `request_id` and perhaps `traceback`,
//! `status`.
//!
//! Clients of the original know all of it but `error_code`; the original sorts the keys, and so they are here.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{ApiError, ErrorCode};

#[derive(Serialize)]
pub(in crate::http) struct ErrorBody<'a> {
    detail: &'a str,
    error_code: ErrorCode,
    /// The arguments of the query.
    request: BTreeMap<String, String>,
    result: Map<String, Value>,
    status: u16,
}

impl<'a> ErrorBody<'a> {
    pub(in crate::http) fn new(
        error: &'a ApiError,
        request: BTreeMap<String, String>,
        result: Map<String, Value>,
    ) -> Self {
        let status = error.status.as_u16();
        Self { detail: &error.detail, error_code: error.code, request, result, status }
    }

    /// Of an error outside of any request.
    pub(in crate::http) fn bare(error: &'a ApiError) -> Self {
        Self::new(error, BTreeMap::new(), Map::new())
    }

    /// One line of JSON.
    pub(in crate::http) fn into_bytes(self) -> Vec<u8> {
        let mut body = serde_json::to_vec(&self).unwrap_or_default();
        body.push(b'\n');
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_sorted_and_the_code_is_one_of_them() {
        let error = ApiError::new(ErrorCode::QueueFull, "é");
        let body = String::from_utf8(ErrorBody::bare(&error).into_bytes()).unwrap();
        let expected = "{\"detail\":\"é\",\"error_code\":\"queue_full\",\"request\":{},\"result\":{},\"status\":503}\n";
        assert_eq!(body, expected);
    }
}
