//! A bounded queue that is fair to projects: they take turns, and each one's requests are in order.
//!
//! A project with a thousand requests delays another one's single request by one prediction, not by a
//! thousand.

use crate::ids::ProjectKey;
use std::collections::VecDeque;

/// Number of an entry in the queue.
pub(super) type Ticket = u64;

/// Maximum number of entries.
#[derive(Debug, Clone, Copy)]
pub struct QueueBounds {
    pub total: usize,
    pub per_project: usize,
}

/// Why a request cannot wait: the queue is full, in total or for its project. Holds the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueFull {
    Total(usize),
    Project(usize),
}

/// The entries of one priority.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    /// The project whose turn it is comes first; none is empty.
    projects: VecDeque<(ProjectKey, VecDeque<(Ticket, T)>)>,
    next: Ticket,
    length: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { projects: VecDeque::new(), next: 0, length: 0 }
    }
}

impl<T> FairQueue<T> {
    pub(super) fn join(&mut self, project: &ProjectKey, who: T) -> Ticket {
        self.next += 1;
        self.length += 1;
        let waiting = (self.next, who);
        match self.projects.iter_mut().find(|(name, _)| name == project) {
            Some((_, queue)) => queue.push_back(waiting),
            None => self.projects.push_back((project.to_owned(), VecDeque::from([waiting]))),
        }
        self.next
    }

    /// Removes an entry; does nothing if its turn has come already.
    pub(super) fn leave(&mut self, project: &ProjectKey, ticket: Ticket) {
        let Some(index) = self.projects.iter().position(|(name, _)| name == project) else {
            return;
        };
        let queue = &mut self.projects[index].1;
        let before = queue.len();
        queue.retain(|(other, _)| *other != ticket);
        self.length -= before - queue.len();
        if queue.is_empty() {
            self.projects.remove(index);
        }
    }

    /// Removes the entry whose turn it is; its project goes to the end.
    pub(super) fn next(&mut self) -> Option<T> {
        let (project, mut queue) = self.projects.pop_front()?;
        let first = queue.pop_front();
        if !queue.is_empty() {
            self.projects.push_back((project, queue));
        }
        self.length -= usize::from(first.is_some());
        first.map(|(_, who)| who)
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn len_of(&self, project: &ProjectKey) -> usize {
        let found = self.projects.iter().find(|(name, _)| name == project);
        found.map_or(0, |(_, queue)| queue.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn projects_take_turns() {
        let mut queue = FairQueue::default();
        for who in ["a1", "a2", "a3", "b1", "c1", "b2"] {
            queue.join(&who[..1].into(), who);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert_eq!((queue.len(), queue.len_of(&"a".into())), (0, 0));
    }

    #[test]
    fn an_entry_that_left_is_not_called() {
        let mut queue = FairQueue::default();
        let first = queue.join(&"a".into(), 1);
        queue.join(&"a".into(), 2);
        let only = queue.join(&"b".into(), 3);
        queue.leave(&"a".into(), first);
        queue.leave(&"b".into(), only);
        queue.leave(&"b".into(), only);
        assert_eq!((queue.len(), queue.len_of(&"a".into()), queue.len_of(&"b".into())), (1, 1, 0));
        assert_eq!((queue.next(), queue.next()), (Some(2), None));
        queue.leave(&"a".into(), 2);
        assert_eq!(queue.len(), 0);
    }

    proptest! {
        /// Each entry that stays is called once, in the order of its project, and waits for no more than one
        /// turn of every other project.
        #[test]
        fn nobody_is_forgotten(steps in proptest::collection::vec((0_u8..4, 0_u8..4), 0..60)) {
            let mut queue = FairQueue::default();
            let mut model: Vec<(u8, Ticket)> = Vec::new();
            for (project, step) in steps {
                let name = project.to_string().into();
                match step {
                    0 | 1 => {
                        let ticket = queue.join(&name, (project, 0));
                        model.push((project, ticket));
                    }
                    2 => {
                        if let Some(index) = model.iter().position(|(of, _)| *of == project) {
                            let (_, ticket) = model.remove(index);
                            queue.leave(&name, ticket);
                        }
                    }
                    _ => {
                        let called = queue.next();
                        prop_assert_eq!(called.is_some(), !model.is_empty());
                        if let Some((of, _)) = called {
                            let index = model.iter().position(|(other, _)| *other == of);
                            prop_assert!(index.is_some());
                            model.remove(index.unwrap());
                        }
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                let of = model.iter().filter(|(of, _)| *of == project).count();
                prop_assert_eq!(queue.len_of(&name), of);
            }
        }
    }
}
