//! A digest of a program: of the files that decide what its import brings, and of its options.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

/// Maximum number of files; a folder with more, mostly data, has no digest.
const MAX_FILES: usize = 2_000;
/// Maximum number of bytes of all of them.
const MAX_BYTES: u64 = 32 << 20;
/// Folders that hold no program.
const IGNORED: [&str; 3] = ["__pycache__", "node_modules", "site-packages"];

/// The digest of all Python files below `folder` and of `options`, in hexadecimal; none if a file cannot be
/// read, or if there are too many.
pub fn of(folder: &Path, options: &[String]) -> Option<String> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut context = Context::new(&SHA256);
    let mut add = |bytes: &[u8]| {
        context.update(&bytes.len().to_le_bytes());
        context.update(bytes);
    };
    add(env!("CARGO_PKG_VERSION").as_bytes());
    for option in options {
        add(option.as_bytes());
    }
    let mut left = MAX_BYTES;
    for path in &files {
        left = left.checked_sub(fs::metadata(path).ok()?.len())?;
        add(path.as_os_str().as_encoded_bytes());
        add(&fs::read(path).ok()?);
    }
    let mut text = String::new();
    for byte in context.finish().as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Some(text)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Option<()> {
    for entry in fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        let (name, kind) = (entry.file_name(), entry.file_type().ok()?);
        let name = name.to_string_lossy();
        // Links are not followed: they may lead anywhere, and round in a circle.
        if kind.is_dir() {
            let holds_program = !name.starts_with('.')
                && !IGNORED.contains(&&*name)
                && !entry.path().join("pyvenv.cfg").exists();
            if holds_program {
                collect(&entry.path(), files)?;
            }
        } else if name.ends_with(".py") {
            files.push(entry.path());
            if files.len() > MAX_FILES {
                return None;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_import_reads_changes_it_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let digest = || of(dir.path(), &["--weights".to_owned(), "a".to_owned()]).unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("model.py", "one");
        let first = digest();
        assert_eq!(first.len(), 64);
        for name in ["notes.txt", "2.17/1/job_result.json", ".venv/a.py", "__pycache__/model.py"] {
            write(name, "x");
            assert_eq!(digest(), first, "{name}");
        }
        write("nets/deep.py", "x");
        let second = digest();
        assert_ne!(second, first);
        write("model.py", "two");
        assert_ne!(digest(), second);
        write("model.py", "one");
        assert_eq!(digest(), second);
        assert_ne!(of(dir.path(), &["--weights".to_owned(), "b".to_owned()]), Some(second.clone()));
        assert_ne!(of(dir.path(), &["--weightsa".to_owned()]), Some(second));
        assert_eq!(of(&dir.path().join("missing"), &[]), None);
    }

    #[test]
    fn a_folder_with_too_many_files_has_none() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..=MAX_FILES {
            fs::write(dir.path().join(format!("{number}.py")), "").unwrap();
        }
        assert_eq!(of(dir.path(), &[]), None);
        fs::remove_file(dir.path().join("0.py")).unwrap();
        assert!(of(dir.path(), &[]).is_some());
        fs::File::create(dir.path().join("1.py")).unwrap().set_len(MAX_BYTES + 1).unwrap();
        assert_eq!(of(dir.path(), &[]), None);
    }
}
