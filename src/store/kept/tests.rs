//! Kept versions, against a real folder: what is put back is what was there.

mod folders;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use serde_json::value::RawValue;

use super::journal::Journal;
use super::*;
use crate::store::versions::Record;

/// A model folder, and the trainings that change it.
struct Stage {
    dir: tempfile::TempDir,
    versions: Arc<Versions>,
    kept: KeptVersions,
}

fn project() -> ProjectKey {
    "2.1795430965".into()
}

impl Stage {
    fn new() -> Self {
        Self::within(u64::MAX)
    }

    fn within(limit: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let versions = Arc::new(Versions::open(dir.path()));
        durable_fs::create_dirs(&versions.own_dir()).unwrap();
        let kept = KeptVersions::open(Arc::clone(&versions), limit);
        Self { dir, versions, kept }
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn current(&self, project: &ProjectKey) -> VersionId {
        self.versions.current_record(project).unwrap().map_or(VersionId(0), |of| of.id)
    }

    /// A training that ends: with a version, or, if it `fails`, without.
    fn run(&self, project: &ProjectKey, id: u64, fails: bool, fit: impl FnOnce(&Path)) {
        let from = self.current(project);
        let before = Snapshot::take(self.root());
        self.kept.seal(project, from, &before, KeptKeys::new).unwrap();
        fit(self.root());
        let after = Snapshot::take(self.root());
        if fails {
            return self.kept.note_failed(project, from, &before, &after).unwrap();
        }
        let to = VersionId(id);
        let change = FitChange { from, to, before: &before, after: &after, elsewhere: None };
        let mut taken = self.kept.take(project, &change).unwrap();
        taken.keys = [("version".to_owned(), id.to_string())].into();
        self.kept.write(project, to, &taken).unwrap();
        let untrained = self.versions.record(project, VersionId(0)).unwrap().is_none();
        if untrained && from == VersionId(0) {
            let record = Record::untrained("0.0.1".into(), "0.0.1".into());
            self.versions.write_record(project, &record).unwrap();
        }
        let json = format!(
            "{{\"id\": {id}, \"own\": \"a\", \"served\": \"a+{id}\", \"event\": \"\", \"result\": null, \
             \"keys\": [], \"files\": [], \"time\": 0.5}}"
        );
        let record: Record = serde_json::from_str(&json).unwrap();
        self.versions.write_record(project, &record).unwrap();
    }

    fn train(&self, id: u64, fit: impl FnOnce(&Path)) {
        self.run(&project(), id, false, fit);
    }

    /// Goes to a version as an activation does; the reason if it cannot.
    fn go(&self, id: u64) -> Result<KeptKeys, String> {
        let (project, id) = (project(), VersionId(id));
        let (kept, paths) = self.kept.way_back(&project, id).unwrap()?;
        let served = self.current(&project);
        let prior = self.kept.present(&project, served, &paths, KeptKeys::new()).unwrap();
        let ready = self.kept.prepare(&kept, &paths).unwrap();
        let choice = self.versions.choice(&project);
        let journal = Journal { project: project.clone(), to: id, paths, prior, choice };
        journal.write(&self.versions).unwrap();
        ready.apply().unwrap();
        self.versions.choose_record(&project, id).unwrap();
        Journal::close(&self.versions).unwrap();
        self.kept.unseal(&project, id).unwrap();
        self.kept.collect();
        Ok(kept.keys)
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root().join(path)).ok()
    }
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn every_version_can_be_gone_back_to_and_the_state_before_the_first() {
    let stage = Stage::new();
    write(stage.root(), "base.pt", "given");
    write(stage.root(), "notes.txt", "mine");
    stage.train(1, |root| write(root, "base.pt", "one"));
    stage.train(2, |root| write(root, "more/two.pt", "two"));
    stage.train(3, |root| fs::remove_file(root.join("base.pt")).unwrap());
    write(stage.root(), "notes.txt", "changed by hand");
    for (id, base, two) in [
        (1, Some("one"), None),
        (3, None, Some("two")),
        (0, Some("given"), None),
        (2, Some("one"), Some("two")),
        (2, Some("one"), Some("two")),
    ] {
        let keys = stage.go(id).unwrap();
        let expected = (id > 0).then(|| id.to_string());
        assert_eq!(keys.get("version"), expected.as_ref());
        assert_eq!(stage.read("base.pt").as_deref(), base, "{id}");
        assert_eq!(stage.read("more/two.pt").as_deref(), two, "{id}");
        assert_eq!(stage.root().join("more").exists(), two.is_some(), "{id}");
        assert_eq!(stage.read("notes.txt").as_deref(), Some("changed by hand"));
    }
}

#[test]
fn a_training_after_going_back_begins_there() {
    let stage = Stage::new();
    for id in 1..4 {
        stage.train(id, |root| write(root, "a.pt", &id.to_string()));
    }
    stage.go(1).unwrap();
    write(stage.root(), "given.txt", "by hand");
    stage.train(4, |root| {
        assert_eq!(fs::read_to_string(root.join("a.pt")).unwrap(), "1");
        write(root, "a.pt", "4");
        write(root, "given.txt", "trained");
    });
    assert_eq!(stage.current(&project()), VersionId(4));
    for (id, given) in [(1, Some("by hand")), (2, None), (4, Some("trained"))] {
        stage.go(id).unwrap();
        assert_eq!(stage.read("a.pt"), Some(id.to_string()));
        assert_eq!(stage.read("given.txt").as_deref(), given, "{id}");
    }
}

#[test]
fn what_failed_trainings_left_is_undone() {
    let stage = Stage::new();
    write(stage.root(), "a.pt", "given");
    stage.run(&project(), 1, true, |root| write(root, "a.pt", "half"));
    stage.run(&project(), 2, true, |root| write(root, "b.pt", "half"));
    stage.train(3, |root| write(root, "c.pt", "whole"));
    stage.go(0).unwrap();
    assert_eq!(stage.read("a.pt").as_deref(), Some("given"));
    assert_eq!((stage.read("b.pt"), stage.read("c.pt")), (None, None));
    stage.go(3).unwrap();
    assert_eq!(stage.read("a.pt").as_deref(), Some("half"), "it was served with that");
}

#[test]
fn what_a_killed_training_left_is_undone_once_it_was_run_again() {
    let stage = Stage::new();
    write(stage.root(), "a.pt", "given");
    let before = Snapshot::take(stage.root());
    stage.kept.seal(&project(), VersionId(0), &before, KeptKeys::new).unwrap();
    write(stage.root(), "a.pt", "half");
    write(stage.root(), "b.pt", "half");
    stage.train(1, |root| write(root, "c.pt", "whole"));
    stage.go(0).unwrap();
    let read = |path| stage.read(path);
    assert_eq!((read("a.pt").as_deref(), read("b.pt"), read("c.pt")), (Some("given"), None, None));
}

#[test]
fn files_that_somebody_adds_between_trainings_stay() {
    let stage = Stage::new();
    stage.train(1, |root| write(root, "a.pt", "one"));
    stage.run(&project(), 2, true, |root| write(root, "a.pt", "half"));
    write(stage.root(), "data.csv", "mine");
    stage.train(3, |root| write(root, "a.pt", "three"));
    for id in [0, 1, 3] {
        stage.go(id).unwrap();
        assert_eq!(stage.read("data.csv").as_deref(), Some("mine"), "{id}");
    }
}

#[test]
fn links_permissions_and_times_come_back() {
    let stage = Stage::new();
    stage.train(1, |root| {
        write(root, "runs/1/a.pt", "one");
        let mode = fs::Permissions::from_mode(0o640);
        fs::set_permissions(root.join("runs/1/a.pt"), mode).unwrap();
        symlink("runs/1", root.join("latest")).unwrap();
    });
    let modified = fs::metadata(stage.root().join("runs/1/a.pt")).unwrap().modified().unwrap();
    stage.train(2, |root| {
        fs::remove_dir_all(root.join("runs/1")).unwrap();
        fs::remove_file(root.join("latest")).unwrap();
        // A folder where a link was, and a link where a folder was.
        write(root, "latest/a.pt", "two");
        symlink("../latest", root.join("runs/1")).unwrap();
    });
    stage.go(1).unwrap();
    assert_eq!(fs::read_link(stage.root().join("latest")).unwrap(), Path::new("runs/1"));
    assert_eq!(stage.read("latest/a.pt").as_deref(), Some("one"));
    let about = fs::metadata(stage.root().join("runs/1/a.pt")).unwrap();
    assert_eq!((about.mode() & 0o777, about.modified().unwrap()), (0o640, modified));
    stage.go(2).unwrap();
    assert_eq!(stage.read("runs/1/a.pt").as_deref(), Some("two"));
}

#[test]
fn nothing_is_put_back_or_removed_through_a_link_that_somebody_made() {
    let stage = Stage::new();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::create_dir(stage.root().join("runs")).unwrap();
    stage.train(1, |root| write(root, "runs/a.pt", "one"));
    stage.train(2, |root| write(root, "runs/a.pt", "two"));
    fs::remove_file(stage.root().join("runs/a.pt")).unwrap();
    fs::remove_dir(stage.root().join("runs")).unwrap();
    fs::write(elsewhere.path().join("a.pt"), "moved").unwrap();
    symlink(elsewhere.path(), stage.root().join("runs")).unwrap();
    let (kept, paths) = stage.kept.way_back(&project(), VersionId(1)).unwrap().unwrap();
    let refused = stage.kept.prepare(&kept, &paths).unwrap_err().to_string();
    assert!(refused.contains("runs/a.pt") && refused.contains("symbolic link"), "{refused}");
    assert_eq!(fs::read_to_string(elsewhere.path().join("a.pt")).unwrap(), "moved");
}

#[test]
fn what_cannot_be_copied_is_not_replaced() {
    let stage = Stage::new();
    stage.train(1, |root| write(root, "a.pt", "one"));
    stage.train(2, |root| write(root, "a.pt", "two"));
    let (kept, paths) = stage.kept.way_back(&project(), VersionId(1)).unwrap().unwrap();
    let served = stage.current(&project());
    let mut prior = stage.kept.present(&project(), served, &paths, KeptKeys::new()).unwrap();
    stage.kept.check_saved(&prior, &kept, &paths).unwrap();
    for file in prior.files.values_mut() {
        file.content = KeptContent::Lacks("it is locked".into());
    }
    assert!(stage.kept.check_saved(&prior, &kept, &paths).is_err());
}

#[test]
fn a_live_file_is_never_written_into_and_shares_nothing_with_a_kept_one() {
    let stage = Stage::new();
    stage.train(1, |root| write(root, "a.pt", "one"));
    stage.train(2, |root| write(root, "a.pt", "two"));
    let mapped = fs::File::open(stage.root().join("a.pt")).unwrap();
    stage.go(1).unwrap();
    assert_eq!(std::io::read_to_string(mapped).unwrap(), "two", "a worker that has it open");
    // A model that overwrites it in place.
    fs::write(stage.root().join("a.pt"), "xxx").unwrap();
    stage.go(2).unwrap();
    stage.go(1).unwrap();
    assert_eq!(stage.read("a.pt").as_deref(), Some("one"));
}

#[test]
fn unchanged_files_are_kept_once() {
    let stage = Stage::new();
    write(stage.root(), "big.bin", &"x".repeat(1 << 20));
    for id in 1..6 {
        stage.train(id, |root| write(root, "a.pt", &id.to_string()));
    }
    assert!(stage.kept.blobs.size() < 2 << 20, "{}", stage.kept.blobs.size());
    for id in [1, 5, 3] {
        stage.go(id).unwrap();
    }
    stage.train(6, |root| write(root, "a.pt", "6"));
    assert!(stage.kept.blobs.size() < 2 << 20, "{}", stage.kept.blobs.size());
}

#[test]
fn the_oldest_versions_give_way_and_the_served_one_never() {
    let stage = Stage::within(300 << 10);
    let fill = |root: &Path, letter: &str| write(root, "a.pt", &letter.repeat(100 << 10));
    for (id, letter) in (1..).zip(["a", "b", "c", "d"]) {
        stage.train(id, |root| fill(root, letter));
    }
    assert!(stage.kept.blobs.size() <= 300 << 10);
    assert!(stage.go(1).unwrap_err().contains("--keep-versions-mib"));
    stage.go(3).unwrap();
    assert_eq!(stage.read("a.pt").unwrap().as_bytes()[0], b'c');
    for id in 5..8 {
        stage.train(id, |root| fill(root, &id.to_string()));
    }
    stage.go(7).unwrap();
}

#[test]
fn a_version_that_is_too_large_says_so_and_others_stay() {
    let stage = Stage::within(64 << 10);
    stage.train(1, |root| write(root, "a.pt", "one"));
    stage.train(2, |root| write(root, "a.pt", &"x".repeat(1 << 20)));
    stage.train(3, |root| write(root, "a.pt", "three"));
    let reason = stage.go(2).unwrap_err();
    assert_eq!(reason, "a.pt: its size is beyond what may be kept (--keep-versions-mib)");
    stage.go(1).unwrap();
    assert_eq!(stage.read("a.pt").as_deref(), Some("one"));
}

#[test]
fn large_files_that_no_training_changes_cost_no_version_its_way_back() {
    let stage = Stage::within(300 << 10);
    write(stage.root(), "data.bin", &"x".repeat(1 << 20));
    for id in 1..4 {
        stage.train(id, |root| write(root, "a.pt", &id.to_string()));
    }
    // Larger than what the served version leaves.
    stage.train(4, |root| write(root, "a.pt", &"y".repeat(1 << 20)));
    for id in [1, 3, 0, 2] {
        stage.go(id).unwrap();
    }
    assert!(stage.go(4).is_err());
}

#[test]
fn what_a_training_left_elsewhere_cuts_off_older_versions() {
    let stage = Stage::new();
    stage.train(1, |root| write(root, "a.pt", "one"));
    let (before, after) = (Snapshot::take(stage.root()), Snapshot::take(stage.root()));
    let elsewhere = Some("it lies elsewhere");
    let (from, to) = (VersionId(1), VersionId(2));
    let change = FitChange { from, to, before: &before, after: &after, elsewhere };
    let taken = stage.kept.take(&project(), &change).unwrap();
    stage.kept.write(&project(), to, &taken).unwrap();
    assert_eq!(stage.go(2).unwrap_err(), "it lies elsewhere");
    assert_eq!(stage.go(1).unwrap_err(), CUT_OFF);
    stage
        .versions
        .write_record(
            &project(),
            &Record {
                id: to,
                result: RawValue::NULL.to_owned(),
                ..Record::untrained("a".into(), "a".into())
            },
        )
        .unwrap();
    stage.train(3, |root| write(root, "a.pt", "three"));
    stage.train(4, |root| write(root, "a.pt", "four"));
    stage.go(3).unwrap();
    assert_eq!(stage.go(1).unwrap_err(), CUT_OFF);
}

#[test]
fn a_version_of_an_older_server_says_that_nothing_was_kept() {
    let stage = Stage::new();
    for id in [5, 6] {
        let record = Record { id: VersionId(id), ..Record::untrained("a".into(), "a".into()) };
        stage.versions.write_record(&project(), &record).unwrap();
    }
    write(stage.root(), "a.pt", "six");
    stage.train(7, |root| write(root, "a.pt", "seven"));
    assert_eq!(stage.go(5).unwrap_err(), NOTHING);
    stage.go(6).unwrap();
    assert_eq!(stage.read("a.pt").as_deref(), Some("six"), "it was there when 7 began");
}

#[test]
fn the_program_beside_the_models_is_left_alone() {
    let stage = Stage::new();
    write(stage.root(), "model.py", "old");
    stage.train(1, |root| {
        write(root, "a.pt", "one");
        // An editor, while the training runs.
        write(root, "model.py", "new");
        write(root, "generated/part.py", "one");
    });
    stage.go(0).unwrap();
    assert_eq!(stage.read("model.py").as_deref(), Some("new"));
    assert_eq!((stage.read("a.pt"), stage.read("generated/part.py")), (None, None));
}

#[test]
fn projects_share_files_and_each_puts_back_its_own() {
    let stage = Stage::new();
    let other: ProjectKey = "3.1".into();
    stage.train(1, |root| write(root, "a.pt", "one"));
    stage.run(&other, 2, false, |root| {
        write(root, "a.pt", "theirs");
        write(root, "b.pt", "theirs");
    });
    let (kept, paths) = stage.kept.way_back(&project(), VersionId(0)).unwrap().unwrap();
    assert_eq!(stage.kept.also_of(&project(), &kept, &paths).unwrap(), [other]);
    stage.go(1).unwrap();
    assert_eq!(stage.read("a.pt").as_deref(), Some("one"));
    assert_eq!(stage.read("b.pt").as_deref(), Some("theirs"));
    let (kept, paths) = stage.kept.way_back(&project(), VersionId(0)).unwrap().unwrap();
    assert_eq!(stage.kept.also_of(&project(), &kept, &paths).unwrap(), []);
}

// Other systems make no pipes this way.
#[cfg(target_os = "linux")]
#[test]
fn what_is_not_a_file_is_not_waited_for() {
    let stage = Stage::new();
    let pipe = stage.root().join("pipe");
    let path = std::ffi::CString::new(pipe.to_str().unwrap()).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    stage.train(1, |root| write(root, "a.pt", "one"));
    assert!(matches!(stage.kept.blobs.take(&pipe), Err(blobs::NotCopied::Gone)));
    stage.go(0).unwrap();
    assert!(pipe.exists());
}
