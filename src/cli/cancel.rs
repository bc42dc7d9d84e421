//! `label-studio-ml cancel`: cancels a training job of a running server.

use anyhow::Result;
use clap::Args;
use reqwest::Method;

use super::jobs::JobNumber;
use super::remote::table::text;
use super::remote::{self, REFUSED, RemoteServer, ServerArgs};

#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    /// Number of the job, as `label-studio-ml jobs` lists it
    job: JobNumber,
    /// Project folder or model script whose server is asked [default: this folder, `my_ml_backend`, or the only project in this folder, if there is one]
    name: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) fn run(args: &CancelArgs) -> Result<i32> {
    remote::run(&args.server, args.name.as_deref(), async |server| {
        let path = format!("/jobs/{}/cancel", args.job);
        match server.ask(Method::POST, &path, None).await? {
            Ok(job) => {
                let status = text(&job["job_status"]);
                let is_cancelled = status == "cancelled";
                server.print(&job, || match status.as_str() {
                    "cancelled" => format!("Job {} is cancelled.", args.job),
                    "started" => {
                        format!("Job {} was asked to end, and still runs.", args.job)
                    }
                    status => format!("Job {} had ended already: {status}.", args.job),
                })?;
                Ok(if is_cancelled { 0 } else { REFUSED })
            }
            Err(refusal) => Ok(RemoteServer::refuse(&refusal.detail)),
        }
    })
}
