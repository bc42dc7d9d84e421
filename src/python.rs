//! Everything that touches the Python interpreter: the extension module, and the host of the
//! user's class inside a worker process.
//!
//! `module` is the door through which Python enters, so it alone reaches up to `cli`; the rest
//! knows nothing above `workers`.

mod api_version;
mod batch;
mod cancel;
mod errors;
mod fit;
mod flask_request;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gc;
mod host;
mod import;
mod instances;
mod json_fallback;
mod json_in;
mod json_out;
mod key_file;
mod keys;
mod label_config;
mod logs;
mod model_folder;
mod module;
mod prediction_check;
mod progress;
mod server;
mod streams;
mod user_app;
mod user_class;
mod warnings;
