//! What lies in a folder and below it.

use std::path::Path;

use super::source::{ClipContent, MediaFile};
use crate::error::Result;
use crate::tar::is_tar;
use crate::walk::Walk;

/// The media and tars of a folder.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files of the kind that has the content best, also below, in the order of their paths.
    pub media: Vec<MediaFile>,
    /// Number of pictures that are not read because there are videos.
    pub pictures: usize,
    /// Tars in the folder itself.
    pub tars: usize,
    /// Tars in folders below.
    pub tars_below: usize,
}

/// Goes through a folder and those below.
///
/// # Errors
/// A folder cannot be listed.
pub(super) fn search(root: &Path, content: ClipContent) -> Result<Found> {
    let mut found = Found::default();
    let mut by_rank: [Vec<MediaFile>; 2] = Default::default();
    for file in Walk::deep().files(root, |name| rank(content, name).is_some() || is_tar(name))? {
        match rank(content, &file.name) {
            Some(rank) => by_rank[rank].push(MediaFile { name: file.name, path: file.path }),
            None if file.is_below() => found.tars_below += 1,
            None => found.tars += 1,
        }
    }
    let [best, second] = by_rank;
    if content == ClipContent::Pictures && !best.is_empty() {
        found.pictures = second.len();
    }
    found.media = if best.is_empty() { second } else { best };
    Ok(found)
}

/// How well a file of this name serves, as [`ClipContent::rank`] has it.
fn rank(content: ClipContent, name: &str) -> Option<usize> {
    content.rank(&Path::new(name).extension()?.to_string_lossy())
}

impl Found {
    /// Warns about files that are not read: media in a folder that is read for its tars, pictures beside videos, and tars in
    /// subfolders.
    pub(super) fn warn_of_unread(&self, root: &Path, content: ClipContent) {
        let root = root.display();
        let hint = "hint: keep them in a folder of their own, or list them in a CSV file with a column `path`";
        let unread = match content {
            ClipContent::Caption => None,
            _ if self.tars > 0 => Some(("files next to tars are not read", self.media.len() + self.pictures)),
            _ => Some(("pictures next to videos are not read", self.pictures)),
        };
        if let Some((what, n)) = unread.filter(|(_, n)| *n > 0) {
            tracing::warn!("{what}: {n} in and below {root}\n{hint}");
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
        let found = search(folder.path(), ClipContent::Sound).unwrap();
        assert_eq!(found.media.iter().map(|sound| sound.name.as_str()).collect::<Vec<_>>(), ["b.wav", "x/a.FLAC"]);
        assert_eq!((found.tars, found.tars_below), (1, 2));
    }

    #[test]
    fn videos_are_found_where_there_are_no_sounds() {
        let folder = tempfile::tempdir().unwrap();
        let names = || {
            search(folder.path(), ClipContent::Sound)
                .unwrap()
                .media
                .into_iter()
                .map(|sound| sound.name)
                .collect::<Vec<_>>()
        };
        fs::write(folder.path().join("a.mp4"), "").unwrap();
        assert_eq!(names(), ["a.mp4"]);
        fs::write(folder.path().join("b.wav"), "").unwrap();
        assert_eq!(names(), ["b.wav"]);
    }
}
