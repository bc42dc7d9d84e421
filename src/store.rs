//! What survives a restart: the folders of trained models below MODEL_DIR, what models keep for their
//! projects, and the training jobs.

pub mod changes;
pub mod db;
pub mod durable_fs;
pub mod jobs;
pub mod kept;
pub mod keys;
pub mod lock;
pub mod maker;
pub mod models_folder;
pub mod own_folder;
pub mod project_dir;
pub mod ready_note;
pub mod usual_places;
pub mod versions;
