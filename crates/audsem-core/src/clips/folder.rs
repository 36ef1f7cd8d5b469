//! What lies in a folder and below it.

use std::path::Path;

use super::source::SoundFile;
use crate::error::Result;
use crate::suffix::{is_audio, is_video};
use crate::tar::is_tar;
use crate::walk::Walk;

/// The sounds and tars of a folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Sounds, also below, in the order of their paths; or videos, where there are no sounds.
    pub sounds: Vec<SoundFile>,
    /// Tars in the folder itself.
    pub tars: usize,
    /// Tars in folders below.
    pub tars_below: usize,
}

/// Goes through a folder and those below.
///
/// # Errors
/// A folder cannot be listed.
pub(super) fn search(root: &Path) -> Result<Found> {
    let mut found = Found::default();
    let mut videos = Vec::new();
    for file in Walk::deep().files(root, |name| ends(name, is_audio) || ends(name, is_video) || is_tar(name))? {
        match file.is_below() {
            _ if ends(&file.name, is_audio) => found.sounds.push(SoundFile { name: file.name, path: file.path }),
            _ if ends(&file.name, is_video) => videos.push(SoundFile { name: file.name, path: file.path }),
            true => found.tars_below += 1,
            false => found.tars += 1,
        }
    }
    if found.sounds.is_empty() {
        found.sounds = videos;
    }
    Ok(found)
}

fn ends(name: &str, kind: impl Fn(&str) -> bool) -> bool {
    Path::new(name).extension().is_some_and(|extension| kind(&extension.to_string_lossy()))
}

impl Found {
    /// Warns about files that are not read: sounds in a folder that is read for its tars, and tars in subfolders.
    pub(super) fn warn_of_unread(&self, root: &Path, sounds_wanted: bool) {
        let root = root.display();
        if sounds_wanted && self.tars > 0 && !self.sounds.is_empty() {
            tracing::warn!(
                "sounds next to tars are not read: {} in and below {root}\n\
                 hint: keep sounds in a folder of their own, or list them in a CSV file with a column `path`",
                self.sounds.len()
            );
        }
        if self.tars_below > 0 {
            tracing::warn!(
                "tars in subfolders are not read: {} below {root}\nhint: name their folders with --input",
                self.tars_below
            );
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use std::fs;

    use super::*;

    #[test]
    fn everything_is_found_once_even_in_a_circle_of_links() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.wav", "0.tar", "x/a.FLAC", "x/1.tar.gz", "x/y/2.tar", ".hidden/c.wav", "x/._a.wav", "n.txt"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("x/again")).unwrap();
        let found = search(folder.path()).unwrap();
        assert_eq!(found.sounds.iter().map(|sound| sound.name.as_str()).collect::<Vec<_>>(), ["b.wav", "x/a.FLAC"]);
        assert_eq!((found.tars, found.tars_below), (1, 2));
    }

    #[test]
    fn videos_are_found_where_there_are_no_sounds() {
        let folder = tempfile::tempdir().unwrap();
        let names = || search(folder.path()).unwrap().sounds.into_iter().map(|sound| sound.name).collect::<Vec<_>>();
        fs::write(folder.path().join("a.mp4"), "").unwrap();
        assert_eq!(names(), ["a.mp4"]);
        fs::write(folder.path().join("b.wav"), "").unwrap();
        assert_eq!(names(), ["b.wav"]);
    }
}
