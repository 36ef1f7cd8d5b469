//! Texts in the form in which a model knows them.

use super::proto::{ModelProto, PieceType};

/// What stands for a blank inside pieces.
const BLANK: char = '\u{2581}';

/// Rewrites texts by the rules of a model: runs of characters by a table, blanks by a mark.
#[derive(Debug, Clone)]
pub(super) struct Normaliser {
    /// Units of a double array, a trie over bytes, whose leaves are places in `texts`.
    trie: Vec<u32>,
    /// Texts, each of which ends at a byte 0.
    texts: Vec<u8>,
    /// Pieces that stay as they are, the longest first.
    kept: Vec<String>,
    has_dummy_prefix: bool,
    removes_blanks: bool,
    blank: char,
    blank_is_suffix: bool,
}

impl Normaliser {
    pub(super) fn new(model: &ModelProto<'_>) -> Result<Self, String> {
        let rules = &model.normaliser;
        let (trie, texts) = table(rules.rules).ok_or("its table of characters is damaged")?;
        let user_defined = model.pieces.iter().filter(|piece| piece.kind == PieceType::UserDefined);
        let mut kept: Vec<String> = user_defined.map(|piece| piece.text.clone()).collect();
        kept.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Ok(Self {
            trie,
            texts,
            kept,
            has_dummy_prefix: rules.has_dummy_prefix,
            removes_blanks: rules.removes_blanks,
            blank: if rules.escapes_blanks { BLANK } else { ' ' },
            blank_is_suffix: model.trainer.blank_is_suffix,
        })
    }

    /// A text in the form of the model.
    pub(super) fn normalise(&self, text: &str) -> String {
        let mut rest = text;
        while self.removes_blanks && !rest.is_empty() {
            let (replaced, length) = self.prefix(rest);
            if replaced != " " {
                break;
            }
            rest = &rest[length..];
        }
        if rest.is_empty() {
            return String::new();
        }
        let mut out = String::with_capacity(text.len() + 8);
        if self.has_dummy_prefix && !self.blank_is_suffix {
            out.push(self.blank);
        }
        let mut was_blank = self.removes_blanks;
        while !rest.is_empty() {
            let (replaced, length) = self.prefix(rest);
            let kept = if was_blank { replaced.trim_start_matches(' ') } else { replaced };
            if !kept.is_empty() {
                out.extend(kept.chars().map(|c| if c == ' ' { self.blank } else { c }));
                was_blank = self.removes_blanks && kept.ends_with(' ');
            }
            rest = &rest[length..];
        }
        if self.removes_blanks {
            out.truncate(out.trim_end_matches(self.blank).len());
        }
        if self.has_dummy_prefix && self.blank_is_suffix {
            out.push(self.blank);
        }
        out
    }

    /// What the beginning of a text becomes, and how many bytes of it: the longest run that has a rule, else one character.
    fn prefix<'a>(&'a self, text: &'a str) -> (&'a str, usize) {
        if let Some(kept) = self.kept.iter().find(|kept| text.starts_with(kept.as_str())) {
            return (&text[..kept.len()], kept.len());
        }
        if let Some(found) = self.longest_rule(text) {
            return found;
        }
        let length = text.chars().next().map_or(0, char::len_utf8);
        (&text[..length], length)
    }

    /// The longest run of characters at the beginning of a text that has a rule, and its text. A unit holds in its bits whether a
    /// leaf follows (8), the distance to its children (from 10, in steps of 256 if bit 9 is set), and the byte that leads to it (0 to 7).
    fn longest_rule(&self, text: &str) -> Option<(&str, usize)> {
        let distance = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
        let mut at = distance(*self.trie.first()?);
        let mut found = None;
        for (i, byte) in text.bytes().enumerate() {
            at ^= usize::from(byte);
            let Some(unit) = self.trie.get(at).copied().filter(|unit| unit & 0x8000_00ff == u32::from(byte)) else {
                break;
            };
            at ^= distance(unit);
            if (unit >> 8) & 1 == 1 {
                found = self.trie.get(at).map(|leaf| (leaf & 0x7fff_ffff, i + 1));
            }
        }
        let (place, length) = found.filter(|(_, length)| text.is_char_boundary(*length))?;
        let behind = self.texts.get(place as usize..)?;
        let end = behind.iter().position(|byte| *byte == 0)?;
        Some((std::str::from_utf8(&behind[..end]).ok()?, length))
    }
}

/// The trie and the texts of a table, which begins with the bytes of the trie as a number of four bytes.
fn table(rules: &[u8]) -> Option<(Vec<u32>, Vec<u8>)> {
    if rules.is_empty() {
        return Some((Vec::new(), Vec::new()));
    }
    let (length, rest) = rules.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (trie, texts) = rest.split_at_checked(length).filter(|_| length.is_multiple_of(4))?;
    let units = trie.chunks_exact(4).map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]]));
    Some((units.collect(), texts.to_vec()))
}
