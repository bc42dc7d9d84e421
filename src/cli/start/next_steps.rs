//! What `start` tells its user once it listens: where Label Studio finds it, and whom to ask for help.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use tracing::{info, warn};

use super::StartArgs;
use super::network_args::DEFAULT_PORT;
use crate::cli::addresses::{Surroundings, in_a_line};
use crate::http::token::WebhookToken;

/// Says under which addresses Label Studio reaches the server, and what to do with them.
pub(super) fn show(args: &StartArgs, address: SocketAddr) -> Result<()> {
    let surroundings = Surroundings::look();
    let (ip, port) = (address.ip(), address.port());
    info!("listening on http://{address}");
    let token = args.network.webhook_token()?;
    let addresses = surroundings.to_paste(ip, port, token.as_ref().map(WebhookToken::reveal));
    info!("paste into Label Studio, Settings → Model → Connect model: {}", in_a_line(&addresses));
    if args.network.is_open_to_all(ip)? {
        warn!(
            "whoever reaches this port may predict and train: set BASIC_AUTH_USER and BASIC_AUTH_PASS, or listen \
             with --host 127.0.0.1"
        );
    }
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
    Ok(())
}
