//! Which model made what lies in a model folder, in `MODEL_DIR/.label-studio-ml/maker.json`: its class and
//! its script. Versions, stored keys and the names of versions are served to that model alone, since those
//! of one model make no sense to another.
//!
//! The folder of a model that never learned anything is free. So is one whose maker is not known, which the
//! original or an earlier version left: the first model that uses it becomes the maker. A script may move, and
//! its models with it: what a class made in a script that is gone belongs to the class of that name.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::versions::Versions;
use super::{durable_fs, keys, own_folder};

const FILE: &str = "maker.json";
/// What earlier versions wrote: the name of the class alone.
const CLASS_FILE: &str = "class";
/// Maximum length of a name that is kept, in characters.
const MAX_NAME: usize = 200;
/// Maximum number of bytes that are read of a note.
const MAX_BYTES: u64 = 64 << 10;
/// Maximum number of bytes of a script that are searched for a class.
const MAX_SCRIPT: u64 = 8 << 20;

/// A model: its class, and the script that defines it, if that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maker {
    pub class: String,
    /// In a note it is relative to MODEL_DIR where both lie in one folder.
    pub script: Option<PathBuf>,
}

/// What lies in a model folder belongs to another model.
#[derive(Debug, Clone, Error)]
#[error(
    "{}: the trained versions and stored keys in this folder belong to {owner}, and this is {asking}; choose \
     another folder (--model-dir or MODEL_DIR), or take them over (--take-over or LABEL_STUDIO_ML_TAKE_OVER=1)",
    folder.display()
)]
pub struct OthersModels {
    pub folder: PathBuf,
    pub owner: Maker,
    pub asking: Maker,
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.script {
            Some(script) => write!(f, "the class {} in {}", self.class, script.display()),
            None => write!(f, "the class {}", self.class),
        }
    }
}

impl Maker {
    pub fn new(class: &str, script: Option<&Path>) -> Self {
        Self { class: class.chars().take(MAX_NAME).collect(), script: script.map(Path::to_owned) }
    }

    /// Whether what `before` made is this model's.
    fn goes_on_with(&self, before: &Self) -> bool {
        if self.class != before.class {
            return false;
        }
        match (&self.script, &before.script) {
            (Some(now), Some(before)) => is_same_file(now, before) || !defines(before, &self.class),
            _ => true,
        }
    }
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    a == b || fs::canonicalize(a).ok().zip(fs::canonicalize(b).ok()).is_some_and(|(a, b)| a == b)
}

/// Whether a script is there and defines a class of this name. A `_wsgi.py` stands for the class of a package,
/// which it names.
fn defines(script: &Path, class: &str) -> bool {
    let mut source = Vec::new();
    let read = File::open(script).and_then(|file| file.take(MAX_SCRIPT).read_to_end(&mut source));
    if read.is_err() {
        return false;
    }
    let source = String::from_utf8_lossy(&source);
    let is_in_name = |c: char| c.is_alphanumeric() || c == '_';
    if script.file_name().is_some_and(|name| name == "_wsgi.py") {
        return source.split(|c| !is_in_name(c)).any(|word| word == class);
    }
    source.lines().any(|line| {
        let name = line.trim_start().strip_prefix("class ").map(str::trim_start);
        let after = name.and_then(|name| name.strip_prefix(class));
        after.is_some_and(|after| !after.starts_with(is_in_name))
    })
}

/// Fails if what lies in a model folder belongs to another model than `asking`.
pub fn check(model_dir: &Path, asking: &Maker) -> Result<(), Box<OthersModels>> {
    let Some(owner) = of_folder(model_dir) else { return Ok(()) };
    if asking.goes_on_with(&owner) || !holds_anything(model_dir) {
        return Ok(());
    }
    let (folder, asking) = (model_dir.to_owned(), asking.clone());
    Err(Box::new(OthersModels { folder, owner, asking }))
}

/// Whether two models are the same one, as far as a model folder tells them apart.
pub fn is_used_by_other(model_dir: &Path, asking: &Maker) -> bool {
    of_folder(model_dir).is_some_and(|owner| !asking.goes_on_with(&owner))
}

/// Notes that `maker` makes what is in a model folder from now on. If nothing there was learned, the names
/// that another model gave its versions are forgotten. Only for the owner of the folder.
pub fn claim(model_dir: &Path, maker: &Maker) {
    let before = of_folder(model_dir);
    if before.as_ref() == Some(maker) || !model_dir.is_dir() {
        return;
    }
    if before.is_some_and(|before| !maker.goes_on_with(&before))
        && !holds_anything(model_dir)
        && let Err(error) = keys::forget_names(model_dir)
    {
        tracing::warn!("{}: names of versions cannot be removed: {error}", model_dir.display());
    }
    // A folder that is read-only keeps no note.
    let _ = write(model_dir, maker);
}

/// The model that made what is in a model folder, if that is known; its script as an absolute path.
pub fn of_folder(model_dir: &Path) -> Option<Maker> {
    let own = own_folder::path(model_dir);
    let note = read(&own.join(FILE)).and_then(|text| serde_json::from_str::<Maker>(&text).ok());
    let maker = note.or_else(|| {
        let class = read(&own.join(CLASS_FILE))?;
        Some(Maker::new(class.trim(), None))
    })?;
    let script = maker.script.as_ref().map(|script| plain(&model_dir.join(script)));
    (!maker.class.is_empty()).then(|| Maker::new(&maker.class, script.as_deref()))
}

/// Whether something was learned that is in a model folder.
pub fn holds_anything(model_dir: &Path) -> bool {
    holds_anything_outside_of(model_dir, None)
}

/// The same without what is in another model folder below it.
pub fn holds_anything_outside_of(model_dir: &Path, other: Option<&Path>) -> bool {
    Versions::open(model_dir).has_any_outside_of(other) || keys::holds_learned(model_dir)
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

fn write(model_dir: &Path, maker: &Maker) -> io::Result<()> {
    let own = own_folder::path(model_dir);
    durable_fs::create_dirs(&own)?;
    let script = maker.script.as_ref().map(|script| relative(script, model_dir));
    let note = Maker { class: maker.class.clone(), script };
    durable_fs::write_note(&own, &own.join(FILE), &serde_json::to_vec(&note)?)
}

/// The path of a script from a model folder, so that both may move together. As it is if they share no folder.
fn relative(script: &Path, model_dir: &Path) -> PathBuf {
    let shared =
        script.components().zip(model_dir.components()).take_while(|(a, b)| a == b).count();
    // The root alone is nothing that moves.
    if shared < 2 {
        return script.to_owned();
    }
    let up = model_dir.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(script.components().skip(shared)).collect()
}

/// A path without `..`: the folders in it may be gone.
fn plain(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            found.pop();
        } else {
            found.push(part);
        }
    }
    found
}

#[cfg(test)]
mod tests;
