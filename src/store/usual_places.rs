//! Finds the versions of a model that lie in another place than where its server looks: the folder in which
//! the user types the command, and the project, were or are usual for MODEL_DIR.

use std::fs;
use std::path::{Path, PathBuf};

use super::maker::{self, Maker};

/// What to tell of versions in `place` that are not served.
pub fn sentence(class: &str, model_dir: &Path, place: &Path) -> String {
    let (model_dir, place) = (model_dir.display(), place.display());
    format!(
        "trained versions of {class} in {place} are not served, because models are kept in {model_dir}; to use \
         them, start with --model-dir {place}"
    )
}

/// The other usual folders for the models of a project that hold what this model learned.
pub fn others(model_dir: &Path, project: &Path, cwd: &Path, model: &Maker) -> Vec<PathBuf> {
    let near = [Some(project), Some(cwd), project.parent()];
    let near = near.into_iter().flatten();
    let places = near.flat_map(|folder| [folder.to_owned(), folder.join("models")]);
    let real = |path: &Path| fs::canonicalize(path).ok();
    let served = real(model_dir);
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for place in places {
        let Some(path) = real(&place).filter(|path| served.as_ref() != Some(path)) else {
            continue;
        };
        if seen.contains(&path) {
            continue;
        }
        seen.push(path);
        if is_of(&place, model_dir, model, place.starts_with(project)) {
            found.push(place);
        }
    }
    found
}

/// Whether a folder holds what this model learned. Of a maker that is not known only the project's own
/// folders are: the original kept models of API v1 there.
fn is_of(place: &Path, model_dir: &Path, model: &Maker, is_own: bool) -> bool {
    let known = maker::of_folder(place);
    let is_theirs = match &known {
        Some(_) => !maker::is_used_by_other(place, model),
        None => is_own,
    };
    is_theirs && maker::holds_anything_outside_of(place, Some(model_dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(folder: &Path) {
        let version = folder.join("7.1/5");
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("job_result.json"), "{}").unwrap();
    }

    #[test]
    fn versions_of_the_model_in_other_places_are_found_and_no_others() {
        let root = tempfile::tempdir().unwrap();
        let (cwd, project) = (root.path().join("here"), root.path().join("there/backend"));
        let models = project.join("models");
        fs::create_dir_all(&models).unwrap();
        fs::create_dir_all(&cwd).unwrap();
        let script = project.join("model.py");
        fs::write(&script, "class Cats: pass").unwrap();
        let cats = Maker::new("Cats", Some(&script));
        let found = || others(&models, &project, &cwd, &cats);
        assert!(found().is_empty());
        train(&models);
        // For requests without a project: from the project this looks like a project of its own.
        fs::create_dir(models.join("1700000000")).unwrap();
        fs::write(models.join("1700000000/job_result.json"), "{}").unwrap();
        train(&cwd);
        assert!(found().is_empty(), "nobody knows whose those in the working folder are");
        maker::claim(&cwd, &Maker::new("Dogs", None));
        assert!(found().is_empty(), "they are those of Dogs");
        maker::claim(&cwd, &cats);
        assert_eq!(found(), std::slice::from_ref(&cwd));
        train(&project);
        assert_eq!(found(), [project.clone(), cwd.clone()]);
        let parent = root.path().join("there/models");
        train(&parent);
        maker::claim(&parent, &cats);
        assert_eq!(found(), [project.clone(), cwd, parent]);
        assert_eq!(others(&project, &project, &project, &cats)[0], models);
    }
}
