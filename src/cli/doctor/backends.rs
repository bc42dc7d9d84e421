//! The way from Label Studio to the server: the ML backends of the project.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use reqwest::Url;
use tokio::time::timeout;

use super::complaint::{self, is_loopback};
use super::report::CheckGroup;
use super::server::ServerAtPort;
use crate::cli::addresses::{Surroundings, in_a_line};
use crate::cli::probe::{ProbeResult, Prober};
use crate::label_studio::LabelStudio;
use crate::label_studio::backends::{Backend, BackendState};
use crate::label_studio::projects::Project;

/// Longest time that looking up a name may take.
const LOOK_UP: Duration = Duration::from_secs(3);

/// An ML backend of the project, and what this machine finds at its address.
#[derive(Debug)]
pub(super) struct ConnectedBackend {
    pub(super) backend: Backend,
    pub(super) found: ProbeResult,
    /// It is the server at the given port.
    pub(super) is_this: bool,
}

/// Checks the ML backends of the project, as Label Studio sees them.
pub(super) async fn check(
    group: &mut CheckGroup,
    studio: &LabelStudio,
    project: &Project,
    server: &ServerAtPort,
    surroundings: &Surroundings,
    prober: &Prober,
) -> Vec<ConnectedBackend> {
    let addresses = in_a_line(&server.to_paste(surroundings));
    let rows = match studio.backends(project.id).await {
        Ok(rows) => rows,
        Err(error) => {
            group.failed(&error);
            return Vec::new();
        }
    };
    if rows.is_empty() {
        group.problem(
            "no ML backend is connected",
            format!(
                "connect one under Settings → Model → Connect model: {addresses}; if Label Studio refuses a private \
                 address, set ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false in its environment"
            ),
        );
        return Vec::new();
    }
    let mut connected = Vec::new();
    for backend in rows {
        let found = find(&backend, server.port, surroundings, prober).await;
        let is_this = is_this(&backend, &found, server, surroundings).await;
        let one = ConnectedBackend { backend, found, is_this };
        report_backend(group, studio, &one, &addresses).await;
        connected.push(one);
    }
    report_project(group, project, &connected, server, &addresses);
    connected
}

/// What is at a backend's address. The given password is sent only to this machine, or where Label Studio
/// sends that of the same user.
async fn find(
    backend: &Backend,
    port: u16,
    surroundings: &Surroundings,
    prober: &Prober,
) -> ProbeResult {
    let url = &backend.url;
    if !url.parse::<Url>().is_ok_and(|url| url.has_host()) {
        return ProbeResult::Nothing("it is not an address".into());
    }
    let same_user = backend.has_password() && backend.basic_auth_user.as_deref() == prober.user();
    if same_user || leads_here(url, port, surroundings).await {
        prober.health(url).await
    } else {
        prober.health_with(url, None).await
    }
}

/// Reports the state of one backend in Label Studio.
async fn report_backend(
    group: &mut CheckGroup,
    studio: &LabelStudio,
    one: &ConnectedBackend,
    addresses: &str,
) {
    let Backend { title, url, state, model_version, .. } = &one.backend;
    let name = format!("\"{title}\" at {url}");
    let this = if one.is_this { ", which is this server" } else { "" };
    if matches!(state, BackendState::Connected | BackendState::Training | BackendState::Predicting)
    {
        let version = model_version.as_deref().unwrap_or("none");
        group.ok(format!("Label Studio reaches {name}{this}: model version {version}"));
        return;
    }
    // Label Studio stores a message only for a failed /setup, so it is asked what fails now.
    let complaint = match studio.backend_failure(one.backend.id).await {
        Ok(Some(complaint)) => complaint,
        Ok(None) => one.backend.error_message.clone().unwrap_or_default(),
        Err(error) => error.to_string(),
    };
    let Ok(address) = url.parse::<Url>() else {
        group
            .problem(format!("{name} has no valid address"), format!("connect one of {addresses}"));
        return;
    };
    let failed =
        if *state == BackendState::Error { "gets an error from" } else { "does not reach" };
    let complaint = if complaint.is_empty() { "it gives no reason".to_owned() } else { complaint };
    group.problem(
        format!("Label Studio {failed} {name}{this}: {}", complaint::in_short(&complaint)),
        complaint::advice(&complaint, &address, &one.found, addresses),
    );
}

/// Reports what the connected backends mean for the project.
fn report_project(
    group: &mut CheckGroup,
    project: &Project,
    connected: &[ConnectedBackend],
    server: &ServerAtPort,
    addresses: &str,
) {
    if server.is_up() && !connected.iter().any(|one| one.is_this) {
        group.problem(
            format!("none of them is the server at port {}", server.port),
            format!("connect it under Settings → Model: {addresses}"),
        );
    }
    if let [first, _, ..] = connected {
        group.warning(
            format!("{} ML backends are connected", connected.len()),
            format!(
                "Label Studio takes predictions only from the first, \"{}\": delete the others",
                first.backend.title
            ),
        );
    }
    if !project.show_collab_predictions {
        group.warning(
            "annotators see no predictions",
            "switch on Settings → Annotation → Use predictions to prelabel tasks",
        );
        return;
    }
    let shown = project.model_version.as_deref().unwrap_or_default();
    let is_theirs = |one: &ConnectedBackend| {
        one.backend.title == shown || one.backend.model_version.as_deref() == Some(shown)
    };
    if !shown.is_empty() && !connected.iter().any(is_theirs) {
        group.warning(
            format!(
                "annotators see the predictions of \"{shown}\", which is not a connected ML backend"
            ),
            "choose the model under Settings → Annotation → Use predictions to prelabel tasks",
        );
    }
}

/// Whether a backend is the server at the port, by its address or by its /health.
async fn is_this(
    backend: &Backend,
    found: &ProbeResult,
    server: &ServerAtPort,
    surroundings: &Surroundings,
) -> bool {
    if let (ProbeResult::Backend(theirs), Some(ours)) = (found, &server.health)
        && theirs.is_same(ours)
    {
        return true;
    }
    server.is_up() && leads_here(&backend.url, server.port, surroundings).await
}

/// Whether an address is one of this machine at this port.
pub(super) async fn leads_here(url: &str, port: u16, surroundings: &Surroundings) -> bool {
    let Ok(url) = url.parse::<Url>() else { return false };
    if url.port_or_known_default() != Some(port) {
        return false;
    }
    let host = url.host_str().unwrap_or_default().to_owned();
    if is_loopback(&host) || host == "host.docker.internal" {
        return true;
    }
    let look_up = tokio::task::spawn_blocking(move || {
        let bare = host.trim_matches(['[', ']']);
        (bare, port).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>)
    });
    match timeout(LOOK_UP, look_up).await {
        Ok(Ok(Ok(addresses))) => addresses.iter().any(|address| surroundings.is_own(address.ip())),
        _ => false,
    }
}
