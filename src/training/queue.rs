//! The jobs that wait and the one that runs.
//!
//! Jobs run one at a time, first come first served. Webhook events of one project are merged while
//! they wait: a model learns from the whole project, so the newest event stands for all of them.
//! `/train` jobs carry their own data and are never merged.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// What a job trains on; bodies of HTTP requests, unparsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Annotated tasks of /train.
    Tasks(Bytes),
    /// A webhook event and its action.
    Event { action: String, body: Bytes },
}

/// One training job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Also the version that it makes.
    pub id: u64,
    pub project: String,
    pub label_config: Option<String>,
    pub work: Work,
    /// Events that this job stands for besides its own.
    pub merged: u32,
}

/// Where a job went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// The job that stands for the request.
    pub id: u64,
    /// It was waiting already.
    pub merged: bool,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Job>,
    running: Option<(String, u64)>,
}

/// The queue of one server.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    added: Notify,
}

impl Queue {
    /// Adds a job; `next_id` is asked only if no waiting job stands for it.
    pub fn add<E>(
        &self,
        project: &str,
        label_config: Option<String>,
        work: Work,
        next_id: impl FnOnce() -> Result<u64, E>,
    ) -> Result<Queued, E> {
        let mut state = self.state();
        if matches!(work, Work::Event { .. }) {
            let waiting = state
                .waiting
                .iter_mut()
                .find(|job| job.project == project && matches!(job.work, Work::Event { .. }));
            if let Some(job) = waiting {
                job.work = work;
                job.label_config = label_config;
                job.merged += 1;
                return Ok(Queued { id: job.id, merged: true });
            }
        }
        let id = next_id()?;
        state.waiting.push_back(Job {
            id,
            project: project.to_owned(),
            label_config,
            work,
            merged: 0,
        });
        drop(state);
        self.added.notify_one();
        Ok(Queued { id, merged: false })
    }

    /// The next job, which is running from then on. There is one runner.
    pub async fn next(&self) -> Job {
        loop {
            {
                let mut state = self.state();
                if let Some(job) = state.waiting.pop_front() {
                    state.running = Some((job.project.clone(), job.id));
                    return job;
                }
            }
            self.added.notified().await;
        }
    }

    /// The running job ended.
    pub fn done(&self) {
        self.state().running = None;
    }

    /// The job of a project that runs or waits, and whether it runs.
    pub fn of_project(&self, project: &str) -> Option<(u64, bool)> {
        let state = self.state();
        match &state.running {
            Some((running, id)) if running == project => Some((*id, true)),
            _ => state.waiting.iter().find(|job| job.project == project).map(|job| (job.id, false)),
        }
    }

    /// Jobs that wait or run.
    pub fn len(&self) -> usize {
        let state = self.state();
        state.waiting.len() + usize::from(state.running.is_some())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn add(queue: &Queue, project: &str, work: Work, id: u64) -> Queued {
        let Ok(queued) = queue.add::<Infallible>(project, None, work, || Ok(id));
        queued
    }

    fn event(body: &'static str) -> Work {
        Work::Event { action: "ANNOTATION_CREATED".into(), body: Bytes::from(body) }
    }

    #[tokio::test]
    async fn waiting_events_of_a_project_become_one_job_with_the_newest_payload() {
        let queue = Queue::default();
        assert_eq!(add(&queue, "a", event("1"), 10), Queued { id: 10, merged: false });
        assert_eq!(add(&queue, "a", event("2"), 11), Queued { id: 10, merged: true });
        assert_eq!(add(&queue, "b", event("3"), 12), Queued { id: 12, merged: false });
        let job = queue.next().await;
        assert_eq!((job.id, job.merged, job.work), (10, 1, event("2")));
        // one runs, so the next event waits as a job of its own
        assert_eq!(add(&queue, "a", event("4"), 13), Queued { id: 13, merged: false });
        assert_eq!(queue.of_project("a"), Some((10, true)));
        queue.done();
        assert_eq!(queue.of_project("a"), Some((13, false)));
        assert_eq!(queue.next().await.id, 12);
    }

    #[tokio::test]
    async fn jobs_with_data_of_their_own_are_never_merged() {
        let queue = Queue::default();
        let tasks = Work::Tasks(Bytes::from_static(b"{}"));
        assert!(!add(&queue, "a", tasks.clone(), 1).merged);
        assert!(!add(&queue, "a", tasks.clone(), 2).merged);
        assert!(!add(&queue, "a", event("1"), 3).merged);
        assert_eq!(queue.len(), 3);
        for id in 1..=3 {
            assert_eq!(queue.next().await.id, id);
        }
    }

    #[tokio::test]
    async fn a_runner_that_waits_is_woken() {
        let queue = std::sync::Arc::new(Queue::default());
        let runner = tokio::spawn({
            let queue = std::sync::Arc::clone(&queue);
            async move { queue.next().await.id }
        });
        tokio::task::yield_now().await;
        add(&queue, "a", event("1"), 1);
        assert_eq!(runner.await.unwrap(), 1);
    }
}
