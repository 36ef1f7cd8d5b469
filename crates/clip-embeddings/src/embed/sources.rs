//! What `--input` names: shards, folders of sounds, and lists.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::input::list_files;
use audsem_core::run::{FileFingerprint, Fingerprint};
use serde::Deserialize;

use crate::error::Error;
use crate::tars::{AUDIO, ENDINGS, clip_key, list_tars, scan};

/// Sounds on disk that are embedded and committed together.
const FILES_PER_SOURCE: usize = 512;

/// Endings of lists.
const LISTS: [&str; 2] = [".csv", ".tsv"];

/// One piece of the input, which becomes one table.
#[derive(Debug, Clone)]
pub struct Source {
    /// Hash of its name and content.
    pub fingerprint: String,
    /// What it is.
    pub kind: Kind,
    /// Records of it that count, from the front.
    pub limit: u64,
}

/// The sources that hold the first `limit` records, the last of them cut.
///
/// # Errors
/// A tar cannot be read.
pub(super) fn limited(sources: Vec<Source>, limit: Option<u64>) -> Result<Vec<Source>, Error> {
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

impl Source {
    /// Records in it; of a damaged tar those before the damage, which its own shard reports.
    fn count(&self) -> Result<u64, Error> {
        let mut n = 0;
        match &self.kind {
            Kind::Tar(path) => {
                audsem_core::input::open_file(path)?;
                drop(scan(path, |_| n += 1));
            }
            Kind::Files(files) => n = files.len() as u64,
            Kind::Captions(rows) => n = rows.len() as u64,
        }
        Ok(n)
    }
}

/// What a source is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A tar of samples.
    Tar(PathBuf),
    /// Sounds on disk.
    Files(Vec<SoundFile>),
    /// Captions of a list, with their keys.
    Captions(Vec<(String, Option<String>)>),
}

/// A sound on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundFile {
    /// Its key.
    pub key: String,
    /// Its path below the input, or as the list has it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A line of a list.
#[derive(Debug, Deserialize)]
struct Line {
    path: Option<String>,
    key: Option<String>,
    text: Option<String>,
}

/// The sources of sounds under `inputs`: tars and folders of them, sounds and folders of them (also below), and CSV
/// files with a column `path` and, if wanted, `key`.
///
/// # Errors
/// An input does not exist, or holds neither.
pub fn list_sounds(inputs: &[PathBuf]) -> Result<Vec<Source>, Error> {
    let mut sources = Vec::new();
    for input in inputs {
        if let Some(tars) = tars_of(input)? {
            sources.extend(tars);
        } else if is(input, &LISTS) {
            sources.extend(of_files(listed_sounds(input)?)?);
        } else {
            let files = if input.is_dir() { sounds_below(input)? } else { vec![one_sound(input)?] };
            if files.is_empty() {
                let problem = "no tar and no sound in this folder\nhint: name shards (.tar), sounds (.flac, .wav, .mp3 …) or a CSV file with a column `path`";
                return Err(CoreError::input(input, problem).into());
            }
            sources.extend(of_files(files)?);
        }
    }
    Ok(sources)
}

/// The sources of captions under `inputs`: tars and folders of them, and CSV files with columns `key` and `text`.
///
/// # Errors
/// An input does not exist, or holds neither.
pub fn list_captions(inputs: &[PathBuf]) -> Result<Vec<Source>, Error> {
    let mut sources = Vec::new();
    for input in inputs {
        match tars_of(input)? {
            Some(tars) => sources.extend(tars),
            None if is(input, &LISTS) => sources.extend(listed_captions(input)?),
            None => {
                let problem = "no captions here\nhint: name shards (.tar) or a CSV file with columns `key` and `text`";
                return Err(CoreError::input(input, problem).into());
            }
        }
    }
    Ok(sources)
}

fn is(path: &Path, endings: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending)) && !path.is_dir()
}

/// The tars an input names, or nothing if it names none.
fn tars_of(input: &Path) -> Result<Option<Vec<Source>>, Error> {
    let wanted = |name: &str| ENDINGS.iter().any(|ending| name.ends_with(ending));
    let some = if input.is_dir() { !list_files(input, wanted)?.is_empty() } else { is(input, &ENDINGS) };
    if !some {
        return Ok(None);
    }
    let tars = list_tars(input)?.into_iter();
    Ok(Some(
        tars.map(|tar| Source { fingerprint: tar.fingerprint, kind: Kind::Tar(tar.path), limit: u64::MAX }).collect(),
    ))
}

fn one_sound(path: &Path) -> Result<SoundFile, Error> {
    fs::metadata(path).map_err(CoreError::read(path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(SoundFile { key: clip_key(&name, None, None), name, path: path.to_owned() })
}

/// All sounds of a folder and of those below, in the order of their paths.
fn sounds_below(root: &Path) -> Result<Vec<SoundFile>, Error> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(CoreError::read(&folder))? {
            let path = entry.map_err(CoreError::read(&folder))?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            if AUDIO.contains(&extension.as_str()) {
                let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
                files.push(SoundFile { key: clip_key(&name, None, None), name, path });
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    qualify(&mut files);
    Ok(files)
}

/// Sounds of one name in different folders get the folders into their keys, so that no two have the same.
fn qualify(files: &mut [SoundFile]) {
    let mut seen = HashSet::new();
    let repeated: HashSet<String> =
        files.iter().filter(|file| !seen.insert(file.key.clone())).map(|file| file.key.clone()).collect();
    for file in files.iter_mut().filter(|file| repeated.contains(&file.key)) {
        if let Some((folder, _)) = file.name.rsplit_once('/') {
            file.key = format!("{}/{}", folder.replace('.', "_"), file.key);
        }
    }
}

fn of_files(files: Vec<SoundFile>) -> Result<Vec<Source>, Error> {
    let chunks = files.chunks(FILES_PER_SOURCE).map(|chunk| {
        let mut fingerprint = Fingerprint::new();
        for file in chunk {
            fingerprint = fingerprint.with(&file.key).with(&file.name);
            // A file that is not there is that row's fault, not the run's.
            fingerprint = match FileFingerprint::of(&file.path) {
                Ok(content) => fingerprint.with_file(&content),
                Err(_) => fingerprint.with("missing"),
            };
        }
        Ok(Source { fingerprint: fingerprint.finish(), kind: Kind::Files(chunk.to_vec()), limit: u64::MAX })
    });
    chunks.collect()
}

fn lines(path: &Path) -> Result<Vec<Line>, Error> {
    let failed = |line: u64, error: &csv::Error| {
        let problem = format!("line {line}: {error}\nhint: the first line names the columns: path or text, and key");
        Error::from(CoreError::input(path, problem))
    };
    let delimiter = if is(path, &[".tsv"]) { b'\t' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .from_path(path)
        .map_err(|error| CoreError::input(path, error.to_string()))?;
    let rows = reader.deserialize().enumerate();
    rows.map(|(n, row)| row.map_err(|error| failed(n as u64 + 2, &error))).collect()
}

fn listed_sounds(list: &Path) -> Result<Vec<SoundFile>, Error> {
    let folder = list.parent().unwrap_or(Path::new(""));
    let mut files = Vec::new();
    for (n, line) in lines(list)?.into_iter().enumerate() {
        let Some(name) = line.path.filter(|path| !path.is_empty()) else {
            let problem = format!("line {}: no `path`\nhint: a list of sounds has a column `path`", n + 2);
            return Err(CoreError::input(list, problem).into());
        };
        files.push(SoundFile { key: clip_key(&name, line.key.as_deref(), None), path: folder.join(&name), name });
    }
    if files.is_empty() {
        return Err(CoreError::input(list, "this list is empty").into());
    }
    qualify(&mut files);
    Ok(files)
}

fn listed_captions(list: &Path) -> Result<Vec<Source>, Error> {
    let content = FileFingerprint::of(list)?;
    let rows: Vec<(String, Option<String>)> = lines(list)?
        .into_iter()
        .map(|line| (clip_key("", line.key.as_deref(), line.path.as_deref()), line.text))
        .collect();
    if rows.iter().all(|(_, text)| text.is_none()) {
        return Err(CoreError::input(list, "no caption in it\nhint: a list of captions has a column `text`").into());
    }
    // As many captions as a shard of clips has.
    let chunks = rows.chunks(4096).enumerate().map(|(n, chunk)| Source {
        fingerprint: Fingerprint::new().with_file(&content).with(n.to_string()).finish(),
        kind: Kind::Captions(chunk.to_vec()),
        limit: u64::MAX,
    });
    Ok(chunks.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

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

    fn keys(sources: &[Source]) -> Vec<String> {
        let keys = sources.iter().flat_map(|source| match &source.kind {
            Kind::Tar(path) => vec![path.file_name().unwrap().to_string_lossy().into_owned()],
            Kind::Files(files) => files.iter().map(|file| file.key.clone()).collect(),
            Kind::Captions(rows) => rows.iter().map(|(key, _)| key.clone()).collect(),
        });
        keys.collect()
    }

    #[test]
    fn folders_of_sounds_are_searched_and_equal_names_told_apart() {
        let folder =
            folder(&[("b.wav", ""), ("x/rain v1.2.flac", ""), ("y/a.MP3", ""), ("z/a.wav", ""), ("notes.txt", "")]);
        let sources = list_sounds(&[folder.path().to_owned()]).unwrap();
        assert_eq!(keys(&sources), ["b", "rain v1_2", "y/a", "z/a"]);
    }

    #[test]
    fn tars_win_over_sounds_beside_them() {
        let folder = folder(&[("10.tar", ""), ("2.tar", ""), ("b.wav", "")]);
        assert_eq!(keys(&list_sounds(&[folder.path().to_owned()]).unwrap()), ["2.tar", "10.tar"]);
    }

    #[test]
    fn lists_name_sounds_and_captions() {
        let folder =
            folder(&[("s.csv", "key,path\nV (1.0-2.5),a.wav\n,b/c.flac\n"), ("t.csv", "key,text\nk,dog\nl,\n")]);
        let sounds = list_sounds(&[folder.path().join("s.csv")]).unwrap();
        assert_eq!(keys(&sounds), ["V (1_0-2_5)", "c"]);
        let captions = list_captions(&[folder.path().join("t.csv")]).unwrap();
        assert!(matches!(&captions[0].kind, Kind::Captions(rows) if rows[1] == ("l".to_owned(), None)));
    }

    #[test]
    fn what_is_no_input_is_refused_with_a_hint() {
        let folder = folder(&[("notes.txt", ""), ("empty.csv", "path\n"), ("bad.csv", "name\nx\n")]);
        for name in ["", "absent", "empty.csv", "bad.csv"] {
            let error = list_sounds(&[folder.path().join(name)]).unwrap_err().to_string();
            assert!(!error.is_empty(), "{name}");
        }
        assert!(list_captions(&[folder.path().to_owned()]).unwrap_err().to_string().contains("hint"));
    }
}
