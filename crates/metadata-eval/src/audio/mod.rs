//! `audio`: what audio networks say about each clip.
//!
//! Each clip is decoded once for all networks of a run. One shard of input becomes one table with a column for each
//! network; a network that can make nothing of a clip leaves its column absent and says why in `failures`, and the others
//! are unaffected. No row depends on other clips, on the batch size or on the number of workers.
//!
//! ```text
//! out/keys-00000.csv        keys of a source under which there is a sound
//! out/part-00000.parquet    one row for each clip that some network can use
//! ```

mod captions;
mod finding;
mod labels;
mod models;
mod music;
mod speech;
mod taggers;

use std::path::PathBuf;

use audsem_core::run::{OutputFile, RunConfig, RunOptions, Summary};
use audsem_core::tables::TableError;
use audsem_media::audio::Decoder;
use audsem_media::batch::{BatchStep, ClipTable, ClipTables, JointOutput, row_table};
use serde::Serialize;

pub use models::AudioModel;
pub use music::{MusicRule, MusicSettings};

pub(crate) use labels::ClassNames;
pub(crate) use taggers::{audible, top_tags};

use crate::checkpoint::NetworkSettings;
use crate::decoder::decoder;
use crate::error::Error;
use crate::networks::OpenedNetworks;
use crate::tables::AudioFeatures;
use finding::Finding;
use models::OpenSettings;

/// Settings of `audio`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, sounds, folders of either, or lists.
    pub inputs: Vec<PathBuf>,
    /// The networks, with their checkpoints.
    pub models: Vec<(AudioModel, NetworkSettings)>,
    /// Number of labels that are kept, the most probable ones.
    pub top_k: usize,
    /// Names of AudioSet's classes, for checkpoints that have ids only.
    pub class_names: Option<PathBuf>,
    /// When music is captioned, and how; without LP-MusicCaps among the networks it has no effect.
    pub music: MusicSettings,
    /// Clips in one forward pass.
    pub batch_size: usize,
    /// The ffmpeg for sounds that the built-in decoders cannot read.
    pub ffmpeg: Option<PathBuf>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    models: Vec<(&'a str, &'a str)>,
    top_k: usize,
    class_names: Option<String>,
    music: Option<&'a MusicSettings>,
    /// The seed, if captions are drawn by it.
    music_seed: Option<u64>,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "audio";
}

/// Runs the networks over every sound of the inputs. A dry run counts clips and seconds, without a model.
///
/// # Errors
/// A model or an input cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let names = config.class_names.as_deref().map(ClassNames::read).transpose()?;
    let told = OpenSettings { names: names.as_ref(), top_k: config.top_k, music: &config.music, seed: options.seed };
    let networks = OpenedNetworks::open(&config.models, options.dry_run, |model, settings, checkpoint| {
        model.load(settings, checkpoint, &told)
    })?;
    let music = config.models.iter().any(|(model, _)| *model == AudioModel::LpMusicCaps).then_some(&config.music);
    let decoder = if options.dry_run { Decoder::new() } else { decoder(config.ffmpeg.as_deref()) };
    let record = HashedConfig {
        models: networks.identities(),
        top_k: config.top_k,
        class_names: names.map(|names| names.hash),
        music,
        music_seed: music.filter(|music| music.drawn).map(|_| options.seed),
    };
    let step = BatchStep {
        config: &record,
        models: networks.fingerprints(),
        inputs: &config.inputs,
        decoder: &decoder,
        batch_size: config.batch_size,
    };
    Ok(step.run_joint(&networks.named(), &FeatureTables(&networks), options)?)
}

/// The tables of features of these networks.
struct FeatureTables<'a>(&'a OpenedNetworks<'static, Finding>);

impl ClipTables<JointOutput<Finding>> for FeatureTables<'_> {
    fn table<'f>(
        &'f self,
        file: &'f mut OutputFile,
    ) -> Result<Box<dyn ClipTable<JointOutput<Finding>> + 'f>, TableError> {
        row_table(file, |clip, findings: JointOutput<Finding>| {
            let mut row = AudioFeatures::of_key(clip.key.clone());
            row.place = Some(clip.place.clone());
            row.text.clone_from(&clip.text);
            row.duration_ms = Some(u32::try_from(clip.milliseconds).unwrap_or(u32::MAX));
            let failures = self.0.divide(findings, |finding| finding.add_to(&mut row));
            AudioFeatures { failures, ..row }
        })
    }
}
