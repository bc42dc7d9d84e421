//! What survives a restart: the folders of trained models below MODEL_DIR, and the training jobs.

pub mod db;
pub mod durable_fs;
pub mod jobs;
pub mod lock;
pub mod project_dir;
pub mod versions;
