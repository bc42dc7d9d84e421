//! The addresses under which Label Studio reaches a server on this machine.
//!
//! In: the address that the server listens on, and the network interfaces. Out: addresses to paste into
//! Label Studio, each with the place that Label Studio must be in for it.

use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;

use crate::os::container;

/// Interfaces between this machine and its own containers and virtual machines.
const VIRTUAL: [&str; 8] = ["docker", "br-", "veth", "virbr", "cni", "flannel", "cali", "podman"];
/// The interface of Docker's own network on Linux.
const DOCKER: &str = "docker0";

/// An address, and where Label Studio must run to reach the server under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Address {
    pub(super) url: String,
    pub(super) place: &'static str,
}

pub(super) const HERE: &str = "on this machine";
const ELSEWHERE: &str = "on another machine";
const CONTAINER: &str = "in a container on this machine";
const SAME_CONTAINER: &str = "in the same container";
const NEIGHBOUR: &str = "in another container of the same network";

/// What this machine's network looks like.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    /// Name and address of each interface.
    interfaces: Vec<(String, IpAddr)>,
    /// This process runs in a container itself.
    pub(super) in_container: bool,
}

impl Surroundings {
    pub(super) fn look() -> Self {
        // Where the system does not list its interfaces, the loopback addresses remain.
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let mut interfaces: Vec<_> =
            interfaces.into_iter().map(|found| (found.name.clone(), found.ip())).collect();
        interfaces.sort();
        Self { interfaces, in_container: container::contains_this_process() }
    }

    /// Whether an address is one of this machine's own.
    pub(super) fn is_own(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip.is_unspecified() || self.interfaces.iter().any(|(_, own)| *own == ip)
    }

    /// Addresses to paste for a server that listens on `bound`, the likeliest first. `token`: the part of
    /// them that replaces a password at the webhook.
    pub(super) fn to_paste(&self, bound: IpAddr, port: u16, token: Option<&str>) -> Vec<Address> {
        let path = token.map(|token| format!("/{token}")).unwrap_or_default();
        let address =
            |host: &str, place| Address { url: format!("http://{host}:{port}{path}"), place };
        let same = if self.in_container { SAME_CONTAINER } else { HERE };
        if bound.is_loopback() {
            return vec![address("localhost", same)];
        }
        if !bound.is_unspecified() {
            return vec![address(
                &host(bound),
                if self.in_container { NEIGHBOUR } else { ELSEWHERE },
            )];
        }
        let mut all = vec![address("localhost", same)];
        let place = if self.in_container { NEIGHBOUR } else { ELSEWHERE };
        all.extend(self.outward().into_iter().map(|ip| address(&host(ip), place)));
        if !self.in_container {
            all.push(address("host.docker.internal", CONTAINER));
            let docker = self.interfaces.iter().filter(|(name, ip)| name == DOCKER && ip.is_ipv4());
            all.extend(docker.map(|(_, ip)| address(&host(*ip), CONTAINER)));
        }
        all
    }

    /// What else the user should know about these addresses.
    pub(super) fn note(&self, bound: IpAddr, port: u16) -> Option<String> {
        if bound.is_loopback() {
            return Some(
                "only this machine can reach the server; --host 0.0.0.0 admits other machines and containers"
                    .into(),
            );
        }
        self.in_container.then(|| {
            format!(
                "this is a container: other containers of its network reach it by the name of its service, \
                 everything else only if the port is published (-p {port}:{port})"
            )
        })
    }

    /// Addresses that other machines may reach: IPv4, or IPv6 if there is no other.
    fn outward(&self) -> Vec<IpAddr> {
        let outward = |(name, ip): &(String, IpAddr)| {
            !ip.is_loopback()
                && !is_link_local(*ip)
                && !VIRTUAL.iter().any(|prefix| name.starts_with(prefix))
        };
        let all: Vec<IpAddr> =
            self.interfaces.iter().filter(|i| outward(i)).map(|(_, ip)| *ip).collect();
        let four: Vec<IpAddr> = all.iter().copied().filter(IpAddr::is_ipv4).collect();
        if four.is_empty() { all } else { four }
    }
}

/// The addresses in one line, those for the same place together.
pub(super) fn in_a_line(addresses: &[Address]) -> String {
    let mut parts: Vec<(String, &str)> = Vec::new();
    for address in addresses {
        match parts.last_mut() {
            Some((urls, place)) if *place == address.place => {
                urls.push_str(" or ");
                urls.push_str(&address.url);
            }
            _ => parts.push((address.url.clone(), address.place)),
        }
    }
    let parts: Vec<String> =
        parts.into_iter().map(|(urls, place)| format!("{urls} ({place})")).collect();
    parts.join(", ")
}

/// As a host of a URL.
fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The address to listen on, as the server sees it once it listens on all.
pub(super) const EVERYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(in_container: bool) -> Surroundings {
        let interfaces = [
            ("br-12ab", "172.18.0.1"),
            ("docker0", "172.17.0.1"),
            ("eth0", "192.168.1.5"),
            ("eth0", "fe80::1"),
            ("eth0", "2001:db8::5"),
            ("lo", "127.0.0.1"),
            ("wlan0", "169.254.3.4"),
        ];
        let interfaces =
            interfaces.map(|(name, ip)| (name.to_owned(), ip.parse().unwrap())).to_vec();
        Surroundings { interfaces, in_container }
    }

    fn pasted(bound: &str, in_container: bool) -> String {
        in_a_line(&machine(in_container).to_paste(bound.parse().unwrap(), 9090, None))
    }

    #[test]
    fn each_place_of_label_studio_has_its_address() {
        assert_eq!(
            pasted("0.0.0.0", false),
            "http://localhost:9090 (on this machine), http://192.168.1.5:9090 (on another machine), \
             http://host.docker.internal:9090 or http://172.17.0.1:9090 (in a container on this machine)"
        );
        assert_eq!(pasted("::", false), pasted("0.0.0.0", false));
    }

    #[test]
    fn only_addresses_that_the_server_listens_on_are_named() {
        assert_eq!(pasted("127.0.0.1", false), "http://localhost:9090 (on this machine)");
        assert_eq!(pasted("192.168.1.5", false), "http://192.168.1.5:9090 (on another machine)");
        assert_eq!(pasted("2001:db8::5", false), "http://[2001:db8::5]:9090 (on another machine)");
        assert!(
            machine(false).note("127.0.0.1".parse().unwrap(), 9090).unwrap().contains("--host")
        );
        assert_eq!(machine(false).note(EVERYWHERE, 9090), None);
    }

    #[test]
    fn a_token_is_part_of_the_address() {
        let pasted = machine(false).to_paste("127.0.0.1".parse().unwrap(), 9090, Some("t0ken"));
        assert_eq!(in_a_line(&pasted), "http://localhost:9090/t0ken (on this machine)");
    }

    #[test]
    fn a_container_tells_of_its_network() {
        assert_eq!(
            pasted("0.0.0.0", true),
            "http://localhost:9090 (in the same container), \
             http://192.168.1.5:9090 (in another container of the same network)"
        );
        assert!(machine(true).note(EVERYWHERE, 9090).unwrap().contains("-p 9090:9090"));
    }

    #[test]
    fn own_addresses_are_known() {
        let machine = machine(false);
        for (ip, own) in [("172.17.0.1", true), ("127.0.0.2", true), ("192.168.1.6", false)] {
            assert_eq!(machine.is_own(ip.parse().unwrap()), own, "{ip}");
        }
    }
}
