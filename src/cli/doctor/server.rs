//! The server at the port, and the addresses under which Label Studio may reach it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::probe::{Found, Health, Prober};
use super::report::Group;
use crate::cli::addresses::{Address, EVERYWHERE, HERE, Surroundings};
use crate::os::listeners;

/// What is known of the server at the port.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) port: u16,
    /// None: no ML backend answers, or none that lets us in.
    pub(super) health: Option<Health>,
    /// It asks everybody for a password.
    pub(super) locked: bool,
    /// The address that the port's owner listens on, as far as the system tells.
    bound: IpAddr,
    /// What the user says stands for a password at the webhook.
    token: Option<String>,
}

impl Server {
    pub(super) fn is_up(&self) -> bool {
        self.health.is_some() || self.locked
    }

    /// Addresses to paste for it, or for one that is still to be started.
    pub(super) fn to_paste(&self, surroundings: &Surroundings) -> Vec<Address> {
        surroundings.to_paste(self.listens_on(), self.port, self.token.as_deref())
    }

    fn listens_on(&self) -> IpAddr {
        if self.is_up() { self.bound } else { EVERYWHERE }
    }
}

/// Asks who is at the port. `start` is the command that starts the server.
pub(super) async fn check(
    group: &mut Group,
    prober: &Prober,
    port: u16,
    token: Option<&str>,
    start: &str,
) -> Server {
    let listening = listeners::on(port);
    let bound = bound(&listening);
    let host = if bound.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { bound };
    let url = format!("http://{}", SocketAddr::new(host, port));
    let mut server =
        Server { port, health: None, locked: false, bound, token: token.map(str::to_owned) };
    match prober.health(&url).await {
        Found::Backend(health) => {
            tell(group, &health, port);
            for mistake in prober.mistakes(&url).await {
                let many = if mistake.answers == 1 { "answer" } else { "answers" };
                group.problem(
                    format!(
                        "{} {many} for project {}: {}",
                        mistake.answers, mistake.project, mistake.message
                    ),
                    "mend the model's predict; `label-studio-ml validate` tries it with a task",
                );
            }
            let open = prober.authorization().is_none()
                || matches!(prober.health_with(&url, None).await, Found::Backend(_));
            server.locked = !open;
            server.health = Some(health);
        }
        Found::Locked => {
            server.locked = true;
            let (seen, advice) = if prober.authorization().is_some() {
                ("it does not take this user and password", "give those that it was started with")
            } else {
                ("it asks for a password", "give it with --basic-auth-user and --basic-auth-pass")
            };
            group.problem(format!("a server answers at port {port}, but {seen}"), advice);
        }
        Found::Stranger(what) => group.problem(
            format!("port {port} is taken by another program ({what})"),
            "stop it, or start the server with -p and another port, and ask with --port",
        ),
        Found::Nothing(_) if listening.is_empty() => group.warning(
            format!("no server runs: nothing listens at port {port}"),
            format!("start it with `{start}`, or name its port with --port"),
        ),
        Found::Nothing(why) => group.problem(
            format!("something listens at port {port}, but /health is not answered: {why}"),
            "look into its log, stop it, or choose another port with -p",
        ),
    }
    server
}

fn tell(group: &mut Group, health: &Health, port: u16) {
    let class = match (&health.model_class, &health.workers) {
        (Some(class), _) => class.as_str(),
        (None, Some(_)) => "a model that is still being imported",
        (None, None) => "a model",
    };
    match &health.workers {
        // Under --debug, gunicorn or uWSGI, or of another make.
        None => group
            .ok(format!("an ML backend without workers of its own serves {class} at port {port}")),
        Some(workers) if workers.ready == 0 => group.warning(
            format!("the server at port {port} serves {class}, but no worker is ready"),
            "wait until the model is loaded; the log of the server says how far it is",
        ),
        Some(workers) => group.ok(format!(
            "the server at port {port} serves {class}; {} of {} workers ready",
            workers.ready, workers.total
        )),
    }
    for problem in &health.problems {
        group.problem(problem.clone(), "the log of the server says more");
    }
}

/// The widest address that somebody listens on; all of them where nothing is known.
fn bound(listening: &[SocketAddr]) -> IpAddr {
    let ips = || listening.iter().map(SocketAddr::ip);
    ips()
        .find(IpAddr::is_unspecified)
        .or_else(|| ips().find(|ip| !ip.is_loopback()))
        .or_else(|| ips().next())
        .unwrap_or(EVERYWHERE)
}

/// Names the addresses to paste. `here`: whether Label Studio's own address is one of this machine, if it
/// is known.
pub(super) async fn check_addresses(
    group: &mut Group,
    prober: &Prober,
    surroundings: &Surroundings,
    server: &Server,
    here: Option<bool>,
) {
    let addresses = server.to_paste(surroundings);
    let elsewhere = here == Some(false) && addresses.len() > 1;
    for address in addresses.iter().filter(|address| !(elsewhere && address.place == HERE)) {
        let line = format!("{} for a Label Studio {}", address.url, address.place);
        match reach(prober, server, address).await {
            Some(why) => group.warning(
                format!("{line}, but not even this machine reaches it there: {why}"),
                "start the server with --host 0.0.0.0, and let the firewall pass the port",
            ),
            None => group.ok(line),
        }
    }
    match surroundings.note(server.listens_on(), server.port) {
        Some(note) if server.listens_on().is_loopback() => group.warning(note, "restart it so"),
        Some(note) => group.ok(note),
        None => {}
    }
}

/// Why the server does not answer at an address of this machine.
async fn reach(prober: &Prober, server: &Server, address: &Address) -> Option<String> {
    // That name is known inside containers only.
    if !server.is_up() || address.url.contains("host.docker.internal") {
        return None;
    }
    match prober.health(&address.url).await {
        Found::Nothing(why) | Found::Stranger(why) => Some(why),
        Found::Backend(_) | Found::Locked => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_address_counts() {
        let bound_to = |texts: &[&str]| {
            let listening: Vec<SocketAddr> = texts.iter().map(|t| t.parse().unwrap()).collect();
            bound(&listening).to_string()
        };
        assert_eq!(bound_to(&["127.0.0.1:1", "0.0.0.0:1"]), "0.0.0.0");
        assert_eq!(bound_to(&["127.0.0.1:1", "192.168.1.5:1"]), "192.168.1.5");
        assert_eq!(bound_to(&["127.0.0.1:1"]), "127.0.0.1");
        assert_eq!(bound_to(&[]), "0.0.0.0");
    }
}
