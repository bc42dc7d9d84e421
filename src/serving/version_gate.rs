//! Keeps workers from reading the files of a version that is not served yet.
//!
//! A model of API v2 overwrites its files while the version before is still served. A worker that has
//! predicted goes on with the files that it has read; one that would read them now waits at the gate.

use crate::ids::ProjectKey;
use tokio::sync::watch;

/// Closed for at most one project at a time.
#[derive(Debug)]
pub struct VersionGate(watch::Sender<Option<ProjectKey>>);

/// Opens the gate when it is dropped.
#[derive(Debug)]
pub struct GateGuard(watch::Sender<Option<ProjectKey>>);

impl Default for VersionGate {
    fn default() -> Self {
        Self(watch::channel(None).0)
    }
}

impl VersionGate {
    /// Keeps workers from their first prediction for a project until the guard is dropped.
    pub fn close(&self, project: &ProjectKey) -> GateGuard {
        self.0.send_replace(Some(project.to_owned()));
        GateGuard(self.0.clone())
    }

    pub fn is_closed(&self, project: &ProjectKey) -> bool {
        self.0.borrow().as_ref() == Some(project)
    }

    /// Waits until the gate is open for a project.
    pub async fn pass(&self, project: &ProjectKey) {
        let mut closed = self.0.subscribe();
        // The sender lives as long as `self`.
        let _ = closed.wait_for(|closed| closed.as_ref() != Some(project)).await;
    }
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        self.0.send_replace(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run_in_time;

    #[test]
    fn a_project_waits_until_its_guard_is_dropped() {
        run_in_time(|| async {
            let gate = VersionGate::default();
            let (project, other) = ("1".into(), "2".into());
            let guard = gate.close(&project);
            assert!(gate.is_closed(&project) && !gate.is_closed(&other));
            gate.pass(&other).await;
            {
                let waiting = gate.pass(&project);
                tokio::pin!(waiting);
                tokio::select! {
                    biased;
                    () = &mut waiting => panic!("the gate is closed"),
                    () = std::future::ready(()) => {}
                }
                drop(guard);
                waiting.await;
            }
            assert!(!gate.is_closed(&project));
        });
    }
}
