//! Options of `start` that concern HTTP: where it listens, whom it lets in, what it bears.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::seconds;
use crate::cli::password;
use crate::http::auth::Credentials;
use crate::http::state::HttpOptions;

pub(in crate::cli) const DEFAULT_PORT: u16 = 9090;

#[derive(Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub(super) struct NetworkArgs {
    #[arg(short, long, env = "PORT", default_value_t = DEFAULT_PORT)]
    pub(super) port: u16,
    /// Address to listen on
    #[arg(long, default_value = "0.0.0.0")]
    pub(super) host: String,
    /// User that every request must name [default: `$BASIC_AUTH_USER`, `$ML_SERVER_BASIC_AUTH_USER`]
    #[arg(long, value_name = "USER")]
    pub(super) basic_auth_user: Option<String>,
    /// Password that every request must bring [default: `$BASIC_AUTH_PASS`, `$ML_SERVER_BASIC_AUTH_PASS`]
    #[arg(long, value_name = "PASSWORD")]
    pub(super) basic_auth_pass: Option<String>,
    /// Answer with an error, which names each place, where Label Studio would drop or hide predictions
    #[arg(long, conflicts_with = "debug")]
    strict: bool,
    /// Leave tracebacks of user code out of error answers
    #[arg(long)]
    hide_tracebacks: bool,
    /// Largest request body in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    max_body: usize,
    /// Longest time in seconds that /setup waits for a model to load
    #[arg(long, value_name = "S", default_value_t = 2.0)]
    setup_timeout: f64,
}

impl NetworkArgs {
    /// What every request must bring.
    pub(super) fn credentials(&self) -> Result<Option<Credentials>> {
        let (user, password) = (self.basic_auth_user.as_deref(), self.basic_auth_pass.as_deref());
        let found = password::find(user, password)?;
        Ok(found.map(|(user, password)| Credentials::new(&user, &password)))
    }

    /// What the handlers go by. `model_dir` is known here only where the user chose it.
    pub(super) fn options(&self, model_dir: Option<PathBuf>) -> Result<HttpOptions> {
        Ok(HttpOptions {
            hide_tracebacks: self.hide_tracebacks,
            strict: self.strict,
            model_dir,
            max_body: self.max_body << 20,
            setup_wait: seconds(self.setup_timeout),
            credentials: self.credentials()?,
        })
    }
}
