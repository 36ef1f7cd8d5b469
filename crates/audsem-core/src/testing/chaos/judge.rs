//! What may be so after a disturbed run, and what may not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::draw::Draw;
use super::round::Ended;

/// Files of a folder, without those that hold times, with the hash of their content.
pub(super) type Tree = BTreeMap<PathBuf, String>;

/// Folder of remembered answers: named by process, in the order of arrival. The labels made of them must repeat.
const ANSWERS: &str = "replay";

/// Folders of a training that has not ended: earlier checkpoints, and metrics for people who watch.
const OF_TRAININGS: [&str; 2] = ["checkpoints", "live"];

/// Exit code of a panic.
const PANIC: i32 = 101;

/// The tree of a folder that need not be there.
pub(super) fn tree(folder: &Path) -> io::Result<Tree> {
    let mut tree = if folder.exists() { crate::testing::tree(folder)? } else { Tree::new() };
    tree.retain(|name, _| !name.starts_with(ANSWERS));
    Ok(tree)
}

/// What is wrong with how a disturbed run ended.
pub(super) fn ending(ended: &Ended, draw: &Draw) -> Option<String> {
    match (ended.status.code(), ended.signal()) {
        _ if ended.hung => Some("it hung".to_owned()),
        (Some(PANIC), _) => Some("it panicked".to_owned()),
        (None, Some(signal)) if !draw.may_end_by_signal() => Some(format!("it died of signal {signal}")),
        (Some(1..), _) if ended.said.trim().is_empty() => Some("it failed and did not say why".to_owned()),
        _ => None,
    }
}

/// What an undisturbed run leaves, and what it has in between.
pub(super) struct Expected {
    pub(super) tree: Tree,
    /// Files that its markers name and that were removed when nothing needed them any more.
    discarded: Tree,
    markers: BTreeMap<PathBuf, Value>,
}

impl Expected {
    /// Reads the folder of an undisturbed run.
    pub(super) fn read(output: &Path) -> io::Result<Self> {
        let mut expected = Self { tree: tree(output)?, discarded: Tree::new(), markers: BTreeMap::new() };
        for name in expected.tree.keys().filter(|name| is_marker(name)) {
            let mut marker = json(&output.join(name))?;
            for file in restore(&mut marker) {
                let field = |name: &str| file[name].as_str().unwrap_or_default().to_owned();
                expected.discarded.insert(field("path").into(), field("sha256"));
            }
            expected.markers.insert(name.clone(), marker);
        }
        Ok(expected)
    }

    /// Files under their final names that an undisturbed run never has, or has with another content.
    pub(super) fn half_written(&self, left: &Tree, output: &Path) -> Option<String> {
        let fine = |name: &Path, hash: &String| {
            let same = [&self.tree, &self.discarded].iter().any(|tree| tree.get(name) == Some(hash));
            let is_of_training = OF_TRAININGS.iter().any(|folder| name.starts_with(folder));
            same || is_hidden(name) || is_of_training || self.is_fine_json(name, &output.join(name))
        };
        let wrong: Vec<_> = left.iter().filter(|(name, hash)| !fine(name, hash)).map(|(name, _)| name).collect();
        (!wrong.is_empty()).then(|| format!("the disturbed run left {wrong:?}, which an undisturbed run never has"))
    }

    /// Whether a file tells how far a run has come, and is whole.
    fn is_fine_json(&self, name: &Path, path: &Path) -> bool {
        let Ok(mut found) = json(path) else { return false };
        if !is_marker(name) {
            return name.file_name() == Some("stats.json".as_ref());
        }
        restore(&mut found);
        self.markers.get(name) == Some(&found)
    }

    /// In which files a folder differs from that of an undisturbed run.
    pub(super) fn difference(&self, got: &Tree, when: &str) -> Option<String> {
        let names = self.tree.keys().chain(got.keys());
        let differing: BTreeSet<_> = names.filter(|name| self.tree.get(*name) != got.get(*name)).collect();
        (!differing.is_empty()).then(|| format!("{when} it differs from an undisturbed run in {differing:?}"))
    }

    /// Whether some but not all files of an undisturbed run are there.
    pub(super) fn in_the_middle(&self, left: &Tree) -> bool {
        let there = self.tree.iter().filter(|(name, hash)| left.get(*name) == Some(hash)).count();
        there > 1 && there < self.tree.len()
    }
}

/// Makes a marker what it was before files that it names were removed, and gives those.
fn restore(marker: &mut Value) -> Vec<Value> {
    let mut discarded = Vec::new();
    for file in marker["outputs"].as_array_mut().into_iter().flatten() {
        if file.as_object_mut().and_then(|file| file.remove("discarded")) == Some(Value::Bool(true)) {
            discarded.push(file.clone());
        }
    }
    discarded
}

fn json(path: &Path) -> io::Result<Value> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn is_marker(name: &Path) -> bool {
    name.as_os_str().as_encoded_bytes().ends_with(b".done.json")
}

fn is_hidden(name: &Path) -> bool {
    name.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
}
