//! Requests over HTTP as workers see them, and the user's WSGI app through which some of them pass.
//!
//! A request reaches the app in a worker as [`AppRequest`], and its answer comes back as [`AppAnswer`]. The
//! same pair serves the other way round, when a view of the app asks for a route of the server.

use serde::{Deserialize, Serialize};

/// A request over HTTP without its body, for user code that looks at `flask.request`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpHead {
    /// Path and query.
    pub target: String,
    /// A line `name: value` for each header; they are rarely read, so they are not parsed.
    pub headers: String,
}

impl std::fmt::Debug for HttpHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers carry credentials.
        f.debug_struct("HttpHead").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Maximum number of requests that an app answers at a time in one worker, each on a thread of its own.
pub const MAX_APP_CALLS: usize = 64;

/// What `_wsgi.py` and the script added to their app, as far as the server must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserApp {
    /// Hooks, error handlers or middleware may see every request.
    pub sees_all: bool,
    /// Routes of the server that the app answers itself, each as `METHOD /path`.
    pub replaced: Vec<String>,
    /// It stands around the app that `init_app` returned, or beside it.
    pub is_wrapped: bool,
    /// What was added, in words.
    pub summary: String,
}

/// A request, without its body.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRequest {
    pub method: String,
    #[serde(flatten)]
    pub head: HttpHead,
    /// Address of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

impl std::fmt::Debug for AppRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its headers carry credentials.
        write!(f, "AppRequest({} {})", self.method, self.head.target)
    }
}

/// An answer, without its body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppAnswer {
    pub status: u16,
    /// What stands behind the number, if it is not the usual phrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Names and values; the letters of a value are Latin-1.
    pub headers: Vec<(String, String)>,
}
