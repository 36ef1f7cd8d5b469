//! `sat`: the labels of each second of a clip, by a streaming tagger.
//!
//! Seconds of a clip run one after the other, each with what the network remembers of those before; clips run side by
//! side. A clip begins with the memory of silence, so that no row depends on other clips.

use std::path::PathBuf;

use audsem_core::batch::BatchError;
use audsem_core::error::Error as CoreError;
use audsem_core::run::{OutputFile, RunConfig, RunOptions, Summary};
use audsem_core::tables::TableError;
use audsem_media::audio::{Decoder, Spectrogram};
use audsem_media::batch::{
    BatchStep, ClipError, ClipIdentity, ClipNetwork, ClipSound, ClipTable, ClipTables, row_table,
};
use audsem_models::Error as NetworkError;
use audsem_models::audio::sat::{SAMPLE_RATE_HZ, SatTagger};
use serde::Serialize;

use crate::audio::{ClassNames, audible, top_tags};
use crate::checkpoint::NetworkSettings;
use crate::decoder::decoder;
use crate::error::Error;
use crate::tables::{SecondFeatures, SecondTags, SoundTag};

/// Settings of `sat`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, sounds, folders of either, or lists.
    pub inputs: Vec<PathBuf>,
    /// The network.
    pub model: NetworkSettings,
    /// Number of labels that are kept for each second, the most probable ones.
    pub top_k: usize,
    /// Names of AudioSet's classes.
    pub class_names: PathBuf,
    /// The ffmpeg for sounds that the built-in decoders cannot read.
    pub ffmpeg: Option<PathBuf>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    model: Option<&'a str>,
    top_k: usize,
    class_names: &'a str,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "sat";
}

/// A streaming tagger, and how its classes are called.
struct SecondTagger {
    tagger: SatTagger,
    labels: Vec<String>,
    top_k: usize,
}

/// Runs the network over every sound of the inputs. A dry run counts clips and seconds, without a model.
///
/// # Errors
/// The model or an input cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let names = ClassNames::read(&config.class_names)?;
    let opened = if options.dry_run { None } else { Some(config.model.open()?) };
    let network = match &opened {
        None => None,
        Some(opened) => {
            let tagger = SatTagger::open(&opened.dir, &opened.device, config.model.precision.dtype())?;
            let (classes, named) = (tagger.config().outputdim, names.in_order().len());
            if classes != named {
                let problem = format!("it names {named} classes, and the network has {classes}");
                return Err(CoreError::input(&config.class_names, problem).into());
            }
            Some(SecondTagger { tagger, labels: names.in_order().to_vec(), top_k: config.top_k })
        }
    };
    let decoder = if options.dry_run { Decoder::new() } else { decoder(config.ffmpeg.as_deref()) };
    let record = HashedConfig {
        model: opened.as_ref().map(|opened| &*opened.identity),
        top_k: config.top_k,
        class_names: &names.hash,
    };
    let step = BatchStep {
        config: &record,
        models: opened.iter().map(|opened| opened.fingerprint.clone()).collect(),
        inputs: &config.inputs,
        decoder: &decoder,
        batch_size: config.model.batch_size,
    };
    Ok(step.run(network.as_ref(), options)?)
}

impl ClipNetwork for SecondTagger {
    type Features = Vec<Spectrogram>;
    type Output = Vec<SecondTags>;

    fn features(&self, _: &ClipIdentity, sound: &ClipSound) -> Result<Vec<Spectrogram>, ClipError> {
        let samples = audible(sound, SAMPLE_RATE_HZ)?;
        let steps = self.tagger.steps(&samples).map(|step| Ok(self.tagger.features(step)?));
        steps.collect()
    }

    fn cost(&self, steps: &Vec<Spectrogram>) -> usize {
        steps.len()
    }

    fn forward(&self, batch: &[&Vec<Spectrogram>]) -> Result<Vec<Result<Vec<SecondTags>, ClipError>>, BatchError> {
        self.tag(batch).map_err(NetworkError::into_batch_error)
    }
}

impl SecondTagger {
    /// The labels of all steps: the same step of all clips that have it, then the next.
    fn tag(&self, batch: &[&Vec<Spectrogram>]) -> Result<Vec<Result<Vec<SecondTags>, ClipError>>, NetworkError> {
        let mut caches: Vec<_> = batch.iter().map(|_| self.tagger.begin()).collect();
        let mut tagged: Vec<Result<Vec<SecondTags>, ClipError>> = batch.iter().map(|_| Ok(Vec::new())).collect();
        for number in 0..batch.iter().map(|steps| steps.len()).max().unwrap_or(0) {
            let running: Vec<usize> = (0..batch.len()).filter(|clip| number < batch[*clip].len()).collect();
            let features: Vec<&Spectrogram> = running.iter().map(|clip| &batch[*clip][number]).collect();
            let mut own: Vec<_> = running.iter().map(|clip| caches[*clip].clone()).collect();
            let probabilities = self.tagger.step(&features, &mut own)?;
            for ((clip, cache), probabilities) in running.into_iter().zip(own).zip(probabilities) {
                caches[clip] = cache;
                let tags = top_tags(&probabilities, &self.labels, self.top_k);
                if let Ok(seconds) = &mut tagged[clip] {
                    match tags {
                        Ok(tags) => seconds.push(self.second(number, tags)),
                        Err(error) => tagged[clip] = Err(error),
                    }
                }
            }
        }
        Ok(tagged)
    }

    fn second(&self, number: usize, tags: Vec<SoundTag>) -> SecondTags {
        let ms = |step: usize| u32::try_from(step * self.tagger.config().step_seconds() * 1000).unwrap_or(u32::MAX);
        SecondTags { start_ms: ms(number), end_ms: ms(number + 1), tags }
    }
}

impl ClipTables<Vec<SecondTags>> for SecondTagger {
    fn table<'f>(&'f self, file: &'f mut OutputFile) -> Result<Box<dyn ClipTable<Vec<SecondTags>> + 'f>, TableError> {
        row_table(file, |clip, mut seconds: Vec<SecondTags>| {
            // The last step is filled with zeros; it ends with the clip.
            if let Some(last) = seconds.last_mut() {
                last.end_ms = last.end_ms.min(u32::try_from(clip.milliseconds).unwrap_or(u32::MAX)).max(last.start_ms);
            }
            SecondFeatures { key: clip.key.clone(), place: Some(clip.place.clone()), seconds }
        })
    }
}
