//! A blocking queue between the thread that reads the channel and those that do the work.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

/// First in, first out; closing it lets the consumers take what is left and then end.
#[derive(Debug)]
pub struct WorkQueue<T> {
    state: Mutex<WorkQueueState<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct WorkQueueState<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Default for WorkQueue<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(WorkQueueState { items: VecDeque::new(), closed: false }),
            changed: Condvar::new(),
        }
    }
}

impl<T> WorkQueue<T> {
    pub fn push(&self, item: T) {
        self.state.lock().items.push_back(item);
        self.changed.notify_one();
    }

    pub fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// The next item; none once the queue is closed and empty.
    pub fn pop(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::testing::in_time;

    #[test]
    fn a_closed_queue_is_emptied_and_then_ends() {
        in_time(|| {
            let queue = WorkQueue::default();
            queue.push(1);
            queue.push(2);
            queue.close();
            let popped = [queue.pop(), queue.pop(), queue.pop(), queue.pop()];
            assert_eq!(popped, [Some(1), Some(2), None, None]);
        });
    }

    #[test]
    fn a_consumer_that_waits_gets_the_next_item() {
        in_time(|| {
            let queue = Arc::new(WorkQueue::default());
            let consumer = {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.pop())
            };
            thread::sleep(std::time::Duration::from_millis(20));
            queue.push(7);
            assert_eq!(consumer.join().unwrap(), Some(7));
        });
    }

    #[test]
    fn every_waiting_consumer_learns_of_the_end() {
        in_time(|| {
            let queue = Arc::new(WorkQueue::<u8>::default());
            let consumers: Vec<_> = (0..4)
                .map(|_| {
                    let queue = Arc::clone(&queue);
                    thread::spawn(move || queue.pop())
                })
                .collect();
            // Long enough for all of them to go to sleep.
            thread::sleep(std::time::Duration::from_millis(20));
            queue.close();
            for consumer in consumers {
                assert_eq!(consumer.join().unwrap(), None);
            }
        });
    }
}
