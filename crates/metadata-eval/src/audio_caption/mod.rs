//! `audio-caption`: free descriptions of sounds by an audio language model behind an OpenAI-compatible server, or by
//! one in this process.
//!
//! Each sound is decoded, mixed to one channel of 16 kHz and given as WAV. Decoding of the answer is greedy. Answers are
//! stored in a replay folder: a run that was killed asks nothing twice, and questions that an overloaded server did
//! not answer stay open for the next run. Memory holds the sounds of the shards in progress, 32 kB for each second.
//!
//! ```text
//! out/keys-00000.csv        keys of a source under which there is a sound
//! out/part-00000.parquet    one row for each clip that has a description
//! out/refused-00000.jsonl   answers that could not be used
//! ```

mod sound;

use std::borrow::Cow;
use std::path::PathBuf;

use audsem_core::clips::{
    ClipContent, ClipDrop, ClipFault, Deduplicator, PlannedSource, index_keys, limited, list_media,
};
use audsem_core::run::{LeftOut, Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Step, Summary};
use audsem_core::tables::{ParquetWriter, Row as _};
use audsem_llm::{
    Fault, FinishReason, GenerateStep, GenerateTask, Media, Part, PromptTemplate, Refusal, Request, Response,
    TextError, Unanswered,
};
use audsem_media::audio::Decoder;
use audsem_media::batch::MediaFault;
use audsem_models::language::LanguageModel;
use serde::Serialize;
use serde_json::json;

use crate::decoder::decoder;
use crate::error::Error;
use crate::tables::AudioFeatures;
use sound::HeardClip;

/// The template that is used unless the user gives another.
pub const PROMPT: &str = include_str!("prompt.txt");

/// Sounds whose requests are in memory together.
const REQUESTS: usize = 64;

/// Settings of `audio-caption`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, sounds, folders of either, or lists.
    pub inputs: Vec<PathBuf>,
    /// What is asked about each sound.
    pub prompt: PromptTemplate,
    /// Maximum number of tokens of an answer.
    pub max_tokens: u32,
    /// Maximum number of times that is asked about a sound.
    pub max_attempts: u32,
    /// What happens to a sound about which a server gave no answer. Not part of the hashed configuration, so that a run
    /// can be ended in which some sounds stay open.
    pub unanswered: Unanswered,
    /// The ffmpeg for sounds that the built-in decoders cannot read.
    pub ffmpeg: Option<PathBuf>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    generator: &'a str,
    prompt_sha256: &'a str,
    max_tokens: u32,
    max_attempts: u32,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "audio-caption";
}

/// Asks a model about every sound of the inputs. A dry run counts the sounds.
///
/// # Errors
/// An input cannot be read, the output cannot be written, or the model gives nothing usable.
pub fn run(config: &Config, model: &LanguageModel, options: &RunOptions) -> Result<Summary, Error> {
    let identity = model.generator.identity();
    let record = HashedConfig {
        generator: &identity,
        prompt_sha256: config.prompt.hash(),
        max_tokens: config.max_tokens,
        max_attempts: config.max_attempts,
    };
    let sources = limited(list_media(&config.inputs, ClipContent::Sound)?, options.limit)?;
    let mut run = Run::open(options, RunSpec::new(&record).models(model.fingerprints.clone()))?;
    let Some(plan) = index_keys(&mut run, &sources, ClipContent::Sound)? else { return Ok(run.finish()?) };
    let step = Step { name: "part", unit: "clips", physical: "tok" };
    run.must_keep(step).explain(ClipDrop::ALL).explain(ClipFault::ALL).explain(MediaFault::ALL).explain(Fault::ALL);
    let decoder = if options.dry_run { Decoder::new() } else { decoder(config.ffmpeg.as_deref()) };
    let task = Question(config);
    let generate = (!options.dry_run).then(|| {
        let step = GenerateStep::new(&task, &*model.generator).with_batch(REQUESTS);
        step.with_max_attempts(config.max_attempts).with_unanswered(config.unanswered)
    });
    let report = run.execute(step, &plan.shards, |planned, out| {
        let mut dedupe = plan.deduplicator(planned, ClipContent::Sound)?;
        match &generate {
            Some(generate) => describe(generate, &decoder, planned, &mut dedupe, out)?,
            None => planned.source.for_each_media(&mut dedupe, 0, |_| {
                out.file_kept(1);
                Ok(())
            })?,
        }
        dedupe.report(out);
        Ok(())
    })?;
    if let Some(generate) = generate.as_ref().filter(|_| report.complete) {
        let refused = report.stats.counts.get("rejected_answers").copied().unwrap_or(0);
        generate.finish(report.stats.kept, refused)?;
    }
    Ok(run.finish()?.with_result("shards", sources.len()))
}

/// One shard: decodes its sounds, asks about them, writes `part-N.parquet`.
fn describe(
    generate: &GenerateStep<'_, Question<'_>>,
    decoder: &Decoder,
    planned: &PlannedSource<'_>,
    dedupe: &mut Deduplicator<'_>,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let mut clips = Vec::new();
    planned.source.for_each_media(dedupe, u64::MAX, |sound| {
        let key = sound.key.clone();
        match HeardClip::decode(sound, decoder)? {
            Ok(clip) => clips.push(clip),
            Err(error) => out.file_left_out(key, LeftOut::fail(error.fault, error.detail)),
        }
        Ok(())
    })?;
    let answers = generate.run(&clips, out)?;
    let mut file = out.create(format!("part-{}.parquet", out.name()))?;
    let mut writer = ParquetWriter::<AudioFeatures, _>::new(&mut file).map_err(ShardError::fatal)?;
    for (clip, answered) in clips.into_iter().zip(answers) {
        let Some(caption) = out.file(&clip.key, answered.outcome()) else { continue };
        let row = AudioFeatures {
            place: Some(clip.place),
            text: clip.text,
            duration_ms: Some(clip.duration_ms),
            audio_caption: Some(caption),
            ..AudioFeatures::of_key(clip.key)
        };
        writer.push(row.as_row()).map_err(ShardError::fatal)?;
    }
    writer.finish().map_err(ShardError::fatal)?;
    Ok(out.close(file)?)
}

/// The question about each sound.
struct Question<'a>(&'a Config);

impl GenerateTask for Question<'_> {
    type Record = HeardClip;
    type Row = String;

    fn key<'a>(&self, clip: &'a HeardClip) -> Cow<'a, str> {
        Cow::Borrowed(&clip.key)
    }

    fn request(&self, clip: &HeardClip) -> Result<Request, TextError> {
        let prompt = self.0.prompt.render(&json!({ "key": clip.key }))?;
        let sound = Part::Audio(Media::from_bytes("wav", std::sync::Arc::clone(&clip.wav)));
        Ok(Request::greedy(prompt.with_media(vec![sound])?, self.0.max_tokens))
    }

    fn settings_hint(&self) -> &'static str {
        "change --max-tokens"
    }

    fn validate(&self, _: &HeardClip, answer: &Response) -> Result<String, Refusal> {
        let caption = answer.answer().split_whitespace().collect::<Vec<_>>().join(" ");
        match answer.finish {
            FinishReason::Length => Err(Refusal::new("the description was cut off: raise --max-tokens")),
            FinishReason::Stop | FinishReason::Other if caption.is_empty() => {
                Err(Refusal::new("the description is empty"))
            }
            FinishReason::Stop | FinishReason::Other => Ok(caption),
        }
    }
}
