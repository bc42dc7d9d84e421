//! Training: what a webhook or /train asks for, the queue, and the run in a process of its own.

pub mod events;
pub mod queue;
pub mod runner;
