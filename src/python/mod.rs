//! Everything that touches the Python interpreter: the extension module, and the host of the
//! user's class inside a worker process.
//!
//! `module` is the door through which Python enters, so it alone reaches up to `cli`; the rest
//! knows nothing above `workers`.

mod batch;
mod cancel;
mod collector;
mod errors;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod generation;
mod host;
mod import;
mod instances;
mod json_in;
mod json_out;
mod json_plain;
mod keys;
mod label_config;
mod loaded;
mod logs;
mod module;
mod progress;
mod request;
mod streams;
mod training;
