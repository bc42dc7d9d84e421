//! What runs inside a worker process.
//!
//! In: messages of the server, over the channel that the process was started with. Out: answers, heartbeats
//! and requests for keys. The interpreter is reached only through the trait [`host::ModelHost`].

pub mod event_loop;
pub mod host;
pub mod key_client;
pub mod scheduler;
pub mod work_queue;
