//! Finds the scripts of a folder that hold a model class, by reading them.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::python_tokens::{PythonToken, tokens};

/// The base class of all models.
const BASE: &str = "LabelStudioMLBase";
/// The script that is taken where a folder has several.
pub const FIRST_CHOICE: &str = "model.py";
/// Largest file that is read, in bytes; people write smaller scripts.
pub(super) const MAX_SCRIPT: u64 = 1 << 20;

/// The scripts in `folder` itself that define a model class, in alphabetical order; tests do not count.
pub fn model_scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| is_candidate(path)).collect();
    paths.sort();
    let scripts: Vec<_> = paths.into_iter().filter_map(ScriptClasses::read).collect();
    // A model class may derive from one in another file.
    let mut models = HashSet::from([BASE.to_owned()]);
    loop {
        let before = models.len();
        for script in &scripts {
            let found: Vec<_> = script.models(&models).cloned().collect();
            models.extend(found);
        }
        if models.len() == before {
            break;
        }
    }
    let has_model = |script: &ScriptClasses| script.models(&models).next().is_some();
    scripts.into_iter().filter(has_model).map(|script| script.path).collect()
}

fn is_candidate(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let is_test = stem.starts_with("test_") || stem.ends_with("_test") || stem == "conftest";
    path.extension().is_some_and(|extension| extension == "py") && !is_test
}

/// The text of a script, unless it cannot be read or is too large for one.
pub(super) fn text_of(path: &Path) -> Option<String> {
    let about = path.metadata().ok()?;
    let bytes = (about.is_file() && about.len() <= MAX_SCRIPT).then(|| fs::read(path).ok())??;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The classes of a script and the names of their bases.
struct ScriptClasses {
    path: PathBuf,
    classes: Vec<(String, Vec<String>)>,
}

impl ScriptClasses {
    fn read(path: PathBuf) -> Option<Self> {
        let tokens = tokens(&text_of(&path)?);
        let renamed = renamed(&tokens);
        let mut classes = Vec::new();
        for (place, token) in tokens.iter().enumerate() {
            if !token.is_name("class") {
                continue;
            }
            let Some(name) = tokens.get(place + 1).and_then(PythonToken::name) else { continue };
            let mut bases = bases(&tokens[place + 2..]);
            for base in &mut bases {
                if let Some((original, _)) = renamed.iter().find(|(_, new)| new == base) {
                    base.clone_from(original);
                }
            }
            classes.push((name.to_owned(), bases));
        }
        Some(Self { path, classes })
    }

    /// The names of its classes that derive from one of `models`.
    fn models<'a>(&'a self, models: &'a HashSet<String>) -> impl Iterator<Item = &'a String> {
        let is_model = |bases: &[String]| bases.iter().any(|base| models.contains(base));
        self.classes.iter().filter(move |(_, bases)| is_model(bases)).map(|(name, _)| name)
    }
}

/// Names that the script imports under another one (`LabelStudioMLBase as Base`), with that name.
fn renamed(tokens: &[PythonToken]) -> Vec<(String, String)> {
    let of = |three: &[PythonToken]| match three {
        [PythonToken::Name(old), by, PythonToken::Name(new)] if by.is_name("as") => {
            Some((old.clone(), new.clone()))
        }
        _ => None,
    };
    tokens.windows(3).filter_map(of).collect()
}

/// The last parts of the base classes (`LabelStudioMLBase` of `model.LabelStudioMLBase`) in the brackets at
/// the begin of `tokens`. Keywords and what stands in inner brackets are not bases.
fn bases(tokens: &[PythonToken]) -> Vec<String> {
    let (mut bases, mut depth) = (Vec::new(), 0);
    let mut last = None;
    for token in tokens {
        match token {
            PythonToken::Mark('(' | '[' | '{') => depth += 1,
            PythonToken::Mark(mark @ (')' | ']' | '}')) => {
                depth -= 1;
                if depth == 0 && *mark == ')' {
                    bases.extend(last.take());
                    break;
                }
            }
            PythonToken::Mark(',') if depth == 1 => bases.extend(last.take()),
            // `metaclass=M`: what follows replaces the name of the keyword, so both go.
            PythonToken::Mark('=') if depth == 1 => last = Some(String::new()),
            PythonToken::Name(name) if depth == 1 && last.as_deref() != Some("") => {
                last = Some(name.clone());
            }
            _ if depth == 0 => break,
            _ => {}
        }
    }
    bases.retain(|base| !base.is_empty());
    bases
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        model_scripts(dir.path()).iter().map(name).collect()
    }

    #[test]
    fn a_script_with_a_model_class_is_found() {
        for source in [
            "class M(LabelStudioMLBase): ...",
            "class M(Mixin, label_studio_ml.model.LabelStudioMLBase, metaclass=Meta):\n    pass",
            "from label_studio_ml.model import LabelStudioMLBase as Base\nclass M(Base): ...",
            "class A(LabelStudioMLBase): ...\nclass B(A): ...",
            "if True:\n    class M(\n        Generic[T],  # of\n        LabelStudioMLBase,\n    ): ...",
        ] {
            assert_eq!(found(&[("m.py", source)]), ["m.py"], "{source}");
        }
    }

    #[test]
    fn a_script_that_only_speaks_of_it_is_not_found() {
        for source in [
            "# class M(LabelStudioMLBase): ...",
            "'''\nclass M(LabelStudioMLBase): ...\n'''",
            "class M(Other, metaclass=LabelStudioMLBase): ...",
            "class M(Generic[LabelStudioMLBase]): ...",
            "class M: ...\nx = (LabelStudioMLBase)",
            "class",
        ] {
            assert!(found(&[("m.py", source)]).is_empty(), "{source}");
        }
        let model = "class M(LabelStudioMLBase): ...";
        let others = [("test_m.py", model), ("m_test.py", model), ("conftest.py", model)];
        assert!(found(&others).is_empty());
        assert!(found(&[("m.txt", model)]).is_empty());
    }

    #[test]
    fn a_base_class_may_lie_in_another_file() {
        let base = ("base.py", "class Base(LabelStudioMLBase): ...");
        let model = ("a.py", "from base import Base\nclass M(Base): ...");
        assert_eq!(found(&[model, base]), ["a.py", "base.py"]);
    }
}
