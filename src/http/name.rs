//! The name in a path, such as the job in `/jobs/{job}`.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::error::{self, ApiError};

/// What stands in the place of the one variable of a route. Where that is no UTF-8, nothing has the
/// name.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(_) => Err(error::no_such_path(parts.uri.path())),
        }
    }
}
