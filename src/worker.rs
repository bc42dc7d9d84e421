//! What runs inside a worker process.
//!
//! In: messages of the server, over the channel that the process was started with. Out: answers, heartbeats
//! and questions: for keys, for the server's own routes. The interpreter is reached only through the trait [`host::ModelHost`].

pub mod event_loop;
pub mod host;
pub mod scheduler;
pub mod server_client;
pub mod work_queue;
