//! `video`: a description of each video by a video language model in this process.
//!
//! Eight frames of each clip, evenly spaced among those that are not black, are decoded once and shown to the model with
//! their own times. Decoding is greedy. No row depends on other clips, on the batch size or on the number of workers.
//!
//! ```text
//! out/keys-00000.csv        keys of a source under which there is a video
//! out/part-00000.parquet    one row for each clip that has a description
//! ```

mod llava;

use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{OutputFile, RunConfig, RunOptions, Summary};
use audsem_core::tables::TableError;
use audsem_llm::PromptTemplate;
use audsem_media::batch::{
    BatchStep, ClipFrames, ClipTable, ClipTables, FrameChoice, FrameDecoder, JointOutput, row_table,
};
use audsem_models::multimodal::llava_video::{FRAMES, VideoDescriber};
use serde::Serialize;

use crate::checkpoint::{NamedNetwork, NetworkSettings};
use crate::decoder::video_program;
use crate::error::Error;
use crate::networks::OpenedNetworks;
use crate::tables::VideoFeatures;
use llava::{Description, VideoCaptions, asked};

/// The template that is used unless the user gives another.
pub const PROMPT: &str = include_str!("prompt.txt");

/// A video language model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum VideoModel {
    /// LLaVA-Video: a description of eight frames
    LlavaVideo,
}

impl NamedNetwork for VideoModel {
    fn name(self) -> &'static str {
        match self {
            Self::LlavaVideo => "llava-video",
        }
    }

    fn default_checkpoint(self) -> Option<&'static str> {
        match self {
            Self::LlavaVideo => Some("lmms-lab/LLaVA-Video-7B-Qwen2"),
        }
    }
}

/// Settings of `video`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, videos, folders of either, or lists.
    pub inputs: Vec<PathBuf>,
    /// The model, with its checkpoint.
    pub model: (VideoModel, NetworkSettings),
    /// What is asked about each video.
    pub prompt: PromptTemplate,
    /// Maximum number of tokens of a description.
    pub max_tokens: usize,
    /// Clips in one forward pass.
    pub batch_size: usize,
    /// The ffmpeg for videos.
    pub ffmpeg: Option<PathBuf>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    model: Option<(&'a str, &'a str)>,
    prompt: &'a str,
    max_tokens: usize,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "video";
}

/// Describes every video of the inputs. A dry run counts clips, without a model.
///
/// # Errors
/// The model or an input cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    // A prompt that cannot be filled is a fault of the command line, not of every clip.
    let unusable = |problem: String| CoreError::Config { what: "--prompt".to_owned(), problem };
    asked(&config.prompt, 1.0, &[0]).map_err(unusable)?;
    let wanted = std::slice::from_ref(&config.model);
    let networks: OpenedNetworks<'_, Description, ClipFrames> =
        OpenedNetworks::open(wanted, options.dry_run, |_, settings, checkpoint| {
            let describer = VideoDescriber::open(&checkpoint.dir, &checkpoint.device, settings.precision.dtype())?;
            Ok(Box::new(VideoCaptions { describer, prompt: &config.prompt, max_tokens: config.max_tokens }))
        })?;
    let ffmpeg = if options.dry_run { None } else { video_program(config.ffmpeg.as_deref()) };
    let record = HashedConfig {
        model: networks.identities().first().copied(),
        prompt: config.prompt.hash(),
        max_tokens: config.max_tokens,
    };
    let step = BatchStep {
        config: &record,
        models: networks.fingerprints(),
        inputs: &config.inputs,
        decoder: &FrameDecoder::new(ffmpeg, FrameChoice::Uniform(FRAMES)),
        batch_size: config.batch_size,
    };
    Ok(step.run_joint(&networks.named(), &DescriptionTables, options)?)
}

/// The tables of descriptions.
struct DescriptionTables;

impl ClipTables<JointOutput<Description>> for DescriptionTables {
    fn table<'f>(
        &'f self,
        file: &'f mut OutputFile,
    ) -> Result<Box<dyn ClipTable<JointOutput<Description>> + 'f>, TableError> {
        row_table(file, |clip, mut said: JointOutput<Description>| {
            // A clip has a row only where its one network gave something.
            let said = said.remove(0).unwrap_or_default();
            VideoFeatures {
                key: clip.key.clone(),
                place: Some(clip.place.clone()),
                frames_ms: Some(said.frames_ms),
                caption: said.text,
            }
        })
    }
}
