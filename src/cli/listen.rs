//! The listening socket, and a helpful word when the port is taken.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Result, anyhow};
use tokio::net::TcpListener;

/// Listens on `host:port`.
pub(super) async fn listen(host: &str, port: u16) -> Result<TcpListener> {
    match TcpListener::bind((host, port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let holders: Vec<_> =
                holders(port).into_iter().map(|address| address.to_string()).collect();
            let by = if holders.is_empty() { format!("{host}:{port}") } else { holders.join(", ") };
            Err(anyhow!(
                "port {port} is taken: another program listens on {by}; choose another port with -p"
            ))
        }
        Err(error) => Err(anyhow!("cannot listen on {host}:{port}: {error}")),
    }
}

/// Addresses on which somebody listens on this port, as far as the system tells.
pub(super) fn holders(port: u16) -> Vec<SocketAddr> {
    let mut holders: Vec<SocketAddr> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().skip(1).filter_map(listening).collect::<Vec<_>>())
        .filter(|address| address.port() == port)
        .collect();
    holders.sort();
    holders.dedup();
    holders
}

/// The local address of a row of Linux's socket table, if that socket listens.
fn listening(row: &str) -> Option<SocketAddr> {
    let mut columns = row.split_ascii_whitespace().skip(1);
    let (local, _remote, state) = (columns.next()?, columns.next()?, columns.next()?);
    if state != "0A" {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Each group of eight digits is a word in the byte order of the machine.
    let words: Vec<[u8; 4]> = (0..address.len() / 8)
        .map(|word| u32::from_str_radix(&address[word * 8..word * 8 + 8], 16).map(u32::to_ne_bytes))
        .collect::<Result<_, _>>()
        .ok()?;
    match words.as_slice() {
        [word] => Some((Ipv4Addr::from(*word), port).into()),
        [a, b, c, d] => {
            let bytes: [u8; 16] = [*a, *b, *c, *d].concat().try_into().ok()?;
            Some((Ipv6Addr::from(bytes), port).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_the_address_that_takes_it() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen("127.0.0.1", port).await.unwrap_err().to_string();
        assert!(error.contains(&format!("listens on 127.0.0.1:{port}")), "{error}");
    }

    #[test]
    fn rows_that_do_not_listen_are_passed_over() {
        assert_eq!(listening("0: 0100007F:2382 00000000:0000 01 rest"), None);
        assert_eq!(listening("nonsense"), None);
    }
}
