//! Options of `start` that concern HTTP: where the server listens, who may use it, what its answers say.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::cli::{password, values};
use crate::http::BodyLimits;
use crate::http::auth::Credentials;
use crate::http::state::HttpOptions;
use crate::http::webhook_token::WebhookToken;
use crate::wire::protocol::BasicAuth;

pub(in crate::cli) const DEFAULT_PORT: u16 = 9090;

#[derive(Debug, Args)]
#[command(next_help_heading = "Network and access")]
pub(super) struct NetworkArgs {
    /// Port to listen on
    #[arg(short, long, env = "PORT", default_value_t = DEFAULT_PORT, value_parser = values::port)]
    pub(super) port: u16,
    /// Address to listen on; 127.0.0.1 admits only this machine
    #[arg(long, default_value = "0.0.0.0")]
    pub(super) host: String,
    /// User name that every request must carry [default: `$BASIC_AUTH_USER`, `$ML_SERVER_BASIC_AUTH_USER`]
    #[arg(long, value_name = "USER")]
    pub(super) basic_auth_user: Option<String>,
    /// Password that every request must carry [default: `$BASIC_AUTH_PASS`, `$ML_SERVER_BASIC_AUTH_PASS`]
    #[arg(long, value_name = "PASSWORD")]
    pub(super) basic_auth_pass: Option<String>,
    /// Secret part of the server's address: at /TOKEN/ the webhook of Label Studio needs no password
    #[arg(
        long,
        value_name = "TOKEN",
        env = "LABEL_STUDIO_ML_WEBHOOK_TOKEN",
        hide_env_values = true
    )]
    webhook_token: Option<String>,
    /// Answer with an error that names each place where Label Studio would drop or hide a prediction
    #[arg(long, conflicts_with = "debug", help_heading = super::ANSWERS, hide_short_help = true)]
    strict: bool,
    /// Leave tracebacks of user code out of error answers
    #[arg(long, help_heading = super::ANSWERS, hide_short_help = true)]
    hide_tracebacks: bool,
}

impl NetworkArgs {
    /// What every request must carry.
    pub(super) fn credentials(&self) -> Result<Option<Credentials>> {
        let (user, password) = (self.basic_auth_user.as_deref(), self.basic_auth_pass.as_deref());
        let found = password::find(user, password)?;
        Ok(found.map(|(user, password)| Credentials::new(&user, &password)))
    }

    /// Refuses a program that says another user or password than the command line does: only one can hold.
    pub(super) fn refuse_other_password(&self, of_program: Option<&BasicAuth>) -> Result<()> {
        let Some(BasicAuth { user, password }) = of_program else { return Ok(()) };
        let differs =
            |given: &Option<String>, own: &String| given.as_ref().is_some_and(|g| g != own);
        if differs(&self.basic_auth_user, user) || differs(&self.basic_auth_pass, password) {
            bail!(
                "init_app in _wsgi.py says another user or password than --basic-auth-user and \
                 --basic-auth-pass: leave one of them out"
            );
        }
        Ok(())
    }

    /// User and password from the command line, with the names of their variables.
    pub(super) fn given_credentials(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let user = self.basic_auth_user.as_deref().map(|user| ("BASIC_AUTH_USER", user));
        let password =
            self.basic_auth_pass.as_deref().map(|password| ("BASIC_AUTH_PASS", password));
        user.into_iter().chain(password)
    }

    /// Options for the handlers. `model_dir`: only if the user chose it.
    pub(super) fn options(
        &self,
        model_dir: Option<PathBuf>,
        batching: bool,
        body: BodyLimits,
        setup_wait: Duration,
    ) -> Result<HttpOptions> {
        Ok(HttpOptions {
            hide_tracebacks: self.hide_tracebacks,
            batching,
            strict: self.strict,
            model_dir,
            body,
            setup_wait,
            credentials: self.credentials()?,
            webhook_token: self.webhook_token()?,
        })
    }

    /// The part of the address that replaces a password at the webhook. It is checked here because clap would
    /// print a value that it refuses.
    pub(super) fn webhook_token(&self) -> Result<Option<WebhookToken>> {
        let given = self.webhook_token.as_deref().filter(|token| !token.is_empty());
        Ok(given.map(WebhookToken::new).transpose()?)
    }
}
