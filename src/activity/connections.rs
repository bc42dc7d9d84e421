//! Projects that Label Studio has connected. It repeats /setup often; only what is new is told.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::info;

use crate::ids::ProjectKey;

/// Maximum number of projects that are remembered; with more, some are told again.
const MOST_PROJECTS: usize = 10_000;
/// Shortest time between two lines about a project.
const PAUSE: Duration = Duration::from_secs(1);

/// The connected projects.
#[derive(Debug, Default)]
pub struct ConnectionLog {
    hasher: RandomState,
    known: Mutex<HashMap<ProjectKey, Connected>>,
}

#[derive(Debug)]
struct Connected {
    label_config: u64,
    label_studio: u64,
    told: Instant,
}

impl ConnectionLog {
    /// Takes note of a /setup, which Label Studio at the address `label_studio` sent.
    pub fn note(&self, project: &ProjectKey, label_config: Option<&str>, label_studio: &str) {
        let (key, id) = (project.as_str(), project.shown_id());
        if let Some(what) = self.news(project, label_config, label_studio) {
            info!(project = key, "connected project {id}{what}");
        }
    }

    /// What is to be told of it, if anything.
    fn news(
        &self,
        project: &ProjectKey,
        label_config: Option<&str>,
        label_studio: &str,
    ) -> Option<String> {
        let now = Instant::now();
        let seen = Connected {
            label_config: self.hasher.hash_one(label_config),
            label_studio: self.hasher.hash_one(label_studio),
            told: now,
        };
        let mut known = self.known.lock();
        if known.len() >= MOST_PROJECTS && !known.contains_key(project) {
            known.clear();
        }
        let of = if label_studio.is_empty() {
            String::new()
        } else {
            format!(" of {}", shown(label_studio))
        };
        let Some(before) = known.get_mut(project) else {
            known.insert(project.clone(), seen);
            return Some(of);
        };
        let has_other_config = before.label_config != seen.label_config;
        let is_elsewhere = before.label_studio != seen.label_studio;
        if !has_other_config && !is_elsewhere || now.duration_since(before.told) < PAUSE {
            return None;
        }
        *before = seen;
        Some(if has_other_config { format!("{of} with another labelling config") } else { of })
    }
}

/// An address that a client sent, in one short line and without a password.
fn shown(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let shown = format!("{scheme}://{host}");
    shown.chars().filter(|letter| !letter.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_is_new_is_told() {
        let log = ConnectionLog::default();
        let mut said = Vec::new();
        for (project, config, address) in [
            ("1.2", "<View/>", "http://a"),
            ("1.2", "<View/>", "http://a"),
            ("3.4", "<View/>", ""),
            ("1.2", "<View><Text/></View>", "http://a"),
            ("1.2", "<View><Text/></View>", "http://b"),
        ] {
            said.push(log.news(&project.into(), Some(config), address));
            tokio::time::sleep(PAUSE).await;
        }
        let expected = [
            Some(" of http://a"),
            None,
            Some(""),
            Some(" of http://a with another labelling config"),
            Some(" of http://b"),
        ];
        assert_eq!(said, expected.map(|text| text.map(str::to_owned)));
    }

    #[tokio::test(start_paused = true)]
    async fn two_configs_in_turn_are_no_flood() {
        let log = ConnectionLog::default();
        let told = (0..1000).filter(|number| {
            let config = if number % 2 == 0 { "<View/>" } else { "<View></View>" };
            log.news(&"1.2".into(), Some(config), "").is_some()
        });
        assert_eq!(told.count(), 1);
    }

    #[test]
    fn an_address_is_one_line_without_a_password() {
        assert_eq!(shown("http://user:secret@host:8080"), "http://host:8080");
        assert_eq!(shown("http://host\n\x1b[31m"), "http://host[31m");
        assert_eq!(shown("host"), "http://host");
    }
}
