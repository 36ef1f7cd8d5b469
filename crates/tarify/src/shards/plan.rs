//! Third step: assigns clips to splits and shards. Only the lists are read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{Fingerprint, LeftOut, Run, Shard, ShardError, ShardOutput, Step};
use audsem_core::tar::{ShardPlanner, SplitLimits, stored_bytes};
use audsem_core::terminal::counted;
use serde::{Deserialize, Serialize};

use super::Config;
use super::reason::DropReason;
use super::records::{Entry, Records};
use super::sample::SampleRules;
use super::scan::{Candidate, Scanned};
use super::split::{self, ValidVideos};
use crate::error::Error;

/// The two parts of a training set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// The training split.
    Train,
    /// The validation split.
    Valid,
}

impl Split {
    /// Folder and `--split` name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
        }
    }
}

/// A planned sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned {
    /// Number of the source tar.
    pub source: u32,
    /// Number among the source tar's candidates.
    pub candidate: u32,
    /// Number among the samples of the clip's record.
    pub sample: u32,
}

/// A planned shard. It has at least one sample.
#[derive(Debug)]
pub(super) struct PlannedShard {
    /// Its split.
    pub split: Split,
    /// Its number within the split.
    pub number: u64,
    /// Its samples in order.
    pub samples: Vec<Planned>,
}

impl PlannedShard {
    /// Path in the run folder.
    pub(super) fn file(&self) -> String {
        format!("{}/{:04}.tar", self.split.name(), self.number)
    }
}

/// Everything the step decides.
#[derive(Debug)]
pub(super) struct Plan {
    /// The shards, train before valid.
    pub shards: Vec<PlannedShard>,
    /// The videos of the validation split.
    pub valid: ValidVideos,
    /// Clips that are used.
    pub clips: u64,
    left_out: Vec<(u32, LeftOut)>,
}

/// The line of `plan.jsonl` that says where a sample is and where it comes from.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlanLine {
    /// The sample's key.
    pub key: String,
    /// The shard, `train/0000.tar`.
    pub shard: String,
    /// File name of the source tar.
    pub source: String,
    /// Length of the audio in milliseconds.
    pub ms: u64,
}

/// The file that fixes which videos are in the validation split; `--split-in` reads it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitFile {
    /// Ids of the videos, sorted.
    pub valid: BTreeSet<String>,
}

impl SplitFile {
    /// Reads the file's text.
    ///
    /// # Errors
    /// It is not JSON of this form.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }
}

/// Makes the plan: a pure function of the lists.
pub(super) fn make(config: &Config, records: &Records, scanned: &[Scanned], seed: u64) -> Plan {
    let mut first_use: Vec<Option<(u32, u32)>> = vec![None; records.entries.len()];
    let mut seen = vec![false; records.entries.len()];
    let mut order = Vec::new();
    let mut left_out = Vec::new();
    for (source, tar) in (0..).zip(scanned) {
        for (number, candidate) in (0..).zip(&tar.candidates) {
            let record = candidate.record as usize;
            seen[record] = true;
            if candidate.audio.is_none() {
                continue;
            }
            if let Some((first, _)) = first_use[record] {
                let place = format!("{}; first in {}", source_name(config, source), source_name(config, first));
                left_out.push((candidate.record, LeftOut::drop(DropReason::DuplicateClip, place)));
                continue;
            }
            first_use[record] = Some((source, number));
            order.push((candidate.record, source, number));
        }
    }
    for (record, _) in (0..).zip(&first_use).filter(|(_, used)| used.is_none()) {
        let why = if seen[record as usize] { "its clip was left out in the scan" } else { "no source tar has it" };
        left_out.push((record, LeftOut::drop(DropReason::NoClip, why.to_owned())));
    }
    let valid = choose_valid(config, records, &order, seed);
    let mut layout = Layout::new(config);
    for &(record, source, candidate) in &order {
        let entry = records.entry(record);
        let split = if valid.ids.contains(entry.clip.video_id()) { Split::Valid } else { Split::Train };
        layout.place(split, entry, &scanned[source as usize].candidates[candidate as usize], (source, candidate));
    }
    Plan { shards: layout.shards(), valid, clips: order.len() as u64, left_out }
}

/// The file name of a source tar.
fn source_name(config: &Config, source: u32) -> String {
    let name = config.sources.get(source as usize).and_then(|path| path.file_name());
    name.unwrap_or_default().to_string_lossy().into_owned()
}

fn choose_valid(config: &Config, records: &Records, order: &[(u32, u32, u32)], seed: u64) -> ValidVideos {
    let mut videos: BTreeMap<&str, usize> = BTreeMap::new();
    for (record, _, _) in order {
        *videos.entry(records.entry(*record).clip.video_id()).or_default() += 1;
    }
    let Some(given) = &config.valid_videos else {
        return split::choose(&videos, config.num_valid.of(order.len()), order.len() / 2, seed);
    };
    let there = given.iter().filter_map(|id| Some((id.clone(), *videos.get(id.as_str())?)));
    let clips = there.clone().map(|(_, clips)| clips).sum();
    ValidVideos { ids: there.map(|(id, _)| id).collect(), clips }
}

/// The shards of both splits while they fill up.
struct Layout {
    planners: [ShardPlanner; 2],
    shards: [Vec<PlannedShard>; 2],
}

impl Layout {
    fn new(config: &Config) -> Self {
        let limits = SplitLimits { max_count: config.max_count, max_bytes: config.max_bytes };
        Self { planners: [ShardPlanner::new(limits), ShardPlanner::new(limits)], shards: [Vec::new(), Vec::new()] }
    }

    /// Appends all samples of a clip. The size of a sample that is merged with what the source tar
    /// says is taken from above: fields that both have are counted twice.
    fn place(&mut self, split: Split, entry: &Entry, candidate: &Candidate, (source, number): (u32, u32)) {
        let audio = candidate.audio.map_or(0, |audio| audio.size);
        let described = candidate
            .described
            .as_ref()
            .map_or(0, |fields| serde_json::to_vec(fields).expect("a JSON object is JSON").len() as u64);
        for (sample, json) in (0..).zip(&entry.json_bytes) {
            let bytes = stored_bytes(audio) + stored_bytes(u64::from(*json) + described);
            let shard = self.planners[split as usize].place(bytes);
            let shards = &mut self.shards[split as usize];
            if shards.last().is_none_or(|last| last.number != shard) {
                shards.push(PlannedShard { split, number: shard, samples: Vec::new() });
            }
            let last = shards.last_mut().expect("pushed in the line above if there was none");
            last.samples.push(Planned { source, candidate: number, sample });
        }
    }

    fn shards(self) -> Vec<PlannedShard> {
        self.shards.into_iter().flatten().collect()
    }
}

/// Says how the clips are divided, before the shards are written.
fn tell(config: &Config, plan: &Plan) {
    let (valid, all) = (plan.valid.clips as u64, plan.clips);
    let wanted = match &config.valid_videos {
        Some(_) => "as --split-in says".to_owned(),
        None if !config.has_valid() => "as asked for".to_owned(),
        None => format!("--num-valid {}", config.num_valid),
    };
    let (shards, videos) = (plan.shards.len(), plan.valid.ids.len());
    tracing::info!(
        "{}: {} for training, {valid} of {} for validation ({wanted}); {}",
        counted(all, "clips"),
        all - valid,
        counted(videos, "videos"),
        counted(shards, "shards")
    );
}

/// Writes the plan down and files what it leaves out. `None` if the step is not whole.
///
/// # Errors
/// As [`Run::execute`].
pub(super) fn step(
    run: &mut Run,
    config: &Config,
    rules: &SampleRules,
    records: &Records,
    scanned: &[Scanned],
) -> Result<Option<Plan>, Error> {
    let plan = make(config, records, scanned, run.options().seed);
    tell(config, &plan);
    let fingerprint =
        scanned.iter().fold(Fingerprint::new().with(&records.fingerprint), |all, tar| all.with(&tar.fingerprint));
    let shards = [Shard { name: "00000".to_owned(), fingerprint: fingerprint.finish(), work: () }];
    let step = Step { name: "plan", unit: "clips", physical: "MB" };
    run.must_keep(step).explain(DropReason::ALL);
    let report = run.execute(step, &shards, |(), out| {
        let mut split = out.create("split.json")?;
        let ids = SplitFile { valid: plan.valid.ids.clone() };
        serde_json::to_writer_pretty(&mut split, &ids).map_err(|error| CoreError::write(split.path())(error.into()))?;
        out.close(split)?;
        write_lines(config, rules, records, scanned, &plan, out)?;
        out.file_kept(plan.clips);
        out.count("valid_clips", plan.valid.clips as u64);
        out.count("valid_videos", plan.valid.ids.len() as u64);
        for (record, left_out) in &plan.left_out {
            out.file_left_out(records.entry(*record).clip.tar_key(), left_out.borrowed());
        }
        Ok(())
    })?;
    Ok(report.whole().map(|_| plan))
}

fn write_lines(
    config: &Config,
    rules: &SampleRules,
    records: &Records,
    scanned: &[Scanned],
    plan: &Plan,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let mut file = out.create("plan.jsonl")?;
    for shard in &plan.shards {
        for planned in &shard.samples {
            let candidate = &scanned[planned.source as usize].candidates[planned.candidate as usize];
            let entry = records.entry(candidate.record);
            let line = PlanLine {
                key: rules.sample_key(&entry.clip, planned.sample as usize),
                shard: shard.file(),
                source: source_name(config, planned.source),
                ms: candidate.audio.map_or(0, |audio| audio.ms),
            };
            let mut line = serde_json::to_vec(&line).expect("strings and numbers are JSON");
            line.push(b'\n');
            file.write_all(&line).map_err(CoreError::write(file.path()))?;
        }
    }
    out.close(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Foreign bytes: read or refused, never a panic.
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn any_bytes_are_a_split_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            valid in proptest::collection::btree_set(".{0,12}", 0..4),
        ) {
            let _ = SplitFile::parse(&bytes);
            let text = serde_json::to_vec(&SplitFile { valid: valid.clone() }).unwrap();
            prop_assert_eq!(SplitFile::parse(&text).unwrap().valid, valid);
        }
    }
}
