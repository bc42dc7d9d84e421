//! The name in a path, such as the job in `/jobs/{job}`.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::http::error::ApiError;

/// The value of the one variable of a route. A value that is not UTF-8 names nothing: the path is unknown.
pub(in crate::http) struct PathName(pub(in crate::http) String);

impl<S: Send + Sync> FromRequestParts<S> for PathName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(_) => Err(ApiError::unknown_path(parts.uri.path())),
        }
    }
}
