//! What survives a restart: the folders of trained models below MODEL_DIR.

pub mod durable_fs;
pub mod project_dir;
pub mod versions;
