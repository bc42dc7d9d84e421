//! Everything that touches the Python interpreter: the extension module, and the host of the
//! user's class inside a worker process.

mod errors;
mod generation;
mod host;
mod import;
mod instances;
mod json_in;
mod json_out;
mod label_config;
mod logs;
mod module;
