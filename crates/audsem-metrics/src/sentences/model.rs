//! What Punkt knows of a language.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use audsem_core::error::{Error, Result};
use audsem_core::input::read_whole;

use super::tokens::{NUMBER, Token, is_sentence_end};

/// Abbreviations that English text has most often, in lower case and without their last full stop.
const ABBREVIATIONS: &str = "a.d a.m adm al apr approx apt asst aug ave b.c blvd bldg bros c.e capt cf cmdr co col corp dec dept dr e.g \
    est etc ext feb fig figs fri gen gov hon i.e inc jan jr lt ltd m.d maj mr mrs ms mt nov oct p.m p.p.s p.s ph.d pp prof rd \
    rep rev sen sept sgt sr st ste u.k u.n u.s u.s.a v vol vs wed";

/// Words that begin sentences far more often than they are names, so that an abbreviation in front of them ends one.
const STARTERS: &str = "a after all also although an and as at because before both but by during each even every finally first for \
    from he her here his how however i if in instead it its later let many meanwhile most my next no nobody not now on once one \
    other our overall she since so some soon still such that the their then there these they this those though thus to \
    today together we what when where while who why with yes you your";

/// How a word occurs in the text that a model was trained with, as bits: in upper case at the beginning of a sentence (2), inside
/// one (4) or at an unknown place (8); in lower case the same (16, 32, 64).
#[derive(Debug, Clone, Copy, Default)]
struct Occurrence(u32);

impl Occurrence {
    fn has_upper(self) -> bool {
        self.0 & (2 | 4 | 8) != 0
    }

    fn has_upper_inside(self) -> bool {
        self.0 & 4 != 0
    }

    fn has_lower(self) -> bool {
        self.0 & (16 | 32 | 64) != 0
    }

    fn has_lower_first(self) -> bool {
        self.0 & 16 != 0
    }
}

/// Abbreviations and other habits of a language, by which a full stop inside a sentence is told from one at its end.
#[derive(Debug, Clone, Default)]
pub struct SentenceModel {
    abbreviations: HashSet<String>,
    /// Pairs of words that belong together across a full stop.
    pairs: HashSet<(String, String)>,
    starters: HashSet<String>,
    occurrences: HashMap<String, Occurrence>,
}

/// The files of a model of NLTK: abbreviations, words that begin sentences, pairs of words, and how words occur.
const FILES: [&str; 4] = ["abbrev_types.txt", "sent_starters.txt", "collocations.tab", "ortho_context.tab"];

impl SentenceModel {
    /// Common abbreviations of English, without what NLTK's model has learned from newspapers: rare abbreviations end sentences
    /// here.
    #[must_use]
    pub fn english() -> Self {
        let words = |list: &str| list.split_whitespace().map(str::to_owned).collect();
        Self { abbreviations: words(ABBREVIATIONS), starters: words(STARTERS), ..Self::default() }
    }

    /// The files that [`SentenceModel::open`] reads.
    #[must_use]
    pub fn files(folder: &Path) -> [PathBuf; 4] {
        FILES.map(|name| folder.join(name))
    }

    /// Reads a model of NLTK, such as `tokenizers/punkt_tab/english` of its data.
    ///
    /// # Errors
    /// A file is not there, cannot be read, or is none of such a model.
    pub fn open(folder: &Path) -> Result<Self> {
        let [abbreviations, starters, pairs, occurrences] = Self::files(folder);
        let occurrence = |(word, bits): (String, String)| match bits.parse() {
            Ok(bits) => Ok((word, Occurrence(bits))),
            Err(_) => Err(Error::input(&occurrences, format!("`{bits}` beside {word} is no number"))),
        };
        Ok(Self {
            abbreviations: lines(&abbreviations)?.into_iter().collect(),
            starters: lines(&starters)?.into_iter().collect(),
            pairs: columns(&pairs)?.into_iter().collect(),
            occurrences: columns(&occurrences)?.into_iter().map(occurrence).collect::<Result<_>>()?,
        })
    }

    /// What a token is by itself.
    pub(super) fn mark_by_type(&self, token: &mut Token) {
        let mut chars = token.text.chars();
        if chars.next().is_some_and(is_sentence_end) && chars.next().is_none() {
            token.ends_sentence = true;
            return;
        }
        if token.text.ends_with("..") {
            return;
        }
        let Some(bare) = token.text.strip_suffix('.').map(str::to_lowercase) else { return };
        let last = bare.rsplit('-').next().unwrap_or_default();
        let known = |word: &str| self.abbreviations.contains(word);
        token.is_abbreviation = known(&bare) || known(last);
        token.ends_sentence = !token.is_abbreviation;
    }

    /// What a token with a full stop is before another.
    pub(super) fn mark_by_neighbour(&self, token: &mut Token, next: &Token) {
        if !token.text.ends_with('.') {
            return;
        }
        let (kind, next_kind) = (token.kind_without_stop(), next.kind_in_sentence());
        if self.pairs.contains(&(kind.to_owned(), next_kind.to_owned())) {
            token.ends_sentence = false;
            return;
        }
        let is_upper = next.first().is_some_and(char::is_uppercase);
        let (is_initial, is_number) = (token.is_initial(), kind == NUMBER);
        if (token.is_abbreviation || token.is_ellipsis()) && !is_initial {
            let begins = self.begins_sentence(next) == Some(true);
            if begins || (is_upper && self.starters.contains(next_kind)) {
                token.ends_sentence = true;
                return;
            }
        }
        if is_initial || is_number {
            let never_lower = !self.occurrence(next_kind).has_lower();
            match self.begins_sentence(next) {
                Some(false) => token.ends_sentence = false,
                None if is_initial && is_upper && never_lower => token.ends_sentence = false,
                _ => {}
            }
        }
    }

    fn occurrence(&self, kind: &str) -> Occurrence {
        self.occurrences.get(kind).copied().unwrap_or_default()
    }

    /// Whether a token begins a sentence, by its case and the cases in which the word is known; `None` if that does not tell.
    fn begins_sentence(&self, token: &Token) -> Option<bool> {
        if matches!(token.text.as_str(), ";" | ":" | "," | "." | "!" | "?") {
            return Some(false);
        }
        let (known, first) = (self.occurrence(token.kind_in_sentence()), token.first()?);
        if first.is_uppercase() && known.has_lower() && !known.has_upper_inside() {
            return Some(true);
        }
        let is_inside = first.is_lowercase() && (known.has_upper() || !known.has_lower_first());
        is_inside.then_some(false)
    }
}

fn lines(path: &Path) -> Result<Vec<String>> {
    let text = String::from_utf8(read_whole(path)?).map_err(|_| Error::input(path, "not UTF-8".to_owned()))?;
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn columns(path: &Path) -> Result<Vec<(String, String)>> {
    let pair = |line: String| {
        let pair = line.split_once('\t').filter(|(_, second)| !second.contains('\t'));
        let pair = pair.map(|(first, second)| (first.to_owned(), second.to_owned()));
        pair.ok_or_else(|| Error::input(path, format!("`{line}` has not two columns")))
    };
    lines(path)?.into_iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use audsem_core::files::write_atomically;

    use super::*;

    #[test]
    fn a_model_of_nltk_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| write_atomically(&folder.path().join(name), text.as_bytes()).unwrap();
        write("abbrev_types.txt", "dr\nno");
        write("sent_starters.txt", "she\n");
        write("collocations.tab", "##number##\tst");
        assert!(SentenceModel::open(folder.path()).unwrap_err().to_string().contains("ortho_context.tab"));
        write("ortho_context.tab", "lee\t12\nrain\tx");
        let problem = SentenceModel::open(folder.path()).unwrap_err().to_string();
        assert!(problem.contains("`x` beside rain is no number"), "{problem}");
        write("ortho_context.tab", "lee\t12\nrain\t32\n");
        let model = SentenceModel::open(folder.path()).unwrap();
        let n = |text: &str| model.sentences(text).len();
        assert_eq!((n("Ask Dr. Lee."), n("Ask the Dr. Rain falls."), n("Ask the Dr. She knows.")), (1, 2, 2));
        assert_eq!((n("I live in 5. St Mary."), n("I have 5. Sam has 6.")), (1, 2));
    }
}
