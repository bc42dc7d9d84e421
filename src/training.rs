//! Training: what a webhook or /train asks for, the queue of jobs, and the runs of `fit`.
//!
//! In: requests of `http`. Out: trained models for `publishing`, and how each job ended.

pub mod error;
pub mod events;
mod other_places;
pub mod ownership;
pub mod queue;
pub mod report;
pub mod runner;
mod starvation;
mod trainer;
