//! The way from user code in a worker to its server.

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;

use crate::worker::server_client::ServerClient;

static CLIENT: OnceLock<Arc<ServerClient>> = OnceLock::new();

/// Sets the client through which user code reaches the server; once in a process.
pub(super) fn ask_with(client: &Arc<ServerClient>) {
    let _ = CLIENT.set(Arc::clone(client));
}

/// None outside of a worker.
pub(super) fn client() -> Option<&'static Arc<ServerClient>> {
    CLIENT.get()
}

/// Whether this process is a worker of a server.
#[pyfunction]
pub(super) fn is_hosted() -> bool {
    client().is_some()
}
