//! Sockets that listen on a port of this machine.
//!
//! Linux lists them in /proc. Elsewhere none are found.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Addresses on which a process listens on this port, as far as the system tells.
pub fn on(port: u16) -> Vec<SocketAddr> {
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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_listener_is_found_by_its_port() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may have no IPv6.
            let Ok(listener) = std::net::TcpListener::bind(host) else { continue };
            let address = listener.local_addr().unwrap();
            assert!(on(address.port()).contains(&address), "{address}");
        }
    }

    #[test]
    fn rows_that_do_not_listen_are_passed_over() {
        assert_eq!(listening("0: 0100007F:2382 00000000:0000 01 rest"), None);
        assert_eq!(listening("nonsense"), None);
    }
}
