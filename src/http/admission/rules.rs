//! What requests must bring, and which of them pass through the user's app.

use std::sync::Arc;

use axum::http::Method;
use parking_lot::RwLock;
use tracing::warn;

use crate::http::auth::Credentials;
use crate::http::routes::ROUTES;
use crate::serving::Serving;
use crate::wire::http::UserApp;
use crate::wire::protocol::ClassInfo;

/// What holds for requests while a program is served.
#[derive(Debug)]
pub(in crate::http) struct AccessRules {
    pub(in crate::http) credentials: Option<Credentials>,
    pub(in crate::http) app: Option<UserApp>,
}

impl AccessRules {
    /// Whether the program may check requests itself.
    pub(in crate::http) fn has_gate(&self) -> bool {
        self.app.as_ref().is_some_and(|app| app.sees_all)
    }
}

/// Tells the rules of the program that is served. A worker that starts later may have imported a program that
/// was changed meanwhile; its rules hold from then on, but a password never ends before the server does.
pub struct Access {
    serving: Arc<Serving>,
    /// User and password of the command line or the environment.
    credentials: Option<Credentials>,
    known: RwLock<Option<(Arc<ClassInfo>, Arc<AccessRules>)>>,
}

impl Access {
    pub fn new(serving: Arc<Serving>, credentials: Option<Credentials>) -> Self {
        Self { serving, credentials, known: RwLock::default() }
    }

    /// None until the program is imported.
    pub(in crate::http) fn rules(&self) -> Option<Arc<AccessRules>> {
        let class = self.serving.class()?;
        let of_class = |known: &Option<(Arc<ClassInfo>, Arc<AccessRules>)>| {
            let (_, rules) = known.as_ref().filter(|(of, _)| Arc::ptr_eq(of, &class))?;
            Some(Arc::clone(rules))
        };
        if let Some(rules) = of_class(&self.known.read()) {
            return Some(rules);
        }
        let own = class.basic_auth.as_ref();
        let own = own.map(|own| Credentials::new(&own.user, &own.password));
        let mut known = self.known.write();
        if let Some(rules) = of_class(&known) {
            return Some(rules);
        }
        let before = known.as_ref().map(|(_, rules)| rules);
        let credentials = match (own.or_else(|| self.credentials.clone()), before) {
            (None, Some(before)) if before.credentials.is_some() => {
                warn!(
                    "the program has no password any more; the one before holds until the server is restarted"
                );
                before.credentials.clone()
            }
            (credentials, _) => credentials,
        };
        if before.is_some_and(|before| before.has_gate())
            && !class.app.as_ref().is_some_and(|app| app.sees_all)
        {
            warn!("the program does not check requests any more; requests pass unchecked");
        }
        let rules = Arc::new(AccessRules { credentials, app: class.app.clone() });
        *known = Some((class, Arc::clone(&rules)));
        Some(rules)
    }
}

/// Whether a request passes through the app. `route` is the route of the server for `path`, if it has one.
pub(super) fn takes(app: &UserApp, method: &Method, route: Option<&str>, path: &str) -> bool {
    if path == "*" {
        return false;
    }
    let Some(route) = route else { return true };
    let method = if method == Method::HEAD { Method::GET } else { method.clone() };
    let is_own = method == Method::OPTIONS || ROUTES.contains(&(method.as_str(), route));
    let is_replaced = || {
        let wanted = format!("{method} {route}");
        app.replaced.contains(&wanted)
    };
    app.sees_all || !is_own || is_replaced()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(sees_all: bool, replaced: &[&str]) -> UserApp {
        let replaced = replaced.iter().map(|&route| route.to_owned()).collect();
        UserApp { sees_all, replaced, is_wrapped: false, summary: String::new() }
    }

    #[test]
    fn the_app_takes_what_is_not_the_servers_or_what_it_replaces() {
        let own = app(false, &["POST /predict", "GET /jobs/{job}"]);
        for (method, route, path, expected) in [
            (Method::GET, None, "/info", true),
            (Method::OPTIONS, None, "/info", true),
            (Method::OPTIONS, None, "*", false),
            (Method::GET, Some("/health"), "/health", false),
            (Method::HEAD, Some("/health"), "/health", false),
            (Method::OPTIONS, Some("/health"), "/health", false),
            (Method::POST, Some("/health"), "/health", true),
            (Method::POST, Some("/predict"), "/predict", true),
            (Method::GET, Some("/predict"), "/predict", true),
            (Method::POST, Some("/setup"), "/setup", false),
            (Method::HEAD, Some("/jobs/{job}"), "/jobs/1", true),
            (Method::GET, Some("/jobs"), "/jobs", false),
        ] {
            assert_eq!(takes(&own, &method, route, path), expected, "{method} {path}");
            let takes_all = takes(&app(true, &[]), &method, route, path);
            assert_eq!(takes_all, path != "*", "{method} {path}");
        }
    }
}
