//! A Label Studio ML backend: a Rust server around Python models.
//!
//! The server owns HTTP, the labelling config, the training queue and the folders of trained models;
//! user code runs in worker processes. Which room may use which is the table in `docs/architecture.md`, which a
//! test holds the code to. `python` is the only room that names the interpreter: it implements
//! [`worker::host::ModelHost`] and is the door through which Python enters.

pub mod activity;
pub mod cli;
mod failpoint;
pub mod http;
pub mod ids;
pub mod label_studio;
pub mod labelling;
pub mod os;
pub mod project;
pub mod publishing;
#[cfg(not(feature = "fuzzing"))]
mod python;
#[cfg(feature = "fuzzing")]
pub mod python;
pub mod serving;
pub mod store;
#[cfg(test)]
mod testing;
pub mod training;
pub mod wire;
pub mod worker;
pub mod workers;
