//! The audio networks that `--models` names.

use audsem_models::audio::ast::{AstClassifier, AstHead};
use audsem_models::audio::audioset;
use audsem_models::audio::beats::BeatsClassifier;
use audsem_models::audio::ced::CedTagger;
use audsem_models::audio::conette::{CaptionSettings, ConetteCaptioner};
use audsem_models::audio::lp_musiccaps::MusicCaptioner;
use audsem_models::audio::silero_vad::SileroVad;
use audsem_models::audio::yamnet::YamnetTagger;
use serde::Serialize;

use super::captions::ShortCaptions;
use super::finding::Finding;
use super::labels::ClassNames;
use super::music::{MusicCaptions, MusicSettings};
use super::speech::SpeechShare;
use super::taggers::TopTags;
use crate::checkpoint::{NamedNetwork, NetworkSettings, OpenedCheckpoint};
use crate::error::Error;
use crate::networks::LoadedNetwork;

/// An audio network, in the order in which those of a run look at a clip: LP-MusicCaps follows the taggers, whose labels may
/// decide whether it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum AudioModel {
    /// Audio Spectrogram Transformer: labels of AudioSet or ESC-50
    Ast,
    /// BEATs: labels of AudioSet
    Beats,
    /// CED: labels of AudioSet
    Ced,
    /// CoNeTTE: a short caption
    Conette,
    /// YAMNet: labels of AudioSet
    Yamnet,
    /// Silero VAD: the share of speech
    Vad,
    /// LP-MusicCaps: a caption of music; see --music
    #[value(name = "lp-musiccaps")]
    LpMusicCaps,
}

/// What all networks of a run are told.
pub(super) struct OpenSettings<'a> {
    /// Names of AudioSet's classes, for checkpoints that have ids only.
    pub names: Option<&'a ClassNames>,
    /// Number of labels that are kept.
    pub top_k: usize,
    /// When music is captioned, and how.
    pub music: &'a MusicSettings,
    /// The seed of the run.
    pub seed: u64,
}

impl NamedNetwork for AudioModel {
    fn name(self) -> &'static str {
        match self {
            Self::Ast => "ast",
            Self::Beats => "beats",
            Self::Ced => "ced",
            Self::Conette => "conette",
            Self::Yamnet => "yamnet",
            Self::Vad => "vad",
            Self::LpMusicCaps => "lp-musiccaps",
        }
    }

    fn default_checkpoint(self) -> Option<&'static str> {
        match self {
            Self::Ast => Some("MIT/ast-finetuned-audioset-10-10-0.4593"),
            Self::Beats | Self::Ced | Self::Conette | Self::Yamnet | Self::Vad | Self::LpMusicCaps => None,
        }
    }
}

impl AudioModel {
    /// Whether the network gives labels of AudioSet; AST does with one of its heads.
    #[must_use]
    pub fn tags_audioset(self) -> bool {
        matches!(self, Self::Ast | Self::Beats | Self::Ced | Self::Yamnet)
    }

    /// Loads the network.
    pub(super) fn load(
        self,
        settings: &NetworkSettings,
        checkpoint: &OpenedCheckpoint,
        run: &OpenSettings<'_>,
    ) -> Result<LoadedNetwork<'static, Finding>, Error> {
        let &OpenSettings { names, top_k, music, seed } = run;
        let (dir, device, dtype) = (&checkpoint.dir, &checkpoint.device, settings.precision.dtype());
        Ok(match self {
            Self::Ast => {
                let ast = AstClassifier::open(dir, device, dtype)?;
                let labels = ast.config().labels().into_iter().map(str::to_owned).collect();
                Box::new(TopTags { classifier: ast, labels, top_k })
            }
            Self::Beats => {
                let beats = BeatsClassifier::open(dir, device, dtype)?;
                let labels = beats_labels(&beats, names, settings)?;
                Box::new(TopTags { classifier: beats, labels, top_k })
            }
            Self::Ced => {
                let tagger = CedTagger::open(dir, device, dtype)?;
                let labels = audioset_labels(tagger.network().config().outputdim, settings)?;
                Box::new(TopTags { classifier: tagger, labels, top_k })
            }
            Self::Conette => {
                let captioner = ConetteCaptioner::open(dir, device, dtype)?;
                let settings = CaptionSettings::of(captioner.config());
                Box::new(ShortCaptions { captioner, settings })
            }
            Self::Yamnet => {
                let labels = audioset::yamnet_classes().iter().map(|class| class.name.to_owned()).collect();
                Box::new(TopTags { classifier: YamnetTagger::open(dir, device, dtype)?, labels, top_k })
            }
            Self::Vad => Box::new(SpeechShare(SileroVad::open(dir, device)?)),
            Self::LpMusicCaps => {
                Box::new(MusicCaptions::new(MusicCaptioner::open(dir, device, dtype)?, music.clone(), seed))
            }
        })
    }
}

/// The names of a checkpoint's classes, which has their AudioSet ids.
fn beats_labels(
    beats: &BeatsClassifier,
    names: Option<&ClassNames>,
    settings: &NetworkSettings,
) -> Result<Vec<String>, Error> {
    let unnamed = |class: usize| Error::UnnamedClass { model: settings.model.clone(), class };
    let name = |class: usize| {
        let mid = beats.audioset_id(class).ok_or_else(|| unnamed(class))?;
        names.and_then(|names| names.of_mid(mid)).map(str::to_owned).ok_or_else(|| unnamed(class))
    };
    (0..beats.config().predictor_class).map(name).collect()
}

/// The names of AudioSet's classes for a checkpoint that has them in their order.
fn audioset_labels(n_classes: usize, settings: &NetworkSettings) -> Result<Vec<String>, Error> {
    if n_classes != audioset::N_CLASSES {
        return Err(Error::UnnamedClass { model: settings.model.clone(), class: n_classes.min(audioset::N_CLASSES) });
    }
    Ok(audioset::classes().iter().map(|class| class.name.to_owned()).collect())
}

/// What `ast_head` says.
pub(super) fn head_name(head: AstHead) -> &'static str {
    match head {
        AstHead::Esc50 => "ESC-50",
        AstHead::AudioSet => "AudioSet",
        AstHead::Other => "other",
    }
}
