//! The way back: the ML backends of the project, as Label Studio reaches them.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use reqwest::Url;
use tokio::time::timeout;

use super::complaint::{self, is_loopback};
use super::probe::{Found, Prober};
use super::report::Group;
use super::server::Server;
use crate::cli::addresses::{Surroundings, in_a_line};
use crate::label_studio::LabelStudio;
use crate::label_studio::backends::{Backend, BackendState};
use crate::label_studio::projects::Project;

/// How long a name may take to be looked up.
const LOOK_UP: Duration = Duration::from_secs(3);

/// An ML backend of the project, and what this machine finds under its address.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) backend: Backend,
    pub(super) found: Found,
    /// It is the server at the port that was asked for.
    pub(super) is_this: bool,
}

/// Has Label Studio look at the project's ML backends.
pub(super) async fn check(
    group: &mut Group,
    studio: &LabelStudio,
    project: &Project,
    server: &Server,
    surroundings: &Surroundings,
    prober: &Prober,
) -> Vec<Connected> {
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
                "connect one under Settings → Model → Connect model: {addresses}; should Label Studio refuse a \
                 private address, set ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false in its environment"
            ),
        );
        return Vec::new();
    }
    let mut connected = Vec::new();
    for backend in rows {
        let found = find(&backend, server.port, surroundings, prober).await;
        let is_this = is_this(&backend, &found, server, surroundings).await;
        let one = Connected { backend, found, is_this };
        tell(group, studio, &one, &addresses).await;
        connected.push(one);
    }
    whole(group, project, &connected, server, &addresses);
    connected
}

/// What is at a backend's address. Our password goes to this machine, or where Label Studio sends that of
/// the same user.
async fn find(backend: &Backend, port: u16, surroundings: &Surroundings, prober: &Prober) -> Found {
    let url = &backend.url;
    if !url.parse::<Url>().is_ok_and(|url| url.has_host()) {
        return Found::Nothing("it is no address".into());
    }
    let same_user = backend.has_password() && backend.basic_auth_user.as_deref() == prober.user();
    if same_user || leads_here(url, port, surroundings).await {
        prober.health(url).await
    } else {
        prober.health_with(url, None).await
    }
}

/// Tells what Label Studio thinks of one.
async fn tell(group: &mut Group, studio: &LabelStudio, one: &Connected, addresses: &str) {
    let Backend { title, url, state, model_version, .. } = &one.backend;
    let name = format!("\"{title}\" at {url}");
    let this = if one.is_this { ", which is this server" } else { "" };
    if matches!(state, BackendState::Connected | BackendState::Training | BackendState::Predicting)
    {
        let version = model_version.as_deref().unwrap_or("none");
        group.ok(format!("Label Studio reaches {name}{this}: model version {version}"));
        return;
    }
    // What failed a moment ago may be a reason that is only noted for /setup.
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
        if *state == BackendState::Error { "gets no good answer from" } else { "does not reach" };
    let complaint = if complaint.is_empty() { "it gives no reason".to_owned() } else { complaint };
    group.problem(
        format!("Label Studio {failed} {name}{this}: {}", complaint::in_short(&complaint)),
        complaint::advice(&complaint, &address, &one.found, addresses),
    );
}

/// What the connected ones mean for the project.
fn whole(
    group: &mut Group,
    project: &Project,
    connected: &[Connected],
    server: &Server,
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
                "Label Studio takes predictions from the first alone, \"{}\": delete the others",
                first.backend.title
            ),
        );
    }
    if !project.show_collab_predictions {
        group.warning(
            "annotators are shown no predictions",
            "switch on Settings → Annotation → Use predictions to prelabel tasks",
        );
        return;
    }
    let shown = project.model_version.as_deref().unwrap_or_default();
    let is_theirs = |one: &Connected| {
        one.backend.title == shown || one.backend.model_version.as_deref() == Some(shown)
    };
    if !shown.is_empty() && !connected.iter().any(is_theirs) {
        group.warning(
            format!("annotators are shown the predictions of \"{shown}\", not of an ML backend that is connected"),
            "choose the model under Settings → Annotation → Use predictions to prelabel tasks",
        );
    }
}

/// Whether a backend is the server at the port: by its address, or by what it says of itself.
async fn is_this(
    backend: &Backend,
    found: &Found,
    server: &Server,
    surroundings: &Surroundings,
) -> bool {
    if let (Found::Backend(theirs), Some(ours)) = (found, &server.health)
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
