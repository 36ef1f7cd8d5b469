//! Second step: finds the clips of the source tars that have text and usable audio, and their positions.

use std::io::{self, Write};
use std::path::PathBuf;

use audsem_core::clip_id::ClipId;
use audsem_core::error::Error as CoreError;
use audsem_core::input::{open_file, read_at};
use audsem_core::parallel::ordered_map;
use audsem_core::run::{
    FileFingerprint, Fingerprint, LeftOut, Outcome, OutputFile, ReadBack, Reads, Run, Shard, ShardError, ShardOutput,
    ShardOutputs, Step, StepOutputs,
};
use audsem_core::tar::{MAX_MEMBER_BYTES, MemberReader};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::audio::{AudioChecker, CheckedAudio, duration_class};
use super::catalogue::{Catalogue, Clip, Place};
use super::reason::{DropReason, Fault};
use super::records::Records;
use super::{Config, Task};
use crate::error::Error;

/// A clip that a record refers to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Candidate {
    /// Number of its record.
    pub record: u32,
    /// Its audio; `None` when that cannot be used (the rejects file says why).
    pub audio: Option<Audio>,
    /// What the source tar says of it, for tasks that store this.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub described: Option<Map<String, Value>>,
}

/// Where the FLAC of a clip lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Audio {
    /// First byte, in the source tar or in the payload file of this step.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
    /// Length in milliseconds.
    pub ms: u64,
}

/// What the step found in one source tar.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// The file that [`Audio::offset`] refers to if it is not the tar itself: the tar is compressed, or holds video.
    pub payloads: Option<PathBuf>,
    /// Hash of what was found.
    pub fingerprint: Reads,
    /// The clips, in the order of the tar.
    pub candidates: Vec<Candidate>,
}

/// Runs the step: one shard per source tar. `None` if it is not whole.
///
/// # Errors
/// As [`Run::execute_via`].
pub(super) fn step(run: &mut Run, config: &Config, records: &Records) -> Result<Option<StepOutputs<Scanned>>, Error> {
    let inputs = &run.inputs()[config.records.len()..];
    let shard = |(number, input): (usize, &FileFingerprint)| Shard {
        name: format!("{number:05}"),
        fingerprint: Fingerprint::new().with_file(input).with(&records.fingerprint).finish(),
        work: Scan { path: config.sources[number].clone() },
    };
    let plan: Vec<_> = inputs.iter().enumerate().map(shard).collect();
    let checker = AudioChecker::new(config);
    let step = Step { name: STEP, unit: "clips", physical: "MB" };
    run.must_keep(step).explain(DropReason::ALL).explain(Fault::ALL);
    let scan = |scan: &Scan, out: &mut ShardOutput| scan.run(config, records, &checker, out);
    Ok(run.execute_via(&ReadBack(Scanned::load), step, &plan, scan)?.whole())
}

/// Name of the step.
const STEP: &str = "scan";

/// Endings of the two files this step writes, behind `scan-00042`.
const CANDIDATES: &str = ".candidates.jsonl";
const PAYLOADS: &str = ".payloads";

/// Has the audio extracted again if shards must be written that need it: payload files are removed once all shards are
/// written ([`clear`]), and a shard may have been lost since.
///
/// # Errors
/// As [`Run::recall`].
pub(super) fn restore(run: &Run) -> Result<(), Error> {
    if run.options().dry_run || (run.is_intact(super::write::STEP)? && run.is_intact(super::write::SIZES)?) {
        return Ok(());
    }
    Ok(run.recall(STEP)?)
}

/// Removes the payload files, a second copy of what the shards now hold.
///
/// # Errors
/// As [`Run::discard`].
pub(super) fn clear(run: &Run) -> Result<(), Error> {
    Ok(run.discard(STEP, PAYLOADS)?)
}

/// The work of one shard.
struct Scan {
    path: PathBuf,
}

/// A clip with a record, on its way to the audio check.
struct Matched<'a> {
    clip: &'a Clip,
    id: ClipId,
    record: u32,
    media: Place,
    /// Its bytes; `None` to have them read by the thread that checks them.
    bytes: Option<io::Result<Vec<u8>>>,
}

impl Scan {
    fn run(
        &self,
        config: &Config,
        records: &Records,
        checker: &AudioChecker,
        out: &mut ShardOutput,
    ) -> Result<Scanned, ShardError> {
        let mut tar = MemberReader::scan(&self.path).map_err(ShardError::input)?;
        let catalogue = Catalogue::read(&mut tar, config.task).map_err(ShardError::input)?;
        out.count("other_members", catalogue.other_members);
        let mut found = Found { task: config.task, candidates: Vec::new(), payloads: None, written: 0 };
        let matched = self.match_records(&catalogue, records, out, &mut found.candidates);
        // A compressed tar cannot be read at an offset later, and a video's audio is made here.
        let store = !tar.is_seekable() || config.task == Task::Video;
        if store && !matched.is_empty() {
            found.payloads = Some(out.create(format!("scan-{}{PAYLOADS}", out.name()))?);
        }
        if tar.is_seekable() {
            let file = open_file(&self.path).map_err(ShardError::from_core)?;
            let wanted = if store { u64::MAX } else { checker.bytes_wanted() };
            check(
                checker,
                matched.into_iter(),
                |place: Place| read_at(&file, place.offset, place.size.min(wanted)),
                &mut found,
                out,
            )?;
        } else {
            let again = MemberReader::open(&self.path).map_err(ShardError::input)?;
            let unread = |_: Place| Err(io::Error::other("the payload was not read during the scan"));
            check(checker, InOrder::new(again, matched), unread, &mut found, out)?;
        }
        found.finish(out)
    }

    fn place(&self, sample: &str) -> String {
        format!("{}:{sample}", self.path.file_name().unwrap_or_default().to_string_lossy())
    }

    /// Leaves out what has no record or is broken before any audio is read.
    fn match_records<'a>(
        &self,
        catalogue: &'a Catalogue,
        records: &Records,
        out: &mut ShardOutput,
        candidates: &mut Vec<Candidate>,
    ) -> Vec<Matched<'a>> {
        let mut matched = Vec::new();
        for clip in &catalogue.clips {
            let id = match clip.id() {
                Ok(id) => id,
                Err(why) => {
                    out.file_left_out(self.place(&clip.sample), why);
                    continue;
                }
            };
            let place = self.place(&clip.sample);
            match (records.find(&id), clip.media) {
                (None, _) => out.file_left_out(id.tar_key(), LeftOut::drop(DropReason::NoRecord, place)),
                (Some(record), Some(media)) if media.size > MAX_MEMBER_BYTES => {
                    let detail = format!("{place} has {} bytes", media.size);
                    out.file_left_out(id.tar_key(), LeftOut::fail(Fault::TooLarge, detail));
                    candidates.push(Candidate { record, audio: None, described: None });
                }
                (Some(record), Some(media)) => matched.push(Matched { clip, id, record, media, bytes: None }),
                (Some(record), None) => {
                    out.file_left_out(id.tar_key(), LeftOut::fail(Fault::NoAudio, place));
                    candidates.push(Candidate { record, audio: None, described: None });
                }
            }
        }
        matched
    }
}

fn check<'a>(
    checker: &AudioChecker,
    matched: impl Iterator<Item = Matched<'a>> + Send,
    read: impl Fn(Place) -> io::Result<Vec<u8>> + Sync,
    found: &mut Found,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let check_audio = |mut matched: Matched<'a>| {
        let bytes = matched.bytes.take().unwrap_or_else(|| read(matched.media));
        // The tar was read to its end when its members were listed, so a read error now is not a fault of the clip.
        let bytes = bytes.map_err(|error| ShardError::Input(format!("{}: {error}", matched.id)))?;
        let checked = checker.check(&matched.id, bytes)?;
        Ok((matched, checked))
    };
    let workers = out.inner_workers();
    ordered_map(matched, workers, 2 * workers, check_audio, |checked: Result<_, ShardError>| {
        let (matched, checked) = checked?;
        out.work(matched.media.size as f64 / 1e6);
        found.take(matched, checked, out)
    })
}

/// Reads the payloads of chosen members of a tar that can only be read from its beginning.
struct InOrder<'a> {
    tar: MemberReader,
    next_member: u64,
    matched: std::vec::IntoIter<Matched<'a>>,
}

impl<'a> InOrder<'a> {
    fn new(tar: MemberReader, mut matched: Vec<Matched<'a>>) -> Self {
        matched.sort_by_key(|matched| matched.media.member);
        Self { tar, next_member: 0, matched: matched.into_iter() }
    }

    fn read(&mut self, place: Place) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(_member) = self.tar.next_member().map_err(io::Error::other)? {
            self.next_member += 1;
            if self.next_member == place.member + 1 {
                self.tar.read_payload(&mut bytes).map_err(io::Error::other)?;
                return Ok(bytes);
            }
        }
        Err(io::Error::other("the tar is shorter than when its members were listed"))
    }
}

impl<'a> Iterator for InOrder<'a> {
    type Item = Matched<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut matched = self.matched.next()?;
        matched.bytes = Some(self.read(matched.media));
        Some(matched)
    }
}

/// What a shard has found so far.
struct Found {
    task: Task,
    candidates: Vec<Candidate>,
    payloads: Option<OutputFile>,
    written: u64,
}

impl Found {
    fn take(
        &mut self,
        matched: Matched<'_>,
        checked: Outcome<CheckedAudio>,
        out: &mut ShardOutput,
    ) -> Result<(), ShardError> {
        let Matched { clip, id, record, media, .. } = matched;
        let checked = match checked {
            Ok(checked) => checked,
            Err(why) => {
                out.file_left_out(id.tar_key(), why);
                self.candidates.push(Candidate { record, audio: None, described: None });
                return Ok(());
            }
        };
        let (mut offset, mut size) = (media.offset, media.size);
        if let Some(file) = &mut self.payloads {
            file.write_all(&checked.flac).map_err(CoreError::write(file.path()))?;
            (offset, size) = (self.written, checked.flac.len() as u64);
            self.written += size;
        }
        let described = match &clip.described {
            Some(Ok(fields)) if self.task == Task::Video => Some(fields.clone()),
            _ => None,
        };
        out.file_kept(1);
        out.count("milliseconds", checked.ms);
        out.count(duration_class(checked.ms), 1);
        let audio = Some(Audio { offset, size, ms: checked.ms });
        self.candidates.push(Candidate { record, audio, described });
        Ok(())
    }

    fn finish(self, out: &mut ShardOutput) -> Result<Scanned, ShardError> {
        let mut list = out.create(format!("scan-{}{CANDIDATES}", out.name()))?;
        for candidate in &self.candidates {
            let mut line = serde_json::to_vec(candidate).expect("numbers and JSON are JSON");
            line.push(b'\n');
            list.write_all(&line).map_err(CoreError::write(list.path()))?;
        }
        out.close(list)?;
        if let Some(payloads) = self.payloads {
            out.close(payloads)?;
        }
        Ok(Scanned { candidates: self.candidates, ..Scanned::default() })
    }
}

impl Scanned {
    /// Reads back what a shard of the step has found.
    fn load(shard: &ShardOutputs) -> Result<Self, CoreError> {
        let path = shard.file_ending(CANDIDATES)?;
        let text = std::fs::read(path).map_err(CoreError::read(path))?;
        let damaged = |_| CoreError::input(path, "this file is damaged\nhint: pass --fresh to build it again");
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        Ok(Self {
            payloads: shard.files_ending(PAYLOADS).next().cloned(),
            fingerprint: shard.fingerprint.clone(),
            candidates: lines.map(|line| serde_json::from_slice(line).map_err(damaged)).collect::<Result<_, _>>()?,
        })
    }
}
