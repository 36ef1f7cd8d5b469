//! Questions about sounds that a model has not heard.

use std::fmt;
use std::path::Path;

use audsem_core::run::RunOptions;
use audsem_media::audio::{Decoder, resample};
use audsem_models::multimodal::SAMPLE_RATE_HZ;
use audsem_models::multimodal::audio_language::{AudioLanguageModel, AudioModelOptions, AudioQuestion};
use audsem_models::multimodal::processor::ChatTurn;
use audsem_training::data::{DataSet, DataSource};
use audsem_training::manifest::{ShardFiles, read_example};

use crate::Failure;

/// Most tokens of an answer: options are shorter.
const TOKENS: usize = 16;

/// Questions that are asked at a time.
const BATCH: usize = 16;

/// Answers to all questions.
#[derive(Default)]
struct Answered {
    /// Those that are the right option.
    right: usize,
    /// Those that are any option.
    options: usize,
}

/// How questions were answered.
pub(crate) struct Score {
    questions: usize,
    with_sound: Answered,
    with_silence: Answered,
}

/// Asks a model all questions of a folder of shards, each with its sound and with silence of the same length. An answer is
/// right if it is the text of the right option.
pub(crate) fn score(model: &str, shards: &Path) -> Result<Score, Failure> {
    let model = AudioLanguageModel::open(model, &AudioModelOptions::default())?;
    let index = tempfile::tempdir()?;
    let source = DataSource { path: shards.to_owned(), weight: 1.0 };
    let data = DataSet::open(&[source], "index", &RunOptions::new(index.path()))?;
    let (files, mut asked) = (ShardFiles::default(), Vec::new());
    for row in &data.rows {
        let bytes = files.read(row)?;
        let text = read_example(&bytes.json, row.pair).map_err(|left_out| left_out.reason())?;
        let audio = Decoder::new().decode_bytes(&bytes.sound, Some(&row.audio_suffix))?;
        asked.push((text, resample(&audio.to_mono(), audio.sample_rate_hz, SAMPLE_RATE_HZ)?));
    }
    let ask = |is_heard: bool| -> Result<Answered, Failure> {
        let mut answered = Answered::default();
        for batch in asked.chunks(BATCH) {
            let question = |(text, sound): &(audsem_training::manifest::ExampleText, Vec<f32>)| AudioQuestion {
                turns: vec![ChatTurn::question(1, text.question.as_str())],
                sounds: vec![if is_heard { sound.clone() } else { vec![0.0; sound.len()] }],
                seed: 0,
            };
            let questions: Vec<AudioQuestion> = batch.iter().map(question).collect();
            let answers = model.answer(&questions, &model.greedy(TOKENS))?;
            for (answer, (text, _)) in answers.iter().map(|answers| answers.first()).zip(batch) {
                let said = answer.map_or("", |answer| answer.text.trim());
                answered.right += usize::from(said == text.answer);
                let is_option =
                    |line: &str| line == said || line.split_once(". ").is_some_and(|(_, option)| option == said);
                answered.options += usize::from(text.question.lines().any(is_option));
            }
        }
        Ok(answered)
    };
    Ok(Score { questions: asked.len(), with_sound: ask(true)?, with_silence: ask(false)? })
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { questions, with_sound, with_silence } = self;
        let part = |name: &str, answered: &Answered| {
            let share = 100.0 * answered.right as f64 / (*questions).max(1) as f64;
            format!(
                "{name}: {} of {questions} right ({share:.1} %), {} were one of the options",
                answered.right, answered.options
            )
        };
        write!(f, "{}\n{}", part("with the sounds", with_sound), part("with silence", with_silence))
    }
}
