//! Sockets that listen on a port of this machine.
//!
//! Linux lists them in /proc. Elsewhere none are found.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fs, io};

/// Addresses on which a process listens on this port, as far as the system tells.
pub fn on(port: u16) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = sockets(port).into_iter().map(|(address, _)| address).collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// A process that listens on this port; none where the system does not tell, as about processes of other users.
pub fn process(port: u16) -> Option<u32> {
    let links: Vec<_> =
        sockets(port).into_iter().map(|(_, inode)| format!("socket:[{inode}]")).collect();
    let holds = |pid: &u32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.flatten();
        let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        Ok::<_, io::Error>(
            targets.any(|target| links.iter().any(|link| target.as_os_str() == link.as_str())),
        )
    };
    let entries = fs::read_dir("/proc").ok().filter(|_| !links.is_empty())?.flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid| holds(pid).unwrap_or_default())
}

/// Addresses and inodes of the sockets that listen on a port.
fn sockets(port: u16) -> Vec<(SocketAddr, u64)> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().skip(1).filter_map(listening).collect::<Vec<_>>())
        .filter(|(address, _)| address.port() == port)
        .collect()
}

/// The local address and the inode of a row of Linux's socket table, if that socket listens.
fn listening(row: &str) -> Option<(SocketAddr, u64)> {
    let mut columns = row.split_ascii_whitespace().skip(1);
    let (local, _remote, state) = (columns.next()?, columns.next()?, columns.next()?);
    // Queues, timer, retransmissions, user and timeout stand between.
    let inode = columns.nth(5)?.parse().ok()?;
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
        [word] => Some(((Ipv4Addr::from(*word), port).into(), inode)),
        [a, b, c, d] => {
            let bytes: [u8; 16] = [*a, *b, *c, *d].concat().try_into().ok()?;
            Some(((Ipv6Addr::from(bytes), port).into(), inode))
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
            assert_eq!(process(address.port()), Some(std::process::id()), "{address}");
        }
    }

    #[test]
    fn rows_that_do_not_listen_are_passed_over() {
        assert_eq!(listening("0: 0100007F:2382 00000000:0000 01 rest"), None);
        assert_eq!(listening("nonsense"), None);
    }
}
