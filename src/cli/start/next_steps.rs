//! What `start` tells its user: which address to paste into Label Studio, who else may use the server, and
//! where to find help. A block of text in a terminal, once the script is imported; lines of the log elsewhere.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clap::builder::styling::{AnsiColor, Effects, Style};
use tokio::time::Instant;
use tracing::{Level, enabled, info, warn};

use super::StartArgs;
use super::network_args::DEFAULT_PORT;
use crate::activity;
use crate::cli::addresses::{Address, Surroundings, in_a_line};
use crate::cli::{log, terminal};
use crate::http::state::HttpOptions;
use crate::http::webhook_token::WebhookToken;
use crate::ids::ProjectKey;
use crate::serving::Serving;
use crate::store::versions::Versions;
use crate::wire::api_version::ApiVersion;

/// Tells the user what to do once the server listens at `address` and the model is loaded.
pub(super) fn show(
    args: &StartArgs,
    options: &HttpOptions,
    address: SocketAddr,
    serving: &Arc<Serving>,
) {
    let steps = NextSteps::new(args, options, address, &Surroundings::look());
    let serving = Arc::clone(serving);
    let is_watched = log::is_watched() && enabled!(Level::INFO);
    let waiting = if is_watched {
        Some(terminal::show_waiting("Loading the model …"))
    } else {
        info!("listening on http://{address}");
        None
    };
    let began = Instant::now();
    tokio::spawn(async move {
        let imported = serving.imported().await;
        drop(waiting);
        // A failure is what the command ends with. An address to paste would be forgotten above it.
        let Ok((class, versions)) = imported else { return };
        let api = class.api;
        let newest = tokio::task::spawn_blocking(move || NewestVersion::find(&versions, api)).await;
        let model = LoadedModel {
            class: format!("{} ({})", class.class, class.api),
            seconds: began.elapsed().as_secs_f64(),
            model_dir: shown(&class.model_dir),
            newest: newest.unwrap_or_default(),
            has_password: class.basic_auth.is_some(),
            can_learn: !class.train_events.is_empty() || class.wants_every_event,
            app: class.app.as_ref().map(|app| app.summary.clone()),
        };
        if is_watched {
            log::write_block(&steps.block(&model, terminal::has_colour()));
        } else {
            steps.log(&model);
        }
    });
}

/// A path as the user would write it here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here).ok());
    below.filter(|below| !below.as_os_str().is_empty()).unwrap_or(path).display().to_string()
}

struct LoadedModel {
    class: String,
    /// How long the import of the script took.
    seconds: f64,
    model_dir: String,
    newest: Option<NewestVersion>,
    /// `_wsgi.py` says user and password.
    has_password: bool,
    /// Whether events of Label Studio can train it.
    can_learn: bool,
    /// What `_wsgi.py` adds to its app.
    app: Option<String>,
}

impl LoadedModel {
    fn trained(&self) -> String {
        match &self.newest {
            None => "no trained version yet".into(),
            Some(NewestVersion { name, project }) => {
                format!("newest version: {name}, of project {}", project.id())
            }
        }
    }
}

/// The version that was trained last, of all projects.
#[derive(Debug)]
struct NewestVersion {
    name: String,
    project: ProjectKey,
}

impl NewestVersion {
    fn find(versions: &Versions, api: ApiVersion) -> Option<Self> {
        let newest = |project: &ProjectKey| {
            let ids = match api {
                ApiVersion::V1 => versions.list(project),
                ApiVersion::V2 => versions.record_ids(project),
            };
            ids.ok()?.into_iter().next()
        };
        let all = versions.projects().into_iter();
        let (id, project) = all.filter_map(|p| Some((newest(&p)?, p))).max_by_key(|(id, _)| *id)?;
        let recorded = match api {
            ApiVersion::V1 => None,
            ApiVersion::V2 => versions.record(&project, id).ok().flatten(),
        };
        let name = recorded.map_or_else(|| id.to_string(), |record| record.served);
        Some(Self { name, project })
    }
}

struct NextSteps {
    addresses: Vec<Address>,
    port: u16,
    /// The project, as the user named it.
    name: Option<String>,
    /// Other machines can reach the server.
    is_reachable: bool,
    /// Options or variables set user and password.
    has_password: bool,
    has_token: bool,
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
            name: args.project.name.clone(),
            is_reachable: !ip.is_loopback(),
            has_password: options.credentials.is_some(),
            has_token: token.is_some(),
            note: surroundings.note(ip, port),
            doctor: doctor_command(args, port),
        }
    }

    /// Lines for a log that nobody watches.
    fn log(&self, model: &LoadedModel) {
        info!("models are kept in {} ({})", model.model_dir, model.trained());
        let addresses = in_a_line(&self.addresses);
        info!("paste into Label Studio, Settings → Model → Connect model: {addresses}");
        if let Some(note) = &self.note {
            info!("{note}");
        }
        info!("something does not work? {}", self.doctor);
        if let Some(app) = &model.app {
            info!("requests pass through the app of _wsgi.py, which adds {app}");
        }
        if model.has_password {
            info!("every request must bring the user and password of _wsgi.py");
        }
        for Warning { what, remedy } in self.warnings(model) {
            warn!("{what}: {remedy}");
        }
    }

    fn warnings(&self, model: &LoadedModel) -> Vec<Warning> {
        let has_password = self.has_password || model.has_password;
        let mut warnings = Vec::new();
        if self.is_reachable && !has_password {
            let port = self.port;
            warnings.push(Warning {
                what: format!(
                    "no password is set: anyone who can reach port {port} can use and train the model"
                ),
                remedy: "set BASIC_AUTH_USER, BASIC_AUTH_PASS and LABEL_STUDIO_ML_WEBHOOK_TOKEN, or listen \
                         with --host 127.0.0.1"
                    .into(),
            });
        }
        if has_password && !self.has_token && model.can_learn {
            warnings.push(Warning {
                what: "a password and no webhook token: annotations train nothing, since Label Studio sends \
                       no password with its events"
                    .into(),
                remedy: activity::WEBHOOK_TOKEN_REMEDY.into(),
            });
        }
        warnings
    }

    /// The block for a terminal.
    fn block(&self, model: &LoadedModel, has_colour: bool) -> String {
        let style = |style: Style| if has_colour { style } else { Style::new() };
        let bold = style(Style::new().effects(Effects::BOLD));
        let yellow = style(AnsiColor::Yellow.on_default());
        let LoadedModel { class, seconds, model_dir, .. } = model;
        let product = concat!("label-studio-ml ", env!("CARGO_PKG_VERSION"));
        let name = self.name.as_ref().map(|name| format!("{name} · ")).unwrap_or_default();
        let mut text = format!(
            "{bold}{product:24}{bold:#}{name}{class}\n\
             Models are kept in      {model_dir} ({})\n\
             Loading the model …     ready in {seconds:.1} s\n\n\
             Paste into Label Studio (Settings → Model → Connect model):\n",
            model.trained()
        );
        let width =
            self.addresses.iter().map(|address| address.url.len()).max().unwrap_or_default();
        for Address { url, place } in &self.addresses {
            let _ = writeln!(text, "    {bold}{url:width$}{bold:#}   Label Studio {place}");
        }
        if let Some(note) = &self.note {
            let _ = writeln!(text, "    Note: {note}.");
        }
        text.push('\n');
        if let Some(app) = &model.app {
            let _ = writeln!(text, "Requests pass through the app of _wsgi.py, which adds {app}.");
        }
        for Warning { what, remedy } in self.warnings(model) {
            let (what, remedy) = (capitalised(&what), capitalised(&remedy));
            let _ = writeln!(text, "{yellow}! {what}.{yellow:#}\n  {remedy}.");
        }
        let _ = writeln!(
            text,
            "Something wrong? In another terminal: {}\nCtrl-C stops. Waiting for Label Studio …\n",
            self.doctor
        );
        text
    }
}

/// Something about the way in which the server was started that the user should change.
struct Warning {
    what: String,
    remedy: String,
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
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

    fn steps(is_reachable: bool) -> NextSteps {
        let address = |url: &str, place| Address { url: url.into(), place };
        NextSteps {
            addresses: vec![
                address("http://localhost:9090", "on this machine"),
                address("http://192.168.1.5:9090", "on another machine"),
            ],
            port: 9090,
            name: Some("my_backend".into()),
            is_reachable,
            has_password: false,
            has_token: false,
            note: None,
            doctor: "label-studio-ml doctor my_backend".into(),
        }
    }

    fn model() -> LoadedModel {
        LoadedModel {
            class: "SentimentModel (API v2)".into(),
            seconds: 1.44,
            model_dir: "my_backend/models".into(),
            newest: None,
            has_password: false,
            can_learn: true,
            app: None,
        }
    }

    #[test]
    fn a_terminal_shows_the_addresses_in_lines_of_their_own() {
        insta::assert_snapshot!(steps(true).block(&model(), false));
    }

    #[test]
    fn a_note_and_a_trained_version_change_the_block() {
        let steps = NextSteps { note: Some("this is a container".into()), ..steps(false) };
        let newest = NewestVersion { name: "0.0.1+4".into(), project: "7.17".into() };
        let block = steps.block(&LoadedModel { newest: Some(newest), ..model() }, false);
        assert!(!block.contains("password"), "{block}");
        assert!(block.contains("\n    Note: this is a container.\n"), "{block}");
        let trained = "my_backend/models (newest version: 0.0.1+4, of project 7)\n";
        assert!(block.contains(trained), "{block}");
    }

    #[test]
    fn what_the_program_says_is_told() {
        let app = Some("2 routes, before_request".to_owned());
        let block = steps(true).block(&LoadedModel { has_password: true, app, ..model() }, false);
        assert!(!block.contains("No password"), "{block}");
        assert!(block.contains("the app of _wsgi.py, which adds 2 routes, before_request.\n"));
    }

    #[test]
    fn a_password_needs_a_webhook_token_if_the_model_learns() {
        let warned = |has_password, has_token, can_learn| {
            let steps = NextSteps { has_password, has_token, ..steps(false) };
            steps.block(&LoadedModel { can_learn, ..model() }, false).contains("no webhook token")
        };
        assert!(warned(true, false, true));
        assert!(!warned(true, true, true) && !warned(true, false, false));
        assert!(!warned(false, false, true));
    }

    #[test]
    fn only_colours_differ_where_colours_are_shown() {
        let (plain, coloured) =
            (steps(true).block(&model(), false), steps(true).block(&model(), true));
        assert!(coloured.contains("\x1b[1mhttp://localhost:9090"), "{coloured}");
        let without: String = coloured.replace("\x1b[0m", "");
        let without = without.replace("\x1b[1m", "").replace("\x1b[33m", "");
        assert_eq!(without, plain);
    }
}
