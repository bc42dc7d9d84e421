//! The project folder of an ML backend, which `init` writes and `start` finds.

pub mod find;
pub mod requirements;
pub mod scaffold;
pub mod template;
