//! The project whose files are those of a version that is not served yet.
//!
//! A model of API v2 overwrites its files while the version before is still served. A worker that
//! has predicted goes on with what it has read; one that would read them only now waits.

use tokio::sync::watch;

/// At most one project is held back at a time.
#[derive(Debug)]
pub struct HeldBack(watch::Sender<Option<String>>);

/// Dropping it lets the project go.
#[derive(Debug)]
pub struct Hold(watch::Sender<Option<String>>);

impl Default for HeldBack {
    fn default() -> Self {
        Self(watch::channel(None).0)
    }
}

impl HeldBack {
    /// No worker begins to predict for a project until the hold is dropped.
    pub fn hold(&self, project: &str) -> Hold {
        self.0.send_replace(Some(project.to_owned()));
        Hold(self.0.clone())
    }

    pub fn has(&self, project: &str) -> bool {
        self.0.borrow().as_deref() == Some(project)
    }

    /// Waits until a project is not held back.
    pub async fn let_go(&self, project: &str) {
        let mut held = self.0.subscribe();
        // The sender lives as long as `self`.
        let _ = held.wait_for(|held| held.as_deref() != Some(project)).await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run_in_time;

    #[test]
    fn a_project_waits_until_its_hold_is_dropped() {
        run_in_time(|| async {
            let held_back = HeldBack::default();
            let hold = held_back.hold("1");
            assert!(held_back.has("1") && !held_back.has("2"));
            held_back.let_go("2").await;
            {
                let waiting = held_back.let_go("1");
                tokio::pin!(waiting);
                tokio::select! {
                    biased;
                    () = &mut waiting => panic!("it is held back"),
                    () = std::future::ready(()) => {}
                }
                drop(hold);
                waiting.await;
            }
            assert!(!held_back.has("1"));
        });
    }
}
