//! Training text about clips: captions, open questions, multiple choice.
//!
//! A writer sees what `combine` knows about a clip and answers with JSON. Structure, lengths and wording are checked in
//! code ([`check`], [`words`]), content by a judge if there is one; what is rejected is asked about again with the reason
//! and another seed, and kept in `refused-*.jsonl`. Answers of a server are stored in a replay folder: a killed run asks
//! nothing twice.
//!
//! Step `clips` collects the clips, step `part` writes about them: `part-*.jsonl`, which `audsem-tarify shards` packs.

pub mod check;
mod clips;
pub mod metadata;
pub mod product;
pub mod prompts;
mod rows;
mod sounds;
mod task;
pub mod template;
pub mod timeline;
pub mod words;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use audsem_core::run::{ModelFingerprint, Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Step, Summary};
use audsem_core::tables::read_parquet;
use audsem_llm::{Fault, GenerateStep, TextError, TextGenerator, Unanswered};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use sounds::ClipSounds;
pub use task::{Author, ContentJudge};

use crate::error::Error;
use crate::parquet::parquet_under_all;
use crate::tables::ClipMetadata;
use check::WordLimits;
use clips::Selection;
use metadata::Evidence;
use product::{Product, Style};
use prompts::PromptSettings;
use rows::{FormCounts, RowWriter};
use task::Writing;

/// What to do about an input that is no table of clips.
pub(crate) const TABLE_HINT: &str = "give the run folder of `combine` or `filter`";

/// Settings of `caption`, `qa` and `mcqa`.
#[derive(Debug)]
pub struct Config {
    /// Run folders of `combine` or `filter`, or any files or folders of such tables.
    pub inputs: Vec<PathBuf>,
    /// Kind of text.
    pub product: Product,
    /// Style of the reasoning.
    pub style: Style,
    /// Who writes.
    pub author: Author,
    /// Sounds that the writer hears.
    pub sounds: Option<ClipSounds>,
    /// Who judges the content.
    pub judge: Option<ContentJudge>,
    /// How many clips are written about, drawn by the seed.
    pub sample: Option<usize>,
    /// Bounds of lengths.
    pub limits: WordLimits,
    /// Whether prompts show AST's labels.
    pub with_ast: bool,
    /// Whether questions are about the time of sounds, with answers that follow from the labels of the seconds, and
    /// reasoning may cite times.
    pub grounded: bool,
    /// Whether rows have the semantic elements as an object, too.
    pub semantic_object: bool,
    /// Sampling temperature of the writer.
    pub temperature: f32,
    /// Maximum number of tokens of an answer, reasoning included.
    pub max_tokens: u32,
    /// How often a clip is asked about before it counts as failed.
    pub max_attempts: u32,
    /// Clips per shard, which are asked about and committed together.
    pub clips_per_shard: usize,
    /// What happens to a clip about which the server gave no answer. Not part of the hashed configuration.
    pub unanswered: Unanswered,
}

impl Config {
    /// The defaults for a kind of text: five attempts, temperature 1, shards of 1,000 clips, no judge.
    #[must_use]
    pub fn new(inputs: Vec<PathBuf>, product: Product, author: Author) -> Self {
        Self {
            inputs,
            product,
            style: Style::default(),
            author,
            sounds: None,
            judge: None,
            sample: None,
            limits: WordLimits::default(),
            with_ast: false,
            grounded: false,
            semantic_object: false,
            temperature: 1.0,
            max_tokens: product.max_tokens(),
            max_attempts: 5,
            clips_per_shard: 1000,
            unanswered: Unanswered::default(),
        }
    }

    /// Rules write the same again, so that asking twice is of no use.
    fn attempts(&self) -> u32 {
        match self.author {
            Author::Model(_) => self.max_attempts,
            Author::Template => 1,
        }
    }

    fn settings(&self) -> PromptSettings {
        let Self { product, style, limits, with_ast, grounded, .. } = *self;
        PromptSettings { product, style, limits, with_ast, grounded }
    }

    fn writing(&self, seed: u64) -> Writing<'_> {
        Writing {
            author: &self.author,
            judge: self.judge.as_ref(),
            settings: self.settings(),
            sounds: self.sounds.as_ref(),
            temperature: self.temperature,
            max_tokens: self.max_tokens,
            seed,
        }
    }
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    product: Product,
    style: Style,
    writer: &'a str,
    prompt_sha256: Option<&'a str>,
    hears: bool,
    judge: Option<String>,
    judge_sha256: Option<&'a str>,
    judge_with_facts: bool,
    sample: Option<usize>,
    min_thinking: usize,
    max_answer: usize,
    with_ast: bool,
    grounded: bool,
    semantic_object: bool,
    temperature: f32,
    max_tokens: u32,
    max_attempts: u32,
    clips_per_shard: usize,
}

/// What decides the output of `caption`.
#[derive(Serialize)]
struct CaptionRun<'a>(HashedConfig<'a>);

/// What decides the output of `qa`.
#[derive(Serialize)]
struct QaRun<'a>(HashedConfig<'a>);

/// What decides the output of `mcqa`.
#[derive(Serialize)]
struct McqaRun<'a>(HashedConfig<'a>);

/// What decides the output of `visual-caption`.
#[derive(Serialize)]
struct VisualCaptionRun<'a>(HashedConfig<'a>);

impl RunConfig for VisualCaptionRun<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "visual-caption";
}

impl RunConfig for CaptionRun<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "caption";
}

impl RunConfig for QaRun<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "qa";
}

impl RunConfig for McqaRun<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "mcqa";
}

fn open(
    options: &RunOptions,
    config: HashedConfig<'_>,
    inputs: &[PathBuf],
    models: Vec<ModelFingerprint>,
) -> Result<Run, Error> {
    Ok(match config.product {
        Product::Caption => Run::open(options, RunSpec::new(&CaptionRun(config)).inputs(inputs).models(models))?,
        Product::Qa => Run::open(options, RunSpec::new(&QaRun(config)).inputs(inputs).models(models))?,
        Product::VisualCaption => {
            Run::open(options, RunSpec::new(&VisualCaptionRun(config)).inputs(inputs).models(models))?
        }
        Product::Mcqa => Run::open(options, RunSpec::new(&McqaRun(config)).inputs(inputs).models(models))?,
    })
}

/// The language models of a run.
pub struct WritingModels<'a> {
    /// Who writes.
    pub writer: &'a dyn TextGenerator,
    /// Who judges, if the configuration has a judge.
    pub reviewer: Option<&'a dyn TextGenerator>,
    /// Fingerprints of models in this process.
    pub fingerprints: Vec<ModelFingerprint>,
}

/// Writes with one generator and, if there is a judge, judges with another.
///
/// # Errors
/// Whatever prevents the run from continuing.
pub fn run(config: &Config, models: WritingModels<'_>, options: &RunOptions) -> Result<Summary, Error> {
    let inputs = parquet_under_all(&config.inputs, TABLE_HINT)?;
    let writing = config.writing(options.seed);
    check_prompts(config)?;
    let identity = models.writer.identity();
    let reviewer = models.reviewer.filter(|_| config.judge.is_some());
    let all: Vec<PathBuf> =
        inputs.iter().chain(config.sounds.iter().flat_map(|sounds| sounds.tars())).cloned().collect();
    let mut run = open(options, hashed(config, &identity, reviewer), &all, models.fingerprints)?;
    let clips = clips::collect(&mut run, &inputs, &Selection::of(config))?;
    if !clips.complete || options.dry_run {
        return Ok(run.finish()?);
    }
    let plan = clips.shard_per_file(".parquet");
    let step = Step { name: "part", unit: "clips", physical: "tok" };
    run.must_keep(step).explain(Fault::ALL);
    let mut generate = GenerateStep::new(&writing, models.writer)
        .with_max_attempts(config.attempts())
        .with_unanswered(config.unanswered);
    if let Some(reviewer) = reviewer {
        generate = generate.with_reviewer(reviewer);
    }
    let shard = ShardWriter { config, generate: &generate, identity: &identity, seed: options.seed };
    let report = run.execute(step, &plan, |path, out| shard.write(path, out))?;
    let count = |name| report.stats.counts.get(name).copied().unwrap_or(0);
    if report.complete {
        generate.finish(report.stats.kept, count("rejected_answers"))?;
    }
    let results = ["pairs", "answer_longest", "answer_shortest", "rejected_answers"].map(|name| (name, count(name)));
    Ok(results.into_iter().fold(run.finish()?, |summary, (name, n)| summary.with_result(name, n)))
}

/// Fails before anything is asked if a template uses a slot that does not exist.
fn check_prompts(config: &Config) -> Result<(), TextError> {
    let (settings, clip) = (config.settings(), Evidence::default());
    if let Author::Model(template) = &config.author {
        settings.ask_writer(template, &clip)?;
    }
    config
        .judge
        .as_ref()
        .map_or(Ok(()), |judge| settings.ask_judge(&judge.prompt, &clip, "{}", judge.with_facts).map(drop))
}

fn hashed<'a>(config: &'a Config, writer: &'a str, reviewer: Option<&dyn TextGenerator>) -> HashedConfig<'a> {
    let judge = config.judge.as_ref();
    HashedConfig {
        product: config.product,
        style: config.style,
        writer,
        prompt_sha256: match &config.author {
            Author::Model(template) => Some(template.hash()),
            Author::Template => None,
        },
        hears: config.sounds.is_some(),
        judge: reviewer.map(TextGenerator::identity),
        judge_sha256: judge.map(|judge| judge.prompt.hash()),
        judge_with_facts: judge.is_some_and(|judge| judge.with_facts),
        sample: config.sample,
        min_thinking: config.limits.min_thinking,
        max_answer: config.limits.max_answer,
        with_ast: config.with_ast,
        grounded: config.grounded,
        semantic_object: config.semantic_object,
        temperature: config.temperature,
        max_tokens: config.max_tokens,
        max_attempts: config.attempts(),
        clips_per_shard: config.clips_per_shard,
    }
}

/// Writes about the clips of a shard.
struct ShardWriter<'a> {
    config: &'a Config,
    generate: &'a GenerateStep<'a, Writing<'a>>,
    identity: &'a str,
    seed: u64,
}

impl ShardWriter<'_> {
    fn write(&self, path: &Path, out: &mut ShardOutput) -> Result<(), ShardError> {
        let rows: Vec<ClipMetadata> = read_parquet(path).map_err(ShardError::input)?;
        let clips: Vec<Evidence> = rows.iter().map(Evidence::of).collect();
        let answers = self.generate.run(&clips, out)?;
        let mut file = out.create(format!("part-{}.jsonl", out.name()))?;
        out.announce(clips.len() as u64);
        // Every shard deals letters of its own, whoever writes it.
        let seed = xxh3_64_with_seed(out.name().as_bytes(), self.seed);
        let mut writer = RowWriter::new(self.config.product, self.identity, self.config.semantic_object, seed);
        for (clip, answered) in clips.iter().zip(answers) {
            let Some(written) = out.file(&clip.key, answered.outcome()) else { continue };
            let row = writer.row(&clip.key, written);
            writeln!(file, "{row}").map_err(audsem_core::error::Error::write(file.path()))?;
        }
        count(out, &writer.counts);
        Ok(out.close(file)?)
    }
}

fn count(out: &mut ShardOutput, counts: &FormCounts) {
    if counts.pairs > 0 {
        out.count("pairs", counts.pairs);
    }
    if counts.letters.iter().sum::<u64>() > 0 {
        for (name, n) in ["answer_a", "answer_b", "answer_c", "answer_d"].into_iter().zip(counts.letters) {
            out.count(name, n);
        }
        out.count("answer_longest", counts.longest);
        out.count("answer_shortest", counts.shortest);
    }
}
