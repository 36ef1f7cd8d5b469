//! `predict`: the questions of a benchmark, asked of a model.
//!
//! Each question is asked with its sounds, in one or several orders of its options, and where that is wanted also with silence
//! and with nothing. Every way to ask gives one line, whatever becomes of it. Answers are stored in a replay folder, so that a
//! run that was killed asks nothing twice. The sounds of a shard are in memory together, 32 kB for each second.
//!
//! ```text
//! out/part-00000.jsonl      one prediction on each line, in the order of the questions
//! ```

mod asking;
mod items;
mod model;
mod orders;
mod prompts;
mod sound;
#[cfg(test)]
pub(crate) mod testing;
mod whisper;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::run::{
    Fingerprint, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary,
};
use audsem_core::terminal::{by_number, counted};
use audsem_llm::{GenerateStep, Unanswered};
use audsem_media::audio::Decoder;
use audsem_media::program::{Program, Tool};
use serde::Serialize;

pub use items::read_items;
pub use model::{Respondent, RespondentArgs};
pub use prompts::{QuestionWording, WordingRecord};
pub use sound::LongSoundRule;

use crate::error::Error;
use crate::item::{BenchmarkItems, EvaluationItem};
use crate::prediction::{Prediction, PredictionStatus};
use crate::sound_library::SoundLibrary;
use asking::{Asker, AskingRules, Plan, number_of_ways};
use sound::{GivenSounds, LoadedSound, SoundRules};

/// Requests that are sent together.
const REQUESTS: usize = 64;

/// Settings of `predict`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The questions, in the order of the data set.
    pub questions: BenchmarkItems,
    /// Their sounds.
    pub sounds: SoundLibrary,
    /// How questions are worded.
    pub wording: QuestionWording,
    /// Orders in which options are shown, the published one included.
    pub permute: u32,
    /// Whether questions are also asked with silence and with nothing.
    pub blind: bool,
    /// What becomes of long sounds.
    pub long: LongSoundRule,
    /// Length from which sounds are long, milliseconds.
    pub longest_ms: u64,
    /// Questions of a shard.
    pub items_per_part: usize,
    /// What happens to questions without an answer. Not part of the hashed configuration.
    pub unanswered: Unanswered,
    /// The ffmpeg for sounds that the built-in decoders cannot read.
    pub ffmpeg: Option<PathBuf>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    model: &'a str,
    /// SHA-256 over questions, options and answers, which tells versions of a data set apart.
    questions_sha256: &'a str,
    max_tokens: u32,
    wording: WordingRecord,
    /// Whether the questions ask for an answer inside tags, which `score` goes by.
    asks_for_tags: bool,
    /// Words of thinking that the questions ask for.
    target_words: Option<u32>,
    permute: u32,
    blind: bool,
    long: LongSoundRule,
    longest_ms: u64,
    /// Samples that the model's own processor hears of a sound, where that is known.
    heard_samples: Option<usize>,
    counts_text: bool,
    items_per_part: usize,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "predict";
}

/// Asks a model every question. A dry run counts the ways to ask.
///
/// # Errors
/// No sound is there, the output cannot be written, or the model cannot be asked.
pub fn run(config: &Config, model: &Respondent, options: &RunOptions) -> Result<Summary, Error> {
    let identity = model.generator.identity();
    let record = HashedConfig {
        model: &identity,
        questions_sha256: &config.questions.content_sha256,
        max_tokens: model.max_tokens,
        wording: config.wording.record(),
        asks_for_tags: config.wording.asks_for_tags(),
        target_words: config.wording.target_words(),
        permute: config.permute,
        blind: config.blind,
        long: config.long,
        longest_ms: config.longest_ms,
        heard_samples: model.heard_samples,
        counts_text: model.counts_text,
        items_per_part: config.items_per_part,
    };
    let limit = options.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let items = &config.questions.items[..config.questions.items.len().min(limit)];
    let plan = shards(config, items)?;
    let mut run = Run::open(options, RunSpec::new(&record).models(model.fingerprints.clone()))?;
    let step = Step { name: "part", unit: "predictions", physical: "tok" };
    run.must_keep(step);
    let asker = Examination::new(config, model, options);
    let report = run.execute(step, &plan, |work, out| asker.part(work, out))?;
    let counts = &report.stats.counts;
    let answered = [PredictionStatus::Answered, PredictionStatus::CutOff].map(PredictionStatus::name);
    if report.complete && !options.dry_run && answered.iter().all(|name| !counts.contains_key(*name)) {
        tracing::warn!("nobody has answered any of these questions: `problem` in part-*.jsonl says why");
    }
    let summary = run.finish()?.with_result("questions", items.len());
    let summary = summary.with_result("questions_sha256", config.questions.content_sha256.clone());
    let notes = &config.questions.notes;
    Ok(if notes.is_empty() { summary } else { summary.with_result("notes", notes.clone()) })
}

/// The questions of a shard, and the place of the first of them in the data set.
struct Part<'a> {
    first: u64,
    items: &'a [EvaluationItem],
}

/// Looks whether the sounds of the questions are there: before a model is loaded for nothing.
///
/// # Errors
/// None of them is.
pub fn look_for_sounds(config: &Config) -> Result<(), Error> {
    let names = || config.questions.items.iter().flat_map(|item| &item.sounds);
    let mut absent = Vec::new();
    for name in names() {
        if !config.sounds.has(name)? {
            absent.push(name);
        }
    }
    let (n, Some(first)) = (names().count(), absent.first()) else { return Ok(()) };
    if absent.len() == n {
        return Err(Error::NoSounds { n, first: (*first).clone() });
    }
    let (found, are) = (counted(n, "sounds"), by_number(absent.len(), "is", "are"));
    tracing::warn!("{} of {found} {are} not there, so that their questions are not asked: {first} …", absent.len());
    Ok(())
}

/// The shards, each with a fingerprint of its questions and their sounds.
fn shards<'a>(config: &Config, items: &'a [EvaluationItem]) -> Result<Vec<Shard<Part<'a>>>, Error> {
    let size = config.items_per_part.max(1);
    let shard = |(number, items): (usize, &'a [EvaluationItem])| {
        let mut fingerprint = Fingerprint::new();
        for item in items {
            fingerprint = fingerprint.with(serde_json::to_vec(item).map_err(|error| CoreError::Stage(error.into()))?);
            for name in &item.sounds {
                fingerprint = match config.sounds.identity(name)? {
                    Some(identity) => fingerprint.with(&identity),
                    None => fingerprint.with("absent"),
                };
            }
        }
        let work = Part { first: (number * size) as u64, items };
        Ok(Shard { name: format!("{number:05}"), fingerprint: fingerprint.finish(), work })
    };
    items.chunks(size).enumerate().map(shard).collect()
}

/// The built-in decoders, and ffmpeg for what they cannot read, where there is one.
fn decoder(ffmpeg: Option<&Path>) -> Decoder {
    match Program::find(Tool::Ffmpeg, ffmpeg) {
        Ok(ffmpeg) => Decoder::new().with_ffmpeg(ffmpeg),
        Err(error) => {
            tracing::warn!("some sounds may not be readable: {error}");
            Decoder::new()
        }
    }
}

/// The sounds of a question, or why they are not given.
type Given = Result<GivenSounds, sound::Unaskable>;

/// All that is needed to ask the questions of a shard.
struct Examination<'a> {
    config: &'a Config,
    rules: AskingRules<'a>,
    sounds: SoundRules,
    decoder: Decoder,
    generate: GenerateStep<'a, Asker>,
}

impl<'a> Examination<'a> {
    fn new(config: &'a Config, model: &'a Respondent, options: &RunOptions) -> Self {
        let rules = AskingRules {
            wording: &config.wording,
            permute: config.permute,
            blind: config.blind,
            max_tokens: model.max_tokens,
            seed: options.seed,
            counts_text: model.counts_text,
        };
        let sounds = SoundRules {
            long: config.long,
            longest: usize::try_from(config.longest_ms * 16).unwrap_or(usize::MAX),
            heard: model.heard_samples,
        };
        let decoder = if options.dry_run { Decoder::new() } else { decoder(config.ffmpeg.as_deref()) };
        let generate = GenerateStep::new(&Asker, &*model.generator);
        let generate = generate.with_batch(REQUESTS).with_unanswered(config.unanswered);
        Self { config, rules, sounds, decoder, generate }
    }

    /// One shard: decodes its sounds, asks its questions, writes `part-N.jsonl`.
    fn part(&self, work: &Part<'_>, out: &mut ShardOutput) -> Result<(), ShardError> {
        if out.dry_run() {
            out.file_kept(work.items.iter().map(|item| number_of_ways(item, &self.rules)).sum());
            return Ok(());
        }
        let mut plan = Plan::default();
        for (index, (item, given)) in (work.first..).zip(work.items.iter().zip(self.all_given(work.items)?)) {
            plan.add(index, item, &given, &self.rules);
        }
        let answers = self.generate.run(&plan.questions, out)?;
        let predictions = plan.predictions(answers);
        let mut file = out.create(format!("part-{}.jsonl", out.name()))?;
        for prediction in &predictions {
            let line = serde_json::to_string(prediction).map_err(ShardError::fatal)?;
            writeln!(file, "{line}").map_err(CoreError::write(file.path()))?;
            out.count(prediction.status.name(), 1);
            count_cropped(prediction, out);
        }
        out.file_kept(predictions.len() as u64);
        Ok(out.close(file)?)
    }

    /// The sounds of each question, read in the order in which they lie.
    fn all_given(&self, items: &[EvaluationItem]) -> Result<Vec<Given>, ShardError> {
        let place = |item: &EvaluationItem| item.sounds.first().and_then(|name| self.config.sounds.reading_order(name));
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_key(|at| place(&items[*at]));
        let mut given: Vec<Option<Given>> = items.iter().map(|_| None).collect();
        for at in order {
            given[at] = Some(self.given(&items[at])?);
        }
        Ok(given.into_iter().flatten().collect())
    }

    /// The sounds of a question as they are given, or why they are not.
    fn given(&self, item: &EvaluationItem) -> Result<Given, ShardError> {
        let mut sounds = Vec::with_capacity(item.sounds.len());
        for name in &item.sounds {
            match LoadedSound::read(name, &self.config.sounds, &self.decoder)? {
                Ok(sound) => sounds.push(sound),
                Err(problem) => return Ok(Err((PredictionStatus::NoSound, problem))),
            }
        }
        Ok(GivenSounds::new(item, &sounds, self.sounds))
    }
}

/// Sounds of which the model heard a part are counted, so that no run hides them.
fn count_cropped(prediction: &Prediction, out: &mut ShardOutput) {
    let is_cropped = prediction.sounds.iter().any(|sound| sound.given_ms < sound.duration_ms);
    out.count("partly_heard", u64::from(is_cropped));
}
