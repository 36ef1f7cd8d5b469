//! Pieces of texts by a unigram model of SentencePiece (Kudo, 2018), as its library makes them: what sacrebleu calls the tokens
//! `flores101` are the pieces of a model that it downloads.

mod model;
mod normaliser;
mod proto;

use std::collections::HashMap;
use std::path::Path;

use audsem_core::error::{Error, Result};
use audsem_core::input::read_whole;

use normaliser::Normaliser;
use proto::{ModelProto, PieceType};

/// How much worse an unknown character is than the worst piece.
const UNKNOWN_PENALTY: f32 = 10.0;

/// A piece of the vocabulary that text can be cut into.
#[derive(Debug, Clone, Copy)]
struct Piece {
    score: f32,
    is_user_defined: bool,
}

/// A unigram model.
#[derive(Debug, Clone)]
pub struct SentencePieceModel {
    normaliser: Normaliser,
    pieces: HashMap<String, Piece>,
    /// Bytes of the longest piece.
    longest: usize,
    best: f32,
    worst: f32,
    /// Whether unknown characters become their bytes.
    has_bytes: bool,
}

impl SentencePieceModel {
    /// Reads a file such as `sacrebleu_tokenizer_spm.model`.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or holds a model of another kind.
    pub fn open(path: &Path) -> Result<Self> {
        Self::from_bytes(&read_whole(path)?).map_err(|problem| Error::input(path, problem))
    }

    /// Reads a model that lies in memory.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let read = ModelProto::read(bytes)?;
        if read.trainer.model_type != proto::UNIGRAM {
            return Err("a SentencePiece model of another kind than unigram".to_owned());
        }
        let of_text = |kind| matches!(kind, PieceType::Normal | PieceType::UserDefined);
        let mut model = Self {
            normaliser: Normaliser::new(&read)?,
            pieces: HashMap::new(),
            longest: 0,
            best: f32::MIN,
            worst: f32::MAX,
            has_bytes: read.trainer.byte_fallback,
        };
        for piece in read.pieces.into_iter().filter(|piece| of_text(piece.kind)) {
            if piece.kind == PieceType::Normal {
                (model.best, model.worst) = (model.best.max(piece.score), model.worst.min(piece.score));
            }
            model.longest = model.longest.max(piece.text.len());
            let is_user_defined = piece.kind == PieceType::UserDefined;
            model.pieces.insert(piece.text, Piece { score: piece.score, is_user_defined });
        }
        if model.pieces.is_empty() { Err("a SentencePiece model without pieces".to_owned()) } else { Ok(model) }
    }

    /// The pieces of a text. Unknown characters side by side are one piece, or their bytes where the model has these.
    #[must_use]
    pub fn pieces(&self, text: &str) -> Vec<String> {
        let text = self.normaliser.normalise(text);
        let mut pieces: Vec<String> = Vec::new();
        let mut was_unknown = false;
        for (piece, is_unknown) in self.cut(&text) {
            match pieces.last_mut() {
                _ if is_unknown && self.has_bytes => {
                    pieces.extend(piece.bytes().map(|byte| format!("<0x{byte:02X}>")));
                }
                Some(last) if is_unknown && was_unknown => last.push_str(piece),
                _ => pieces.push(piece.to_owned()),
            }
            was_unknown = is_unknown;
        }
        pieces
    }
}
