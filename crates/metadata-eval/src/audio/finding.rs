//! What one network says about one clip.

use audsem_models::audio::ast::AstHead;

use super::models::head_name;
use crate::tables::{AudioFeatures, SoundTag};

/// The result of one audio network, which fills its own column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finding {
    /// Labels by AST, with the name of its class list.
    Ast { head: &'static str, tags: Vec<SoundTag> },
    /// Labels by BEATs.
    Beats(Vec<SoundTag>),
    /// Labels by CED.
    Ced(Vec<SoundTag>),
    /// A caption by CoNeTTE.
    Conette(String),
    /// Labels by YAMNet.
    Yamnet(Vec<SoundTag>),
    /// The share of speech by Silero VAD.
    Speech(f32),
    /// Captions by LP-MusicCaps, one for each window.
    Music(Vec<String>),
    /// LP-MusicCaps was not asked: the clip is no music by the rule of the run.
    NoMusic,
}

impl Finding {
    /// The labels of AudioSet in it.
    pub(super) fn audioset_tags(&self) -> &[SoundTag] {
        match self {
            Self::Ast { head, tags } if *head == head_name(AstHead::AudioSet) => tags,
            Self::Beats(tags) | Self::Ced(tags) | Self::Yamnet(tags) => tags,
            _ => &[],
        }
    }

    /// Fills the network's column.
    pub(super) fn add_to(self, row: &mut AudioFeatures) {
        match self {
            Self::Ast { head, tags } => {
                row.ast_head = Some(head.to_owned());
                row.ast_label = tags.first().map(|tag| tag.label.clone());
                row.ast_tags = Some(tags);
            }
            Self::Beats(tags) => row.beats_tags = Some(tags),
            Self::Ced(tags) => row.ced_tags = Some(tags),
            Self::Conette(caption) => row.conette_caption = Some(caption),
            Self::Yamnet(tags) => row.yamnet_tags = Some(tags),
            Self::Speech(share) => row.speech = Some(share),
            Self::Music(captions) => row.music_captions = Some(captions),
            Self::NoMusic => {}
        }
    }
}
