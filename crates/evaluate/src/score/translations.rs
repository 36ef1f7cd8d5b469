//! What the tokens of translations are.

use std::path::Path;

use audsem_core::error::Error as CoreError;
use audsem_core::files::hex;
use audsem_core::input::read_whole;
use audsem_metrics::bleu::{BleuCounts, BleuTokenizer};
use audsem_metrics::sentence_piece::SentencePieceModel;
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::tables::ItemScore;

/// A model whose pieces are tokens.
#[derive(Debug)]
pub struct BleuModel {
    /// The model.
    pub pieces: SentencePieceModel,
    /// SHA-256 of its file, hexadecimal.
    pub sha256: String,
}

impl BleuModel {
    /// Reads a model of SentencePiece.
    ///
    /// # Errors
    /// The file cannot be read, or holds no unigram model.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = read_whole(path)?;
        let pieces = SentencePieceModel::from_bytes(&bytes).map_err(|problem| CoreError::input(path, problem))?;
        Ok(Self { pieces, sha256: hex(&Sha256::digest(&bytes)) })
    }
}

/// How translations become tokens.
#[derive(Debug, Clone, Copy)]
pub enum BleuTokens<'a> {
    /// By the rules of each data set.
    OfDataSet,
    /// By these rules.
    Rules(BleuTokenizer),
    /// As the pieces of a model.
    Pieces(&'a SentencePieceModel),
}

impl BleuTokens<'_> {
    /// The rules by which translations of a data set are cut, by sacrebleu's name; `None` where a model cuts them.
    pub(super) fn rules(self, benchmark: &str) -> Option<String> {
        let tokenizer = match self {
            Self::OfDataSet => tokenizer_of(benchmark),
            Self::Rules(tokenizer) => tokenizer,
            Self::Pieces(_) => return None,
        };
        serde_json::to_value(tokenizer).ok()?.as_str().map(str::to_owned)
    }

    /// The counts of a translation against its references.
    pub(super) fn counts(self, row: &ItemScore) -> BleuCounts {
        let answer = row.answer.as_deref().unwrap_or_default();
        match self {
            Self::OfDataSet => BleuCounts::of(answer, &row.references, tokenizer_of(&row.benchmark)),
            Self::Rules(tokenizer) => BleuCounts::of(answer, &row.references, tokenizer),
            Self::Pieces(model) => BleuCounts::of_pieces(answer, &row.references, model),
        }
    }
}

/// The tokens of a data set: Chinese characters one by one where the translation is Chinese, else as for English.
#[must_use]
pub fn tokenizer_of(benchmark: &str) -> BleuTokenizer {
    if benchmark == "covost2_en_zh_test" { BleuTokenizer::Zh } else { BleuTokenizer::V13a }
}
