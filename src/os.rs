//! What differs between operating systems, or is `unsafe` and not about the interpreter.
//!
//! Each file is about one thing, says at its top what Linux does and what other systems do, and offers
//! functions that are safe and available everywhere. The rooms above name no operating system; this one uses
//! none of them.

pub mod container;
pub mod cpu_time;
pub mod descendants;
pub mod descriptor_passing;
pub mod file_copy;
pub mod fork;
pub mod inherited;
pub mod listeners;
pub mod memory;
pub mod memory_file;
pub mod priority;
pub mod processes;
pub mod signals;
pub mod sockets;
#[cfg(test)]
#[cfg(target_os = "linux")]
pub(crate) mod sync_calls;
pub mod wakeup;
