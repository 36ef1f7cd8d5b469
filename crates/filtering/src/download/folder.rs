//! Media on disk, by video and by clip.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::error::Error as CoreError;
use audsem_core::run::{FileState, Fingerprint};
use audsem_core::suffix::{AUDIO, VIDEO};
use audsem_core::video_id::{IdRule, SITE_ID_LEN, is_id_byte};
use audsem_core::walk::{FoundFile, Walk};

use crate::error::Result;
use crate::extract::sources::shared_id;

/// Endings of media files; where a video has several, the one that stands first here is taken: pictures with sound
/// before sound alone.
fn endings() -> impl Iterator<Item = &'static str> {
    VIDEO.into_iter().chain(AUDIO)
}

/// The rank of a file's extension among [`endings`]; `None` if it is not media by its name.
fn rank_of(path: &Path) -> Option<usize> {
    let ending = path.extension().and_then(OsStr::to_str)?.to_lowercase();
    endings().position(|known| known == ending)
}

/// A folder's media files.
#[derive(Debug, Default)]
pub(super) struct Library {
    clips: BTreeMap<ClipId, Found>,
    /// Files whose names, with whole seconds, are those of clips or of videos on disk.
    perhaps_clips: BTreeMap<ClipId, Vec<Found>>,
    videos: BTreeMap<String, Found>,
    /// Files called `TITLE [ID].ext` whose id does not have the form of a site id, by that id.
    bracketed: BTreeMap<String, Vec<Found>>,
    /// Files called `TITLE-ID.ext` whose end has the length and the characters of a site id, but not its look, by that end.
    dashed: BTreeMap<String, PathBuf>,
}

#[derive(Debug, Clone)]
struct Found {
    rank: usize,
    path: PathBuf,
    n_bytes: u64,
    /// The path below the folder without the ending: files of one stem are one video in several forms.
    stem: String,
}

impl Library {
    /// Looks through a folder and its subfolders.
    ///
    /// # Errors
    /// It cannot be listed, holds no media, or two videos in it have one id.
    pub(super) fn scan(folder: &Path, ids: IdRule) -> Result<Self> {
        let mut library = Self::default();
        for file in Walk::deep().files(folder, |name| rank_of(Path::new(name)).is_some()).map_err(CoreError::from)? {
            let n_bytes = file.n_bytes().map_err(CoreError::from)?;
            library.add(file, n_bytes, ids)?;
        }
        library.settle_clips()?;
        if library.clips.is_empty() && library.videos.is_empty() {
            let problem = format!(
                "no media file (looked for .{} files)\nhint: name a folder of media with --source",
                endings().collect::<Vec<_>>().join(", .")
            );
            return Err(CoreError::input(folder, problem).into());
        }
        Ok(library)
    }

    fn add(&mut self, file: FoundFile, n_bytes: u64, ids: IdRule) -> Result<()> {
        let (Some(rank), Some((stem, _))) = (rank_of(&file.path), file.name.rsplit_once('.')) else {
            return Ok(());
        };
        let last = stem.rsplit('/').next().unwrap_or(stem);
        let found = Found { rank, path: file.path, n_bytes, stem: stem.to_owned() };
        let clip = last.parse::<ClipId>().ok();
        // Seconds with a point are those of a clip alone. `Concert (1-2)` may be a clip or a video on disk.
        let is_clip_alone = clip.is_some() && last.rsplit(" (").next().is_some_and(|span| span.contains('.'));
        if !is_clip_alone {
            match ids.id_of(stem) {
                Ok(id) => {
                    if let Some(name) = bracketed(last).filter(|name| ids == IdRule::Auto && *name != id) {
                        self.bracketed.entry(name.to_owned()).or_default().push(found.clone());
                    }
                    if let Some(end) = dashed(last).filter(|end| ids == IdRule::Auto && *end != id) {
                        self.dashed.entry(end.to_owned()).or_insert_with(|| found.path.clone());
                    }
                    better(self.videos.entry(id), found.clone())?;
                }
                Err(error) => tracing::warn!("{} is skipped: {error}", found.path.display()),
            }
        }
        match clip {
            Some(clip) if is_clip_alone => better(self.clips.entry(clip), found)?,
            Some(clip) => self.perhaps_clips.entry(clip).or_default().push(found),
            None => {}
        }
        Ok(())
    }

    /// Takes files for clips that may be videos as well, unless several videos would be one clip: `S1/Pilot (1-2)` and
    /// `S2/Pilot (1-2)` are videos.
    fn settle_clips(&mut self) -> Result<()> {
        for (clip, files) in std::mem::take(&mut self.perhaps_clips) {
            if files.iter().any(|file| file.stem != files[0].stem) {
                let paths: Vec<_> = files.iter().map(|file| file.path.display().to_string()).collect();
                tracing::warn!("{} are treated as videos, not as the clip {clip}", paths.join(", "));
                continue;
            }
            files.into_iter().try_for_each(|file| better(self.clips.entry(clip.clone()), file))?;
        }
        Ok(())
    }

    /// The file that is this very clip.
    pub(super) fn clip(&self, clip: &ClipId) -> Option<&Path> {
        self.clips.get(clip).map(|found| &*found.path)
    }

    /// The file of a whole video: the one with this id, else the one that has it in brackets after its title.
    ///
    /// # Errors
    /// The paths of the files, if several videos have the id in brackets.
    pub(super) fn video(&self, id: &str) -> Result<Option<&Path>, String> {
        let called = self.bracketed.get(id).map_or(&[][..], Vec::as_slice);
        match (self.videos.get(id), called) {
            (Some(found), _) => Ok(Some(&found.path)),
            (None, []) => Ok(None),
            (None, [first, others @ ..]) if others.iter().all(|other| other.stem == first.stem) => {
                Ok(called.iter().min_by_key(|found| (found.rank, &found.path)).map(|found| &*found.path))
            }
            (None, several) => {
                let paths: Vec<_> = several.iter().map(|found| found.path.display().to_string()).collect();
                Err(format!("{} are called [{id}]", paths.join(", ")))
            }
        }
    }

    /// What to say of a video without a file: a name that may be meant. `More-NightSounds` may be the video
    /// `NightSounds` with a title, or another one; which of them is not guessed.
    pub(super) fn perhaps(&self, id: &str) -> Option<String> {
        let path = self.dashed.get(id)?;
        let (stem, ending) = (path.file_stem()?.to_str()?, path.extension()?.to_str()?);
        let title = stem.strip_suffix(id)?.strip_suffix('-')?;
        let rename = format!("if {} is this video, rename it to `{title} [{id}].{ending}`", path.display());
        Some(rename)
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
        let whole = match self.videos.get(id) {
            Some(found) => std::slice::from_ref(found),
            None => self.bracketed.get(id).map_or(&[][..], Vec::as_slice),
        };
        for found in whole.iter().chain(self.clips_of(id)) {
            let name = found.path.file_name().unwrap_or_default().to_string_lossy();
            fingerprint = fingerprint.with(&*name).with(found.n_bytes.to_string());
            // One that has gone since the folder was listed is missed when it is to be cut.
            if let Ok(state) = FileState::of(&found.path) {
                fingerprint = fingerprint.watching(state);
            }
        }
        fingerprint
    }
}

/// The text in brackets at the end of a name, where yt-dlp writes ids.
fn bracketed(name: &str) -> Option<&str> {
    let (_, id) = name.strip_suffix(']')?.rsplit_once(" [")?;
    (!id.is_empty()).then_some(id)
}

/// The text behind the last hyphen before eleven characters, where yt-dlp once wrote ids.
fn dashed(name: &str) -> Option<&str> {
    let at = name.len().checked_sub(SITE_ID_LEN).filter(|&at| name.is_char_boundary(at))?;
    let (before, id) = name.split_at(at);
    before.ends_with('-').then_some(id).filter(|id| id.bytes().all(is_id_byte))
}

/// Keeps the better file of a video: by ending, then by path.
///
/// # Errors
/// The files have different stems and different content, so they are two videos.
fn better<K: Ord + Display>(entry: Entry<'_, K, Found>, found: Found) -> Result<()> {
    match entry {
        Entry::Vacant(vacant) => drop(vacant.insert(found)),
        Entry::Occupied(mut old) => {
            if old.get().stem != found.stem && !same_content(old.get(), &found)? {
                return Err(shared_id(&old.key().to_string(), &old.get().path, &found.path).into());
            }
            if (found.rank, &found.path) < (old.get().rank, &old.get().path) {
                old.insert(found);
            }
        }
    }
    Ok(())
}

/// Whether two files hold the same bytes.
fn same_content(a: &Found, b: &Found) -> Result<bool> {
    if a.n_bytes != b.n_bytes {
        return Ok(false);
    }
    let open = |found: &Found| -> Result<_> {
        Ok(BufReader::with_capacity(1 << 20, File::open(&found.path).map_err(CoreError::read(&found.path))?))
    };
    let (mut left, mut right) = (open(a)?, open(b)?);
    loop {
        let one = left.fill_buf().map_err(CoreError::read(&a.path))?;
        let other = right.fill_buf().map_err(CoreError::read(&b.path))?;
        let n = one.len().min(other.len());
        if n == 0 || one[..n] != other[..n] {
            return Ok(one.len() == other.len() && n == 0);
        }
        left.consume(n);
        right.consume(n);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    /// Scanning all clips of the folder for each video would take a day for a million of them.
    #[test]
    fn clips_of_a_video_are_a_range_of_the_sorted_keys() {
        let mut library = Library::default();
        for name in ["v (0.0-0.001)", "v (0.0-2.0)", "v (4294967.294-4294967.295)", "u (1.0-2.0)", "v- (0.0-1.0)", "w"]
        {
            let name = format!("{name}.flac");
            library.add(FoundFile { path: PathBuf::from(&name), name }, 1, IdRule::Auto).unwrap();
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
        for name in [
            "v.wav",
            "v.mp4",
            "sub/v.flac",
            "a [aaaaaaaaaaa].mp4",
            "sub/b [aaaaaaaaaaa].wav",
            "w.mp4.part",
            "w.txt",
            "x (1.0-2.5).flac",
            "x.MKV",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let library = Library::scan(folder.path(), IdRule::Auto).unwrap();
        assert_eq!(library.video("v").unwrap().unwrap(), folder.path().join("v.mp4"));
        assert_eq!(library.video("sub%2Fv").unwrap().unwrap(), folder.path().join("sub/v.flac"));
        // The same bytes are the same video.
        assert_eq!(library.video("aaaaaaaaaaa").unwrap().unwrap(), folder.path().join("a [aaaaaaaaaaa].mp4"));
        assert_eq!(library.video("x").unwrap().unwrap(), folder.path().join("x.MKV"));
        assert_eq!(library.video("w"), Ok(None));
        assert!(library.clip(&ClipId::new("x", 1000, 2500).unwrap()).is_some());
        assert_eq!(library.clip(&ClipId::new("x", 1000, 2501).unwrap()), None);
    }

    #[test]
    fn a_video_called_like_a_clip_stays_a_video() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["S1/Pilot (1-2).wav", "S2/Pilot (1-2).wav", "Mr. Owl (1-2).wav", "Concert (3-4).wav"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let library = Library::scan(folder.path(), IdRule::Auto).unwrap();
        assert_eq!(library.video("S1%2FPilot (1-2)").unwrap().unwrap(), folder.path().join("S1/Pilot (1-2).wav"));
        assert_eq!(library.video("S2%2FPilot (1-2)").unwrap().unwrap(), folder.path().join("S2/Pilot (1-2).wav"));
        assert_eq!(library.video("Mr%2E Owl (1-2)").unwrap().unwrap(), folder.path().join("Mr. Owl (1-2).wav"));
        assert_eq!(library.clip(&ClipId::new("Pilot", 1000, 2000).unwrap()), None);
        let concert = ClipId::new("Concert", 3000, 4000).unwrap();
        assert_eq!(library.clip(&concert).unwrap(), folder.path().join("Concert (3-4).wav"));
    }

    #[test]
    fn an_id_in_brackets_is_found_unless_several_files_have_it() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["Owl [123].wav", "Owl [123].mp4", "a/Pig [x-1].wav", "b/Hen [x-1].wav", "c/Cow [dQw4w9WgXcQ].wav"]
        {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let library = Library::scan(folder.path(), IdRule::Auto).unwrap();
        assert_eq!(library.video("123").unwrap().unwrap(), folder.path().join("Owl [123].mp4"));
        assert_eq!(library.video("dQw4w9WgXcQ").unwrap().unwrap(), folder.path().join("c/Cow [dQw4w9WgXcQ].wav"));
        let both = library.video("x-1").unwrap_err();
        assert!(both.contains("Pig [x-1].wav") && both.contains("Hen [x-1].wav"), "{both}");
        assert_eq!(library.video("absent"), Ok(None));
        let print = |id: &str| library.fingerprint(id, Fingerprint::new()).finish();
        assert_ne!(print("123"), print("absent"));
        // Who says what the id is is not second-guessed.
        assert_eq!(Library::scan(folder.path(), IdRule::Path).unwrap().video("123"), Ok(None));
    }

    #[test]
    fn titles_before_ids_are_known_and_what_only_looks_so_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "Some title-dQw4w9WgXcQ.mp4",
            "Other title [a-b_c-D4e5f].mp4",
            "A-b--x_y_z_A-B_C.webm",
            "More-NightSounds.mp4",
            "b/take-soundscapes.wav",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        let library = Library::scan(folder.path(), IdRule::Auto).unwrap();
        for (id, file) in [
            ("dQw4w9WgXcQ", "Some title-dQw4w9WgXcQ.mp4"),
            ("a-b_c-D4e5f", "Other title [a-b_c-D4e5f].mp4"),
            ("More-NightSounds", "More-NightSounds.mp4"),
        ] {
            assert_eq!(library.video(id).unwrap().unwrap(), folder.path().join(file), "{id}");
            assert_eq!(library.perhaps(id), None, "{id}");
        }
        assert_eq!(library.video("NightSounds"), Ok(None));
        let told = library.perhaps("NightSounds").unwrap();
        assert!(told.ends_with("rename it to `More [NightSounds].mp4`"), "{told}");
        assert!(library.perhaps("soundscapes").unwrap().contains("take-soundscapes.wav"));
        assert_eq!(library.perhaps("absent"), None);
        assert_eq!(Library::scan(folder.path(), IdRule::Path).unwrap().perhaps("NightSounds"), None);
    }

    #[test]
    fn two_media_of_one_id_are_refused_by_name() {
        for (first, second, ids) in [
            ("a/owl [dQw4w9WgXcQ].wav", "b/pig [dQw4w9WgXcQ].wav", IdRule::Auto),
            ("owl/night.wav", "pig/night.wav", IdRule::Stem),
            ("owl/x (1.0-2.5).wav", "pig/x (1.0-2.5).wav", IdRule::Auto),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for name in [first, second] {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, name).unwrap();
            }
            let error = Library::scan(folder.path(), ids).unwrap_err().to_string();
            assert!(error.contains(first) && error.contains(second), "{error}");
        }
    }
}
