//! The model for a project whose user has none yet.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files of the model; the script comes first.
const FILES: [(&str, &str); 6] = [
    ("model.py", include_str!("templates/new/model.py")),
    ("test_api.py", include_str!("templates/new/test_api.py")),
    ("requirements.txt", include_str!("templates/new/requirements.txt")),
    ("requirements-test.txt", include_str!("templates/new/requirements-test.txt")),
    ("label_config.xml", include_str!("templates/new/label_config.xml")),
    ("tasks.json", include_str!("templates/new/tasks.json")),
];

/// Writes a new model into a folder; returns the path of its script.
pub fn write_into(folder: &Path) -> io::Result<PathBuf> {
    for (name, text) in FILES {
        fs::write(folder.join(name), text)?;
    }
    Ok(folder.join(FILES[0].0))
}
