//! Yes/no labels by a language model: does a caption name a sound?
//!
//! The label depends on the text alone, so each distinct text is asked about once. Decoding is
//! greedy; the label is what the text of the answer says, and the score compares the probabilities of *yes*
//! and *no* at the word that says it, so it needs no sampling and repeats exactly. Answers are stored in a
//! replay folder: a run that was killed asks nothing twice, and questions that an overloaded server did not answer stay
//! open for the next run. A run without a single yes or no is an error.
//!
//! Step `texts` collects the distinct texts, step `part` asks about them.

mod verdict;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::tables::{LlmLabel, LlmLabelRef, refuse_other_kinds};
use audsem_core::run::{ModelFingerprint, Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Step, Summary};
use audsem_core::tables::{ParquetWriter, read_parquet, tables_under};
use audsem_llm::{
    Answered, Fault, FinishReason, GenerateStep, GenerateTask, PromptTemplate, Refusal, Request, Response, TextError,
    TextGenerator, Unanswered,
};
use serde::Serialize;
use serde_json::json;

pub use verdict::{MIN_MASS, UNKNOWN, Verdict, judge};

use crate::error::Result;
use crate::texts::{self, DistinctText};

/// The template that is used unless the user gives another.
pub const PROMPT: &str = include_str!("prompt.txt");

/// The reply to an unclear answer when the model is asked again.
const REMINDER: &str = "Answer with one word: yes or no.";

/// Settings of `label`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Run folder of `extract`, or any folder or file of caption tables.
    pub inputs: Vec<PathBuf>,
    /// What is asked about each text; the template gets `caption`.
    pub prompt: PromptTemplate,
    /// Maximum number of tokens of an answer, reasoning included.
    pub max_tokens: u32,
    /// Top log-probabilities requested for each token; 0 for servers without log-probabilities.
    pub top_logprobs: u8,
    /// Minimum P(yes) of a yes.
    pub threshold: f32,
    /// Maximum number of reminders after an answer that is neither yes nor no.
    pub retry_unknown: u32,
    /// Texts per shard, which are asked about and committed together.
    pub texts_per_shard: usize,
    /// What happens to a text about which the server gave no answer. Not part of the hashed configuration, so that a
    /// run can be ended in which some texts stay open.
    pub unanswered: Unanswered,
}

impl Config {
    /// The defaults: built-in prompt, 4 tokens, 20 alternatives (the most that servers allow),
    /// threshold one half, no reminder, shards of 2,000 texts.
    ///
    /// # Errors
    /// None in practice: the built-in template is valid.
    pub fn new(input: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self {
            inputs: vec![input.into()],
            prompt: PromptTemplate::parse("built-in", PROMPT)?,
            max_tokens: 4,
            top_logprobs: 20,
            threshold: 0.5,
            retry_unknown: 0,
            texts_per_shard: 2000,
            unanswered: Unanswered::default(),
        })
    }

    fn request(&self, caption: &str) -> Result<Request, TextError> {
        let prompt = self.prompt.render(&json!({ "caption": caption }))?;
        Ok(Request { top_logprobs: self.top_logprobs, ..Request::greedy(prompt, self.max_tokens) })
    }
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    generator: &'a str,
    prompt_sha256: &'a str,
    max_tokens: u32,
    top_logprobs: u8,
    threshold: f32,
    retry_unknown: u32,
    texts_per_shard: usize,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "label";
}

/// Labels with a generator; `models` are those in this process.
///
/// # Errors
/// Whatever prevents the run from continuing: see [`crate::error::Error`].
pub fn run(
    config: &Config,
    generator: &dyn TextGenerator,
    models: Vec<ModelFingerprint>,
    options: &RunOptions,
) -> Result<Summary> {
    let inputs = config.inputs.iter().map(|path| tables_under(path)).collect::<Result<Vec<_>, _>>()?.concat();
    refuse_other_kinds::<texts::Caption>(&inputs)?;
    // Fails now, not at the first text, if the template uses a variable that a caption does not have.
    config.request("[test]")?;
    let identity = generator.identity();
    let record = HashedConfig {
        generator: &identity,
        prompt_sha256: config.prompt.hash(),
        max_tokens: config.max_tokens,
        top_logprobs: config.top_logprobs,
        threshold: config.threshold,
        retry_unknown: config.retry_unknown,
        texts_per_shard: config.texts_per_shard,
    };
    let spec = RunSpec::new(&record).inputs(&inputs).models(models);
    let mut run = Run::open(options, spec)?;
    let texts = texts::collect(&mut run, &inputs, config.texts_per_shard)?;
    if !texts.complete || options.dry_run {
        return Ok(run.finish()?);
    }
    let plan = texts.shard_per_file(".parquet");
    let step = Step { name: "part", unit: "texts", physical: "tok" };
    run.must_keep(step).explain(Fault::ALL);
    let question = Question(config);
    let generate = GenerateStep::new(&question, generator)
        .with_max_attempts(config.retry_unknown.saturating_add(1))
        .with_unanswered(config.unanswered);
    let report = run.execute(step, &plan, |path, out| label(&generate, path, out))?;
    let count = |name| report.stats.counts.get(name).copied().unwrap_or(0);
    if report.complete {
        generate.finish(count("yes") + count("no"), count("unknown"))?;
    }
    Ok(run.finish()?.with_result("unknown", count("unknown")))
}

/// One shard: asks about its texts, writes `part-N.parquet`.
fn label(step: &GenerateStep<'_, Question<'_>>, path: &Path, out: &mut ShardOutput) -> Result<(), ShardError> {
    let texts: Vec<DistinctText> = read_parquet(path).map_err(ShardError::input)?;
    let answers = step.run(&texts, out)?;
    let mut file = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = ParquetWriter::<LlmLabel, _>::new(&mut file).map_err(ShardError::fatal)?;
    out.announce(texts.len() as u64);
    for (row, answered) in texts.iter().zip(answers) {
        // An unclear answer gives label -1; the text is kept.
        let outcome = if let Answered::Refused(_) = answered { Ok(UNKNOWN) } else { answered.outcome() };
        let Some(verdict) = out.file(&row.text, outcome) else { continue };
        out.count(["unknown", "no", "yes"][(verdict.label + 1) as usize], 1);
        let label = LlmLabelRef {
            text_hash: row.text_hash,
            text: &row.text,
            llm_label: verdict.label,
            llm_yes_prob: verdict.yes_prob,
        };
        writer.push(label).map_err(ShardError::fatal)?;
    }
    writer.finish().map_err(ShardError::fatal)?;
    Ok(out.close(file)?)
}

/// The question about each text.
struct Question<'a>(&'a Config);

impl GenerateTask for Question<'_> {
    type Record = DistinctText;
    type Row = Verdict;

    fn key<'a>(&self, record: &'a DistinctText) -> Cow<'a, str> {
        Cow::Borrowed(&record.text)
    }

    fn request(&self, record: &DistinctText) -> Result<Request, TextError> {
        self.0.request(&record.text)
    }

    fn harmless(&self) -> Option<DistinctText> {
        Some(DistinctText { text_hash: 0, text: "[test]".to_owned() })
    }

    fn settings_hint(&self) -> &'static str {
        "ask for less with --top-logprobs (0 for a server without log-probabilities) or --max-tokens"
    }

    fn validate(&self, _: &DistinctText, answer: &Response) -> Result<Verdict, Refusal> {
        judge(answer, self.0.threshold).ok_or_else(|| {
            let reason = match answer.finish {
                FinishReason::Length => "it reached the limit of tokens before it was yes or no",
                FinishReason::Stop | FinishReason::Other => "it is neither yes nor no",
            };
            Refusal::new(reason).with_reply(REMINDER)
        })
    }
}
