//! `embed-audio`: one vector for each sound.

use std::path::PathBuf;

use audsem_core::run::{RunConfig, RunOptions, Summary};
use audsem_media::audio::{Decoder, KernelPrecision};
use audsem_media::batch::BatchStep;
use audsem_media::program::{Program, Tool};
use serde::Serialize;

use super::ModelSettings;
use super::network::ClapAudio;
use super::sounds::{AudioPreprocessor, CropRule, Windows};
use crate::error::Error;

/// Settings of `embed-audio`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, sounds, folders of either, or lists.
    pub inputs: Vec<PathBuf>,
    /// The model.
    pub model: ModelSettings,
    /// Which part of long sounds is heard.
    pub crop: CropRule,
    /// How often long sounds are heard.
    pub windows: Windows,
    /// The ffmpeg for sounds that the built-in decoders cannot read.
    pub ffmpeg: Option<PathBuf>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig {
    model: Option<String>,
    crop: CropRule,
    windows: Windows,
    torchaudio_resampling: Option<KernelPrecision>,
}

impl RunConfig for HashedConfig {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "embed-audio";
}

/// Embeds every sound of the inputs. A dry run counts them and their seconds, without a model.
///
/// # Errors
/// The model or an input cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    // Before the run folder is created: a folder left by a wrong model would block the right one.
    let model = config.model.open_for_tables(None, options.dry_run)?;
    let decoder = if options.dry_run { Decoder::new() } else { decoder(config) };
    let (crop, windows) = (config.crop, config.windows);
    let torchaudio_resampling =
        model.as_ref().and_then(|model| model.encoder.extractor().config().torchaudio_resampling);
    let record =
        HashedConfig { model: model.as_ref().map(|model| model.tag.clone()), crop, windows, torchaudio_resampling };
    let network = model.as_ref().map(|model| ClapAudio {
        encoder: &model.encoder,
        tag: &model.tag,
        preprocessor: AudioPreprocessor { extractor: model.encoder.extractor(), crop, windows, seed: options.seed },
    });
    let step = BatchStep {
        config: &record,
        models: model.iter().map(|model| model.fingerprint.clone()).collect(),
        inputs: &config.inputs,
        decoder: &decoder,
        batch_size: config.model.batch_size,
    };
    Ok(step.run(network.as_ref(), options)?)
}

fn decoder(config: &Config) -> Decoder {
    match Program::find(Tool::Ffmpeg, config.ffmpeg.as_deref()) {
        Ok(ffmpeg) => Decoder::new().with_ffmpeg(ffmpeg),
        Err(error) => {
            tracing::warn!("some sounds may not be readable: {error}");
            Decoder::new()
        }
    }
}
