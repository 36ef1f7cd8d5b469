//! What one network says about one clip.

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
}

impl Finding {
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
        }
    }
}
