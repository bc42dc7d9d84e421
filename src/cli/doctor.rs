//! `label-studio-ml doctor`: finds out why a server and Label Studio do not work together.
//!
//! Each file below checks one concern, in the order in which things have to work. Nothing is changed, except
//! webhooks with `--fix`.

mod backends;
mod complaint;
mod media;
mod package;
mod project;
mod report;
mod server;
mod studio;
mod troubles;
mod webhooks;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use reqwest::Url;

use self::report::{CheckGroup, DoctorReport};
use self::server::ServerAtPort;
use super::addresses::Surroundings;
use super::probe::Prober;
use super::start::DEFAULT_PORT;
use super::values;
use super::{password, terminal};
use crate::label_studio::LabelStudio;
use crate::label_studio::ids::ProjectId;
use crate::project::find::{self, FindError, FoundProject};
use crate::wire::protocol::ClassInfo;
use crate::wire::protocol::ClassSource;
use crate::workers::process::Launch;

/// Headings of options.
const SERVER: &str = "Server";
const LABEL_STUDIO: &str = "Label Studio";

#[derive(Debug, Args)]
#[command(after_help = "`label-studio-ml doctor --help` shows all options.", after_long_help = "")]
pub(super) struct DoctorArgs {
    /// Project folder, or a model script such as path/to/script.py:ModelClass [default: this folder, `my_ml_backend`, or the only project in this folder, if there is one]
    name: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Folder for trained models, as given to `start`
    #[arg(long, env = "MODEL_DIR", value_name = "DIR", hide_short_help = true)]
    model_dir: Option<PathBuf>,
    /// Folder in which the project folder is looked for
    #[arg(long, value_name = "DIR", default_value = ".", hide_short_help = true)]
    root_dir: PathBuf,
    /// Port of the server
    #[arg(short, long, env = "PORT", default_value_t = DEFAULT_PORT, value_parser = values::port, help_heading = SERVER)]
    port: u16,
    /// User name for the server [default: `$BASIC_AUTH_USER`, `$ML_SERVER_BASIC_AUTH_USER`]
    #[arg(long, value_name = "USER", help_heading = SERVER)]
    basic_auth_user: Option<String>,
    /// Password for the server [default: `$BASIC_AUTH_PASS`, `$ML_SERVER_BASIC_AUTH_PASS`]
    #[arg(long, value_name = "PASSWORD", help_heading = SERVER)]
    basic_auth_pass: Option<String>,
    /// Webhook token of the server, which is part of its address
    #[arg(
        long,
        value_name = "TOKEN",
        env = "LABEL_STUDIO_ML_WEBHOOK_TOKEN",
        hide_env_values = true,
        help_heading = SERVER
    )]
    webhook_token: Option<String>,
    /// Address of Label Studio
    #[arg(long, env = "LABEL_STUDIO_URL", value_name = "URL", hide_env_values = true, help_heading = LABEL_STUDIO)]
    label_studio_url: Option<String>,
    /// Access token of Label Studio: a personal access token or a legacy token
    #[arg(long, env = "LABEL_STUDIO_API_KEY", value_name = "TOKEN", hide_env_values = true, help_heading = LABEL_STUDIO)]
    api_key: Option<String>,
    /// Project of Label Studio whose ML backends, webhooks and files are checked
    #[arg(long, value_name = "ID", value_parser = values::whole::<ProjectId>(0..=u64::MAX), help_heading = LABEL_STUDIO)]
    project: Option<ProjectId>,
    /// Create and complete the webhooks of the project
    #[arg(long, requires = "project", help_heading = LABEL_STUDIO)]
    fix: bool,
}

impl DoctorArgs {
    fn url(&self) -> Option<&str> {
        self.label_studio_url.as_deref().filter(|url| !url.trim().is_empty())
    }

    fn webhook_token(&self) -> Option<&str> {
        self.webhook_token.as_deref().filter(|token| !token.is_empty())
    }

    fn key(&self) -> Option<&str> {
        self.api_key.as_deref().filter(|key| !key.trim().is_empty())
    }
}

pub(super) fn run(args: &DoctorArgs, launch: &Launch) -> Result<i32> {
    terminal::init_log("ERROR");
    // Compose files pass variables that nobody set as empty strings.
    if args.project.is_some() && (args.url().is_none() || args.key().is_none()) {
        bail!(
            "--project needs --label-studio-url and --api-key, or LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
        );
    }
    let project = match find::project(&args.root_dir, args.name.as_deref()) {
        Ok(project) => Ok(project),
        // A project that the user names must exist.
        Err(error) if args.name.is_some() => return Err(error.into()),
        Err(error) => Err(error),
    };
    let given = password::find(args.basic_auth_user.as_deref(), args.basic_auth_pass.as_deref())?;
    let credentials = given.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
    let prober = Prober::new(credentials)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let doctor = Doctor { args, launch, prober, surroundings: Surroundings::look() };
    let report = runtime.block_on(doctor.examine(project));
    // A name that is still being looked up must not delay the end.
    runtime.shutdown_background();
    report.close().context("the report")
}

struct Doctor<'a> {
    args: &'a DoctorArgs,
    launch: &'a Launch,
    prober: Prober,
    surroundings: Surroundings,
}

impl Doctor<'_> {
    async fn examine(&self, project: Result<FoundProject, FindError>) -> DoctorReport {
        let mut report = DoctorReport::new(self.args.json);
        let requirements = project.as_ref().map(|project| project.folder.join("requirements.txt"));
        let requirements = requirements.ok().filter(|file| file.is_file());
        report.add(package::check(self.launch, requirements.as_deref()).await);

        let mut found = CheckGroup::new(format!("Server at port {}", self.args.port));
        let start = start_command(project.as_ref().ok());
        let server = server::check(
            &mut found,
            &self.prober,
            self.args.port,
            self.args.webhook_token(),
            &start,
        )
        .await;
        let class = self.check_project(&mut report, project, &server, &mut found).await;
        report.add(found);

        let here = self.is_label_studio_here().await;
        let mut addresses = CheckGroup::new(
            "Addresses to paste into Label Studio (Settings → Model → Connect model)",
        );
        let (prober, surroundings) = (&self.prober, &self.surroundings);
        server::check_addresses(&mut addresses, prober, surroundings, &server, here).await;
        report.add(addresses);
        self.check_label_studio(&mut report, &server, class.as_ref()).await;
        report
    }

    async fn check_project(
        &self,
        report: &mut DoctorReport,
        project: Result<FoundProject, FindError>,
        server: &ServerAtPort,
        found: &mut CheckGroup,
    ) -> Option<ClassInfo> {
        let project = match project {
            Ok(project) => project,
            Err(FindError::None(_)) => return None,
            Err(several) => {
                let mut group = CheckGroup::new("Project folder");
                group.warning(several.to_string(), "name the folder: label-studio-ml doctor NAME");
                report.add(group);
                return None;
            }
        };
        let what = match project.source {
            ClassSource::Wsgi { .. } => "Project folder",
            ClassSource::Script { .. } => "Script",
        };
        let mut group = CheckGroup::new(format!("{what} {project}"));
        let model_dir = self.args.model_dir.as_deref();
        let class = project::check_script(&mut group, &project, model_dir, self.launch).await;
        if let Some(class) = &class {
            let health = server.health.as_ref();
            let same_dir = health.and_then(|health| health.model_dir.as_ref());
            let serving = same_dir.is_some_and(|dir| Path::new(dir) == class.model_dir);
            project::check_model_dir(&mut group, &class.model_dir, serving);
            if let Some(other) = health.and_then(|health| health.model_class.as_ref())
                && *other != class.class
            {
                found.warning(
                    format!("it serves {other}, but the project folder contains {}", class.class),
                    "give the project folder that it was started with, or another --port",
                );
            }
        }
        report.add(group);
        class
    }

    async fn check_label_studio(
        &self,
        report: &mut DoctorReport,
        server: &ServerAtPort,
        class: Option<&ClassInfo>,
    ) {
        let mut group = CheckGroup::new("Label Studio");
        let Some(url) = self.args.url() else {
            group.warning(
                "not checked: its address is unknown",
                "give --label-studio-url and --api-key, or LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY",
            );
            report.add(group);
            return;
        };
        let studio = studio::connect(&mut group, url, self.args.key()).await;
        if studio.is_some() && self.args.project.is_none() {
            group.warning(
                "no project was checked",
                "give --project ID to check its ML backends, webhooks and files",
            );
        }
        report.add(group);
        if let (Some(studio), Some(id)) = (studio, self.args.project) {
            self.check_in_label_studio(report, &studio, id, server, class).await;
        }
    }

    async fn check_in_label_studio(
        &self,
        report: &mut DoctorReport,
        studio: &LabelStudio,
        id: ProjectId,
        server: &ServerAtPort,
        class: Option<&ClassInfo>,
    ) {
        let mut group = CheckGroup::new(format!("Project {id} in Label Studio"));
        let Some(project) = studio::project(&mut group, studio, id).await else {
            report.add(group);
            return;
        };
        let connected =
            backends::check(&mut group, studio, &project, server, &self.surroundings, &self.prober)
                .await;
        report.add(group);

        let mut group = CheckGroup::new("Webhooks, which report annotations to the server");
        let context = webhooks::WebhookContext {
            studio,
            project: id,
            connected: &connected,
            server,
            surroundings: &self.surroundings,
            prober: &self.prober,
            class,
            fix: self.args.fix,
        };
        webhooks::check(&mut group, &context).await;
        report.add(group);

        let mut group = CheckGroup::new("Files of the first task");
        media::check(&mut group, studio, &project).await;
        report.add(group);
    }

    /// Whether the address of Label Studio is one of this machine; none if it is not known.
    async fn is_label_studio_here(&self) -> Option<bool> {
        let given = self.args.url()?;
        let text = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
        let url: Url = text.parse().ok()?;
        let port = url.port_or_known_default()?;
        Some(backends::leads_here(url.as_str(), port, &self.surroundings).await)
    }
}

/// The command that starts the server of a folder.
fn start_command(project: Option<&FoundProject>) -> String {
    match project {
        Some(project) => format!("label-studio-ml start {project}"),
        None => "label-studio-ml start NAME".into(),
    }
}
