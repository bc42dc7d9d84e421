//! Who waits for a worker: in turn by project, first come first served within each.
//!
//! A project with a thousand requests in line holds up another one's single request by one prediction,
//! not by a thousand. The line is bounded, in all and for each project.

use std::collections::VecDeque;

/// Names one place in line.
pub(super) type Place = u64;

/// How many may wait.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub in_all: usize,
    pub of_project: usize,
}

/// Why nobody may join the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    InAll(usize),
    OfProject(usize),
}

/// Those who wait with the same priority.
#[derive(Debug)]
pub(super) struct Line<T> {
    /// The project whose turn it is comes first; none of them is empty.
    projects: VecDeque<(String, VecDeque<(Place, T)>)>,
    next: Place,
    length: usize,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { projects: VecDeque::new(), next: 0, length: 0 }
    }
}

impl<T> Line<T> {
    pub(super) fn join(&mut self, project: &str, who: T) -> Place {
        self.next += 1;
        self.length += 1;
        let waiting = (self.next, who);
        match self.projects.iter_mut().find(|(name, _)| name == project) {
            Some((_, line)) => line.push_back(waiting),
            None => self.projects.push_back((project.to_owned(), VecDeque::from([waiting]))),
        }
        self.next
    }

    /// Gives a place up; nothing happens if its turn has come already.
    pub(super) fn leave(&mut self, project: &str, place: Place) {
        let Some(index) = self.projects.iter().position(|(name, _)| name == project) else {
            return;
        };
        let line = &mut self.projects[index].1;
        let before = line.len();
        line.retain(|(other, _)| *other != place);
        self.length -= before - line.len();
        if line.is_empty() {
            self.projects.remove(index);
        }
    }

    /// Whose turn it is; the project then goes to the end.
    pub(super) fn next(&mut self) -> Option<T> {
        let (project, mut line) = self.projects.pop_front()?;
        let first = line.pop_front();
        if !line.is_empty() {
            self.projects.push_back((project, line));
        }
        self.length -= usize::from(first.is_some());
        first.map(|(_, who)| who)
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn len_of(&self, project: &str) -> usize {
        let found = self.projects.iter().find(|(name, _)| name == project);
        found.map_or(0, |(_, line)| line.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn projects_take_turns() {
        let mut line = Line::default();
        for who in ["a1", "a2", "a3", "b1", "c1", "b2"] {
            line.join(&who[..1], who);
        }
        let order: Vec<_> = std::iter::from_fn(|| line.next()).collect();
        assert_eq!(order, ["a1", "b1", "c1", "a2", "b2", "a3"]);
        assert_eq!((line.len(), line.len_of("a")), (0, 0));
    }

    #[test]
    fn who_leaves_is_not_called() {
        let mut line = Line::default();
        let first = line.join("a", 1);
        line.join("a", 2);
        let only = line.join("b", 3);
        line.leave("a", first);
        line.leave("b", only);
        line.leave("b", only);
        assert_eq!((line.len(), line.len_of("a"), line.len_of("b")), (1, 1, 0));
        assert_eq!((line.next(), line.next()), (Some(2), None));
        line.leave("a", 2);
        assert_eq!(line.len(), 0);
    }

    proptest! {
        /// Everybody who stays is called once, in their order within a project, and nobody waits longer
        /// than one turn of every other project.
        #[test]
        fn nobody_is_forgotten(steps in proptest::collection::vec((0_u8..4, 0_u8..4), 0..60)) {
            let mut line = Line::default();
            let mut model: Vec<(u8, Place)> = Vec::new();
            for (project, step) in steps {
                let name = project.to_string();
                match step {
                    0 | 1 => {
                        let place = line.join(&name, (project, 0));
                        model.push((project, place));
                    }
                    2 => {
                        if let Some(index) = model.iter().position(|(of, _)| *of == project) {
                            let (_, place) = model.remove(index);
                            line.leave(&name, place);
                        }
                    }
                    _ => {
                        let called = line.next();
                        prop_assert_eq!(called.is_some(), !model.is_empty());
                        if let Some((of, _)) = called {
                            let index = model.iter().position(|(other, _)| *other == of);
                            prop_assert!(index.is_some());
                            model.remove(index.unwrap());
                        }
                    }
                }
                prop_assert_eq!(line.len(), model.len());
                let of = model.iter().filter(|(of, _)| *of == project).count();
                prop_assert_eq!(line.len_of(&name), of);
            }
        }
    }
}
