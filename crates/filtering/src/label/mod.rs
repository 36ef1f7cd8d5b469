//! Yes/no labels by a language model: does a caption name a sound?
//!
//! The label depends on the text alone, so each distinct text is asked about once. Decoding is
//! greedy; the score compares the probabilities of *yes* and *no* at the first word of the answer,
//! so it needs no sampling and repeats exactly. Answers are remembered in a replay folder: a run
//! that was killed asks nothing twice.
//!
//! Step `texts` collects the distinct texts, step `part` asks about them.

mod verdict;

use std::path::{Path, PathBuf};

use crate::tables::{LlmLabel, LlmLabelRef};
use audsem_core::run::{LeftOut, Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Step, Summary};
use audsem_core::tables::{ParquetWriter, read_parquet, tables_under};
use audsem_llm::{
    Message, OpenAiServer, Prompt, PromptTemplate, Request, Response, Role, ServerConfig, TextError, TextGenerator,
};
use serde::Serialize;
use serde_json::json;

pub use verdict::{UNKNOWN, Verdict, judge};

use crate::error::Result;
use crate::texts::{self, DistinctText};

/// The template that is used unless the user gives another.
pub const PROMPT: &str = include_str!("prompt.txt");

/// What an unclear answer is replied to with when it is asked about again.
const REMINDER: &str = "Answer with one word: yes or no.";

audsem_core::reasons! {
    /// What can be wrong with an answer.
    pub enum Fault {
        NoAnswer = "no_answer": "the language model server gave no usable answer to this text",
    }
}

/// Settings of `label`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Run folder of `extract`, or any folder or file of caption tables.
    pub input: PathBuf,
    /// What is asked about each text; the template gets `caption`.
    pub prompt: PromptTemplate,
    /// Most tokens of an answer; the first word decides.
    pub max_tokens: u32,
    /// Alternatives asked for at each token; 0 where the server knows no log-probabilities.
    pub top_logprobs: u8,
    /// Least P(yes) of a yes.
    pub threshold: f32,
    /// How often an answer that is neither yes nor no is replied to with a reminder.
    pub retry_unknown: u32,
    /// Texts per shard: asked about at a time, committed at a time.
    pub texts_per_shard: usize,
}

impl Config {
    /// The defaults: built-in prompt, 4 tokens, 20 alternatives (the most that servers allow),
    /// threshold one half, no reminder, shards of 2,000 texts.
    ///
    /// # Errors
    /// None in practice: the built-in template is valid.
    pub fn new(input: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self {
            input: input.into(),
            prompt: PromptTemplate::parse("built-in", PROMPT)?,
            max_tokens: 4,
            top_logprobs: 20,
            threshold: 0.5,
            retry_unknown: 0,
            texts_per_shard: 2000,
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

/// Labels with a server; answers are remembered in `replay`.
///
/// # Errors
/// Whatever keeps the run from going on: see [`crate::error::Error`].
pub fn run_server(
    config: &Config,
    server: ServerConfig,
    replay: Option<PathBuf>,
    options: &RunOptions,
) -> Result<Summary> {
    if options.dry_run {
        let name = server.model.clone().unwrap_or_else(|| "?".to_owned());
        return run(config, &Unasked(name), options);
    }
    let generator = OpenAiServer::connect(server)?.remembering(replay.as_deref())?;
    run(config, &*generator, options)
}

/// Stands for the server on a dry run, which asks nothing.
struct Unasked(String);

impl TextGenerator for Unasked {
    fn identity(&self) -> String {
        self.0.clone()
    }

    fn generate(&self, _: &Request) -> Result<Response, TextError> {
        Err(TextError::NotSent)
    }
}

/// Labels with any generator.
///
/// # Errors
/// As [`run_server`].
pub fn run(config: &Config, generator: &dyn TextGenerator, options: &RunOptions) -> Result<Summary> {
    let inputs = tables_under(&config.input)?;
    // Fails now, not at the first text, if the template asks for what a caption does not have.
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
    let spec = RunSpec::new(&record).inputs(&inputs);
    let mut run = Run::open(options, spec)?;
    let texts = texts::collect(&mut run, &inputs, config.texts_per_shard)?;
    if !texts.complete || options.dry_run {
        return Ok(run.finish()?);
    }
    let plan = texts.shard_per_file(".parquet");
    let step = Step { name: "part", unit: "texts", physical: "tok" };
    run.must_keep(step).explain(Fault::ALL);
    let report = run.execute(step, &plan, |path, out| label(config, generator, path, out))?;
    let unknown = report.stats.counts.get("unknown").copied().unwrap_or(0);
    Ok(run.finish()?.with_result("unknown", unknown))
}

/// One shard: asks about its texts, writes `part-N.parquet`.
fn label(config: &Config, generator: &dyn TextGenerator, path: &Path, out: &mut ShardOutput) -> Result<(), ShardError> {
    let texts: Vec<DistinctText> = read_parquet(path).map_err(ShardError::input)?;
    let requests: Result<Vec<_>, _> = texts.iter().map(|row| config.request(&row.text)).collect();
    let requests = requests.map_err(ShardError::fatal)?;
    let answers = ask(config, generator, requests)?;
    let mut file = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = ParquetWriter::<LlmLabel, _>::new(&mut file).map_err(ShardError::fatal)?;
    out.announce(texts.len() as u64);
    for (row, answer) in texts.iter().zip(answers) {
        let outcome = answer.map_err(|error| LeftOut::fail(Fault::NoAnswer, error));
        let Some((verdict, response)) = out.file(&row.text, outcome) else { continue };
        out.count("prompt_tokens", response.usage.prompt_tokens);
        out.count("completion_tokens", response.usage.completion_tokens);
        out.work((response.usage.prompt_tokens + response.usage.completion_tokens) as f64);
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

type Answer = Result<(Verdict, Response), TextError>;

/// Asks, and asks again about what stayed unclear. A lost server ends the run.
fn ask(config: &Config, generator: &dyn TextGenerator, requests: Vec<Request>) -> Result<Vec<Answer>, ShardError> {
    let send = |requests: &[Request]| -> Result<Vec<Answer>, ShardError> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut stopped = false;
        for result in generator.generate_batch(requests) {
            match result {
                Err(error) if error.is_systemic() && !matches!(error, TextError::NotSent) => {
                    return Err(ShardError::fatal(error));
                }
                Err(TextError::NotSent) => stopped = true,
                result => answers.push(result.map(|response| (judge(&response, config.threshold), response))),
            }
        }
        // What was answered is remembered; waiting for the rest could outlast the patience of whoever stops us.
        if stopped { Err(ShardError::Stopped) } else { Ok(answers) }
    };
    let mut requests = requests;
    let mut answers = send(&requests)?;
    for _ in 0..config.retry_unknown {
        let unclear: Vec<usize> = (0..answers.len())
            .filter(|&i| answers[i].as_ref().is_ok_and(|(verdict, _)| verdict.label == UNKNOWN.label))
            .collect();
        let again: Vec<Request> = unclear
            .iter()
            .map(|&i| match &answers[i] {
                Ok((_, response)) => remind(requests[i].clone(), &response.text),
                Err(_) => requests[i].clone(),
            })
            .collect();
        for ((i, answer), request) in unclear.into_iter().zip(send(&again)?).zip(again) {
            // A failed reminder leaves the first answer standing: it is unclear, not lost.
            if answer.is_ok() {
                answers[i] = answer;
                requests[i] = request;
            }
        }
    }
    Ok(answers)
}

/// The same question with the unclear answer and a reminder behind it.
fn remind(mut request: Request, answer: &str) -> Request {
    match &mut request.prompt {
        Prompt::Chat(messages) => {
            messages.push(Message { role: Role::Assistant, content: answer.to_owned() });
            messages.push(Message { role: Role::User, content: REMINDER.to_owned() });
        }
        Prompt::Raw(text) => text.push_str(&format!("{answer}\n{REMINDER}\n")),
    }
    request
}
