//! `image`: what image networks say about the frames of each clip.
//!
//! The frames of each clip are decoded once for all networks of a run. One shard of input becomes one table with columns
//! for each network; a network that can make nothing of a clip leaves its columns absent and says why in `failures`, and
//! the others are unaffected. No row depends on other clips, on the batch size or on the number of workers.
//!
//! ```text
//! out/keys-00000.csv        keys of a source under which there is a video or a picture
//! out/part-00000.parquet    one row for each clip that some network can use
//! ```

mod finding;
mod frames;
mod models;
mod readers;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::run::{FileFingerprint, OutputFile, RunConfig, RunOptions, Summary};
use audsem_core::tables::TableError;
use audsem_media::batch::{
    BatchStep, ClipFrames, ClipTable, ClipTables, FrameChoice, FrameDecoder, JointOutput, row_table,
};
use audsem_models::vision::places;
use serde::Serialize;

pub use models::ImageModel;

use crate::checkpoint::NetworkSettings;
use crate::decoder::video_program;
use crate::error::Error;
use crate::networks::OpenedNetworks;
use crate::tables::ImageFeatures;
use finding::Finding;
use models::Wanted;

/// Settings of `image`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, videos, pictures, folders of either, or lists.
    pub inputs: Vec<PathBuf>,
    /// The networks, with their checkpoints.
    pub models: Vec<(ImageModel, NetworkSettings)>,
    /// Maximum number of frames of a video.
    pub frames: usize,
    /// Number of labels of classifiers that are kept, the most probable ones.
    pub top_k: usize,
    /// Objects that are kept have scores above this.
    pub object_threshold: f32,
    /// A frame's likeliest scene is kept if its probability is above this.
    pub place_threshold: f32,
    /// List of the classes of Places365, if not the published one.
    pub place_names: Option<PathBuf>,
    /// Clips in one forward pass.
    pub batch_size: usize,
    /// The ffmpeg for videos.
    pub ffmpeg: Option<PathBuf>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    models: Vec<(&'a str, &'a str)>,
    frames: usize,
    top_k: usize,
    object_threshold: f32,
    place_threshold: f32,
    place_names: Option<String>,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "image";
}

/// Runs the networks over the frames of every clip of the inputs. A dry run counts clips, without a model.
///
/// # Errors
/// A model or an input cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let names = config.place_names.as_deref().map(PlaceNames::read).transpose()?;
    let wanted = Wanted {
        top_k: config.top_k,
        object_threshold: config.object_threshold,
        place_threshold: config.place_threshold,
        place_names: names.as_ref().map_or(places::NAMES, |names| &names.text),
    };
    let networks = OpenedNetworks::open(&config.models, options.dry_run, |model, settings, checkpoint| {
        model.load(settings, checkpoint, &wanted)
    })?;
    let ffmpeg = if options.dry_run { None } else { video_program(config.ffmpeg.as_deref()) };
    let record = HashedConfig {
        models: networks.identities(),
        frames: config.frames,
        top_k: config.top_k,
        object_threshold: config.object_threshold,
        place_threshold: config.place_threshold,
        place_names: names.as_ref().map(|names| names.hash.clone()),
    };
    let step = BatchStep {
        config: &record,
        models: networks.fingerprints(),
        inputs: &config.inputs,
        decoder: &FrameDecoder::new(ffmpeg, FrameChoice::EachSecond(config.frames)),
        batch_size: config.batch_size,
    };
    Ok(step.run_joint(&networks.named(), &FeatureTables(&networks), options)?)
}

/// A list of classes that the command line names.
struct PlaceNames {
    text: String,
    hash: String,
}

impl PlaceNames {
    fn read(path: &Path) -> Result<Self, Error> {
        let hash = FileFingerprint::of(path)?.sha256;
        let mut text = String::new();
        let read = audsem_core::input::open_plain(path).and_then(|mut file| file.read_to_string(&mut text));
        read.map_err(CoreError::read(path))?;
        Ok(Self { text, hash })
    }
}

/// The tables of features of these networks.
struct FeatureTables<'a>(&'a OpenedNetworks<'static, Finding, ClipFrames>);

impl ClipTables<JointOutput<Finding>> for FeatureTables<'_> {
    fn table<'f>(
        &'f self,
        file: &'f mut OutputFile,
    ) -> Result<Box<dyn ClipTable<JointOutput<Finding>> + 'f>, TableError> {
        row_table(file, |clip, findings: JointOutput<Finding>| {
            let mut row = ImageFeatures::of_key(clip.key.clone());
            row.place = Some(clip.place.clone());
            let failures = self.0.divide(findings, |finding| finding.add_to(&mut row));
            ImageFeatures { failures, ..row }
        })
    }
}
