//! The listening socket, and a helpful message if the port is in use; and where a program that listens already
//! is found.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Result, anyhow};
use tokio::net::TcpListener;

use super::addresses::EVERYWHERE;
use crate::os::listeners;

/// Listens on `host:port`.
pub(super) async fn listen(host: &str, port: u16) -> Result<TcpListener> {
    match TcpListener::bind((host, port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let holders: Vec<_> =
                listeners::on(port).into_iter().map(|address| address.to_string()).collect();
            let by = if holders.is_empty() { format!("{host}:{port}") } else { holders.join(", ") };
            Err(anyhow!(
                "port {port} is already in use: a program listens on {by}; stop it, or choose another port with -p"
            ))
        }
        Err(error) => Err(anyhow!("cannot listen on {host}:{port}: {error}")),
    }
}

/// The widest address that a program listens on, and the URL at which this machine finds it there.
pub(super) fn found_at(port: u16, listening: &[SocketAddr]) -> (IpAddr, String) {
    let bound = widest(listening);
    let host = if bound.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { bound };
    (bound, format!("http://{}", SocketAddr::new(host, port)))
}

/// All addresses if nothing is known.
fn widest(listening: &[SocketAddr]) -> IpAddr {
    let ips = || listening.iter().map(SocketAddr::ip);
    ips()
        .find(IpAddr::is_unspecified)
        .or_else(|| ips().find(|ip| !ip.is_loopback()))
        .or_else(|| ips().next())
        .unwrap_or(EVERYWHERE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_address_counts() {
        let found = |texts: &[&str]| {
            let listening: Vec<SocketAddr> = texts.iter().map(|t| t.parse().unwrap()).collect();
            let (bound, url) = found_at(1, &listening);
            (bound.to_string(), url)
        };
        let expected = |bound: &str, url: &str| (bound.to_owned(), url.to_owned());
        let local = "http://127.0.0.1:1";
        assert_eq!(found(&["127.0.0.1:1", "0.0.0.0:1"]), expected("0.0.0.0", local));
        let other = expected("192.168.1.5", "http://192.168.1.5:1");
        assert_eq!(found(&["127.0.0.1:1", "192.168.1.5:1"]), other);
        assert_eq!(found(&["127.0.0.1:1"]), expected("127.0.0.1", local));
        assert_eq!(found(&[]), expected("0.0.0.0", local));
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_address_that_is_listened_on() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen("127.0.0.1", port).await.unwrap_err().to_string();
        assert!(error.contains(&format!("listens on 127.0.0.1:{port}")), "{error}");
    }
}
