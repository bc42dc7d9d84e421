//! The webhooks of the project: does the server hear of annotations?
//!
//! Label Studio makes a webhook with each ML backend, but without the backend's password, and leaves it when
//! the backend is deleted. `--fix` makes and completes webhooks of backends that are connected.

use std::collections::BTreeMap;

use super::backends::{Connected, leads_here};
use super::probe::{Found, Prober};
use super::report::Group;
use super::server::Server;
use crate::cli::addresses::Surroundings;
use crate::label_studio::webhooks::{Webhook, WebhookFields};
use crate::label_studio::{LabelStudio, LabelStudioError};
use crate::wire::protocol::ClassInfo;

/// What a webhook can send of the actions that models learn from. The button Start training uses none.
const ACTIONS: [&str; 5] = [
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
    "PROJECT_UPDATED",
];
/// What nearly every model learns from.
const USUAL: [&str; 2] = ["ANNOTATION_CREATED", "ANNOTATION_UPDATED"];
const AUTHORIZATION: &str = "Authorization";

/// What the checks need to know.
pub(super) struct Situation<'a> {
    pub(super) studio: &'a LabelStudio,
    pub(super) project: u64,
    pub(super) connected: &'a [Connected],
    pub(super) server: &'a Server,
    pub(super) surroundings: &'a Surroundings,
    pub(super) prober: &'a Prober,
    /// The class of the project folder, where that was looked at.
    pub(super) class: Option<&'a ClassInfo>,
    pub(super) fix: bool,
}

/// What keeps a backend from hearing of annotations, and the fields that would mend it.
#[derive(Default)]
struct Faults {
    seen: Vec<String>,
    fields: WebhookFields,
    /// A password is missing that nobody told us.
    lacks_password: bool,
    /// The address is right but for the webhook token.
    lacks_token: bool,
}

pub(super) async fn check(group: &mut Group, situation: &Situation<'_>) {
    let hooks = match situation.studio.webhooks(situation.project).await {
        Ok(hooks) => hooks,
        Err(error) => {
            group.failed(&error);
            return;
        }
    };
    let wanted = wanted(situation.class);
    for one in situation.connected {
        if wanted.is_empty() && one.is_this {
            group.ok(format!("{} learns nothing, and needs no webhook", one.backend.url));
            continue;
        }
        let address = webhook_of(one);
        let own: Vec<&Webhook> = hooks.iter().filter(|hook| same(&hook.url, &address)).collect();
        if own.len() > 1 {
            group.warning(
                format!("{} webhooks lead to {address}: each event is sent as often", own.len()),
                "delete all but one under Settings → Webhooks",
            );
        }
        let hook = own.iter().find(|hook| hook.is_active).or(own.first()).copied();
        let faults = find_faults(situation, one, hook, &address, &wanted).await;
        settle(group, situation, hook, &address, faults).await;
    }
    for hook in &hooks {
        tell_stray(group, situation, hook).await;
    }
}

/// Actions that the model learns from; those that are usual where its class is not known.
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

fn webhook_of(one: &Connected) -> String {
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
    situation: &Situation<'_>,
    one: &Connected,
    hook: Option<&Webhook>,
    address: &str,
    wanted: &[&str],
) -> Faults {
    let mut faults = Faults::default();
    match hook {
        None => {
            faults.seen.push(format!("no webhook leads to {address}"));
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
    check_password(situation, one, hook, &mut faults).await;
    faults
}

/// A server with a password refuses events that bring none, and Label Studio tells nobody.
async fn check_password(
    situation: &Situation<'_>,
    one: &Connected,
    hook: Option<&Webhook>,
    faults: &mut Faults,
) {
    let locked = one.backend.has_password()
        || matches!(one.found, Found::Locked)
        || (one.is_this && situation.server.locked);
    let takes_events = if locked || one.is_this {
        situation.prober.takes_events(&one.backend.url).await
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
                "the server takes no events at {}: its webhook token is missing there",
                one.backend.url
            ));
        }
        return;
    }
    if let Some(hook) = hook {
        match hook.header(AUTHORIZATION) {
            None => faults.seen.push(format!(
                "the webhook {} brings no password to a server that wants one",
                hook.url
            )),
            Some(brought) => {
                let answer = situation.prober.health_with(&one.backend.url, Some(brought)).await;
                if !matches!(answer, Found::Locked) {
                    return;
                }
                faults.seen.push(format!(
                    "the webhook {} brings a password that the server refuses",
                    hook.url
                ));
            }
        }
    }
    // Our password is for this server alone.
    match situation.prober.authorization().filter(|_| one.is_this) {
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

/// Tells the faults, or mends them.
async fn settle(
    group: &mut Group,
    situation: &Situation<'_>,
    hook: Option<&Webhook>,
    address: &str,
    faults: Faults,
) {
    if faults.seen.is_empty() {
        group.ok(format!("the webhook {address} reports annotations"));
        return;
    }
    if situation.fix && !faults.lacks_password && !faults.lacks_token {
        match mend(situation, hook, &faults.fields).await {
            Ok(()) => faults.seen.iter().for_each(|seen| group.ok(format!("mended: {seen}"))),
            Err(error) => faults.seen.iter().for_each(|seen| {
                group.failed(&format!("{seen}; it could not be mended: {error}"));
            }),
        }
        return;
    }
    let advice = if faults.lacks_token {
        "connect the address that `label-studio-ml start` prints, which has the token, and delete this one"
    } else if faults.lacks_password {
        "nothing is trained until it does: run this again with --fix and the server's --basic-auth-user and --basic-auth-pass, or add the header \
         Authorization to it under Settings → Webhooks"
    } else {
        "run this again with --fix, or mend it under Settings → Webhooks"
    };
    for seen in faults.seen {
        group.problem(seen, advice);
    }
}

async fn mend(
    situation: &Situation<'_>,
    hook: Option<&Webhook>,
    fields: &WebhookFields,
) -> Result<(), LabelStudioError> {
    match hook {
        Some(hook) => situation.studio.update_webhook(hook.id, fields).await.map(drop),
        None => situation.studio.create_webhook(situation.project, fields).await.map(drop),
    }
}

/// Tells of a webhook that looks like one of an ML backend which is no longer connected.
async fn tell_stray(group: &mut Group, situation: &Situation<'_>, hook: &Webhook) {
    let belongs = situation.connected.iter().any(|one| same(&hook.url, &webhook_of(one)));
    let Some(base) = hook.url.trim_end_matches('/').strip_suffix("/webhook") else { return };
    if belongs || !hook.is_active {
        return;
    }
    let seen = format!("the webhook {} belongs to no ML backend that is connected", hook.url);
    let server = situation.server;
    let what = if leads_here(base, server.port, situation.surroundings).await && server.is_up() {
        "this server gets its events as well, so each may train twice"
    } else if matches!(situation.prober.health_with(base, None).await, Found::Nothing(_)) {
        "nothing answers there, and every annotation waits for it"
    } else {
        "that server still gets the events"
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
            thread_safe: true,
            train_events: events.iter().map(|event| (*event).to_owned()).collect(),
            wants_every_event,
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
