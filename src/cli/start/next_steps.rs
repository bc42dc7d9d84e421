//! What `start` tells its user: which address to paste into Label Studio, who else may use the server, and
//! where to find help. A block of text in a terminal, once the script is imported; lines of the log elsewhere.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use clap::builder::styling::{AnsiColor, Effects, Style};
use tokio::time::Instant;
use tracing::{Level, enabled, info, warn};

use super::StartArgs;
use super::network_args::DEFAULT_PORT;
use crate::cli::addresses::{Address, Surroundings, in_a_line};
use crate::cli::{log, terminal};
use crate::http::state::HttpOptions;
use crate::http::webhook_token::WebhookToken;
use crate::ids::ProjectKey;
use crate::serving::Serving;
use crate::wire::protocol::ClassInfo;

/// Tells the user what to do once the server listens at `address`.
pub(super) fn show(
    args: &StartArgs,
    options: &HttpOptions,
    address: SocketAddr,
    serving: &Arc<Serving>,
) {
    let steps = NextSteps::new(args, options, address, &Surroundings::look());
    let serving = Arc::clone(serving);
    if !log::is_watched() || !enabled!(Level::INFO) {
        info!("listening on http://{address}");
        steps.log();
        tokio::spawn(async move {
            // A failure is what the command ends with.
            if let Ok((class, _)) = serving.imported().await {
                steps.log_program(&class);
            }
        });
        return;
    }
    let version = env!("CARGO_PKG_VERSION");
    let project = args.project.name.as_deref().unwrap_or_default();
    let heading = format!("label-studio-ml {version}   {project}");
    log::write_block(&format!("{}\nLoading the model …\n", heading.trim_end()));
    let began = Instant::now();
    tokio::spawn(async move {
        // A failure is what the command ends with.
        let Ok((class, versions)) = serving.imported().await else { return };
        let trained = tokio::task::spawn_blocking(move || versions.projects()).await;
        let model = LoadedModel {
            class: format!("{} ({})", class.class, class.api),
            seconds: began.elapsed().as_secs_f64(),
            model_dir: class.model_dir.display().to_string(),
            trained: trained.unwrap_or_default(),
            has_password: class.basic_auth.is_some(),
            app: class.app.as_ref().map(|app| app.summary.clone()),
        };
        log::write_block(&steps.block(&model, terminal::has_colour()));
    });
}

struct LoadedModel {
    class: String,
    /// How long the import of the script took.
    seconds: f64,
    model_dir: String,
    /// Keys of projects with a trained version.
    trained: Vec<ProjectKey>,
    /// `_wsgi.py` says user and password.
    has_password: bool,
    /// What `_wsgi.py` adds to its app.
    app: Option<String>,
}

struct NextSteps {
    addresses: Vec<Address>,
    port: u16,
    is_open_to_all: bool,
    note: Option<String>,
    doctor: String,
}

impl NextSteps {
    fn new(
        args: &StartArgs,
        options: &HttpOptions,
        address: SocketAddr,
        surroundings: &Surroundings,
    ) -> Self {
        let (ip, port) = (address.ip(), address.port());
        let token = options.webhook_token.as_ref().map(WebhookToken::reveal);
        Self {
            addresses: surroundings.to_paste(ip, port, token),
            port,
            is_open_to_all: is_open_to_all(options, ip),
            note: surroundings.note(ip, port),
            doctor: doctor_command(args, port),
        }
    }

    fn log(&self) {
        let addresses = in_a_line(&self.addresses);
        info!("paste into Label Studio, Settings → Model → Connect model: {addresses}");
        if let Some(note) = &self.note {
            info!("{note}");
        }
        info!("something does not work? {}", self.doctor);
    }

    /// What is known once the program is imported.
    fn log_program(&self, class: &ClassInfo) {
        if let Some(app) = &class.app {
            info!("requests pass through the app of _wsgi.py, which adds {}", app.summary);
        }
        if class.basic_auth.is_some() {
            info!("every request must bring the user and password of _wsgi.py");
        } else if self.is_open_to_all {
            warn!(
                "no password is set: anyone who can reach port {} can use and train the model; set \
                 BASIC_AUTH_USER and BASIC_AUTH_PASS, or listen with --host 127.0.0.1",
                self.port
            );
        }
    }

    /// The block for a terminal.
    fn block(&self, model: &LoadedModel, has_colour: bool) -> String {
        let style = |style: Style| if has_colour { style } else { Style::new() };
        let bold = style(Style::new().effects(Effects::BOLD));
        let yellow = style(AnsiColor::Yellow.on_default());
        let trained = match model.trained.as_slice() {
            [] => "no trained version yet".to_owned(),
            [project] => format!("trained for project {project}"),
            projects => format!("trained for projects {}", projects.join(", ")),
        };
        let LoadedModel { class, seconds, model_dir, .. } = model;
        let mut text = format!(
            "\nModel                   {class}, loaded in {seconds:.1} s\n\
             Models are kept in      {model_dir} ({trained})\n\n\
             Paste into Label Studio (Settings → Model → Connect model):\n"
        );
        let width =
            self.addresses.iter().map(|address| address.url.len()).max().unwrap_or_default();
        for Address { url, place } in &self.addresses {
            let _ = writeln!(text, "    {bold}{url:width$}{bold:#}   Label Studio {place}");
        }
        text.push('\n');
        if let Some(app) = &model.app {
            let _ = writeln!(text, "Requests pass through the app of _wsgi.py, which adds {app}.");
        }
        if self.is_open_to_all && !model.has_password {
            let _ = writeln!(
                text,
                "{yellow}! No password: anyone who can reach port {} can use and train the model.{yellow:#}\n  \
                 Set BASIC_AUTH_USER and BASIC_AUTH_PASS, or listen with --host 127.0.0.1.",
                self.port
            );
        }
        if let Some(note) = &self.note {
            let _ = writeln!(text, "Note: {note}.");
        }
        let _ = writeln!(
            text,
            "Something wrong? In another terminal: {}\nCtrl-C stops. Waiting for Label Studio …\n",
            self.doctor
        );
        text
    }
}

/// Whether other machines than this one may use the server as they like.
fn is_open_to_all(options: &HttpOptions, bound: IpAddr) -> bool {
    !bound.is_loopback() && options.credentials.is_none()
}

/// The command that looks into what does not work with this server.
fn doctor_command(args: &StartArgs, port: u16) -> String {
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
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(is_open_to_all: bool) -> NextSteps {
        let address = |url: &str, place| Address { url: url.into(), place };
        NextSteps {
            addresses: vec![
                address("http://localhost:9090", "on this machine"),
                address("http://192.168.1.5:9090", "on another machine"),
            ],
            port: 9090,
            is_open_to_all,
            note: None,
            doctor: "label-studio-ml doctor my_backend".into(),
        }
    }

    fn model(trained: &[&str]) -> LoadedModel {
        LoadedModel {
            class: "SentimentModel (API v2)".into(),
            seconds: 1.44,
            model_dir: "/home/me/models".into(),
            trained: trained.iter().map(|&project| project.into()).collect(),
            has_password: false,
            app: None,
        }
    }

    #[test]
    fn a_terminal_shows_the_addresses_in_lines_of_their_own() {
        insta::assert_snapshot!(steps(true).block(&model(&[]), false));
    }

    #[test]
    fn a_password_a_note_and_trained_projects_change_the_block() {
        let steps = NextSteps { note: Some("this is a container".into()), ..steps(false) };
        let block = steps.block(&model(&["1.7", "2"]), false);
        assert!(!block.contains("password"), "{block}");
        assert!(block.contains("\nNote: this is a container.\n"), "{block}");
        assert!(block.contains("/home/me/models (trained for projects 1.7, 2)\n"), "{block}");
    }

    #[test]
    fn what_the_program_says_is_told() {
        let app = Some("2 routes, before_request".to_owned());
        let block =
            steps(true).block(&LoadedModel { has_password: true, app, ..model(&[]) }, false);
        assert!(!block.contains("No password"), "{block}");
        assert!(block.contains("the app of _wsgi.py, which adds 2 routes, before_request.\n"));
    }

    #[test]
    fn only_colours_differ_where_colours_are_shown() {
        let (plain, coloured) =
            (steps(true).block(&model(&["1"]), false), steps(true).block(&model(&["1"]), true));
        assert!(coloured.contains("\x1b[1mhttp://localhost:9090"), "{coloured}");
        let without: String = coloured.replace("\x1b[0m", "");
        let without = without.replace("\x1b[1m", "").replace("\x1b[33m", "");
        assert_eq!(without, plain);
    }
}
