//! The file of a SentencePiece model, a message of Protocol Buffers (`sentencepiece_model.proto` of the library), as far as cutting
//! texts needs it.

/// The kind of a unigram model in its file.
pub(super) const UNIGRAM: u64 = 1;

/// What a model file says.
#[derive(Debug, Default)]
pub(super) struct ModelProto<'a> {
    pub(super) pieces: Vec<PieceProto>,
    pub(super) trainer: TrainerProto,
    pub(super) normaliser: NormaliserProto<'a>,
}

/// A piece of the vocabulary.
#[derive(Debug)]
pub(super) struct PieceProto {
    pub(super) text: String,
    pub(super) score: f32,
    pub(super) kind: PieceType,
}

/// What a piece stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceType {
    /// Text.
    Normal,
    /// Text that is never cut.
    UserDefined,
    /// No text, or text that is not used.
    Other,
}

/// How a model was trained.
#[derive(Debug)]
pub(super) struct TrainerProto {
    pub(super) model_type: u64,
    pub(super) blank_is_suffix: bool,
    pub(super) byte_fallback: bool,
}

impl Default for TrainerProto {
    fn default() -> Self {
        Self { model_type: UNIGRAM, blank_is_suffix: false, byte_fallback: false }
    }
}

/// How texts are brought into one form.
#[derive(Debug)]
pub(super) struct NormaliserProto<'a> {
    pub(super) rules: &'a [u8],
    pub(super) has_dummy_prefix: bool,
    pub(super) removes_blanks: bool,
    pub(super) escapes_blanks: bool,
}

impl Default for NormaliserProto<'_> {
    fn default() -> Self {
        Self { rules: &[], has_dummy_prefix: true, removes_blanks: true, escapes_blanks: true }
    }
}

impl<'a> ModelProto<'a> {
    /// Reads a file.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let damaged = || "it is damaged, or no SentencePiece model".to_owned();
        Self::read_message(bytes).ok_or_else(damaged)
    }

    fn read_message(bytes: &'a [u8]) -> Option<Self> {
        let mut model = Self::default();
        for field in Fields(bytes) {
            match field? {
                (1, Field::Bytes(piece)) => model.pieces.push(PieceProto::read(piece)?),
                (2, Field::Bytes(trainer)) => model.trainer = TrainerProto::read(trainer)?,
                (3, Field::Bytes(normaliser)) => model.normaliser = NormaliserProto::read(normaliser)?,
                _ => {}
            }
        }
        Some(model)
    }
}

impl PieceProto {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut piece = Self { text: String::new(), score: 0.0, kind: PieceType::Normal };
        for field in Fields(bytes) {
            match field? {
                (1, Field::Bytes(text)) => piece.text = std::str::from_utf8(text).ok()?.to_owned(),
                (2, Field::Word(bits)) => piece.score = f32::from_bits(bits),
                (3, Field::Number(1)) => piece.kind = PieceType::Normal,
                (3, Field::Number(4)) => piece.kind = PieceType::UserDefined,
                (3, Field::Number(_)) => piece.kind = PieceType::Other,
                _ => {}
            }
        }
        (piece.score.is_finite() && !piece.text.is_empty()).then_some(piece)
    }
}

impl TrainerProto {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut trainer = Self::default();
        for field in Fields(bytes) {
            match field? {
                (3, Field::Number(kind)) => trainer.model_type = kind,
                (24, Field::Number(is)) => trainer.blank_is_suffix = is != 0,
                (35, Field::Number(is)) => trainer.byte_fallback = is != 0,
                _ => {}
            }
        }
        Some(trainer)
    }
}

impl<'a> NormaliserProto<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut normaliser = Self::default();
        for field in Fields(bytes) {
            match field? {
                (2, Field::Bytes(rules)) => normaliser.rules = rules,
                (3, Field::Number(is)) => normaliser.has_dummy_prefix = is != 0,
                (4, Field::Number(is)) => normaliser.removes_blanks = is != 0,
                (5, Field::Number(is)) => normaliser.escapes_blanks = is != 0,
                _ => {}
            }
        }
        Some(normaliser)
    }
}

/// A value of a message.
enum Field<'a> {
    Number(u64),
    Word(u32),
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers; `None` where it is damaged, which ends it.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Field::Number(self.number()?),
            1 => Field::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Word(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}
