//! Which model may serve what lies in a model folder.

use std::os::unix::fs::symlink;

use super::*;

/// A folder with projects; `models` is the model folder.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("models")).unwrap();
        Self { dir }
    }

    fn models(&self) -> PathBuf {
        self.dir.path().join("models")
    }

    /// A model whose script is written.
    fn model(&self, script: &str, class: &str) -> Maker {
        let script = self.dir.path().join(script);
        fs::create_dir_all(script.parent().unwrap()).unwrap();
        fs::write(&script, format!("x = 1\nclass {class}(Base):\n    pass\n")).unwrap();
        Maker::new(class, Some(&script))
    }

    fn train(&self, maker: &Maker) {
        claim(&self.models(), maker);
        let version = self.models().join("7.1/1700000000");
        fs::create_dir_all(&version).unwrap();
        fs::write(version.join("job_result.json"), "{}").unwrap();
    }

    fn may_serve(&self, maker: &Maker) -> bool {
        check(&self.models(), maker).is_ok()
    }
}

#[test]
fn what_a_model_learned_is_its_own() {
    let bench = Bench::new();
    let cats = bench.model("a/model.py", "Cats");
    assert!(bench.may_serve(&cats), "nobody used it before");
    bench.train(&cats);
    assert!(bench.may_serve(&cats));
    for other in [
        bench.model("a/other.py", "Cats"),
        bench.model("b/model.py", "Cats"),
        bench.model("b/dogs.py", "Dogs"),
        Maker::new("Cat", None),
    ] {
        let refusal = check(&bench.models(), &other).unwrap_err().to_string();
        assert!(refusal.contains("belong to the class Cats in "), "{refusal}");
        assert!(refusal.contains("a/model.py") && refusal.contains("--take-over"), "{refusal}");
    }
    claim(&bench.models(), &Maker::new("Dogs", None));
    assert!(!bench.may_serve(&cats), "it was taken over");
}

#[test]
fn keys_count_and_names_alone_do_not() {
    let bench = Bench::new();
    let (cats, dogs) = (bench.model("a/model.py", "Cats"), bench.model("b/model.py", "Dogs"));
    claim(&bench.models(), &cats);
    let file = keys::KeyFile::new(bench.models().join("cache.db"));
    file.set("7", "model_version", "cats-1").unwrap();
    file.set("7", "label_config", "<View/>").unwrap();
    assert!(bench.may_serve(&dogs));
    claim(&bench.models(), &dogs);
    assert_eq!(file.get("7", "model_version").unwrap(), None, "the name was that of Cats");
    assert_eq!(file.get("7", "label_config").unwrap().as_deref(), Some("<View/>"));
    file.set("7", "weights", "1").unwrap();
    file.set("7", "model_version", "dogs-1").unwrap();
    assert!(!bench.may_serve(&cats) && bench.may_serve(&dogs));
    claim(&bench.models(), &cats);
    assert_eq!(file.get("7", "model_version").unwrap().as_deref(), Some("dogs-1"), "taken over");
}

#[test]
fn a_script_that_moved_takes_its_models_along() {
    let bench = Bench::new();
    let before = bench.model("a/model.py", "Cats");
    bench.train(&before);
    let moved = bench.model("b/renamed.py", "Cats");
    assert!(!bench.may_serve(&moved), "both are there");
    fs::write(before.script.as_ref().unwrap(), "class CatsToo:\n    pass\n").unwrap();
    assert!(bench.may_serve(&moved), "the class is no longer there");
    fs::remove_dir_all(bench.dir.path().join("a")).unwrap();
    assert!(bench.may_serve(&moved));
    assert!(!bench.may_serve(&bench.model("b/model.py", "Dogs")));
    symlink(bench.dir.path().join("b"), bench.dir.path().join("c")).unwrap();
    claim(&bench.models(), &moved);
    let linked = Maker::new("Cats", Some(&bench.dir.path().join("c/renamed.py")));
    assert!(bench.may_serve(&linked), "it is the same file");
}

#[test]
fn a_copy_of_a_project_with_its_models_is_the_same_model() {
    let root = tempfile::tempdir().unwrap();
    for (models, script) in [
        ("p/models", "p/model.py"),
        ("p/models", "p/package/model.py"),
        ("p", "p/model.py"),
        ("p", "p/in/model.py"),
    ] {
        let home = tempfile::tempdir_in(root.path()).unwrap();
        let (models, script) = (home.path().join(models), home.path().join(script));
        fs::create_dir_all(models.join("7.1/5")).unwrap();
        fs::create_dir_all(script.parent().unwrap()).unwrap();
        fs::write(models.join("7.1/5/job_result.json"), "{}").unwrap();
        fs::write(&script, "class Cats: pass").unwrap();
        claim(&models, &Maker::new("Cats", Some(&script)));
        assert_eq!(of_folder(&models), Some(Maker::new("Cats", Some(&script))));
        let (copy, to) = (own_folder::path(&models), root.path().join("copy"));
        let copied = to.join("q").join(models.strip_prefix(home.path().join("p")).unwrap());
        fs::create_dir_all(copied.join(".label-studio-ml")).unwrap();
        fs::create_dir_all(copied.join("7.1/5")).unwrap();
        fs::write(copied.join("7.1/5/job_result.json"), "{}").unwrap();
        fs::copy(copy.join(FILE), copied.join(".label-studio-ml").join(FILE)).unwrap();
        let of_copy = to.join("q").join(script.strip_prefix(home.path().join("p")).unwrap());
        fs::create_dir_all(of_copy.parent().unwrap()).unwrap();
        fs::write(&of_copy, "class Cats: pass").unwrap();
        assert!(check(&copied, &Maker::new("Cats", Some(&of_copy))).is_ok());
        assert!(check(&copied, &Maker::new("Cats", Some(&script))).is_err());
        fs::remove_dir_all(to).unwrap();
    }
}

#[test]
fn the_class_of_a_package_belongs_to_the_project_that_serves_it() {
    let bench = Bench::new();
    let served_by = |project: &str| {
        let wsgi = bench.dir.path().join(project).join("_wsgi.py");
        fs::create_dir_all(wsgi.parent().unwrap()).unwrap();
        fs::write(&wsgi, "from package import Cats\napp = init_app(model_class=Cats)\n").unwrap();
        Maker::new("Cats", Some(&wsgi))
    };
    bench.train(&served_by("a"));
    assert!(bench.may_serve(&served_by("a")) && !bench.may_serve(&served_by("b")));
    fs::write(bench.dir.path().join("a/_wsgi.py"), "from package import CatsToo\n").unwrap();
    assert!(bench.may_serve(&served_by("b")));
}

#[test]
fn a_script_far_from_its_models_is_noted_as_it_is() {
    for (script, models, noted) in [
        ("/app/model.py", "/data/models", "/app/model.py"),
        ("/home/me/p/model.py", "/home/me/models", "../p/model.py"),
        ("/p/model.py", "/p/models", "../model.py"),
    ] {
        assert_eq!(relative(Path::new(script), Path::new(models)), Path::new(noted));
        assert_eq!(plain(&Path::new(models).join(noted)), Path::new(script));
    }
}

#[test]
fn notes_of_earlier_versions_name_the_class() {
    let bench = Bench::new();
    let cats = bench.model("a/model.py", "Cats");
    bench.train(&cats);
    let own = own_folder::path(&bench.models());
    fs::remove_file(own.join(FILE)).unwrap();
    assert!(bench.may_serve(&Maker::new("Dogs", None)), "nobody knows the maker");
    fs::write(own.join(CLASS_FILE), "Cats\n").unwrap();
    assert!(bench.may_serve(&cats) && bench.may_serve(&bench.model("b/model.py", "Cats")));
    assert!(!bench.may_serve(&Maker::new("Dogs", None)));
}

#[test]
fn names_of_any_length_and_alphabet_are_kept() {
    let bench = Bench::new();
    let long = Maker::new(&"Ж".repeat(10 * MAX_NAME), None);
    bench.train(&long);
    assert!(bench.may_serve(&long));
    assert_eq!(of_folder(&bench.models()).unwrap().class, "Ж".repeat(MAX_NAME));
}

#[test]
fn a_note_that_cannot_be_used_is_none() {
    let bench = Bench::new();
    let cats = bench.model("a/model.py", "Cats");
    let missing = bench.dir.path().join("missing");
    claim(&missing, &cats);
    assert!(!missing.exists(), "the folder is not made for the note");
    bench.train(&cats);
    let own = own_folder::path(&bench.models());
    for damaged in [&b"\xff\xfe"[..], b"", b"{", b"[]", b"{\"class\": \"\"}"] {
        fs::write(own.join(FILE), damaged).unwrap();
        assert_eq!(of_folder(&bench.models()), None);
        claim(&bench.models(), &cats);
        assert_eq!(of_folder(&bench.models()), Some(cats.clone()));
    }
    fs::remove_file(own.join(FILE)).unwrap();
    fs::create_dir(own.join(FILE)).unwrap();
    claim(&bench.models(), &cats);
    assert_eq!(fs::read_dir(&own).unwrap().count(), 1, "nothing half-written is left");
}
