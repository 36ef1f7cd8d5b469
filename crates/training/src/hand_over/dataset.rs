//! `export-dataset`: training examples as rows of another engine, with their sounds as files.
//!
//! ```text
//! out/part-00000.jsonl (ms-swift) or out/part-00000.parquet (verl-omni)    one file for each shard of examples
//! out/audio/00000/HASH.flac                                                sounds, each once in a shard
//! ```

use std::collections::HashSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use audsem_core::files::hex;
use audsem_core::instructions::{InstructionProfile, QuestionForm, Wordings};
use audsem_core::run::{
    Fingerprint, LeftOut, Outcome, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary,
};
use audsem_core::tables::ParquetWriter;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::rows::{HandedOver, VerlRow};
use super::{Engine, TrainingKind};
use crate::data::TargetStyle;
use crate::error::{Error, Result};
use crate::manifest::{ExampleBytes, ExampleText, Manifest, ShardFiles, example_key, read_example};
use crate::tables::ManifestRow;

audsem_core::reasons! {
    /// Why an example is not exported.
    pub enum HandOverFault {
        BadText = "bad_text": "the JSON does not hold this example",
        NoSemantic = "no_semantic": "semantic elements are to be learned, and the example has none" => "--target",
        AnswerNotAmongChoices = "answer_not_among_choices": "the answer is not one of the choices, so no reward could tell",
        MediaMark = "media_mark": "a text holds `<audio>`, `<image>` or `<video>`, which engines take for another medium",
    }
}

/// What engines replace by media.
const MARKS: [&str; 3] = ["<audio>", "<image>", "<video>"];

/// Settings of `export-dataset`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who reads it.
    pub engine: Engine,
    /// What for.
    pub kind: TrainingKind,
    /// Run folders of `index`.
    pub data: Vec<PathBuf>,
    /// Form of the answers.
    pub target: TargetStyle,
    /// Instruction in front of questions.
    pub instruction: InstructionProfile,
    /// Its wordings.
    pub wordings: Wordings,
    /// System turn.
    pub system: Option<String>,
    /// Where the engine finds the folder `audio`; by default where it is written.
    pub audio_root: Option<PathBuf>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    engine: Engine,
    kind: TrainingKind,
    digests: &'a [String],
    target: TargetStyle,
    instruction: InstructionProfile,
    wordings_sha256: &'a str,
    system: Option<&'a str>,
    audio_root: &'a Path,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "export-dataset";
}

/// Writes the rows and the sounds.
///
/// # Errors
/// The engine does not do this, the data cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary> {
    if (config.engine, config.kind) == (Engine::VerlOmni, TrainingKind::Sft) {
        let problem = "verl-omni is for reinforcement learning\nhint: choose --engine ms-swift, or --kind grpo";
        return Err(
            audsem_core::error::Error::Config { what: "--engine".to_owned(), problem: problem.to_owned() }.into()
        );
    }
    let data = config.data.iter().map(|folder| Manifest::open(folder)).collect::<Result<Vec<Manifest>>>()?;
    let digests: Vec<String> = data.iter().map(|manifest| manifest.summary.digest.clone()).collect();
    let rows: Vec<ManifestRow> = data.into_iter().flat_map(|manifest| manifest.rows).collect();
    let audio_root = match &config.audio_root {
        Some(root) => root.clone(),
        None => std::path::absolute(&options.output)
            .map_err(audsem_core::error::Error::read(&options.output))?
            .join("audio"),
    };
    let hashed = HashedConfig {
        engine: config.engine,
        kind: config.kind,
        digests: &digests,
        target: config.target,
        instruction: config.instruction,
        wordings_sha256: config.wordings.sha256(),
        system: config.system.as_deref(),
        audio_root: &audio_root,
    };
    let mut run = Run::open(options, RunSpec::new(&hashed))?;
    let step = Step { name: "part", unit: "examples", physical: "MB" };
    run.must_keep(step).explain(HandOverFault::ALL);
    let plan = plan(&rows, options.limit);
    let export = Export { config, rows: &rows, files: ShardFiles::default(), audio_root: &audio_root };
    run.execute(step, &plan, |rows, out| export.shard(rows, out))?;
    Ok(run.finish()?)
}

/// The examples of each tar, in their order.
fn plan(rows: &[ManifestRow], limit: Option<u64>) -> Vec<Shard<std::ops::Range<usize>>> {
    let n = limit.map_or(rows.len(), |limit| rows.len().min(usize::try_from(limit).unwrap_or(usize::MAX)));
    let mut at = 0;
    let tars = rows[..n].chunk_by(|a, b| a.tar == b.tar).enumerate().map(|(number, rows)| {
        let range = at..at + rows.len();
        at = range.end;
        let digest = rows.iter().fold(Fingerprint::new(), |all, row| all.with(&row.json_sha256));
        Shard { name: format!("{number:05}"), fingerprint: digest.finish(), work: range }
    });
    tars.collect()
}

struct Export<'a> {
    config: &'a Config,
    rows: &'a [ManifestRow],
    files: ShardFiles,
    audio_root: &'a Path,
}

impl Export<'_> {
    fn shard(&self, rows: &std::ops::Range<usize>, out: &mut ShardOutput) -> Result<(), ShardError> {
        let (mut written, mut kept) = (HashSet::new(), Vec::new());
        for index in rows.clone() {
            let row = &self.rows[index];
            let bytes = self.files.read(row)?;
            out.work((row.json_bytes + row.audio_bytes) as f64 / 1e6);
            let outcome = self.example(index, row, &bytes, out.name());
            let Some(example) = out.file(example_key(&row.key, row.pair), outcome) else { continue };
            let name = sound_name(row, &bytes, out.name());
            if written.insert(name.clone()) && !out.dry_run() {
                out.write_file(Path::new("audio").join(&name), &bytes.sound)?;
            }
            kept.push(example);
        }
        self.write(&kept, out)
    }

    fn example(&self, index: usize, row: &ManifestRow, bytes: &ExampleBytes, shard: &str) -> Outcome<HandedOver> {
        let config = self.config;
        let text = read_example(&bytes.json, row.pair).map_err(|left_out| {
            LeftOut::fail(HandOverFault::BadText, format!("{}: {}", left_out.reason(), left_out.detail()))
        })?;
        let form = if text.choices.is_some() { QuestionForm::Options } else { QuestionForm::Open };
        let question = config.wordings.ask(config.instruction, form, &text.question);
        let target = match config.kind {
            TrainingKind::Grpo => None,
            TrainingKind::Sft => {
                let missing = || LeftOut::fail(HandOverFault::NoSemantic, String::new());
                Some(config.target.render(&text).ok_or_else(missing)?)
            }
        };
        let texts = || [Some(&question), target.as_ref()].into_iter().flatten();
        if let Some(mark) = MARKS.iter().find(|mark| texts().any(|text| text.contains(**mark))) {
            return Err(LeftOut::fail(HandOverFault::MediaMark, (*mark).to_owned()));
        }
        Ok(HandedOver {
            index: index as u64,
            key: example_key(&row.key, row.pair),
            system: config.system.clone(),
            question,
            answer: judgeable(&text, config.kind)?,
            target,
            choices: text.choices.iter().flat_map(|choices| choices.iter().map(|choice| choice.answer())).collect(),
            sound: self.audio_root.join(sound_name(row, bytes, shard)).display().to_string(),
        })
    }

    fn write(&self, examples: &[HandedOver], out: &mut ShardOutput) -> Result<(), ShardError> {
        let suffix = if self.config.engine == Engine::MsSwift { "jsonl" } else { "parquet" };
        let mut file = out.create(format!("part-{}.{suffix}", out.name()))?;
        match self.config.engine {
            Engine::MsSwift => {
                let lines: String = examples.iter().map(HandedOver::swift_line).collect();
                file.write_all(lines.as_bytes()).map_err(audsem_core::error::Error::write(file.path()))?;
            }
            Engine::VerlOmni => {
                let mut writer = ParquetWriter::<VerlRow, _>::new(&mut file).map_err(Error::from)?;
                for example in examples {
                    let row = example.verl_row();
                    writer.push(audsem_core::tables::Row::as_row(&row)).map_err(Error::from)?;
                }
                writer.finish().map_err(Error::from)?;
            }
        }
        Ok(out.close(file)?)
    }
}

/// The answer, if a reward could tell that it is right.
fn judgeable(text: &ExampleText, kind: TrainingKind) -> Outcome<String> {
    if let (TrainingKind::Grpo, Some(choices)) = (kind, &text.choices)
        && let Err(fault) = choices.find(&text.answer)
    {
        return Err(LeftOut::fail(HandOverFault::AnswerNotAmongChoices, fault.detail));
    }
    Ok(text.answer.clone())
}

/// The name of a sound's file: that of its content, so that the questions about a clip share it.
fn sound_name(row: &ManifestRow, bytes: &ExampleBytes, shard: &str) -> PathBuf {
    let digest = hex(&Sha256::digest(&bytes.sound));
    Path::new(shard).join(format!("{}.{}", &digest[..32], row.audio_suffix))
}
