//! The listening socket, and a helpful message if there can be none; and where a program that listens already
//! is found.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Result, anyhow};
use tokio::net::{TcpListener, lookup_host};

use super::addresses::EVERYWHERE;
use crate::os::{listeners, processes};

/// Listens on `host:port`.
pub(super) async fn listen(host: &str, port: u16) -> Result<TcpListener> {
    if let Err(error) = lookup_host((host, port)).await {
        return Err(not_an_address(host, &error));
    }
    TcpListener::bind((host, port)).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!("{}", in_use(host, port)),
        io::ErrorKind::PermissionDenied => anyhow!(
            "this user may not listen on port {port}: choose a port from 1024 on with -p ({error})"
        ),
        io::ErrorKind::AddrNotAvailable => not_an_address(host, &error),
        _ => anyhow!("cannot listen on {host}:{port}: {error}"),
    })
}

fn not_an_address(host: &str, error: &io::Error) -> anyhow::Error {
    anyhow!(
        "--host: {host:?} is not an address of this machine ({error}); 0.0.0.0 stands for all of them"
    )
}

/// Who listens on a port already, and what to do.
fn in_use(host: &str, port: u16) -> String {
    let addresses: Vec<_> =
        listeners::on(port).into_iter().map(|address| address.to_string()).collect();
    let on = if addresses.is_empty() { format!("{host}:{port}") } else { addresses.join(", ") };
    let by = listeners::process(port).and_then(|pid| {
        let program =
            program(&processes::command_line(pid), processes::working_folder(pid).as_deref());
        Some(format!("{} (process {pid})", program?))
    });
    let by = by.unwrap_or_else(|| "a program".into());
    format!(
        "port {port} is already in use: {by} listens on {on}; stop it, or choose another port with -p"
    )
}

/// A program as the user knows it. Of its options nothing is shown: they may be passwords.
fn program(command: &[String], folder: Option<&Path>) -> Option<String> {
    let file_name = |word: &String| {
        Path::new(word).file_name().unwrap_or_default().to_string_lossy().into_owned()
    };
    if let Some(at) = command.iter().position(|word| word == "label_studio_ml._inprocess.debug") {
        let mut rest = command[at..].iter().skip_while(|word| *word != "--project");
        let project = rest.nth(1).map(|project| format!(" {project}")).unwrap_or_default();
        return Some(format!("`label-studio-ml start{project} --debug`"));
    }
    let ours = command.iter().position(|word| file_name(word) == "label-studio-ml");
    if let Some(at) = ours.filter(|at| command.get(at + 1).is_some_and(|word| word == "start")) {
        let named = command.get(at + 2).filter(|word| !word.starts_with('-'));
        let project = named.map(|project| format!(" {project}")).unwrap_or_default();
        let folder = folder.map(|folder| format!(" in {}", folder.display())).unwrap_or_default();
        return Some(format!("`label-studio-ml start{project}`{folder}"));
    }
    command.first().map(file_name).filter(|name| !name.is_empty())
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
        #[cfg(target_os = "linux")]
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
    }

    #[tokio::test]
    async fn an_address_of_no_machine_here_is_named_with_the_option() {
        for host in ["300.1.1.1", "192.0.2.99", "no such host"] {
            let error = listen(host, 0).await.unwrap_err().to_string();
            let expected = format!("--host: {host:?} is not an address of this machine (");
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn a_server_of_ours_is_known_by_its_project_and_no_option_is_shown() {
        let named = |command: &str| {
            let words: Vec<_> = command.split(' ').map(str::to_owned).collect();
            program(&words, Some(Path::new("/home/me"))).unwrap()
        };
        assert_eq!(
            named("/venv/bin/python /venv/bin/label-studio-ml start mine --basic-auth-pass secret"),
            "`label-studio-ml start mine` in /home/me"
        );
        assert_eq!(
            named("/venv/bin/label-studio-ml start --basic-auth-pass secret"),
            "`label-studio-ml start` in /home/me"
        );
        assert_eq!(
            named("python -m label_studio_ml._inprocess.debug --port 1 --project /home/me/mine"),
            "`label-studio-ml start /home/me/mine --debug`"
        );
        assert_eq!(named("/usr/sbin/nginx -g secret"), "nginx");
        assert_eq!(program(&[], None), None);
    }
}
