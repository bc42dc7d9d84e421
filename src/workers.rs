//! The server's half of worker processes: starting them, calling them, keeping them alive.
//!
//! In: calls of `serving`, `publishing` and `training`. Out: answers, or the reason why a worker gave none.
//! A [`pool`] hands out the workers that are ready, a [`handle`] calls one of them over its [`process`]'s
//! channel, and [`supervision`] replaces those that die. Nothing here runs Python.

use std::time::Duration;

pub mod fair_queue;
pub mod gpu;
pub mod handle;
pub mod heartbeat;
pub mod key_keeper;
pub mod model;
pub mod orphan_process;
pub mod output;
pub mod pool;
pub mod process;
pub mod server_routes;
pub mod start;
pub mod supervision;

/// How long a worker may take to end by itself before its process group is killed.
pub const STOP_GRACE: Duration = Duration::from_secs(2);
