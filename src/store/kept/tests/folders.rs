//! Any trainings and any ways back, against a model of the folder.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What is at each path: a text, or none for a folder.
type Tree = BTreeMap<String, Option<String>>;

const PATHS: [&str; 7] = ["a", "b", "d/a", "d/e/a", "d/b", "e", "e/a"];

#[derive(Debug, Clone)]
enum Act {
    Write(usize, u8),
    Append(usize, u8),
    Remove(usize),
    Rename(usize, usize),
    Folder(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let path = 0..PATHS.len();
    prop_oneof![
        3 => (path.clone(), any::<u8>()).prop_map(|(path, text)| Act::Write(path, text)),
        1 => (path.clone(), any::<u8>()).prop_map(|(path, text)| Act::Append(path, text)),
        2 => path.clone().prop_map(Act::Remove),
        2 => (path.clone(), path.clone()).prop_map(|(from, to)| Act::Rename(from, to)),
        1 => path.prop_map(Act::Folder),
    ]
}

/// What may fail does nothing, as with a model that catches the error.
fn perform(root: &Path, act: &Act) {
    let parent = |path: &Path| drop(fs::create_dir_all(path.parent().unwrap()));
    match act {
        Act::Write(path, text) => {
            let path = root.join(PATHS[*path]);
            parent(&path);
            let _ = fs::write(path, text.to_string());
        }
        Act::Append(path, text) => {
            let path = root.join(PATHS[*path]);
            let before = fs::read_to_string(&path).unwrap_or_default();
            parent(&path);
            let _ = fs::write(path, format!("{before}{text}"));
        }
        Act::Remove(path) => {
            let path = root.join(PATHS[*path]);
            let _ = fs::remove_file(&path);
            let _ = fs::remove_dir_all(&path);
        }
        Act::Rename(from, to) => {
            let (from, to) = (root.join(PATHS[*from]), root.join(PATHS[*to]));
            parent(&to);
            let _ = fs::rename(from, to);
        }
        Act::Folder(path) => drop(fs::create_dir_all(root.join(PATHS[*path]))),
    }
}

fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.file_name() == ".label-studio-ml" {
                continue;
            }
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(name, None);
                folders.push(path);
            } else {
                found.insert(name, Some(fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

#[derive(Debug, Clone)]
enum FolderStep {
    Train(Vec<Act>),
    Fail(Vec<Act>),
    Go(usize),
}

fn step() -> impl Strategy<Value = FolderStep> {
    let acts = || prop::collection::vec(act(), 1..6);
    prop_oneof![
        4 => acts().prop_map(FolderStep::Train),
        1 => acts().prop_map(FolderStep::Fail),
        3 => any::<usize>().prop_map(FolderStep::Go),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn each_version_comes_back_as_it_was(
        given in prop::collection::vec(act(), 0..6),
        steps in prop::collection::vec(step(), 1..9),
    ) {
        let stage = Stage::new();
        for act in &given {
            perform(stage.root(), act);
        }
        let mut states = BTreeMap::from([(0, tree(stage.root()))]);
        for (id, step) in (1..).zip(&steps) {
            match step {
                FolderStep::Train(acts) => {
                    stage.train(id, |root| acts.iter().for_each(|act| perform(root, act)));
                    states.insert(id, tree(stage.root()));
                }
                FolderStep::Fail(acts) => {
                    let fit = |root: &Path| acts.iter().for_each(|act| perform(root, act));
                    stage.run(&project(), id, true, fit);
                }
                FolderStep::Go(choice) if states.len() > 1 => {
                    let to = *states.keys().nth(choice % states.len()).unwrap();
                    stage.go(to).unwrap();
                }
                FolderStep::Go(_) => {}
            }
        }
        // After the last training nothing is left of a failed one that is not known.
        stage.train(100, |root| write(root, "last", "last"));
        states.insert(100, tree(stage.root()));
        for (id, state) in states.iter().chain(states.iter().rev()) {
            stage.go(*id).unwrap();
            prop_assert_eq!(&tree(stage.root()), state, "version {}", id);
        }
    }
}
