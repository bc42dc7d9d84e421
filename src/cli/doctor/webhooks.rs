//! Checks the webhooks of the project, which report annotations to the server.
//!
//! Label Studio creates a webhook with each ML backend, but without the backend's password, and keeps it when
//! the backend is deleted. `--fix` creates and completes the webhooks of connected backends.

use std::collections::BTreeMap;

use super::backends::{ConnectedBackend, leads_here};
use super::report::CheckGroup;
use super::server::ServerAtPort;
use crate::cli::addresses::Surroundings;
use crate::cli::probe::{ProbeResult, Prober};
use crate::label_studio::ids::ProjectId;
use crate::label_studio::webhooks::{Webhook, WebhookFields};
use crate::label_studio::{LabelStudio, LabelStudioError};
use crate::wire::protocol::ClassInfo;

/// The actions that models learn from and a webhook can send. The button "Start training" uses no webhook.
const ACTIONS: [&str; 5] = [
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
    "PROJECT_UPDATED",
];
/// The actions that nearly every model learns from.
const USUAL: [&str; 2] = ["ANNOTATION_CREATED", "ANNOTATION_UPDATED"];
const AUTHORIZATION: &str = "Authorization";
/// Advice for an address that Label Studio refuses, although it may reach the ML backend there.
const SSRF: &str = "if you trust everyone who can change its projects, restart Label Studio with these variables; \
                    else connect the server at a public address";

/// What the checks of webhooks need.
pub(super) struct WebhookContext<'a> {
    pub(super) studio: &'a LabelStudio,
    pub(super) project: ProjectId,
    pub(super) connected: &'a [ConnectedBackend],
    pub(super) server: &'a ServerAtPort,
    pub(super) surroundings: &'a Surroundings,
    pub(super) prober: &'a Prober,
    /// The class of the project folder, if that was checked.
    pub(super) class: Option<&'a ClassInfo>,
    pub(super) fix: bool,
}

/// What is wrong with the webhook of a backend, and the fields that would fix it.
#[derive(Default)]
struct Faults {
    seen: Vec<String>,
    fields: WebhookFields,
    /// A password is missing that the user has not given.
    lacks_password: bool,
    /// The address is right but for the webhook token.
    lacks_token: bool,
}

pub(super) async fn check(group: &mut CheckGroup, context: &WebhookContext<'_>) {
    let hooks = match context.studio.webhooks(context.project).await {
        Ok(hooks) => hooks,
        Err(error) => {
            group.failed(&error);
            return;
        }
    };
    let wanted = wanted(context.class);
    for one in context.connected {
        if wanted.is_empty() && one.is_this {
            group.ok(format!("{} does not learn, and needs no webhook", one.backend.url));
            continue;
        }
        let address = webhook_of(one);
        let own: Vec<&Webhook> = hooks.iter().filter(|hook| same(&hook.url, &address)).collect();
        if own.len() > 1 {
            group.warning(
                format!(
                    "{} webhooks point to {address}, so each event is sent more than once",
                    own.len()
                ),
                "delete all but one under Settings → Webhooks",
            );
        }
        let hook = own.iter().find(|hook| hook.is_active).or(own.first()).copied();
        // One that is missing is made with --fix, and then the refusal shows.
        if hook.is_some()
            && let Some(refusal) = context.studio.refused_address(&address).await
        {
            group.problem(format!("no event will come to {address}: {refusal}"), SSRF);
            // What else is wrong with it matters once the address is right.
            continue;
        }
        let faults = find_faults(context, one, hook, &address, &wanted).await;
        settle(group, context, hook, &address, faults).await;
    }
    for hook in &hooks {
        report_stray(group, context, hook).await;
    }
}

/// Actions that the model learns from; the usual ones if its class is not known.
fn wanted(class: Option<&ClassInfo>) -> Vec<&'static str> {
    match class {
        None => USUAL.to_vec(),
        Some(class) if class.wants_every_event => USUAL.to_vec(),
        Some(class) => {
            let trains = |action: &&str| class.train_events.iter().any(|event| event == action);
            ACTIONS.into_iter().filter(trains).collect()
        }
    }
}

fn webhook_of(one: &ConnectedBackend) -> String {
    format!("{}/webhook", one.backend.url.trim_end_matches('/'))
}

fn same(a: &str, b: &str) -> bool {
    let normal = |text: &str| {
        let url = text.parse::<reqwest::Url>().map(|url| url.to_string());
        url.unwrap_or_else(|_| text.to_owned()).trim_end_matches('/').to_owned()
    };
    normal(a) == normal(b)
}

async fn find_faults(
    context: &WebhookContext<'_>,
    one: &ConnectedBackend,
    hook: Option<&Webhook>,
    address: &str,
    wanted: &[&str],
) -> Faults {
    let mut faults = Faults::default();
    match hook {
        None => {
            faults.seen.push(format!("no webhook points to {address}"));
            faults.fields = WebhookFields {
                url: Some(address.to_owned()),
                send_payload: Some(true),
                send_for_all_actions: Some(true),
                is_active: Some(true),
                ..WebhookFields::default()
            };
        }
        Some(hook) => {
            if !hook.is_active {
                faults.seen.push(format!("the webhook {address} is switched off"));
                faults.fields.is_active = Some(true);
            }
            if !hook.send_payload {
                faults.seen.push(format!("the webhook {address} sends no payload"));
                faults.fields.send_payload = Some(true);
            }
            let missing: Vec<&str> =
                wanted.iter().copied().filter(|action| !hook.sends(action)).collect();
            if !missing.is_empty() {
                faults
                    .seen
                    .push(format!("the webhook {address} does not send {}", missing.join(", ")));
                let all = hook.actions.iter().map(String::as_str).chain(missing);
                faults.fields.actions = Some(all.map(str::to_owned).collect());
                faults.fields.send_for_all_actions = Some(false);
            }
        }
    }
    check_password(context, one, hook, &mut faults).await;
    faults
}

/// Checks the password: a server refuses events without it, and Label Studio does not report that.
async fn check_password(
    context: &WebhookContext<'_>,
    one: &ConnectedBackend,
    hook: Option<&Webhook>,
    faults: &mut Faults,
) {
    let locked = one.backend.has_password()
        || matches!(one.found, ProbeResult::Locked)
        || (one.is_this && context.server.locked);
    let takes_events = if locked || one.is_this {
        context.prober.takes_events(&one.backend.url).await
    } else {
        None
    };
    if takes_events == Some(true) {
        return;
    }
    if !locked {
        if takes_events == Some(false) {
            faults.lacks_token = true;
            faults.seen.push(format!(
                "the server refuses events at {}: the address lacks its webhook token",
                one.backend.url
            ));
        }
        return;
    }
    if let Some(hook) = hook {
        match hook.header(AUTHORIZATION) {
            None => faults.seen.push(format!(
                "the webhook {} sends no password to a server that requires one",
                hook.url
            )),
            Some(sent) => {
                let answer = context.prober.health_with(&one.backend.url, Some(sent)).await;
                if !matches!(answer, ProbeResult::Locked) {
                    return;
                }
                faults.seen.push(format!(
                    "the webhook {} sends a password that the server refuses",
                    hook.url
                ));
            }
        }
    }
    // The given password is for this server alone.
    match context.prober.authorization().filter(|_| one.is_this) {
        Some(authorization) => {
            let mut headers: BTreeMap<String, String> =
                hook.map(|hook| hook.headers.clone()).unwrap_or_default();
            headers.retain(|name, _| !name.eq_ignore_ascii_case(AUTHORIZATION));
            headers.insert(AUTHORIZATION.into(), authorization.to_owned());
            faults.fields.headers = Some(headers);
        }
        None => faults.lacks_password = true,
    }
}

/// Reports the faults, or fixes them.
async fn settle(
    group: &mut CheckGroup,
    context: &WebhookContext<'_>,
    hook: Option<&Webhook>,
    address: &str,
    faults: Faults,
) {
    if faults.seen.is_empty() {
        group.ok(format!("the webhook {address} reports annotations"));
        return;
    }
    if context.fix && !faults.lacks_password && !faults.lacks_token {
        match fix(context, hook, &faults.fields).await {
            Ok(()) => {
                faults.seen.iter().for_each(|seen| group.ok(format!("fixed (before: {seen})")));
            }
            Err(error) => faults.seen.iter().for_each(|seen| {
                group.failed(&format!("{seen}; fixing it failed: {error}"));
            }),
        }
        return;
    }
    let advice = if faults.lacks_token {
        "connect the address that `label-studio-ml start` prints, which has the token, and delete this one"
    } else if faults.lacks_password {
        "nothing is trained until it does: run this again with --fix and the server's --basic-auth-user and \
         --basic-auth-pass, or add the header Authorization to it under Settings → Webhooks"
    } else {
        "run this again with --fix, or correct it under Settings → Webhooks"
    };
    for seen in faults.seen {
        group.problem(seen, advice);
    }
}

async fn fix(
    context: &WebhookContext<'_>,
    hook: Option<&Webhook>,
    fields: &WebhookFields,
) -> Result<(), LabelStudioError> {
    match hook {
        Some(hook) => context.studio.update_webhook(hook.id, fields).await.map(drop),
        None => context.studio.create_webhook(context.project, fields).await.map(drop),
    }
}

/// Reports a webhook that seems to belong to an ML backend which is no longer connected.
async fn report_stray(group: &mut CheckGroup, context: &WebhookContext<'_>, hook: &Webhook) {
    let belongs = context.connected.iter().any(|one| same(&hook.url, &webhook_of(one)));
    let Some(base) = hook.url.trim_end_matches('/').strip_suffix("/webhook") else { return };
    if belongs || !hook.is_active {
        return;
    }
    let seen = format!("the webhook {} belongs to no connected ML backend", hook.url);
    let server = context.server;
    let what = if leads_here(base, server.port, context.surroundings).await && server.is_up() {
        "this server gets its events too, so each may train twice"
    } else if matches!(context.prober.health_with(base, None).await, ProbeResult::Nothing(_)) {
        "nothing answers there, and saving an annotation waits for it"
    } else {
        "that server still gets its events"
    };
    group.warning(format!("{seen}: {what}"), "delete it under Settings → Webhooks");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api_version::ApiVersion;

    fn class(events: &[&str], wants_every_event: bool) -> ClassInfo {
        ClassInfo {
            class: "Model".into(),
            api: ApiVersion::V2,
            reason: String::new(),
            model_dir: "/m".into(),
            script: None,
            thread_safe: true,
            train_events: events.iter().map(|event| (*event).to_owned()).collect(),
            wants_every_event,
            uses_context: false,
            reads_config: false,
            basic_auth: None,
            app: None,
            inspection: None,
        }
    }

    #[test]
    fn the_class_says_which_actions_are_needed() {
        assert_eq!(wanted(None), USUAL);
        assert_eq!(wanted(Some(&class(&[], true))), USUAL);
        assert!(wanted(Some(&class(&[], false))).is_empty());
        let some = class(&["START_TRAINING", "ANNOTATION_UPDATED"], false);
        assert_eq!(wanted(Some(&some)), ["ANNOTATION_UPDATED"]);
    }

    #[test]
    fn addresses_are_compared_as_addresses() {
        assert!(same("http://H:80/webhook/", "http://h/webhook"));
        assert!(!same("http://h:9090/webhook", "http://h:9091/webhook"));
    }
}
