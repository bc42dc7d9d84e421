//! What survives a restart: the folders of trained models below MODEL_DIR, what models keep for their
//! projects, and the training jobs.

pub mod changes;
pub mod db;
pub mod durable_fs;
pub mod jobs;
pub mod keys;
pub mod last_class;
pub mod lock;
pub mod own_folder;
pub mod project_dir;
pub mod ready_note;
pub mod versions;
