//! Checks the server at the port, and the addresses at which Label Studio may reach it.

use std::net::IpAddr;

use super::report::CheckGroup;
use super::troubles;
use crate::cli::addresses::{Address, EVERYWHERE, HERE, Surroundings};
use crate::cli::listen;
use crate::cli::probe::{ProbeResult, Prober, ServerHealth};
use crate::os::listeners;

/// What is known of the server at the port.
#[derive(Debug)]
pub(super) struct ServerAtPort {
    pub(super) port: u16,
    /// None: no ML backend answers, or it refuses the password.
    pub(super) health: Option<ServerHealth>,
    /// It requires a password.
    pub(super) locked: bool,
    /// The address that the program at the port listens on, as far as the system tells.
    bound: IpAddr,
    /// The webhook token, as the user gave it.
    token: Option<String>,
}

impl ServerAtPort {
    pub(super) fn is_up(&self) -> bool {
        self.health.is_some() || self.locked
    }

    /// Addresses to paste for it, also before it is started.
    pub(super) fn to_paste(&self, surroundings: &Surroundings) -> Vec<Address> {
        surroundings.to_paste(self.listens_on(), self.port, self.token.as_deref())
    }

    fn listens_on(&self) -> IpAddr {
        if self.is_up() { self.bound } else { EVERYWHERE }
    }
}

/// Finds out which program is at the port. `start`: the command that starts the server.
pub(super) async fn check(
    group: &mut CheckGroup,
    prober: &Prober,
    port: u16,
    token: Option<&str>,
    start: &str,
) -> ServerAtPort {
    let listening = listeners::on(port);
    let (bound, url) = listen::found_at(port, &listening);
    let mut server =
        ServerAtPort { port, health: None, locked: false, bound, token: token.map(str::to_owned) };
    match prober.health(&url).await {
        ProbeResult::Backend(health) => {
            report_health(group, &health, port);
            troubles::report(group, &prober.diagnostics(&url).await, port);
            let open = prober.authorization().is_none()
                || matches!(prober.health_with(&url, None).await, ProbeResult::Backend(_));
            server.locked = !open;
            server.health = Some(health);
        }
        ProbeResult::Locked => {
            server.locked = true;
            let (seen, advice) = if prober.authorization().is_some() {
                ("it does not accept this user and password", "give those that it was started with")
            } else {
                ("it asks for a password", "give it with --basic-auth-user and --basic-auth-pass")
            };
            group.problem(format!("a server answers at port {port}, but {seen}"), advice);
        }
        ProbeResult::Stranger(what) => group.problem(
            format!("port {port} is taken by another program ({what})"),
            "stop it, or start the server on another port with -p, and give doctor the same --port",
        ),
        ProbeResult::Nothing(_) if listening.is_empty() => group.warning(
            format!("no server is running: nothing listens on port {port}"),
            format!("start it with `{start}`, or give its port with --port"),
        ),
        ProbeResult::Nothing(why) => group.problem(
            format!("a program listens on port {port}, but does not answer /health: {why}"),
            "look into its log, stop it, or choose another port with -p",
        ),
    }
    server
}

fn report_health(group: &mut CheckGroup, health: &ServerHealth, port: u16) {
    let class = match (&health.model_class, &health.workers) {
        (Some(class), _) => class.as_str(),
        (None, Some(_)) => "a model that is still being imported",
        (None, None) => "a model",
    };
    match &health.workers {
        // With --debug, under gunicorn or uWSGI, or of another kind.
        None => group
            .ok(format!("an ML backend without workers of its own serves {class} at port {port}")),
        Some(workers) if workers.ready == 0 => group.warning(
            format!("the server at port {port} serves {class}, but no worker is ready"),
            "wait until the model is loaded; the server's log shows the progress",
        ),
        Some(workers) => group.ok(format!(
            "the server at port {port} serves {class}; {} of {} workers ready",
            workers.ready, workers.total
        )),
    }
    for problem in &health.problems {
        group.problem(problem.clone(), "see the server's log");
    }
}

/// Lists the addresses to paste. `here`: whether Label Studio's own address is one of this machine, if known.
pub(super) async fn check_addresses(
    group: &mut CheckGroup,
    prober: &Prober,
    surroundings: &Surroundings,
    server: &ServerAtPort,
    here: Option<bool>,
) {
    let addresses = server.to_paste(surroundings);
    let elsewhere = here == Some(false) && addresses.len() > 1;
    for address in addresses.iter().filter(|address| !(elsewhere && address.place == HERE)) {
        let line = format!("{} for a Label Studio {}", address.url, address.place);
        match reach(prober, server, address).await {
            Some(why) => group.warning(
                format!("{line}, but not even this machine can reach it there: {why}"),
                "start the server with --host 0.0.0.0, and open the port in the firewall",
            ),
            None => group.ok(line),
        }
    }
    match surroundings.note(server.listens_on(), server.port) {
        Some(note) if server.listens_on().is_loopback() => group
            .warning(note, "restart the server with --host 0.0.0.0 if Label Studio runs elsewhere"),
        Some(note) => group.ok(note),
        None => {}
    }
}

/// Why the server does not answer at an address of this machine; none if it does.
async fn reach(prober: &Prober, server: &ServerAtPort, address: &Address) -> Option<String> {
    // Only containers can resolve that name.
    if !server.is_up() || address.url.contains("host.docker.internal") {
        return None;
    }
    match prober.health(&address.url).await {
        ProbeResult::Nothing(why) | ProbeResult::Stranger(why) => Some(why),
        ProbeResult::Backend(_) | ProbeResult::Locked => None,
    }
}
