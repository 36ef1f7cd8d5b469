//! Media on disk, by video and by clip.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::error::Error as CoreError;
use audsem_core::run::Fingerprint;
use audsem_core::suffix::{AUDIO, VIDEO};
use audsem_core::walk::Walk;

use crate::error::Result;

/// Endings of media files; where a video has several, the one that stands first here is taken: pictures with sound
/// before sound alone.
fn endings() -> impl Iterator<Item = &'static str> {
    VIDEO.into_iter().chain(AUDIO)
}

/// The place of a file's ending among [`endings`]; `None` if it is no media by its name.
fn rank_of(path: &Path) -> Option<usize> {
    let ending = path.extension().and_then(OsStr::to_str)?.to_lowercase();
    endings().position(|known| known == ending)
}

/// A folder's media files.
#[derive(Debug, Default)]
pub(super) struct Library {
    clips: BTreeMap<ClipId, Found>,
    videos: BTreeMap<String, Found>,
}

#[derive(Debug)]
struct Found {
    rank: usize,
    path: PathBuf,
    n_bytes: u64,
}

impl Library {
    /// Looks through a folder and its subfolders.
    ///
    /// # Errors
    /// It cannot be listed, or holds no media.
    pub(super) fn scan(folder: &Path) -> Result<Self> {
        let mut library = Self::default();
        for file in Walk::deep().files(folder, |name| rank_of(Path::new(name)).is_some()).map_err(CoreError::from)? {
            let n_bytes = file.n_bytes().map_err(CoreError::from)?;
            library.add(file.path, n_bytes);
        }
        if library.clips.is_empty() && library.videos.is_empty() {
            let problem = format!(
                "no media file (looked for .{} files)\nhint: name a folder of media with --source",
                endings().collect::<Vec<_>>().join(", .")
            );
            return Err(CoreError::input(folder, problem).into());
        }
        Ok(library)
    }

    fn add(&mut self, path: PathBuf, n_bytes: u64) {
        let (Some(rank), Some(stem)) = (rank_of(&path), path.file_stem().and_then(OsStr::to_str)) else {
            return;
        };
        let stem = stem.to_owned();
        let found = Found { rank, path, n_bytes };
        match stem.parse::<ClipId>() {
            Ok(clip) => better(self.clips.entry(clip), found),
            Err(_) => better(self.videos.entry(video_id(&stem).to_owned()), found),
        }
    }

    /// The file that is this very clip.
    pub(super) fn clip(&self, clip: &ClipId) -> Option<&Path> {
        self.clips.get(clip).map(|found| &*found.path)
    }

    /// The file of a whole video.
    pub(super) fn video(&self, id: &str) -> Option<&Path> {
        self.videos.get(id).map(|found| &*found.path)
    }

    /// The files that are clips of a video, by their times. Keys sort by video first, and none sorts before
    /// that of the first millisecond.
    fn clips_of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Found> {
        let own = ClipId::new(id, 0, 1).ok().map(|first| self.clips.range(first..));
        own.into_iter().flatten().take_while(move |(clip, _)| clip.video_id() == id).map(|(_, found)| found)
    }

    /// Adds what a video's clips are made from: names and sizes. Hashing terabytes to plan would
    /// cost more than the work itself.
    pub(super) fn fingerprint(&self, id: &str, mut fingerprint: Fingerprint) -> Fingerprint {
        for found in self.videos.get(id).into_iter().chain(self.clips_of(id)) {
            let name = found.path.file_name().unwrap_or_default().to_string_lossy();
            fingerprint = fingerprint.with(&*name).with(found.n_bytes.to_string());
        }
        fingerprint
    }
}

/// Keeps the better file of a name: by ending, then by path.
fn better<K: Ord>(entry: std::collections::btree_map::Entry<'_, K, Found>, found: Found) {
    entry
        .and_modify(|old| {
            if (found.rank, &found.path) < (old.rank, &old.path) {
                *old = Found { rank: found.rank, path: found.path.clone(), n_bytes: found.n_bytes };
            }
        })
        .or_insert(found);
}

/// `Title [ID]` → `ID`, as yt-dlp names files; any other name is the id itself.
fn video_id(stem: &str) -> &str {
    let inside = stem.strip_suffix(']').and_then(|stem| stem.rsplit_once(" [")).map(|(_, id)| id);
    inside.filter(|id| !id.is_empty() && !id.contains(' ')).unwrap_or(stem)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    #[test]
    fn names_of_videos() {
        let check = |stem: &str, expected: &str| assert_eq!(video_id(stem), expected, "{stem}");
        check("dQw4w9WgXcQ", "dQw4w9WgXcQ");
        check("Never Gonna [Live] [dQw4w9WgXcQ]", "dQw4w9WgXcQ");
        check("-abc_DEF-12", "-abc_DEF-12");
        check("a title [with words]", "a title [with words]");
    }

    /// Looking at every clip of the folder for each video would take a day for a million of them.
    #[test]
    fn clips_of_a_video_are_a_range_of_the_sorted_keys() {
        let mut library = Library::default();
        for name in ["v (0.0-0.001)", "v (0.0-2.0)", "v (4294967.294-4294967.295)", "u (1.0-2.0)", "v- (0.0-1.0)", "w"]
        {
            library.add(PathBuf::from(format!("{name}.flac")), 1);
        }
        let names = |id: &str| -> Vec<String> {
            library.clips_of(id).map(|found| found.path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names("v"), ["v (0.0-0.001)", "v (0.0-2.0)", "v (4294967.294-4294967.295)"]);
        assert_eq!(names("v-"), ["v- (0.0-1.0)"]);
        for id in ["w", "x", "", "no.id"] {
            assert_eq!(names(id), [""; 0], "{id}");
        }
    }

    #[test]
    fn best_file_of_a_name_wins_and_half_files_are_none() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["v.wav", "sub/v.mp4", "w.mp4.part", "w.txt", "x (1.0-2.5).flac", "x.MKV"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let library = Library::scan(folder.path()).unwrap();
        assert_eq!(library.video("v").unwrap(), folder.path().join("sub/v.mp4"));
        assert_eq!(library.video("x").unwrap(), folder.path().join("x.MKV"));
        assert_eq!(library.video("w"), None);
        assert!(library.clip(&ClipId::new("x", 1000, 2500).unwrap()).is_some());
        assert_eq!(library.clip(&ClipId::new("x", 1000, 2501).unwrap()), None);
    }
}
