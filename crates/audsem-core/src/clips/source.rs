//! What `--input` names: shards, folders of sounds, and lists.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use super::folder::search;
use super::list;
use super::naming::{Naming, keys};
use super::samples::scan;
use crate::blame::Blame;
use crate::error::{Error, Result};
use crate::input::{is_folder, open_file, open_plain};
use crate::run::{FileFingerprint, Fingerprint, Reads};
use crate::suffix::{is_audio, is_picture, is_video};
use crate::tar::{TarInput, is_tar, list_tars};

/// Media on disk that are processed and committed together.
const MEDIA_PER_SOURCE: usize = 512;

/// Captions of a list that are processed and committed together: as many as a shard of clips has.
const CAPTIONS_PER_SOURCE: usize = 4096;

/// Endings of lists.
const LISTS: [&str; 2] = [".csv", ".tsv"];

/// Which part of the clips is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClipContent {
    /// Their sounds.
    Sound,
    /// Their pictures.
    Pictures,
    /// Their captions.
    Caption,
}

impl ClipContent {
    /// Whether a file with this suffix has the content, and better than one that was taken before: a sample's first audio
    /// member is its sound, or its first video where it has none; its first video has its pictures, or its first picture where it has no
    /// video.
    pub fn prefers(self, suffix: &str, taken: Option<&str>) -> bool {
        match (self.rank(suffix), taken.and_then(|taken| self.rank(taken))) {
            (Some(rank), Some(taken)) => rank < taken,
            (rank, None) => rank.is_some(),
            (None, Some(_)) => false,
        }
    }

    /// How well a kind of file serves, the best first; nothing where it does not have the content.
    pub(super) fn rank(self, suffix: &str) -> Option<usize> {
        let kinds: [fn(&str) -> bool; 2] = match self {
            Self::Sound | Self::Caption => [is_audio, is_video],
            Self::Pictures => [is_video, is_picture],
        };
        kinds.iter().position(|is_of_kind| is_of_kind(suffix))
    }

    /// The files that have the content, for messages.
    pub(super) fn files(self) -> &'static str {
        match self {
            Self::Sound | Self::Caption => "sounds (.flac, .wav, .mp3 …)",
            Self::Pictures => "videos or pictures (.mp4, .png, .jpg …)",
        }
    }
}

/// One piece of the input, which becomes one shard.
#[derive(Debug, Clone)]
pub struct ClipSource {
    /// Its file or folder, for messages that must not depend on where that lies.
    pub name: String,
    /// Hash of its name and content.
    pub fingerprint: Reads,
    /// What it is.
    pub kind: SourceKind,
    /// Maximum number of records to use, from the beginning.
    pub limit: u64,
}

/// The kinds of sources.
#[derive(Debug, Clone)]
pub enum SourceKind {
    /// A tar of samples.
    Tar(PathBuf),
    /// Lines of a list, or media on disk.
    Rows(Vec<ClipRow>),
}

/// A line of a list, or a sound, video or picture on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipRow {
    /// Its key; empty where nothing names it.
    pub key: String,
    /// Its place: line number, or path below the input.
    pub place: String,
    /// The sound, video or picture, where it has one.
    pub media: Option<MediaFile>,
    /// The caption, where it has one.
    pub text: Option<String>,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

/// A sound, video or picture on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaFile {
    /// Its path below the input, or as the list has it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

impl MediaFile {
    /// Reads the first `most` bytes of the file, and how many it has.
    pub(super) fn read(&self, most: u64) -> std::io::Result<(Vec<u8>, u64)> {
        let file = open_plain(&self.path)?;
        let n_bytes = file.metadata()?.len();
        let mut bytes = Vec::with_capacity(usize::try_from(n_bytes.min(most)).unwrap_or(0));
        file.take(most).read_to_end(&mut bytes)?;
        Ok((bytes, n_bytes))
    }
}

/// The sources that hold the first `limit` records, the last of them cut.
///
/// # Errors
/// A tar cannot be read.
pub fn limited(sources: Vec<ClipSource>, limit: Option<u64>) -> Result<Vec<ClipSource>> {
    let Some(mut left) = limit else { return Ok(sources) };
    let mut kept = Vec::new();
    for mut source in sources {
        if left == 0 {
            break;
        }
        source.limit = left;
        left = left.saturating_sub(source.count()?);
        kept.push(source);
    }
    Ok(kept)
}

impl ClipSource {
    /// Records in it; of a damaged tar those before the damage, which its own shard reports.
    fn count(&self) -> Result<u64> {
        match &self.kind {
            SourceKind::Tar(path) => {
                let mut n = 0;
                crate::input::open_file(path)?;
                drop(scan(path, ClipContent::Caption, |_| n += 1));
                Ok(n)
            }
            SourceKind::Rows(rows) => Ok(rows.len() as u64),
        }
    }
}

/// What one `--input` refers to.
enum Input {
    Sources(Vec<ClipSource>),
    /// Media on disk, and the folder they lie in.
    Loose(Vec<MediaFile>, PathBuf),
}

/// The sources of sounds or pictures under `inputs`: tars and folders of them, media and folders of them (also below), and
/// CSV files with a column `path` and, if wanted, `key`.
///
/// # Errors
/// An input does not exist, or holds neither.
pub fn list_media(inputs: &[PathBuf], content: ClipContent) -> Result<Vec<ClipSource>> {
    let inputs = inputs.iter().map(|input| media_of(input, content)).collect::<Result<Vec<_>>>()?;
    let mut keys = loose_keys(&inputs).into_iter();
    let mut sources = Vec::new();
    for input in inputs {
        match input {
            Input::Sources(more) => sources.extend(more),
            Input::Loose(media, folder) => {
                let row = |(file, key): (MediaFile, String)| ClipRow {
                    key,
                    place: file.name.clone(),
                    media: Some(file),
                    text: None,
                    problem: None,
                };
                let n = media.len();
                let rows: Vec<ClipRow> = media.into_iter().zip(keys.by_ref().take(n)).map(row).collect();
                sources.extend(of_rows(&rows, &base(&folder), content)?);
            }
        }
    }
    Ok(sources)
}

fn media_of(input: &Path, content: ClipContent) -> Result<Input> {
    if !is_folder(input)? {
        if is_list(input) {
            let rows = list::rows(input, content)?;
            return Ok(Input::Sources(of_rows(&rows, &base(input), content)?));
        }
        if is_tar(&base(input)) {
            return Ok(Input::Sources(of_tars(input)?));
        }
        open_file(input)?;
        let folder = input.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return Ok(Input::Loose(vec![MediaFile { name: base(input), path: input.to_owned() }], folder.to_owned()));
    }
    let found = search(input, content)?;
    found.warn_of_unread(input, content);
    if found.tars > 0 {
        return Ok(Input::Sources(of_tars(input)?));
    }
    if found.media.is_empty() {
        let what = if content == ClipContent::Pictures { "no video and no picture" } else { "no sound" };
        let problem = format!(
            "no tar and {what} in this folder\nhint: name shards (.tar), {} or a CSV file with a column `path`",
            content.files()
        );
        return Err(Error::input(input, problem));
    }
    Ok(Input::Loose(found.media, input.to_owned()))
}

/// The sources of captions under `inputs`: tars and folders of them, and CSV files with columns `text` and, if wanted,
/// `key` or `path`.
///
/// # Errors
/// An input does not exist, or holds neither.
pub fn list_captions(inputs: &[PathBuf]) -> Result<Vec<ClipSource>> {
    let mut sources = Vec::new();
    for input in inputs {
        if is_folder(input)? {
            let found = search(input, ClipContent::Caption)?;
            found.warn_of_unread(input, ClipContent::Caption);
            if found.tars > 0 {
                sources.extend(of_tars(input)?);
                continue;
            }
        } else if is_list(input) {
            let rows = list::rows(input, ClipContent::Caption)?;
            sources.extend(of_rows(&rows, &base(input), ClipContent::Caption)?);
            continue;
        } else if is_tar(&base(input)) {
            sources.extend(of_tars(input)?);
            continue;
        } else {
            open_file(input)?;
        }
        let problem = "no captions here\nhint: name shards (.tar) or a CSV file with columns `key` and `text`";
        return Err(Error::input(input, problem));
    }
    Ok(sources)
}

/// The tars under `inputs`: tars, and folders of them.
///
/// # Errors
/// An input does not exist, is a folder without tars, or one whose run has not ended.
pub fn list_shards(inputs: &[PathBuf]) -> Result<Vec<ClipSource>> {
    let sources = inputs.iter().map(|input| of_tars(input)).collect::<Result<Vec<_>>>()?;
    Ok(sources.into_iter().flatten().collect())
}

/// Whether a file is a list, by its name.
fn is_list(path: &Path) -> bool {
    let name = base(path).to_ascii_lowercase();
    LISTS.iter().any(|ending| name.ends_with(ending))
}

fn base(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn of_tars(input: &Path) -> Result<Vec<ClipSource>> {
    let source = |tar: TarInput| ClipSource {
        name: tar.name,
        fingerprint: tar.fingerprint,
        kind: SourceKind::Tar(tar.path),
        limit: u64::MAX,
    };
    Ok(list_tars(input)?.into_iter().map(source).collect())
}

/// The keys of all loose files, in their order. Where several inputs name such, names are told apart across them.
fn loose_keys(inputs: &[Input]) -> Vec<String> {
    let loose: Vec<(&[MediaFile], &Path)> = inputs
        .iter()
        .filter_map(|input| match input {
            Input::Loose(media, folder) => Some((media.as_slice(), folder.as_path())),
            Input::Sources(_) => None,
        })
        .collect();
    let several = loose.len() > 1;
    let paths: Vec<String> = loose
        .iter()
        .flat_map(|(media, folder)| {
            let folder = folder.canonicalize().map_or_else(|_| base(folder), |folder| base(&folder));
            let path = move |file: &MediaFile| match several {
                true => format!("{folder}/{}", file.name),
                false => file.name.clone(),
            };
            media.iter().map(path)
        })
        .collect();
    let namings: Vec<Naming<'_>> = paths.iter().map(|path| Naming { key: None, path: Some(path) }).collect();
    keys(&namings)
}

fn of_rows(rows: &[ClipRow], name: &str, content: ClipContent) -> Result<Vec<ClipSource>> {
    let size = match content {
        ClipContent::Sound | ClipContent::Pictures => MEDIA_PER_SOURCE,
        ClipContent::Caption => CAPTIONS_PER_SOURCE,
    };
    let source = |chunk: &[ClipRow]| {
        Ok(ClipSource {
            name: name.to_owned(),
            fingerprint: fingerprint(chunk, content)?,
            kind: SourceKind::Rows(chunk.to_vec()),
            limit: u64::MAX,
        })
    };
    rows.chunks(size).map(source).collect()
}

/// Hash of everything in the rows that decides their outcome.
fn fingerprint(rows: &[ClipRow], content: ClipContent) -> Result<Reads> {
    let mut all = Fingerprint::new();
    for row in rows {
        all = all.with(&row.key).with(&row.place).with(row.problem.as_deref().unwrap_or(""));
        match (content, &row.media) {
            (ClipContent::Caption, _) => all = all.with(row.text.as_deref().unwrap_or("")),
            (ClipContent::Sound | ClipContent::Pictures, None) => {}
            (ClipContent::Sound | ClipContent::Pictures, Some(file)) => {
                all = all.with(&file.name);
                // A missing file fails its row, not the run.
                all = match FileFingerprint::of(&file.path) {
                    Ok(content) => all.with_file(&content),
                    Err(Error::Read { source, .. })
                        if source.kind() != ErrorKind::NotFound && Blame::of_io(&source) == Blame::Surroundings =>
                    {
                        return Err(Error::read(&file.path)(source));
                    }
                    Err(_) => all.with("missing"),
                };
            }
        }
    }
    Ok(all.finish())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use std::fs;

    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    fn keys(sources: &[ClipSource]) -> Vec<String> {
        let keys = sources.iter().flat_map(|source| match &source.kind {
            SourceKind::Tar(_) => vec![source.name.clone()],
            SourceKind::Rows(rows) => rows.iter().map(|row| row.key.clone()).collect(),
        });
        keys.collect()
    }

    #[test]
    fn folders_of_sounds_are_searched_and_equal_names_told_apart() {
        let folder =
            folder(&[("b.wav", ""), ("x/rain v1.2.flac", ""), ("y/a.MP3", ""), ("z/a.wav", ""), ("notes.txt", "")]);
        let sources = list_media(&[folder.path().to_owned()], ClipContent::Sound).unwrap();
        assert_eq!(keys(&sources), ["b", "rain v1_2", "y/a", "z/a"]);
    }

    #[test]
    fn equal_names_in_several_inputs_are_told_apart() {
        let folder = folder(&[("dog/1.wav", ""), ("cat/1.wav", ""), ("cat/2.wav", ""), ("one/1.wav", "")]);
        let inputs = ["dog", "cat", "one/1.wav"].map(|name| folder.path().join(name));
        assert_eq!(keys(&list_media(&inputs, ClipContent::Sound).unwrap()), ["dog/1", "cat/1", "2", "one/1"]);
    }

    #[test]
    fn tars_win_over_sounds_beside_them() {
        let folder = folder(&[("10.tar", ""), ("2.tar", ""), ("b.wav", "")]);
        assert_eq!(keys(&list_media(&[folder.path().to_owned()], ClipContent::Sound).unwrap()), ["2.tar", "10.tar"]);
    }

    #[test]
    fn pictures_are_those_of_videos_and_of_files_where_there_are_no_videos() {
        let folder =
            folder(&[("a.wav", ""), ("b.MP4", ""), ("b.png", ""), ("c/d.jpeg", ""), ("l.csv", "path\nx.png\n")]);
        let listed = |name: &str| list_media(&[folder.path().join(name)], ClipContent::Pictures);
        assert_eq!(keys(&listed("").unwrap()), ["b"]);
        assert_eq!(keys(&listed("c").unwrap()), ["d"]);
        assert_eq!(keys(&listed("l.csv").unwrap()), ["x"]);
        std::fs::remove_file(folder.path().join("c/d.jpeg")).unwrap();
        let error = listed("c").unwrap_err().to_string();
        assert!(error.contains("no video and no picture"), "{error}");
    }

    #[test]
    fn lists_name_sounds_and_captions() {
        let folder =
            folder(&[("s.csv", "key,path\nV (1.0-2.5),a.wav\n,b/c.flac\n"), ("t.csv", "key,text\nk,dog\nl,\n")]);
        let sounds = list_media(&[folder.path().join("s.csv")], ClipContent::Sound).unwrap();
        assert_eq!(keys(&sounds), ["V (1_0-2_5)", "c"]);
        let captions = list_captions(&[folder.path().join("t.csv")]).unwrap();
        assert!(matches!(&captions[0].kind, SourceKind::Rows(rows) if rows[1].key == "l" && rows[1].text.is_none()));
    }

    #[test]
    fn what_is_no_input_is_refused_with_a_hint() {
        let folder = folder(&[("notes.txt", ""), ("empty.csv", "path\n"), ("bad.csv", "name\nx\n")]);
        for name in ["", "absent", "empty.csv", "bad.csv"] {
            let error = list_media(&[folder.path().join(name)], ClipContent::Sound).unwrap_err().to_string();
            assert!(!error.is_empty(), "{name}");
        }
        assert!(list_captions(&[folder.path().to_owned()]).unwrap_err().to_string().contains("hint"));
    }
}
