//! A Label Studio ML backend: a Rust server around Python models.
//!
//! The server owns HTTP, the labelling config, the training queue and the folders of trained
//! models; user code runs in worker processes. Arrows point down: `cli` → `http` → `training` →
//! `serving` → `workers` and `store` → `predictions` → `label_config`. `label_studio` is the other
//! side, as commands that work on a project see it. `os` lies below all of them: whatever differs
//! between operating systems, and all `unsafe` code that is not about the interpreter. `python` is the
//! only module that names the interpreter; it implements `worker::host::ModelHost` and imports nothing
//! above that.

pub mod cli;
mod failpoint;
pub mod http;
pub mod label_config;
pub mod label_studio;
pub mod os;
pub mod predictions;
pub mod project;
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
