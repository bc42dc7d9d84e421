//! What `start` tells its user once it listens: where Label Studio finds it, and whom to ask for help.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use tracing::info;

use super::StartArgs;
use super::network_args::DEFAULT_PORT;
use crate::cli::addresses::{Surroundings, in_a_line};

/// Says under which addresses Label Studio reaches the server, and what to do with them.
pub(super) fn show(args: &StartArgs, address: SocketAddr) {
    let surroundings = Surroundings::look();
    let (ip, port) = (address.ip(), address.port());
    info!("listening on http://{address}");
    info!(
        "paste into Label Studio, Settings → Model → Connect model: {}",
        in_a_line(&surroundings.to_paste(ip, port))
    );
    if let Some(note) = surroundings.note(ip, port) {
        info!("{note}");
    }
    let mut command = String::from("label-studio-ml doctor");
    if let Some(name) = &args.project.name {
        let _ = write!(command, " {name}");
    }
    if args.project.root_dir != Path::new(".") {
        let _ = write!(command, " --root-dir {}", args.project.root_dir.display());
    }
    if port != DEFAULT_PORT {
        let _ = write!(command, " --port {port}");
    }
    info!("something does not work? {command}");
}
