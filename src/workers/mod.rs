//! Worker processes: spawning them, talking to them, keeping them alive.
//!
//! The server side ([`worker`], [`process`], [`pool`], [`supervision`]) runs no Python. The worker
//! side ([`runtime`]) is the loop inside a worker process; it reaches the interpreter only through
//! the trait [`host::ModelHost`]. Both sides speak [`protocol`] in [`frame`]s.

use std::time::Duration;

pub mod channel;
pub mod descendants;
pub mod dispatch;
pub mod fleet;
pub mod frame;
pub mod gpu;
pub mod handoff;
pub mod host;
pub mod keys;
pub mod leftover;
pub mod line;
pub mod model;
pub mod output;
pub mod pool;
pub mod process;
pub mod protocol;
pub mod queue;
pub mod runtime;
pub mod signs;
pub mod supervision;
pub mod worker;

/// How long a worker may take to end by itself before its process group is killed.
pub const STOP_GRACE: Duration = Duration::from_secs(2);
