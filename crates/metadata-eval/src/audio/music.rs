//! Captions of music: for which clips, and of which parts of them.

use audsem_core::batch::BatchError;
use audsem_media::audio::Spectrogram;
use audsem_media::batch::{ClipError, ClipIdentity, ClipNetwork, ClipSound};
use audsem_models::Error as NetworkError;
use audsem_models::audio::audioset::is_music;
use audsem_models::audio::lp_musiccaps::{MusicCaptioner, SAMPLE_RATE_HZ};
use audsem_models::generate::GenerationConfig;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::finding::Finding;
use super::taggers::audible;

/// Signs that closed captions mark music with.
const NOTES: [char; 4] = ['\u{2669}', '\u{266a}', '\u{266b}', '\u{266c}'];

/// Shortest rest behind the last whole window that has a caption of its own: one second.
const SHORTEST_REST: usize = SAMPLE_RATE_HZ as usize;

/// For which clips music is captioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum MusicRule {
    /// Those of which a tagger of this run keeps a label that is "Music" or below it in AudioSet's ontology, with at least
    /// --music-probability
    Tags,
    /// Those whose closed caption holds "music", in any case, or a sign of notes
    Text,
    /// All
    Always,
}

/// When music is captioned, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MusicSettings {
    /// A clip for which any of these applies is captioned.
    pub rules: Vec<MusicRule>,
    /// The least probability of a label of music.
    pub probability: f32,
    /// Whether each 10 seconds of a clip have a caption, not the first alone.
    pub throughout: bool,
    /// Whether captions are drawn at random, by the seed and the key of the clip, as AudSemThinker's pipeline drew them;
    /// otherwise the best of a beam search is kept.
    pub drawn: bool,
}

impl MusicSettings {
    /// Whether a clip is music by the rules, from its caption and what the networks before said.
    fn apply_to(&self, text: Option<&str>, earlier: &[Result<Finding, ClipError>]) -> bool {
        self.rules.iter().any(|rule| match rule {
            MusicRule::Always => true,
            MusicRule::Text => text.is_some_and(names_music),
            MusicRule::Tags => {
                let mut tags = earlier.iter().flatten().flat_map(Finding::audioset_tags);
                tags.any(|tag| tag.prob >= self.probability && is_music(&tag.label))
            }
        })
    }
}

/// Whether a closed caption speaks of music.
fn names_music(text: &str) -> bool {
    text.to_lowercase().contains("music") || text.contains(NOTES)
}

/// A captioner of music.
pub(super) struct MusicCaptions {
    captioner: MusicCaptioner,
    generation: GenerationConfig,
    settings: MusicSettings,
    seed: u64,
}

/// The windows of a clip, and the seed of its captions.
pub(super) struct MusicFeatures {
    windows: Vec<Spectrogram>,
    seed: u64,
}

impl MusicCaptions {
    /// A captioner that is asked by these rules; `seed` is that of the run.
    pub(super) fn new(captioner: MusicCaptioner, settings: MusicSettings, seed: u64) -> Self {
        let config = captioner.config();
        let generation = if settings.drawn { config.beam_sampling() } else { config.beam_search() };
        Self { captioner, generation, settings, seed }
    }
}

impl ClipNetwork for MusicCaptions {
    type Features = MusicFeatures;
    type Output = Finding;

    fn features(&self, clip: &ClipIdentity, sound: &ClipSound) -> Result<MusicFeatures, ClipError> {
        let samples = audible(sound, SAMPLE_RATE_HZ)?;
        let wanted = if self.settings.throughout { usize::MAX } else { 1 };
        let windows = self.captioner.clips(&samples).take(wanted).enumerate();
        let windows = windows.filter(|(n, window)| *n == 0 || window.len() >= SHORTEST_REST);
        Ok(MusicFeatures {
            windows: windows.map(|(_, window)| self.captioner.features(window)).collect::<Result<_, _>>()?,
            seed: xxh3_64_with_seed(clip.key.as_bytes(), self.seed),
        })
    }

    fn cost(&self, features: &MusicFeatures) -> usize {
        features.windows.len()
    }

    fn unasked(&self, clip: &ClipIdentity, earlier: &[Result<Finding, ClipError>]) -> Option<Finding> {
        (!self.settings.apply_to(clip.text.as_deref(), earlier)).then_some(Finding::NoMusic)
    }

    fn forward(&self, batch: &[&MusicFeatures]) -> Result<Vec<Result<Finding, ClipError>>, BatchError> {
        let seeds = |clip: &MusicFeatures| {
            (0..).map({
                let seed = clip.seed;
                move |n: u64| seed.wrapping_add(n)
            })
        };
        let windows: Vec<(&Spectrogram, u64)> =
            batch.iter().flat_map(|clip| clip.windows.iter().zip(seeds(clip))).collect();
        let captions = self.captioner.captions(&windows, &self.generation).map_err(NetworkError::into_batch_error)?;
        let mut captions = captions.into_iter();
        let of_clip = |clip: &&MusicFeatures| Ok(Finding::Music(captions.by_ref().take(clip.windows.len()).collect()));
        Ok(batch.iter().map(of_clip).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::SoundTag;
    use audsem_media::batch::MediaFault;

    fn settings(rules: &[MusicRule]) -> MusicSettings {
        MusicSettings { rules: rules.to_vec(), probability: 0.1, throughout: false, drawn: false }
    }

    #[test]
    fn captions_that_speak_of_music_are_known() {
        for (text, expected) in [
            ("[upbeat MUSIC playing]", true),
            ("[musical chimes]", true),
            ("\u{266a} la la \u{266a}", true),
            ("[door creaks]", false),
            ("", false),
        ] {
            assert_eq!(settings(&[MusicRule::Text]).apply_to(Some(text), &[]), expected, "{text}");
        }
        assert!(!settings(&[MusicRule::Text]).apply_to(None, &[]));
    }

    #[test]
    fn labels_below_music_with_their_probability_decide() {
        let tag = |label: &str, prob| vec![SoundTag { label: label.to_owned(), prob }];
        let failed = || Err(ClipError::new(MediaFault::Unusable, "no kernel"));
        for (finding, expected) in [
            (Finding::Ced(tag("Piano", 0.1)), true),
            (Finding::Beats(tag("Piano", 0.09)), false),
            (Finding::Yamnet(tag("Wind", 0.9)), false),
            (Finding::Ast { head: "AudioSet", tags: tag("Music", 0.5) }, true),
            (Finding::Ast { head: "ESC-50", tags: tag("Music", 0.5) }, false),
            (Finding::Conette("music".to_owned()), false),
        ] {
            let earlier = [failed(), Ok(finding.clone())];
            assert_eq!(settings(&[MusicRule::Tags]).apply_to(None, &earlier), expected, "{finding:?}");
            assert!(settings(&[MusicRule::Tags, MusicRule::Always]).apply_to(None, &earlier));
        }
    }
}
