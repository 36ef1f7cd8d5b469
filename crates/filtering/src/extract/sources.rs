//! Which files an input names, and what they are.

use std::cell::Cell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use audsem_core::error::{Error, Result};
use audsem_core::input::is_file;
use audsem_core::run::{check_growing, is_place};
use audsem_core::suffix::{AUDIO, VIDEO, is_media};
use audsem_core::tar::{MemberReader, is_metadata, is_tar};
use audsem_core::walk::{FoundFile, Walk};

use super::subtitles::{Naming, TrackName, parse_name};

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptionSourceKind {
    /// JSON objects, one video each.
    Dump,
    /// Subtitle files.
    Tar,
    /// One track of one video.
    Subtitles,
}

/// One input file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptionSource {
    /// Where it lies.
    pub path: PathBuf,
    /// Its name in rejects: relative to the folder that was given, so that a moved input is the same.
    pub name: String,
    /// What it holds.
    pub kind: CaptionSourceKind,
    /// Whose captions a subtitle file holds.
    pub track: Option<TrackName>,
    /// The same track in less exact formats, the best first: one of them is read where this file is of no use.
    pub others: Vec<CaptionSource>,
}

/// The files behind the inputs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// In the order of the inputs, sorted by name within a folder.
    pub files: Vec<CaptionSource>,
    /// Subtitle files behind others, since the same track is there in a more exact format.
    pub n_other_format: u64,
}

/// Finds the input files: those given, and those in the folders given (and their folders) that are
/// captions by their name.
///
/// # Errors
/// If an input cannot be read, there is nothing to read, or the captions of two videos have one id.
pub fn find(inputs: &[PathBuf], naming: Naming<'_>) -> Result<Sources> {
    let mut sources = Sources::default();
    for input in inputs {
        let meta = std::fs::metadata(input).map_err(Error::read(input))?;
        if meta.is_dir() {
            check_growing(input)?;
            let mut found = in_folder(input, naming)?;
            sources.n_other_format += keep_best_format(&mut found);
            if found.is_empty() {
                let media = Walk::deep().files(input, |name| media_stem(name).is_some())?;
                let hint = media.first().map(|file| format!("\nhint: it holds media, such as {}; {MEDIA}", file.name));
                return Err(Error::input(input, NOTHING.to_owned() + &hint.unwrap_or_default()));
            }
            sources.files.append(&mut found);
        } else {
            let name = input.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if media_stem(&name).is_some() {
                return Err(Error::input(input, format!("this is a video or a sound, and no captions\nhint: {MEDIA}")));
            }
            let kind = kind_of(&name).unwrap_or(CaptionSourceKind::Dump);
            let track = parse_name(&name).map(|name| track_of_file(input, name.stem, naming)).transpose()?;
            sources.files.push(CaptionSource { path: input.clone(), name, kind, track, others: Vec::new() });
        }
    }
    refuse_shared_ids(&sources.files, naming)?;
    Ok(sources)
}

/// The track of a subtitle file that was named itself, of this stem.
fn track_of_file(file: &Path, stem: &str, naming: Naming<'_>) -> Result<TrackName> {
    // What the disk does not tell must not change whose captions they are.
    let trouble = Cell::new(None);
    let track = naming.track(stem, |stem| {
        is_medium_beside(file, stem).unwrap_or_else(|error| {
            trouble.set(Some(error));
            false
        })
    });
    trouble.into_inner().map_or(Ok(track), Err)
}

/// Whether there is a media file of this stem next to a file.
fn is_medium_beside(file: &Path, stem: &str) -> Result<bool> {
    for ending in VIDEO.iter().chain(&AUDIO).flat_map(|ending| [(*ending).to_owned(), ending.to_uppercase()]) {
        if is_file(&file.with_file_name(format!("{stem}.{ending}")))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where media go that stand where captions should.
const MEDIA: &str = "`extract` reads the captions beside them, and media go to `audsem-filtering download --source`";

const NOTHING: &str = "no dump (.json, .jsonl, .ndjson, .txt), tar or subtitle file (.vtt, .srt, .json3, .srv1-3, .ttml, \
     .sbv, .ass) in this folder; a file that is called otherwise must be named itself";

/// The content of a file by its name; `None` if it is not a caption file.
fn kind_of(name: &str) -> Option<CaptionSourceKind> {
    if parse_name(name).is_some() {
        return Some(CaptionSourceKind::Subtitles);
    }
    let lower = name.to_ascii_lowercase();
    let plain = [".gz", ".zst"].iter().find_map(|ending| lower.strip_suffix(ending)).unwrap_or(&lower);
    let ends = |endings: &[&str]| endings.iter().any(|ending| plain.ends_with(ending));
    if is_tar(&lower) || ends(&[".tar"]) {
        return Some(CaptionSourceKind::Tar);
    }
    // Other files that downloaders write next to the subtitles.
    if ends(&[".info.json", ".live_chat.json"]) {
        return None;
    }
    ends(&[".json", ".jsonl", ".ndjson", ".txt"]).then_some(CaptionSourceKind::Dump)
}

/// Collects the files of a folder and its folders that are captions by their name.
fn in_folder(folder: &Path, naming: Naming<'_>) -> Result<Vec<CaptionSource>> {
    let files = Walk::deep().files(folder, |name| kind_of(name).is_some() || media_stem(name).is_some())?;
    let media: HashSet<&str> = files.iter().filter_map(|file| media_stem(&file.name)).collect();
    // The records of a run folder are JSON, but not a dump.
    let is_run_record = |file: &&FoundFile| file.file_name() == "run.json";
    let run_folders: HashSet<&str> = files.iter().filter(is_run_record).map(|file| folder_of(&file.name)).collect();
    let source = |FoundFile { path, name }: &FoundFile| {
        let kind = kind_of(name)?;
        let naming = Naming { fetched: is_fetched(name, &run_folders), ..naming };
        let track = parse_name(name).map(|subtitles| naming.track(subtitles.stem, |stem| media.contains(stem)));
        Some(CaptionSource { path: path.clone(), name: name.clone(), kind, track, others: Vec::new() })
    };
    let is_record = |source: &CaptionSource| {
        let folder = folder_of(&source.name);
        let is_of_run = run_folders.contains(folder) || run_folders.contains(without_place(folder));
        source.kind == CaptionSourceKind::Dump && is_of_run
    };
    Ok(files.iter().filter_map(source).filter(|source| !is_record(source)).collect())
}

/// Whether a file lies where `fetch-captions` puts subtitle files in its run folder.
fn is_fetched(name: &str, run_folders: &HashSet<&str>) -> bool {
    let folder = without_place(folder_of(name));
    let (run, last) = folder.rsplit_once('/').unwrap_or(("", folder));
    last == "subtitles" && run_folders.contains(run)
}

/// The folder that a place is one of, where shards are spread; any other folder itself.
fn without_place(folder: &str) -> &str {
    match folder.rsplit_once('/').unwrap_or(("", folder)) {
        (above, place) if is_place(place) => above,
        _ => folder,
    }
}

/// The name of a media file without its ending; `None` of any other file.
fn media_stem(name: &str) -> Option<&str> {
    name.rsplit_once('.').filter(|(_, ending)| is_media(ending)).map(|(stem, _)| stem)
}

/// Checks that captions of two videos do not get the same id, unless the site has given it.
fn refuse_shared_ids(files: &[CaptionSource], naming: Naming<'_>) -> Result<()> {
    let mut owners = HashMap::new();
    for file in files {
        match (&file.kind, &file.track) {
            (CaptionSourceKind::Subtitles, Some(track)) => {
                own(&mut owners, file.path.with_file_name(last_of(&track.stem)), track)?;
            }
            (CaptionSourceKind::Tar, _) => {
                for stem in stems_in_tar(&file.path) {
                    let track = naming.track(&stem, |_| false);
                    own(&mut owners, file.path.join(&track.stem), &track)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Notes that the captions at `place` have the id of `track`.
fn own(owners: &mut HashMap<String, PathBuf>, place: PathBuf, track: &TrackName) -> Result<()> {
    let Ok(id) = &track.video_id else { return Ok(()) };
    if track.from_site {
        return Ok(());
    }
    match owners.entry(id.clone()) {
        Entry::Vacant(vacant) => drop(vacant.insert(place)),
        Entry::Occupied(owner) if *owner.get() != place => return Err(shared_id(id, owner.get(), &place)),
        Entry::Occupied(_) => {}
    }
    Ok(())
}

/// The error that two videos would have one id.
pub(crate) fn shared_id(id: &str, first: &Path, second: &Path) -> Error {
    let problem = format!(
        "`{id}` would be the id of two videos: {} and {}\nhint: give one folder that holds both and use `--id path`, or remove one",
        first.display(),
        second.display()
    );
    Error::Config { what: "--id".to_owned(), problem }
}

/// The subtitle files in a tar. Errors are reported when it is read.
fn stems_in_tar(path: &Path) -> Vec<String> {
    let mut stems = Vec::new();
    let Ok(mut members) = MemberReader::scan(path) else { return stems };
    while let Ok(Some(member)) = members.next_member() {
        if member.is_file && !is_metadata(&member.name) {
            stems.extend(parse_name(&member.name).map(|name| name.stem.to_owned()));
        }
    }
    stems
}

fn last_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Puts the subtitle files with the same name but for the format behind the most exact one; returns how many they are.
fn keep_best_format(files: &mut Vec<CaptionSource>) -> u64 {
    let track = |name: &str| {
        let plain = [".gz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
        plain.rsplit_once('.').map_or(plain, |(track, _)| track).to_owned()
    };
    let (mut kept, mut n_behind) = (Vec::new(), 0);
    let mut places = HashMap::new();
    for file in files.drain(..) {
        if file.kind != CaptionSourceKind::Subtitles {
            kept.push(file);
            continue;
        }
        match places.entry(track(&file.name)) {
            Entry::Vacant(vacant) => {
                vacant.insert(kept.len());
                kept.push(file);
            }
            Entry::Occupied(place) => {
                let best: &mut CaptionSource = &mut kept[*place.get()];
                best.others.push(file);
                n_behind += 1;
            }
        }
    }
    let rank = |file: &CaptionSource| (parse_name(&file.name).map(|name| name.format), file.name.clone());
    for file in kept.iter_mut().filter(|file| !file.others.is_empty()) {
        let mut all = std::mem::take(&mut file.others);
        all.push(file.clone());
        all.sort_by_key(rank);
        *file = all.remove(0);
        file.others = all;
    }
    *files = kept;
    n_behind
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use audsem_core::video_id::IdRule;

    use super::*;
    use crate::languages::Languages;

    #[test]
    fn kinds_by_name() {
        for (name, expected) in [
            ("dump.json", Some(CaptionSourceKind::Dump)),
            ("dump.JSONL.zst", Some(CaptionSourceKind::Dump)),
            ("subtitles.txt.gz", Some(CaptionSourceKind::Dump)),
            ("a.tar", Some(CaptionSourceKind::Tar)),
            ("a.tgz", Some(CaptionSourceKind::Tar)),
            ("a.tar.zst", Some(CaptionSourceKind::Tar)),
            ("a.tar.xz", Some(CaptionSourceKind::Tar)),
            ("abc.en.vtt", Some(CaptionSourceKind::Subtitles)),
            ("abc.en.dfxp", Some(CaptionSourceKind::Subtitles)),
            ("abc.en.sbv", Some(CaptionSourceKind::Subtitles)),
            ("abc.en.ASS", Some(CaptionSourceKind::Subtitles)),
            ("abc.en.webvtt.zst", Some(CaptionSourceKind::Subtitles)),
            ("abc.en.smi", Some(CaptionSourceKind::Subtitles)),
            ("abc.en.json3.gz", Some(CaptionSourceKind::Subtitles)),
            ("abc.info.json", None),
            ("abc.mp4", None),
        ] {
            assert_eq!(kind_of(name), expected, "{name}");
        }
    }

    #[test]
    fn one_format_of_each_track_is_kept() {
        let file = |name: &str| CaptionSource {
            path: name.into(),
            name: name.to_owned(),
            kind: CaptionSourceKind::Subtitles,
            track: None,
            others: Vec::new(),
        };
        let mut files =
            ["a.en.ass", "a.en.srt", "a.en.json3", "a.en.vtt", "b.en.srt", "b.en.vtt.gz", "c/a.en.srt", "c/a.en.lrc"]
                .map(file)
                .to_vec();
        assert_eq!(keep_best_format(&mut files), 5);
        let names = |files: &[CaptionSource]| files.iter().map(|file| file.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&files), ["a.en.json3", "b.en.vtt.gz", "c/a.en.srt"]);
        let others: Vec<_> = files.iter().map(|file| names(&file.others)).collect();
        assert_eq!(others, [vec!["a.en.vtt", "a.en.srt", "a.en.ass"], vec!["b.en.srt"], vec!["c/a.en.lrc"]]);
    }

    #[test]
    fn files_that_fetch_captions_has_fetched_keep_their_ids() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "runs/a/run.json",
            "runs/a/subtitles/night.en.vtt",
            "runs/b/run.json",
            "runs/b/subtitles/4f/night.en-GB.vtt",
        ] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "WEBVTT\n").unwrap();
        }
        let languages = Languages::english_and_variants();
        let naming = Naming { ids: IdRule::Auto, languages: &languages, fetched: false };
        for input in ["", "runs", "runs/a"] {
            let found = find(&[folder.path().join(input)], naming).unwrap().files;
            assert!(!found.is_empty());
            for file in found {
                assert_eq!(file.track.unwrap().video_id.as_deref(), Ok("night"), "{input}: {}", file.name);
            }
        }
    }
}
