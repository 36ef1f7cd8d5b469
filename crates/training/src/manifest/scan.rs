//! The examples of one shard, by its headers and its JSON; sounds are skipped.

use std::fs::File;

use audsem_core::blame::Blame;
use audsem_core::clips::{MAX_JSON_BYTES, clip_key, clip_of_question, parse_clip};
use audsem_core::files::hex;
use audsem_core::input::{file_bytes, open_file, read_at};
use audsem_core::run::{LeftOut, Outcome, ShardError, ShardOutput};
use audsem_core::suffix::is_audio;
use audsem_core::tables::write_parquet;
use audsem_core::tar::{Grouping, Member, MemberReader, MemberRole, TarError, TarInput};
use audsem_media::audio::probe_flac;
use sha2::{Digest, Sha256};

use super::example::{NumberedExample, examples};
use super::{DropReason, Fault};
use crate::tables::ManifestRow;

/// Bytes of a FLAC file that state its length.
const FLAC_HEAD_BYTES: u64 = 42;

/// Writes the table of one shard.
///
/// # Errors
/// The shard cannot be read at random places, or the disk fails.
pub(super) fn scan(tar: &TarInput, out: &mut ShardOutput) -> Result<(), ShardError> {
    let members = MemberReader::scan(&tar.path).map_err(ShardError::input)?;
    let members = members.metered(out.meter(file_bytes(&tar.path)));
    if !members.is_seekable() {
        let hint = "training reads samples in random order, which a compressed tar does not allow\nhint: decompress it";
        return Err(ShardError::input(format_args!("{}: {hint}", tar.path.display())));
    }
    let file = open_file(&tar.path).map_err(ShardError::from_core)?;
    let mut scanner = ShardScanner { path: tar.path.display().to_string(), name: &tar.name, file, rows: Vec::new() };
    scanner.read(members, out)?;
    let mut table = out.create(format!("scan-{}.parquet", out.name()))?;
    write_parquet(&scanner.rows, &mut table).map_err(ShardError::fatal)?;
    Ok(out.close(table)?)
}

/// A sample while its members are read.
#[derive(Debug, Default)]
struct Sample {
    key: String,
    /// Suffix, place and size of each sound.
    sounds: Vec<(String, u64, u64)>,
    /// Place and content of the JSON; content absent if it is too large.
    json: Option<(u64, u64, Option<Vec<u8>>)>,
}

struct ShardScanner<'a> {
    path: String,
    name: &'a str,
    /// The shard, opened again for the heads of its sounds.
    file: File,
    rows: Vec<ManifestRow>,
}

impl ShardScanner<'_> {
    fn read(&mut self, mut members: MemberReader, out: &mut ShardOutput) -> Result<(), ShardError> {
        let (mut grouping, mut current): (Grouping, Option<Sample>) = (Grouping::default(), None);
        let end = loop {
            let member = match members.next_member() {
                Ok(Some(member)) => member,
                Ok(None) => break None,
                Err(error) => break Some(error),
            };
            let (suffix, begins) = match grouping.role(&member) {
                MemberRole::Ignored => continue,
                MemberRole::Keyless => {
                    out.file_left_out(self.place(&member.name), LeftOut::drop(DropReason::NoKey, ""));
                    continue;
                }
                MemberRole::Part { suffix, begins } => (suffix, begins),
            };
            if begins {
                self.finish(current.take(), out)?;
            }
            let sample = current.get_or_insert_with(|| Sample { key: grouping.key().to_owned(), ..Sample::default() });
            if let Err(error) = sample.take(&suffix, &member, &mut members) {
                break Some(error);
            }
        };
        match end {
            None => self.finish(current, out),
            Some(error) => self.broken_off(error, current, out),
        }
    }

    /// Files the end of a damaged shard. Its last sample counts if every byte of it was there.
    fn broken_off(&mut self, error: TarError, last: Option<Sample>, out: &mut ShardOutput) -> Result<(), ShardError> {
        if error.blame() == Blame::Surroundings {
            return Err(ShardError::input(error));
        }
        let whole = matches!(error, TarError::NoEndMarker { .. } | TarError::TrailingData { .. });
        match last {
            Some(last) if !whole => {
                out.file_left_out(
                    self.place(&last.key),
                    LeftOut::fail(Fault::CorruptTar, "its bytes are not all there"),
                );
            }
            last => self.finish(last, out)?,
        }
        tracing::error!("{error}");
        out.file_left_out(self.name, LeftOut::fail(Fault::CorruptTar, error));
        Ok(())
    }

    fn finish(&mut self, sample: Option<Sample>, out: &mut ShardOutput) -> Result<(), ShardError> {
        let Some(sample) = sample else { return Ok(()) };
        let (place, examples) = (self.place(&sample.key), sample.examples());
        let examples = match examples {
            Ok(examples) => examples,
            Err(left_out) => {
                out.file_left_out(place, left_out);
                return Ok(());
            }
        };
        let base = self.row(&sample)?;
        out.work(base.audio_bytes as f64 / 1e6);
        for (pair, example) in examples {
            let key = example_key(&place, pair);
            let Some((text, numbers)) = out.file(key, example) else { continue };
            let text_bytes = u32::try_from(text.bytes()).unwrap_or(u32::MAX);
            self.rows.push(ManifestRow { pair, text_bytes, numbers, ..base.clone() });
        }
        Ok(())
    }

    /// What all examples of a sample have in common.
    fn row(&self, sample: &Sample) -> Result<ManifestRow, ShardError> {
        let name = clip_of_question(&sample.key);
        let video_id = parse_clip(name).ok().map(|clip| clip.video_id().to_owned());
        let (audio_suffix, audio_offset, audio_bytes) = sample.sounds.first().cloned().unwrap_or_default();
        let (json_offset, json_bytes, json) =
            sample.json.as_ref().map_or((0, 0, None), |(at, n, json)| (*at, *n, json.as_ref()));
        Ok(ManifestRow {
            tar: self.path.clone(),
            key: sample.key.clone(),
            pair: None,
            clip: clip_key(name),
            video_id,
            json_offset,
            json_bytes,
            json_sha256: json.map(|json| hex(&Sha256::digest(json))).unwrap_or_default(),
            audio_offset,
            audio_bytes,
            duration_ms: self.duration_ms(&audio_suffix, audio_offset, audio_bytes)?,
            audio_suffix,
            text_bytes: 0,
            numbers: Vec::new(),
        })
    }

    fn duration_ms(&self, suffix: &str, offset: u64, bytes: u64) -> Result<Option<u32>, ShardError> {
        if suffix != "flac" {
            return Ok(None);
        }
        let head = read_at(&self.file, offset, bytes.min(FLAC_HEAD_BYTES)).map_err(ShardError::input)?;
        let seconds = probe_flac(&head).and_then(|info| info.duration_s());
        Ok(seconds.map(|seconds| (seconds * 1000.0).round().min(f64::from(u32::MAX)) as u32))
    }

    /// The key of a record in rejects files.
    fn place(&self, key: &str) -> String {
        format!("{}: {key}", self.name)
    }
}

impl Sample {
    fn take(&mut self, suffix: &str, member: &Member, members: &mut MemberReader) -> Result<(), TarError> {
        if suffix == "json" {
            let mut bytes = Vec::new();
            let is_read = member.size <= MAX_JSON_BYTES;
            if is_read {
                members.read_payload(&mut bytes)?;
            }
            self.json = Some((member.offset, member.size, is_read.then_some(bytes)));
        } else if is_audio(suffix) {
            self.sounds.push((suffix.to_owned(), member.offset, member.size));
        }
        Ok(())
    }

    fn examples(&self) -> Outcome<Vec<NumberedExample>> {
        let fail = |fault, detail: String| Err(LeftOut::fail(fault, detail));
        match self.sounds.as_slice() {
            [] => return fail(Fault::NoSound, String::new()),
            [(suffix, _, 0)] => return fail(Fault::EmptySound, suffix.clone()),
            [_] => {}
            several => {
                let suffixes: Vec<&str> = several.iter().map(|(suffix, ..)| suffix.as_str()).collect();
                return fail(Fault::SeveralSounds, suffixes.join(", "));
            }
        }
        let found = match &self.json {
            None => return fail(Fault::NoJson, String::new()),
            Some((_, bytes, None)) => return fail(Fault::BadJson, format!("{bytes} bytes")),
            Some((_, _, Some(json))) => examples(json)?,
        };
        if found.is_empty() { fail(Fault::NoQuestion, "qa_pairs is empty".to_owned()) } else { Ok(found) }
    }
}

/// The key of an example: that of its sample, with the number of the pair where the sample has several.
#[must_use]
pub fn example_key(key: &str, pair: Option<u32>) -> String {
    pair.map_or_else(|| key.to_owned(), |pair| format!("{key}_qa_{pair}"))
}
