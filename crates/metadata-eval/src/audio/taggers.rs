//! Classifiers as networks over clips.

use audsem_core::batch::BatchError;
use audsem_media::audio::{FrontEndError, Spectrogram};
use audsem_media::batch::{ClipError, ClipIdentity, ClipNetwork, ClipSound, MediaFault};
use audsem_models::Error as NetworkError;
use audsem_models::audio::ast::AstClassifier;
use audsem_models::audio::beats::BeatsClassifier;
use audsem_models::audio::ced::{CedFeatures, CedTagger};
use audsem_models::audio::yamnet::{YamnetFeatures, YamnetTagger};
use audsem_models::audio::{ast, beats, ced, top_classes, yamnet};

use super::finding::Finding;
use super::models::head_name;
use crate::tables::SoundTag;

/// Fewest samples of a clip that is looked at, as in the reference.
const FEWEST_SAMPLES: usize = 401;

/// A network that gives a clip a probability for each of its classes.
pub(super) trait SoundClassifier: Sync {
    /// Rate of the samples it reads.
    const SAMPLE_RATE_HZ: u32;
    /// Features of one clip.
    type Features: Send + 'static;

    /// Features of mono samples at that rate.
    fn features(&self, samples: &[f32]) -> Result<Self::Features, FrontEndError>;

    /// The length of a clip, by which batches are formed.
    fn length(features: &Self::Features) -> usize;

    /// The probabilities of all classes for each clip.
    fn probabilities(&self, clips: &[&Self::Features]) -> Result<Vec<Vec<f32>>, NetworkError>;

    /// The most probable labels as a result.
    fn finding(&self, tags: Vec<SoundTag>) -> Finding;
}

/// A classifier of which the most probable labels are kept.
pub(super) struct TopTags<C> {
    pub classifier: C,
    /// Names of its classes, in their order.
    pub labels: Vec<String>,
    /// Number of labels that are kept.
    pub top_k: usize,
}

impl<C: SoundClassifier> ClipNetwork for TopTags<C> {
    type Features = C::Features;
    type Output = Finding;

    fn features(&self, _: &ClipIdentity, sound: &ClipSound) -> Result<C::Features, ClipError> {
        Ok(self.classifier.features(&audible(sound, C::SAMPLE_RATE_HZ)?)?)
    }

    fn cost(&self, features: &C::Features) -> usize {
        C::length(features)
    }

    fn forward(&self, batch: &[&C::Features]) -> Result<Vec<Result<Finding, ClipError>>, BatchError> {
        let probabilities = self.classifier.probabilities(batch).map_err(NetworkError::into_batch_error)?;
        let tags = |clip: &Vec<f32>| top_tags(clip, &self.labels, self.top_k);
        Ok(probabilities.iter().map(|clip| Ok(self.classifier.finding(tags(clip)?))).collect())
    }
}

/// The most probable labels, the most probable first.
pub(crate) fn top_tags(probabilities: &[f32], labels: &[String], top_k: usize) -> Result<Vec<SoundTag>, ClipError> {
    if let Some(class) = probabilities.iter().position(|probability| !probability.is_finite()) {
        return Err(ClipError::new(MediaFault::NotFinite, format!("the probability of class {class}")));
    }
    let top = top_classes(probabilities, top_k).into_iter();
    Ok(top.map(|class| SoundTag { label: labels[class.index].clone(), prob: class.probability }).collect())
}

/// The mono samples of a clip that is long enough and not silent.
pub(crate) fn audible(sound: &ClipSound, rate_hz: u32) -> Result<std::rc::Rc<[f32]>, ClipError> {
    let samples = sound.mono_at(rate_hz)?;
    if samples.len() < FEWEST_SAMPLES {
        return Err(ClipError::new(MediaFault::TooShort, format!("{} samples at {rate_hz} Hz", samples.len())));
    }
    match samples.iter().all(|sample| *sample == 0.0) {
        true => Err(ClipError::new(MediaFault::Silent, "all samples are 0")),
        false => Ok(samples),
    }
}

impl SoundClassifier for AstClassifier {
    const SAMPLE_RATE_HZ: u32 = ast::SAMPLE_RATE_HZ;
    type Features = Spectrogram;

    fn length(features: &Spectrogram) -> usize {
        features.n_frames
    }

    fn features(&self, samples: &[f32]) -> Result<Spectrogram, FrontEndError> {
        self.features(samples)
    }

    fn probabilities(&self, clips: &[&Spectrogram]) -> Result<Vec<Vec<f32>>, NetworkError> {
        self.probabilities(clips)
    }

    fn finding(&self, tags: Vec<SoundTag>) -> Finding {
        Finding::Ast { head: head_name(self.head()), tags }
    }
}

impl SoundClassifier for BeatsClassifier {
    const SAMPLE_RATE_HZ: u32 = beats::SAMPLE_RATE_HZ;
    type Features = Spectrogram;

    fn length(features: &Spectrogram) -> usize {
        features.n_frames
    }

    fn features(&self, samples: &[f32]) -> Result<Spectrogram, FrontEndError> {
        self.features(samples)
    }

    fn probabilities(&self, clips: &[&Spectrogram]) -> Result<Vec<Vec<f32>>, NetworkError> {
        self.probabilities(clips)
    }

    fn finding(&self, tags: Vec<SoundTag>) -> Finding {
        Finding::Beats(tags)
    }
}

impl SoundClassifier for CedTagger {
    const SAMPLE_RATE_HZ: u32 = ced::SAMPLE_RATE_HZ;
    type Features = CedFeatures;

    fn length(features: &CedFeatures) -> usize {
        features.n_windows()
    }

    fn features(&self, samples: &[f32]) -> Result<CedFeatures, FrontEndError> {
        self.features(samples)
    }

    fn probabilities(&self, clips: &[&CedFeatures]) -> Result<Vec<Vec<f32>>, NetworkError> {
        self.probabilities(clips)
    }

    fn finding(&self, tags: Vec<SoundTag>) -> Finding {
        Finding::Ced(tags)
    }
}

impl SoundClassifier for YamnetTagger {
    const SAMPLE_RATE_HZ: u32 = yamnet::SAMPLE_RATE_HZ;
    type Features = YamnetFeatures;

    fn length(features: &YamnetFeatures) -> usize {
        features.patches.len()
    }

    fn features(&self, samples: &[f32]) -> Result<YamnetFeatures, FrontEndError> {
        self.features(samples)
    }

    fn probabilities(&self, clips: &[&YamnetFeatures]) -> Result<Vec<Vec<f32>>, NetworkError> {
        self.probabilities(clips)
    }

    fn finding(&self, tags: Vec<SoundTag>) -> Finding {
        Finding::Yamnet(tags)
    }
}
