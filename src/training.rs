//! Training: what a webhook or /train asks for, the queue, and the run in a process of its own.

pub mod error;
pub mod events;
mod in_worker;
pub mod ownership;
pub mod queue;
pub mod report;
pub mod runner;
#[cfg(test)]
mod scripted;
mod second;
mod trainer;
