//! Audio shards as inputs: which tars a command line names, and the clips in them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::run::{FileFingerprint, Fingerprint};
use audsem_core::suffix::{is_audio, is_media};
use audsem_core::tar::{Member, MemberReader, Sample, SampleReader, TarError, is_metadata, split_key, tars_under};
use serde_json::{Map, Value};

use crate::error::Error;

/// JSON larger than this is not looked at for a name.
const MAX_JSON_BYTES: u64 = 64 << 20;

/// A tar to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarInput {
    /// Where it is.
    pub path: PathBuf,
    /// Hash of its name and content.
    pub fingerprint: String,
}

impl TarInput {
    /// Its file name.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// The tars of a source: itself, or those directly in the folder, sorted by the first number in their
/// names (`2.tar` before `10.tar`), then by name.
///
/// # Errors
/// It does not exist, is a folder without tars, or one whose run has not ended.
pub fn list_tars(source: &Path) -> Result<Vec<TarInput>, Error> {
    tars_under(source)?
        .into_iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let fingerprint = Fingerprint::new().with(name).with_file(&FileFingerprint::of(&path)?).finish();
            Ok(TarInput { path, fingerprint })
        })
        .collect()
}

/// What the JSON of a sample says about its clip. Each field is taken by itself: one of a strange type spoils no other.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Described {
    key: Option<String>,
    original_filename: Option<String>,
    text: Option<String>,
    /// Why the JSON does not tell what the clip is called.
    problem: Option<String>,
}

impl Described {
    fn of(json: &[u8]) -> Self {
        let fields: Map<String, Value> = match serde_json::from_slice(json) {
            Ok(fields) => fields,
            Err(error) => return Self { problem: Some(format!("its JSON: {error}")), ..Self::default() },
        };
        let text = |field| fields.get(field).and_then(Value::as_str).map(str::to_owned);
        let (key, original_filename) = (text("key"), text("original_filename"));
        let is_strange = |field: &&str| fields.get(*field).is_some_and(|value| !value.is_null() && !value.is_string());
        let problem = match (&key, &original_filename) {
            // With no other name the sample's own would stand for a clip that is called otherwise.
            (None, None) => ["key", "original_filename"].into_iter().find(is_strange),
            _ => None,
        };
        let problem = problem.map(|field| format!("its JSON: `{field}` is not a string"));
        Self { key, original_filename, text: text("text"), problem }
    }

    fn too_large(n_bytes: u64) -> Self {
        Self { problem: Some(format!("its JSON has {n_bytes} bytes")), ..Self::default() }
    }
}

/// A sample of a shard, without its sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipEntry {
    /// The clip's tar key, or what names the sample in its place.
    pub key: String,
    /// The sample's own name in the tar.
    pub sample: String,
    /// The caption, where the JSON has one.
    pub text: Option<String>,
    /// Suffix of its sound, place in the tar and size, where it has one.
    pub sound: Option<(String, u64, u64)>,
    /// Why its JSON does not tell what the clip is called; its key is then a guess.
    pub problem: Option<String>,
}

/// The one key of a clip, however it is named: JSON `key`, else `original_filename`, else the name of
/// the sample. What names no clip keeps its last path component, without a known extension and with
/// dots as underscores.
pub fn clip_key(sample: &str, key: Option<&str>, original_filename: Option<&str>) -> String {
    let name = [key, original_filename].into_iter().flatten().find(|name| !name.trim().is_empty()).unwrap_or(sample);
    if let Ok(clip) = name.parse::<ClipId>() {
        return clip.tar_key();
    }
    let last = name.rsplit('/').next().unwrap_or(name);
    let stem = match last.rsplit_once('.') {
        Some((stem, extension)) if is_media(extension) || extension.eq_ignore_ascii_case("json") => stem,
        _ => last,
    };
    stem.replace('.', "_")
}

/// A sample while its members go by.
#[derive(Default)]
struct Gathered {
    sample: String,
    described: Described,
    sound: Option<(String, u64, u64)>,
}

impl Gathered {
    fn entry(self) -> ClipEntry {
        let Described { key, original_filename, text, problem } = self.described;
        let key = clip_key(&self.sample, key.as_deref(), original_filename.as_deref());
        ClipEntry { key, sample: self.sample, text, sound: self.sound, problem }
    }
}

/// Goes through the samples of a tar. Headers and JSON are read, sounds are passed over.
///
/// # Errors
/// The tar is damaged; samples before the damage have been visited.
pub fn scan(path: &Path, mut visit: impl FnMut(ClipEntry)) -> Result<(), TarError> {
    let mut members = MemberReader::scan(path)?;
    let (mut current, mut buffer): (Option<Gathered>, Vec<u8>) = (None, Vec::new());
    while let Some(member) = members.next_member()? {
        let Some((sample, suffix)) = keyed(&member) else { continue };
        if current.as_ref().is_none_or(|gathered| gathered.sample != sample) {
            if let Some(done) = current.take() {
                visit(done.entry());
            }
            current = Some(Gathered { sample, ..Gathered::default() });
        }
        let Some(gathered) = &mut current else { continue };
        if suffix == "json" && member.size > MAX_JSON_BYTES {
            gathered.described = Described::too_large(member.size);
        } else if suffix == "json" {
            members.read_payload(&mut buffer)?;
            gathered.described = Described::of(&buffer);
        } else if gathered.sound.is_none() && is_audio(&suffix) {
            gathered.sound = Some((suffix, member.offset, member.size));
        }
    }
    if let Some(done) = current {
        visit(done.entry());
    }
    Ok(())
}

fn keyed(member: &Member) -> Option<(String, String)> {
    if !member.is_file || is_metadata(&member.name) {
        return None;
    }
    split_key(&member.name).map(|(key, suffix)| (key.to_owned(), suffix))
}

/// Hands the sounds of the samples that `wanted` accepts to `visit`. In a plain tar only those are read.
///
/// # Errors
/// The tar is damaged, or `visit` fails.
pub fn for_each_sound<E: From<TarError>>(
    path: &Path,
    wanted: impl FnMut(&ClipEntry) -> bool,
    visit: impl FnMut(&ClipEntry, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    for_each_head(path, u64::MAX, wanted, visit)
}

/// The same with the first `most` bytes of each sound.
///
/// # Errors
/// As [`for_each_sound`].
pub fn for_each_head<E: From<TarError>>(
    path: &Path,
    most: u64,
    mut wanted: impl FnMut(&ClipEntry) -> bool,
    mut visit: impl FnMut(&ClipEntry, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    if !MemberReader::scan(path)?.is_seekable() {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        return stream_sounds(path, wanted, |entry, bytes| visit(entry, &bytes[..bytes.len().min(most)]));
    }
    let mut entries = Vec::new();
    scan(path, |entry| {
        if wanted(&entry) {
            entries.push(entry);
        }
    })?;
    let failed = |source| TarError::Read { path: path.to_owned(), offset: 0, source };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    for entry in &entries {
        let Some((_, offset, size)) = entry.sound else { continue };
        bytes.resize(usize::try_from(size.min(most)).unwrap_or(usize::MAX), 0);
        file.read_exact_at(&mut bytes, offset).map_err(failed)?;
        visit(entry, &bytes)?;
    }
    Ok(())
}

/// The same for compressed tars, which can only be read from the beginning.
fn stream_sounds<E: From<TarError>>(
    path: &Path,
    mut wanted: impl FnMut(&ClipEntry) -> bool,
    mut visit: impl FnMut(&ClipEntry, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = SampleReader::open(path)?;
    while let Some(sample) = reader.next_sample()? {
        let entry = entry_of(&sample);
        if wanted(&entry)
            && let Some((suffix, _, _)) = &entry.sound
            && let Some(bytes) = sample.get(suffix)
        {
            visit(&entry, bytes)?;
        }
        reader.recycle(sample);
    }
    Ok(())
}

fn entry_of(sample: &Sample) -> ClipEntry {
    let described = match sample.get("json") {
        Some(json) if json.len() as u64 > MAX_JSON_BYTES => Described::too_large(json.len() as u64),
        Some(json) => Described::of(json),
        None => Described::default(),
    };
    let sound = sample.members.iter().find(|(suffix, _)| is_audio(suffix));
    let sound = sound.map(|(suffix, bytes)| (suffix.clone(), 0, bytes.len() as u64));
    Gathered { sample: sample.key.clone(), described, sound }.entry()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_clip_is_one_key() {
        let check = |sample, key, file, expected: &str| assert_eq!(clip_key(sample, key, file), expected);
        check("17", Some("V (1_0-3_5)"), Some("W (1.0-3.5).mp4"), "V (1_0-3_5)");
        check("17", None, Some("tar/V (1.0-3.5).mp4"), "V (1_0-3_5)");
        check("17", Some(" "), Some("V (1.0-3.5)"), "V (1_0-3_5)");
        check("V (1_0-3_5)", None, None, "V (1_0-3_5)");
        // C17: the last dot is no extension when what follows is none.
        check("17", None, Some("dogs/a.b (x.y).flac"), "a_b (x_y)");
        check("17", None, Some("rain v1.2"), "rain v1_2");
        check("17", None, None, "17");
    }

    #[test]
    fn json_is_read_field_by_field_and_never_renames_a_clip() {
        let check = |json: &str, key: Option<&str>, text: Option<&str>, problem: &str| {
            let described = Described::of(json.as_bytes());
            let name = described.key.as_deref().or(described.original_filename.as_deref());
            assert_eq!((name, described.text.as_deref()), (key, text), "{json}");
            assert!(described.problem.unwrap_or_default().contains(problem), "{json}");
        };
        check(r#"{"original_filename": "V (1.0-2.0).mp4", "text": ["dog", "cat"]}"#, Some("V (1.0-2.0).mp4"), None, "");
        check(r#"{"key": 5, "original_filename": "V", "text": "dog", "other": [1]}"#, Some("V"), Some("dog"), "");
        check(r#"{"key": null, "text": "dog"}"#, None, Some("dog"), "");
        check(r#"{"original_filename": 17, "text": "dog"}"#, None, Some("dog"), "`original_filename` is not a string");
        check(r#"{"key": "V", "text": "#, None, None, "EOF");
        check("[1, 2]", None, None, "its JSON");
        check("", None, None, "its JSON");
    }
}
