//! The listening socket, and a helpful message if the port is in use.

use std::io;

use anyhow::{Result, anyhow};
use tokio::net::TcpListener;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_address_that_is_listened_on() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen("127.0.0.1", port).await.unwrap_err().to_string();
        assert!(error.contains(&format!("listens on 127.0.0.1:{port}")), "{error}");
    }
}
