//! Plans which files are packed, under which key and with which metadata, before any is read.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::error::Error as CoreError;
use audsem_core::input::{is_file, is_folder, open_plain};
use audsem_core::run::{FileState, Fingerprint, LeftOut, Outcome, Reads, RunOptions, check_growing, is_place};
use audsem_core::suffix::is_video;
use audsem_core::walk::Walk;

use super::Config;
use super::table::ClipTable;
use crate::error::Error;
use crate::reason::DropReason;

/// A media file and how it is packed.
#[derive(Debug)]
pub(super) struct Candidate {
    /// Where it is.
    pub path: PathBuf,
    /// Its file name.
    pub name: String,
    /// Its sample, or why it has none.
    pub outcome: Outcome<Packable>,
    /// Hash of its size and ends.
    content: Reads,
}

/// A clip as a sample of a tar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packable {
    /// Key of the sample.
    pub key: String,
    /// Suffix of the media member.
    pub suffix: String,
    /// The JSON member.
    pub json: Vec<u8>,
}

/// All media files in the order of their names.
pub(super) struct Plan {
    pub candidates: Vec<Candidate>,
    /// Files of the clip table.
    pub tables: Vec<PathBuf>,
    /// Columns of the table that JSON cannot represent.
    pub columns_without_json: BTreeSet<String>,
    /// Files in the folders that are not media.
    pub other_files: u64,
    /// Videos of which there are clips.
    pub videos: BTreeSet<String>,
}

pub(super) fn plan(config: &Config, options: &RunOptions) -> Result<Plan, Error> {
    let (mut media, mut other_files) = (Vec::new(), 0);
    for (order, input) in config.inputs.iter().enumerate() {
        let folder = folder_of_clips(input)?;
        check_growing(&folder)?;
        let files = files_in(&folder)?;
        let n_files = files.len();
        let with_extension = |path: PathBuf| extension(&path).map(|extension| (order, path, extension));
        let here: Vec<(usize, PathBuf, String)> = files.into_iter().filter_map(with_extension).collect();
        if here.is_empty() {
            return Err(Error::NoMedia { path: folder });
        }
        other_files += (n_files - here.len()) as u64;
        media.extend(here);
    }
    media.sort_by(|(_, a, _), (_, b, _)| a.file_name().cmp(&b.file_name()));
    media.truncate(options.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)));
    // A clip that several folders have is that of the folder named first, whatever the names of its files.
    media.sort_by_key(|(order, ..)| *order);
    let named: Vec<(PathBuf, String, Outcome<ClipId>)> = media
        .into_iter()
        .map(|(_, path, extension)| {
            let clip = file_name(&path).parse::<ClipId>();
            (path, extension, clip.map_err(|error| LeftOut::drop(DropReason::BadName, error.to_string())))
        })
        .collect();
    let video = |(_, _, clip): &(_, _, Result<ClipId, _>)| Some(clip.as_ref().ok()?.video_id().to_owned());
    let videos: BTreeSet<String> = named.iter().filter_map(video).collect();
    let table = ClipTable::read(&config.table, &videos)?;
    let mut keys = HashMap::new();
    let candidates = named.into_iter().map(|(path, extension, clip)| {
        let name = file_name(&path);
        let suffix = if config.video.is_some() { "mp4".to_owned() } else { extension };
        let outcome = clip.and_then(|clip| packable(&clip, &path, suffix, &table, &mut keys));
        Ok(Candidate { content: ends(&path)?, path, name, outcome })
    });
    let mut candidates = candidates.collect::<Result<Vec<_>, Error>>()?;
    candidates.sort_by(|a, b| a.path.file_name().cmp(&b.path.file_name()));
    let ClipTable { files: tables, columns_without_json, .. } = table;
    Ok(Plan { candidates, other_files, videos, tables, columns_without_json })
}

/// Where the clips lie: in the folder itself, or in `clips` where it is the output of `download`.
fn folder_of_clips(input: &Path) -> Result<PathBuf, Error> {
    if is_file(input)? {
        let problem = "expected the folder with the clips but this is a file\nhint: --input names the folder";
        return Err(CoreError::input(input, problem).into());
    }
    let clips = input.join("clips");
    Ok(if is_file(&input.join("run.json"))? && is_folder(&clips)? { clips } else { input.to_owned() })
}

/// The files directly in a folder, and in the places over which `download` spreads them.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let is_here = |name: &str| match name.split_once('/') {
        None => true,
        Some((place, name)) => is_place(place) && !name.contains('/'),
    };
    let found = Walk::deep().files(folder, |_| true).map_err(CoreError::from)?;
    Ok(found.into_iter().filter(|file| is_here(&file.name)).map(|file| file.path).collect())
}

fn packable(
    clip: &ClipId,
    path: &Path,
    suffix: String,
    table: &ClipTable,
    keys: &mut HashMap<String, PathBuf>,
) -> Outcome<Packable> {
    let (key, name) = (clip.tar_key(), file_name(path));
    if let Some(earlier) = keys.get(&key) {
        let is_beside = earlier.parent() == path.parent();
        let detail = if is_beside { file_name(earlier) } else { earlier.display().to_string() };
        return Err(LeftOut::drop(DropReason::DuplicateKey, detail));
    }
    let Some(row) = table.find(clip) else {
        let detail = format!("no row of {} starts or ends with the clip", clip.video_id());
        return Err(LeftOut::drop(DropReason::NoMetadata, detail));
    };
    keys.insert(key.clone(), path.to_owned());
    Ok(Packable { json: row.json(&name, &key), key, suffix })
}

/// Hash of what a shard reads. Media are identified by name, size and their first and last 4 KiB, because hashing
/// all of them would read everything twice.
pub(super) fn fingerprint(work: &[Candidate]) -> Reads {
    let mut fingerprint = Fingerprint::new();
    for candidate in work {
        let outcome = match &candidate.outcome {
            Ok(clip) => String::from_utf8_lossy(&clip.json).into_owned(),
            Err(reason) => format!("{reason:?}"),
        };
        fingerprint = fingerprint.with(&candidate.name).with(&candidate.content).with(outcome);
    }
    fingerprint.finish()
}

fn ends(path: &Path) -> Result<Reads, Error> {
    const END: u64 = 4096;
    let read = || {
        let mut file = open_plain(path)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(END).read_to_end(&mut bytes)?;
        file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
        file.take(END).read_to_end(&mut bytes)?;
        let state = FileState::of(path)?;
        Ok(Fingerprint::new().with(length.to_le_bytes()).with(bytes).watching(state).finish())
    };
    Ok(read().map_err(CoreError::read(path))?)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The extension of a media file, in lower case.
fn extension(path: &Path) -> Option<String> {
    let extension = path.extension()?.to_str()?.to_lowercase();
    is_video(&extension).then_some(extension)
}
