//! A project folder: what `init` writes and `start` finds.

pub mod find;
pub mod requirements;
pub mod scaffold;
pub mod template;
