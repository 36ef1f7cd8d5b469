//! The examples of a training.

use std::sync::Arc;

use audsem_core::run::{RunOptions, ShardError, ShardOutput};
use audsem_core::terminal::{by_number, counted};
use audsem_media::audio::Decoder;
use audsem_media::program::{Program, Tool};
use audsem_models::multimodal::audio_language::AudioCheckpoint;
use audsem_models::multimodal::processor::AudioProcessor;
use serde_json::{Map, Value};

use super::config::TrainingSetup;
use crate::data::{
    Curriculum, DataSet, EpochOrder, Preparer, PromptConfig, SoundConfig, TokenizeConversation, Turns, check_disjoint,
    split_off,
};
use crate::error::{Error, Result};

/// Examples to learn from and to validate on, and how they become sequences.
#[derive(Debug)]
pub struct TrainingData {
    /// Examples to learn from.
    pub train: Arc<DataSet>,
    /// The order in which they come.
    pub order: EpochOrder,
    /// Examples to validate on, if there are any.
    pub valid: Option<Arc<DataSet>>,
    /// How examples become sequences.
    pub preparer: Arc<Preparer>,
    /// The processor of the model.
    pub processor: Arc<AudioProcessor>,
}

impl TrainingData {
    /// Opens the folders of a setup; those of shards are indexed below the output folder of `options`. Examples become
    /// conversations as `prompt` says, of no more tokens than the model has positions for.
    ///
    /// # Errors
    /// A folder has nothing to train on, a clip is in both training and validation data, or the processor of the model cannot
    /// be opened.
    pub fn open(
        setup: &TrainingSetup,
        mut prompt: PromptConfig,
        checkpoint: &mut AudioCheckpoint,
        options: &RunOptions,
    ) -> Result<Self> {
        let data = DataSet::open(&setup.data, "index/train", options)?;
        let (mut train, valid) = if setup.valid.is_empty() {
            split_off(data, setup.valid_share, options.seed)
        } else {
            (data, DataSet::open(&setup.valid, "index/valid", options)?)
        };
        check_disjoint(&train.rows, &valid.rows)?;
        if let Some(limit) = options.limit {
            train.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        let order = EpochOrder::shuffled(&train, options.seed, curriculum(setup, &train));
        let processor = Arc::new(checkpoint.processor()?);
        let tokenizer = Arc::clone(&processor) as Arc<dyn TokenizeConversation>;
        prompt.max_tokens = prompt.max_tokens.min(checkpoint.config().language().max_position_embeddings);
        let sound = heard(setup.sound, checkpoint.config().longest_sound());
        let preparer = Arc::new(Preparer::new(tokenizer, decoder(), sound, prompt));
        let valid = (!valid.rows.is_empty()).then(|| Arc::new(valid));
        Ok(Self { train: Arc::new(train), order, valid, preparer, processor })
    }
}

/// Counts the examples of a setup, without a model and without writing anything that stays: a dry run.
///
/// # Errors
/// As [`TrainingData::open`].
pub fn count_examples(
    setup: &TrainingSetup,
    options: &RunOptions,
    out: &mut ShardOutput,
) -> Result<Map<String, Value>, ShardError> {
    let folder = tempfile::tempdir().map_err(ShardError::fatal)?;
    let mut checkpoint = AudioCheckpoint::open(&setup.model, setup.processor.as_deref()).map_err(Error::from)?;
    let options = RunOptions { output: folder.path().to_owned(), fresh: false, ..options.clone() };
    let data = TrainingData::open(setup, setup.prompt(Turns::Prompt), &mut checkpoint, &options)?;
    out.file_kept(data.train.rows.len() as u64);
    Ok(Map::new())
}

fn curriculum(setup: &TrainingSetup, train: &DataSet) -> Option<Curriculum> {
    let (column, epochs) = setup.curriculum.as_ref()?;
    let (curriculum, absent) = Curriculum::new(&train.rows, column, *epochs);
    if absent > 0 {
        let (has, comes) = (by_number(absent, "has", "have"), by_number(absent, "comes", "come"));
        let all = counted(train.rows.len(), "examples");
        tracing::warn!("{absent} of {all} {has} no number `{column}` and {comes} last");
    }
    Some(curriculum)
}

/// A decoder that has ffmpeg where there is one.
fn decoder() -> Decoder {
    match Program::find(Tool::Ffmpeg, None) {
        Ok(ffmpeg) => Decoder::new().with_ffmpeg(ffmpeg),
        Err(_) => Decoder::new(),
    }
}

/// Lengths of sounds, of which no model is given more than it hears.
fn heard(sound: SoundConfig, longest: usize) -> SoundConfig {
    SoundConfig { max_samples: sound.max_samples.min(longest), ..sound }
}
