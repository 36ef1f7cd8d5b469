//! `extract`: copies the sounds of clips on the suspicious side of a threshold out of the shards, as
//! files to listen to.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use audsem_core::clips::{
    Candidate, ClipContent, ClipEntry, Deduplicator, PlannedSource, SourceKind, for_each_sound, index_keys, list_shards,
};
use audsem_core::error::Error as CoreError;
use audsem_core::run::{
    Fingerprint, JsonFile, LeftOut, Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Step, Summary,
};
use audsem_core::tar::TarError;
use audsem_core::terminal::counted;
use audsem_media::audio::{Decoder, encode_wav};
use serde::Serialize;

use crate::criterion::{Column, Criterion, CriterionArgs, Side};
use crate::error::Error;
use crate::missing;
use crate::reason::Fault;
use crate::scores::{Counts, MATCH, Scores, file_name, outside_of_steps};
use crate::sets::Modality;

/// How copies are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SoundFormat {
    /// As they are in the shard
    Keep,
    /// Decoded, as WAV with 16 bits
    Wav,
}

/// What is copied.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tables of scores or of matches.
    pub scores: Vec<PathBuf>,
    /// Tars, or folders of them.
    pub shards: Vec<PathBuf>,
    /// Which scores count; all matches do.
    pub modality: Modality,
    /// The column to go by; `None` for the usual one of the tables.
    pub column: Option<Column>,
    /// The suspicious side; `None` for that of the column.
    pub side: Option<Side>,
    /// Clips on the suspicious side of this are copied; `None` for the usual one of the column.
    pub threshold: Option<f32>,
    /// How they are stored.
    pub format: SoundFormat,
}

/// What decides the content of the output, nothing left open.
#[derive(Debug, Serialize)]
struct HashedConfig<'a> {
    modality: Modality,
    #[serde(flatten)]
    criterion: &'a Criterion,
    format: SoundFormat,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "extract";
}

/// Keys that a shard has, and the file of the copy of each; `None` where there is none.
type Met = BTreeMap<String, Option<String>>;

/// Copies sounds into `audio/SHARD/KEY.flac`, and files the keys that no shard has.
///
/// # Errors
/// There are no scores or tars, the scores lack what is asked for, and what [`Run::open`] and
/// [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let thresholds = config.threshold.into_iter().collect();
    let asked = CriterionArgs { column: config.column, side: config.side, thresholds };
    let scores = Scores::open(&config.scores, &asked, |column| vec![column.thresholds().1])?;
    let sources = list_shards(&config.shards)?;
    let settings = HashedConfig { modality: config.modality, criterion: &scores.criterion, format: config.format };
    let spec = RunSpec::new(&settings);
    let mut run = Run::open(options, spec)?;
    let wanted = wanted_keys(&scores, config.modality, options.limit)?;
    let of_scores = scores.fingerprint_of_all();
    let Some(mut clips) = index_keys(&mut run, &sources, ClipContent::Sound)? else { return Ok(run.finish()?) };
    for shard in &mut clips.shards {
        shard.fingerprint = Fingerprint::new().with(&shard.fingerprint).with(&of_scores).finish();
    }
    let step = Step { name: "part", unit: "clips", physical: "MB" };
    let extracted = run.execute_via(&JsonFile("found"), step, &clips.shards, |planned, out| {
        extract(planned, clips.deduplicator(planned, ClipContent::Sound)?, &wanted, config.format, out)
    })?;
    let (mut met, mut found) = (BTreeSet::new(), BTreeSet::new());
    for (key, file) in extracted.values.iter().flatten() {
        if file.is_some() {
            found.insert(key.clone());
        }
        met.insert(key.clone());
    }
    // A shard that could not be read may have what seems to be missing.
    if extracted.complete {
        missing::file(&mut run, &wanted, &met, &extracted.outputs)?;
    }
    let threshold = format!("{}_threshold", scores.criterion.side.name());
    let summary = run.finish()?.with_result(&threshold, wanted.len()).with_result("found", found.len());
    // Finding nothing beyond the threshold is a success; not finding the clips that are beyond it is not.
    if wanted.is_empty() || !found.is_empty() {
        return Ok(summary);
    }
    let why = format!(
        "nothing was copied of {} beyond the threshold\n  hint: --shards names the tars that hold them",
        counted(wanted.len(), "clips")
    );
    Ok(summary.as_empty(why))
}

/// The different keys on the suspicious side of the threshold, the first `limit` of them.
fn wanted_keys(scores: &Scores, modality: Modality, limit: Option<u64>) -> Result<BTreeSet<String>, Error> {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    let (criterion, mut keys) = (&scores.criterion, BTreeSet::new());
    let threshold = criterion.thresholds[0];
    for i in 0..scores.files.len() {
        let visited = scores.for_each(i, u64::MAX, |_, scored, counts| {
            let of_modality = scored.modality == modality.name() || scored.modality == MATCH;
            if let Counts::Value { value, .. } = counts
                && of_modality
                && criterion.beyond(value, threshold)
                && keys.len() < limit
            {
                keys.insert(scored.key.to_owned());
            }
            Ok(())
        });
        visited.map_err(outside_of_steps)?;
    }
    Ok(keys)
}

/// Why reading a tar stopped before its end.
enum Stop {
    Tar(TarError),
    Shard(ShardError),
}

impl From<TarError> for Stop {
    fn from(error: TarError) -> Self {
        Self::Tar(error)
    }
}

fn extract(
    planned: &PlannedSource<'_>,
    mut dedupe: Deduplicator<'_>,
    wanted: &BTreeSet<String>,
    format: SoundFormat,
    out: &mut ShardOutput,
) -> Result<Met, ShardError> {
    let SourceKind::Tar(path) = &planned.source.kind else { return Ok(Met::new()) };
    let (mut met, mut copies, mut others) = (Met::new(), Met::new(), 0);
    let accept = |entry: &ClipEntry| {
        if !wanted.contains(&entry.key) {
            others += 1;
            return false;
        }
        met.entry(entry.key.clone()).or_default();
        dedupe.accept(Candidate::of_entry(entry, ClipContent::Sound))
    };
    let copied = for_each_sound(path, accept, |entry, bytes| {
        copies.insert(entry.key.clone(), copy(entry, bytes, format, out).map_err(Stop::Shard)?);
        Ok(())
    });
    match copied {
        Err(Stop::Tar(error)) => return Err(ShardError::input(error)),
        Err(Stop::Shard(error)) => return Err(error),
        Ok(()) => {}
    }
    // The others are where they were, so they are not rejects.
    out.count("other_samples", others);
    dedupe.report(out);
    met.append(&mut copies);
    Ok(met)
}

/// Copies a sound; returns its file, or `None` if it is a reject.
fn copy(
    entry: &ClipEntry,
    bytes: &[u8],
    format: SoundFormat,
    out: &mut ShardOutput,
) -> Result<Option<String>, ShardError> {
    let suffix = entry.media.as_ref().map_or("flac", |sound| sound.suffix.as_str());
    let (stored, ending) = match format {
        SoundFormat::Keep => (std::borrow::Cow::Borrowed(bytes), suffix),
        SoundFormat::Wav => match wav(bytes, suffix) {
            Ok(stored) => (std::borrow::Cow::Owned(stored), "wav"),
            Err(problem) => {
                out.file_left_out(&entry.key, LeftOut::fail(Fault::Undecodable, problem));
                return Ok(None);
            }
        },
    };
    let name = format!("audio/{}/{}.{ending}", out.name(), file_name(&entry.key));
    let mut file = out.create(&name)?;
    file.write_all(&stored).map_err(CoreError::write(file.path()))?;
    out.work(stored.len() as f64 / 1e6);
    out.file_kept(1);
    out.close(file)?;
    Ok(Some(name))
}

/// Decodes a sound and writes it as WAV, 16 bits.
pub(crate) fn wav(bytes: &[u8], suffix: &str) -> Result<Vec<u8>, String> {
    let audio = Decoder::new().decode_bytes(bytes, Some(suffix)).map_err(|error| error.to_string())?;
    let channels = u16::try_from(audio.channels()).map_err(|_| "too many channels".to_owned())?;
    encode_wav(&audio.samples, channels, audio.sample_rate_hz).map_err(|error| error.to_string())
}
