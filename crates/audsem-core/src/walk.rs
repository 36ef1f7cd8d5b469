//! Which files lie in a folder: the one rule by which every command looks through the folders it is given.
//!
//! * Hidden files and folders (`.name`) and temporary files (`*.tmp`) are skipped.
//! * Links to files and to folders are followed, since data sets are often folders of links. Each folder is read once:
//!   under its own path if that lies below the root, else under the first link to it, so cycles of links end.
//! * The order depends on names alone, never on the file system.
//! * A folder that cannot be listed and a broken link with a wanted name are errors that name it.
//!
//! ```
//! use audsem_core::walk::Walk;
//!
//! let folder = tempfile::tempdir()?;
//! for name in ["10.tar", "9.tar", ".8.tar", "7.tar.tmp", "notes.txt"] {
//!     tempfile::Builder::new().prefix(name).rand_bytes(0).tempfile_in(folder.path())?.keep()?;
//! }
//! let tars = Walk::flat().by_number().files(folder.path(), |name| name.ends_with(".tar"))?;
//! assert_eq!(tars.iter().map(|tar| tar.name.as_str()).collect::<Vec<_>>(), ["9.tar", "10.tar"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::{HashSet, VecDeque};
use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Extension of unfinished files, ours and those of other programs.
const TEMPORARY: &str = ".tmp";

/// A file or folder that a walk could not read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub struct WalkError {
    /// The file or folder.
    pub path: PathBuf,
    /// The operating system's reason.
    pub source: io::Error,
}

impl WalkError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.to_owned(), source }
    }
}

impl From<WalkError> for Error {
    fn from(WalkError { path, source }: WalkError) -> Self {
        Self::Read { path, source }
    }
}

/// A file that a walk has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundFile {
    /// The path that opens it.
    pub path: PathBuf,
    /// The path below the root, with `/` between components, so that a folder that was moved gives the same names.
    pub name: String,
}

impl FoundFile {
    /// The size of the file in bytes, through links.
    ///
    /// # Errors
    /// [`WalkError`] if it is gone.
    pub fn n_bytes(&self) -> Result<u64, WalkError> {
        fs::metadata(&self.path).map(|metadata| metadata.len()).map_err(WalkError::at(&self.path))
    }

    /// The last component of the name.
    pub fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// Whether the file lies in a folder below the root.
    pub fn is_below(&self) -> bool {
        self.name.contains('/')
    }
}

/// How far a walk goes, and the order of what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    deep: bool,
    by_number: bool,
}

impl Walk {
    /// A walk over the files directly in a folder, sorted by name.
    pub const fn flat() -> Self {
        Self { deep: false, by_number: false }
    }

    /// A walk over the files in a folder and in all folders below it, sorted by name.
    pub const fn deep() -> Self {
        Self { deep: true, by_number: false }
    }

    /// Sorts by [`numeric_order`] of the names instead.
    #[must_use]
    pub const fn by_number(self) -> Self {
        Self { by_number: true, ..self }
    }

    /// Finds the files whose name below `root` is wanted.
    ///
    /// # Errors
    /// [`WalkError`] if a folder cannot be listed, or a wanted link is broken.
    pub fn files(self, root: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<FoundFile>, WalkError> {
        let mut search = Search::new(root, self.deep, wanted);
        search.run()?;
        let mut found = search.found;
        if self.by_number {
            found.sort_by_cached_key(|file| (numeric_order(&file.name), file.path.clone()));
        } else {
            found.sort_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
        }
        Ok(found)
    }
}

/// A folder still to be listed, and the prefix of the names in it.
struct Folder {
    path: PathBuf,
    prefix: String,
}

struct Search<W> {
    deep: bool,
    wanted: W,
    folders: Vec<Folder>,
    /// Folders behind links wait until all others are listed.
    links: VecDeque<Folder>,
    /// Device and inode of each folder listed.
    listed: HashSet<(u64, u64)>,
    found: Vec<FoundFile>,
}

impl<W: Fn(&str) -> bool> Search<W> {
    fn new(root: &Path, deep: bool, wanted: W) -> Self {
        let folders = vec![Folder { path: root.to_owned(), prefix: String::new() }];
        Self { deep, wanted, folders, links: VecDeque::new(), listed: HashSet::new(), found: Vec::new() }
    }

    fn run(&mut self) -> Result<(), WalkError> {
        while let Some(folder) = self.folders.pop().or_else(|| self.links.pop_front()) {
            let metadata = fs::metadata(&folder.path).map_err(WalkError::at(&folder.path))?;
            if self.listed.insert((metadata.dev(), metadata.ino())) {
                self.list(&folder)?;
            }
        }
        Ok(())
    }

    fn list(&mut self, folder: &Folder) -> Result<(), WalkError> {
        let entries = fs::read_dir(&folder.path).map_err(WalkError::at(&folder.path))?;
        let mut entries = entries.collect::<io::Result<Vec<_>>>().map_err(WalkError::at(&folder.path))?;
        // Which of two links to a folder is the first must not depend on the file system.
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            let file_name = entry.file_name();
            let file_name = file_name.to_string_lossy();
            if !file_name.starts_with('.') {
                self.look_at(&entry, format!("{}{file_name}", folder.prefix))?;
            }
        }
        Ok(())
    }

    fn look_at(&mut self, entry: &DirEntry, name: String) -> Result<(), WalkError> {
        let path = entry.path();
        let kind = entry.file_type().map_err(WalkError::at(&path))?;
        let wanted = (self.wanted)(&name) && !name.ends_with(TEMPORARY);
        if kind.is_dir() {
            self.queue(Folder { path, prefix: format!("{name}/") }, false);
        } else if kind.is_file() && wanted {
            self.found.push(FoundFile { path, name });
        } else if kind.is_symlink() {
            match fs::metadata(&path) {
                Ok(target) if target.is_dir() => self.queue(Folder { path, prefix: format!("{name}/") }, true),
                // Pipes and devices have no content that could be read twice.
                Ok(target) if target.is_file() && wanted => self.found.push(FoundFile { path, name }),
                Err(error) if wanted => return Err(WalkError::at(&path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn queue(&mut self, folder: Folder, is_link: bool) {
        match is_link {
            _ if !self.deep => {}
            true => self.links.push_back(folder),
            false => self.folders.push(folder),
        }
    }
}

/// The sort key of numbered names: by the first number in them (`2.tar` before `10.tar`, `part-99999` before
/// `part-100000`), then by all numbers and the text between them. Names without a number come last.
pub fn numeric_order(name: &str) -> NumericOrder {
    let (mut pieces, mut rest) = (Vec::new(), name);
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_number).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        pieces.push(match piece.parse() {
            Ok(number) if is_number => Piece::Number(number),
            _ => Piece::Text(piece.to_owned()),
        });
        rest = after;
    }
    let first = pieces.iter().find_map(|piece| match piece {
        Piece::Number(number) => Some(*number),
        Piece::Text(_) => None,
    });
    NumericOrder { first: first.unwrap_or(u64::MAX), pieces, name: name.to_owned() }
}

/// A name as [`numeric_order`] compares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumericOrder {
    first: u64,
    pieces: Vec<Piece>,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Number(u64),
    Text(String),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, *name).unwrap();
        }
        folder
    }

    fn names(walk: Walk, root: &Path) -> Vec<String> {
        walk.files(root, |_| true).unwrap().into_iter().map(|file| file.name).collect()
    }

    #[test]
    fn hidden_and_temporary_files_are_passed_over_at_any_depth() {
        let folder = folder(&["b", "a/2", "a/1", "a/.3", "a/4.tmp", ".git/5", "c.tmp", ".d.tmp", "e.tmp/6"]);
        assert_eq!(names(Walk::deep(), folder.path()), ["a/1", "a/2", "b", "e.tmp/6"]);
        assert_eq!(names(Walk::flat(), folder.path()), ["b"]);
        let wanted = Walk::deep().files(folder.path(), |name| name.ends_with('2')).unwrap();
        assert_eq!(wanted, [FoundFile { path: folder.path().join("a/2"), name: "a/2".to_owned() }]);
        assert_eq!((wanted[0].n_bytes().unwrap(), wanted[0].file_name(), wanted[0].is_below()), (3, "2", true));
    }

    #[test]
    fn each_folder_is_read_once_however_links_run() {
        let (here, there) = (folder(&["z/x", "y/1"]), folder(&["w"]));
        let path = |name: &str| here.path().join(name);
        symlink(here.path(), path("z/round")).unwrap();
        symlink(path("z"), path("a")).unwrap();
        symlink(path("y"), path("z/y")).unwrap();
        symlink(path("z"), path("y/z")).unwrap();
        for link in ["m", "k"] {
            symlink(there.path(), path(link)).unwrap();
        }
        symlink(path("y/1"), path("link to a file")).unwrap();
        assert_eq!(names(Walk::deep(), here.path()), ["k/w", "link to a file", "y/1", "z/x"]);
        assert_eq!(names(Walk::flat(), here.path()), ["link to a file"]);
        let from_a_link = ["round/k/w", "round/link to a file", "round/y/1", "x"];
        assert_eq!(names(Walk::deep(), &path("a")), from_a_link, "what lies above is read once as well");
    }

    #[test]
    fn what_cannot_be_read_is_an_error_by_name() {
        let folder = folder(&["a/1"]);
        symlink("nowhere", folder.path().join("a/2.tar")).unwrap();
        let error = Walk::deep().files(folder.path(), |name| name.ends_with(".tar")).unwrap_err().to_string();
        assert!(error.contains("a/2.tar"), "{error}");
        assert!(
            Walk::deep().files(folder.path(), |name| name.ends_with("1")).is_ok(),
            "nobody asks for the broken one"
        );
        let error = Walk::flat().files(&folder.path().join("none"), |_| true).unwrap_err().to_string();
        assert!(error.contains("none"), "{error}");
    }

    #[test]
    fn a_folder_without_permission_is_an_error_by_name() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = folder(&["a/secret/1", "b"]);
        let secret = folder.path().join("a/secret");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
        let listed = fs::read_dir(&secret).is_ok();
        let result = Walk::deep().files(folder.path(), |_| true);
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o755)).unwrap();
        match result {
            Ok(found) => assert!(listed && found.len() == 2, "only root may read it"),
            Err(error) => assert!(error.to_string().contains("a/secret"), "{error}"),
        }
    }

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let in_order = [
            "00001.tar",
            "1.tar",
            "a-1",
            "clip 2 part 9.tar",
            "clip 2 part 10.tar",
            "part-99999",
            "part-100000",
            "99999999999999999999",
            "a.tar",
            "b",
            "ä",
        ];
        let mut sorted = in_order;
        sorted.reverse();
        sorted.sort_by_cached_key(|name| numeric_order(name));
        assert_eq!(sorted, in_order);
    }
}
