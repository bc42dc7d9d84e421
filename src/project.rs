//! The project of an ML backend: a folder, which `init` writes and `start` finds, or a script.

pub mod declared_arguments;
pub mod digest;
pub mod find;
pub mod model_script;
mod python_tokens;
pub mod requirements;
pub mod scaffold;
pub mod template;
