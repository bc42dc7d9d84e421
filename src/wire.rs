//! The channel between the server and a worker process: messages, how they travel, and both ends.
//!
//! A message of [`protocol`] and its body travel as a [`frame`]; a large body travels as a descriptor of a
//! [`shared_body`]. The server sends by [`server_end`], a worker by [`worker_end`]. What a model prints comes
//! as a [`record`] on the worker's standard streams.

pub mod api_version;
pub mod frame;
pub mod http;
pub mod keys;
pub mod protocol;
pub mod record;
pub mod server_end;
pub mod shared_body;
pub mod worker_end;
