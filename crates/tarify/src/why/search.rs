//! What a run folder holds about a key.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::error::Error as CoreError;
use audsem_core::json::MAX_RECORD_BYTES;
use audsem_core::run::{KnownReason, RejectDetail, RunFolder};
use audsem_core::suffix::{is_media, is_picture};
use audsem_core::tables::{CsvCues, JsonRows, is_csv};
use audsem_core::tar::{MemberReader, is_metadata, is_tar, split_key};
use serde::Serialize;
use serde_json::{Map, Value};

use super::nearest::Nearest;
use super::wanted::Wanted;
use crate::error::Error;

/// A record of a run folder that is about the key.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Finding {
    /// It went out.
    Kept {
        /// The key in its one spelling.
        key: String,
        /// The files that hold it, relative to the run folder.
        files: Vec<PathBuf>,
        /// What they say of it.
        values: Map<String, Value>,
    },
    /// It was left out.
    LeftOut(LeftOutRecord),
}

/// A line of the rejects with what is known of its reason.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeftOutRecord {
    /// The line.
    pub line: RejectDetail,
    /// What the reason means, and the flag and the limit of the rule.
    pub known: KnownReason,
    /// The rejects file, relative to the run folder.
    pub file: PathBuf,
}

impl Finding {
    /// Whether it says no more than that the record is there.
    fn is_bare(&self) -> bool {
        matches!(self, Self::Kept { values, .. } if values.is_empty())
    }

    /// The key in its one spelling.
    pub fn key(&self) -> &str {
        match self {
            Self::Kept { key, .. } => key,
            Self::LeftOut(record) => &record.line.key,
        }
    }
}

/// Columns that say which record a row is, not what became of it.
const NAMING: [&str; 10] =
    ["key", "video_id", "start_ms", "end_ms", "dur_ms", "row_id", "first_row_id", "text_hash", "shard", "file"];

/// Columns by which a row is found.
const KEYS: [&str; 4] = ["key", "clip", "original_filename", "file_name"];

/// Columns with the text of a row.
const TEXTS: [&str; 2] = ["text", "clean_text"];

/// The search through the folders of a pipeline.
pub(super) struct Search<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) nearest: Nearest,
    /// Texts of what was found, by which tables of texts are searched.
    pub(super) texts: Vec<String>,
}

impl Search<'_> {
    /// All that a folder holds.
    pub(super) fn folder(&mut self, record: &RunFolder) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        for file in record.outputs()? {
            let path = record.folder.join(&file);
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
                "jsonl" if name.starts_with("rejects-") => self.rejects(record, &path, &file, &mut findings)?,
                "jsonl" => self.lines(&path, &file, &mut findings)?,
                "parquet" => self.table(&path, &file, &mut findings)?,
                "csv" if name.starts_with("part-") && is_csv(&path) => self.csv(&path, &file, &mut findings)?,
                _ if is_tar(&name) => self.tar(&path, &file, &mut findings)?,
                // The media of `download` and the tracks of `fetch-captions` are called after what they are.
                ending if is_media(ending) || is_picture(ending) || file.starts_with("subtitles") => {
                    self.named(&name, &file, &mut findings);
                }
                _ => {}
            }
        }
        // A clip in tables and in tars of one folder is one finding.
        findings.sort_by_key(|finding| (finding.key().to_owned(), finding.is_bare()));
        findings.dedup_by(merge);
        // What is said of a whole video is said of its clips where nothing is said of these. The cues of `extract` are told by name.
        if !matches!(self.wanted, Wanted::Video { .. }) {
            let is_own = |finding: &Finding| self.wanted.fits(finding.key()).is_some();
            if record.command == "extract" || findings.iter().any(is_own) {
                let of_video = |finding: &Finding| self.wanted.is_of_video(finding.key());
                findings.retain(|finding| !of_video(finding));
            }
        }
        for finding in &findings {
            if let Finding::Kept { values, .. } = finding {
                let texts = TEXTS.iter().filter_map(|column| values.get(*column).and_then(Value::as_str));
                self.texts.extend(texts.map(str::to_owned));
            }
        }
        self.texts.sort();
        self.texts.dedup();
        Ok(findings)
    }

    /// The one spelling of a key that fits, also of one that is a part of a clip, as `KEY_qa_1` is.
    fn fits(&self, key: &str) -> Option<String> {
        let of_a_clip = || key.rsplit_once(')').map(|(clip, _)| format!("{clip})"));
        self.wanted.fits(key).or_else(|| self.wanted.fits(&of_a_clip()?))
    }

    fn rejects(
        &mut self,
        record: &RunFolder,
        path: &Path,
        file: &Path,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Error> {
        for line in BufReader::new(audsem_core::input::open(path)?).lines() {
            let line = line.map_err(CoreError::read(path))?;
            let damaged = |error| CoreError::input(path, format!("a line of the rejects is not one: {error}"));
            let line: RejectDetail = serde_json::from_str(&line).map_err(damaged)?;
            self.nearest.see(&line.key);
            let key = match self.fits(&line.key) {
                Some(key) => key,
                // Tables of texts name records by their text.
                None if self.texts.binary_search(&line.key).is_ok() => line.key.clone(),
                // A video without what was looked for loses all of its clips; the speech of one does not.
                None if line.records == 1 && self.wanted.is_of_video(&line.key) => line.key.clone(),
                None => continue,
            };
            let known = record.reasons.get(&line.step).and_then(|step| step.get(&line.reason)).cloned();
            let line = RejectDetail { key, ..line };
            findings.push(Finding::LeftOut(LeftOutRecord {
                line,
                known: known.unwrap_or_default(),
                file: file.to_owned(),
            }));
        }
        Ok(())
    }

    fn table(&mut self, path: &Path, file: &Path, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let rows = JsonRows::open(path)?;
        let columns: Vec<String> = rows.columns().iter().filter(|column| *column != "vec").cloned().collect();
        let rows = rows.with_columns(&columns.iter().map(String::as_str).collect::<Vec<_>>());
        for group in rows.groups() {
            let group = group?;
            let reader = group.reader();
            for i in 0..group.len() {
                if let Some(key) = self.key_of(&|column| reader.value(column, i), &columns) {
                    let row = reader.row(i).into_iter();
                    let told =
                        row.filter(|(name, value)| !NAMING.contains(&&**name) && !value.is_array() && !value.is_null());
                    findings.push(Finding::Kept { key, files: vec![file.to_owned()], values: told.collect() });
                }
            }
        }
        Ok(())
    }

    /// The key of a row, if it is about what is looked for: by its key, by video and times, else by its text.
    fn key_of(&mut self, value: &dyn Fn(&str) -> Value, columns: &[String]) -> Option<String> {
        let has = |name: &str| columns.iter().any(|column| column == name);
        let number = |name: &str| value(name).as_u64().and_then(|n| u32::try_from(n).ok());
        let named = KEYS.iter().filter(|name| has(name)).find_map(|name| value(name).as_str().map(str::to_owned));
        let by_times = || {
            let (video_id, start_ms) = (value("video_id").as_str()?.to_owned(), number("start_ms")?);
            let end_ms = if has("end_ms") { number("end_ms") } else { start_ms.checked_add(number("dur_ms")?) };
            let clip = end_ms.and_then(|end_ms| ClipId::new(&*video_id, start_ms, end_ms).ok());
            Some(clip.map_or_else(|| format!("{video_id}@{}", f64::from(start_ms) / 1000.0), |clip| clip.tar_key()))
        };
        let key = named.or_else(|| if has("video_id") && has("start_ms") { by_times() } else { None });
        match key {
            Some(key) => {
                self.nearest.see(&key);
                self.wanted.fits(&key)
            }
            None if !has("key") && !has("video_id") => {
                let text =
                    TEXTS.iter().filter(|name| has(name)).find_map(|name| value(name).as_str().map(str::to_owned))?;
                self.texts.binary_search(&text).is_ok().then_some(text)
            }
            None => None,
        }
    }

    fn csv(&mut self, path: &Path, file: &Path, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let Ok(cues) = CsvCues::new(&path.display().to_string(), audsem_core::input::open(path)?) else {
            return Ok(());
        };
        for cue in cues.flatten() {
            let Some(clip) = cue
                .start_ms
                .checked_add(cue.dur_ms)
                .and_then(|end| ClipId::new(&*cue.video_id, cue.start_ms, end).ok())
            else {
                continue;
            };
            self.nearest.see(&clip.tar_key());
            if let Some(key) = self.wanted.fits(&clip.tar_key()) {
                let values = Map::from_iter([("text".to_owned(), Value::from(cue.text))]);
                findings.push(Finding::Kept { key, files: vec![file.to_owned()], values });
            }
        }
        Ok(())
    }

    fn lines(&mut self, path: &Path, file: &Path, findings: &mut Vec<Finding>) -> Result<(), Error> {
        for line in BufReader::new(audsem_core::input::open(path)?).lines() {
            let line = line.map_err(CoreError::read(path))?;
            if let Ok(Value::Object(row)) = serde_json::from_str(&line) {
                self.row(row, file, findings);
            }
        }
        Ok(())
    }

    fn tar(&mut self, path: &Path, file: &Path, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let unreadable = |error: audsem_core::tar::TarError| CoreError::input(path, error.to_string());
        let mut members = MemberReader::scan(path).map_err(unreadable)?.max_member_bytes(MAX_RECORD_BYTES as u64);
        let mut payload = Vec::new();
        while let Some(member) = members.next_member().map_err(unreadable)? {
            if !member.is_file || is_metadata(&member.name) {
                continue;
            }
            let (key, suffix) = split_key(&member.name).unwrap_or((&member.name, String::new()));
            if key.parse::<ClipId>().is_ok() || suffix != "json" {
                self.named(key, file, findings);
                continue;
            }
            // Samples that are numbered say in their JSON which clip they are. One that is too large is left to `check`.
            if members.read_payload(&mut payload).is_ok()
                && let Ok(Value::Object(row)) = serde_json::from_slice::<Value>(&payload)
            {
                self.row(row, file, findings);
            }
        }
        Ok(())
    }

    /// A JSON object that may be about what is looked for.
    fn row(&mut self, row: Map<String, Value>, file: &Path, findings: &mut Vec<Finding>) {
        let columns: Vec<String> = row.keys().cloned().collect();
        let Some(key) = self.key_of(&|column| row.get(column).cloned().unwrap_or_default(), &columns) else { return };
        let told = row.into_iter().filter(|(name, value)| {
            !NAMING.contains(&&**name) && !value.is_array() && !value.is_object() && !value.is_null()
        });
        findings.push(Finding::Kept { key, files: vec![file.to_owned()], values: told.collect() });
    }

    /// A file or sample that is called after its clip or video.
    fn named(&mut self, name: &str, file: &Path, findings: &mut Vec<Finding>) {
        let key = match name.parse::<ClipId>() {
            Ok(clip) => clip.tar_key(),
            // `VIDEO.en.vtt`, and samples that are no clips: the parts of a question have a number behind the key.
            Err(_) => name.split_once('.').map_or(name, |(video_id, _)| video_id).to_owned(),
        };
        self.nearest.see(&key);
        if let Some(key) = self.fits(&key) {
            findings.push(Finding::Kept { key, files: vec![file.to_owned()], values: Map::new() });
        }
    }
}

/// Takes a finding into the one before it, if both say that the same record was kept.
fn merge(later: &mut Finding, first: &mut Finding) -> bool {
    let (Finding::Kept { key: again, files: more, values: said }, Finding::Kept { key, files, values }) =
        (later, first)
    else {
        return false;
    };
    if key != again {
        return false;
    }
    more.retain(|file| !files.contains(file));
    files.append(more);
    for (name, value) in std::mem::take(said) {
        values.entry(name).or_insert(value);
    }
    true
}
