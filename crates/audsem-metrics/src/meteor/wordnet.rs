//! The synonyms of WordNet, from the files of its database (`man 5 wndb`).

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use audsem_core::error::{Error, Result};
use audsem_core::input::read_whole;

/// Endings of nouns, and those of the words that they are forms of.
const NOUN_ENDINGS: &[(&str, &str)] = &[
    ("s", ""),
    ("ses", "s"),
    ("ves", "f"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
];

const VERB_ENDINGS: &[(&str, &str)] =
    &[("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")];

const ADJECTIVE_ENDINGS: &[(&str, &str)] = &[("er", ""), ("est", ""), ("er", "e"), ("est", "e")];

/// Names of the files of each part of speech, and its endings.
const PARTS: [(&str, &[(&str, &str)]); 4] =
    [("noun", NOUN_ENDINGS), ("verb", VERB_ENDINGS), ("adj", ADJECTIVE_ENDINGS), ("adv", &[])];

/// Sets of synonyms of English words. Words are looked up in the forms that `morphy` makes of them.
#[derive(Debug)]
pub struct WordNet {
    parts: Vec<PartOfSpeech>,
}

#[derive(Debug)]
struct PartOfSpeech {
    endings: &'static [(&'static str, &'static str)],
    /// Irregular forms, and the words that they are forms of.
    exceptions: HashMap<String, Vec<String>>,
    /// Words, and the places of their sets in the file of data.
    index: HashMap<String, Vec<u32>>,
    /// The single words of each set.
    sets: HashMap<u32, Vec<String>>,
}

impl WordNet {
    /// Reads a folder with the files `index.*`, `data.*` and `*.exc` of WordNet, such as `usr/share/wordnet` of the Debian
    /// package `wordnet-base`. Scores of METEOR are made with version 3.0; other versions have other synonyms.
    ///
    /// # Errors
    /// A file is absent or not of the form, or the index names a set that is not in the data.
    pub fn open(dir: &Path) -> Result<Self> {
        let parts = PARTS.iter().map(|(name, endings)| PartOfSpeech::open(dir, name, endings));
        Ok(Self { parts: parts.collect::<Result<_>>()? })
    }

    /// The single words that share a set of synonyms with a word, in the spelling of WordNet; the word itself is among them
    /// where WordNet has it.
    #[must_use]
    pub fn synonyms(&self, word: &str) -> BTreeSet<&str> {
        let lower = word.to_lowercase();
        self.parts.iter().flat_map(|part| part.synonyms(&lower)).collect()
    }
}

impl PartOfSpeech {
    fn open(dir: &Path, name: &str, endings: &'static [(&'static str, &'static str)]) -> Result<Self> {
        let part = Self {
            endings,
            exceptions: lines(&dir.join(format!("{name}.exc")), exception)?,
            index: lines(&dir.join(format!("index.{name}")), index_entry)?,
            sets: lines(&dir.join(format!("data.{name}")), synonym_set)?,
        };
        match part.index.iter().find(|(_, places)| places.iter().any(|place| !part.sets.contains_key(place))) {
            Some((word, _)) => {
                let problem = format!("`{word}` has a set that data.{name} does not");
                Err(Error::input(&dir.join(format!("index.{name}")), problem))
            }
            None => Ok(part),
        }
    }

    fn synonyms(&self, word: &str) -> impl Iterator<Item = &str> {
        let places = self.forms(word).into_iter().filter_map(|form| self.index.get(&form)).flatten();
        places.filter_map(|place| self.sets.get(place)).flatten().map(String::as_str)
    }

    /// A word and what it may be a form of.
    fn forms(&self, word: &str) -> Vec<String> {
        let mut forms = vec![word.to_owned()];
        match self.exceptions.get(word) {
            Some(known) => forms.extend(known.iter().cloned()),
            None => forms.extend(
                self.endings
                    .iter()
                    .filter_map(|(ending, new)| word.strip_suffix(ending).map(|stem| format!("{stem}{new}"))),
            ),
        }
        forms
    }
}

/// Reads each line of a file by `parse`, but for those of the licence, which begin with a blank.
fn lines<K: std::hash::Hash + Eq, V>(path: &Path, parse: impl Fn(&str) -> Option<(K, V)>) -> Result<HashMap<K, V>> {
    let text = String::from_utf8(read_whole(path)?).map_err(|_| Error::input(path, "not UTF-8".to_owned()))?;
    let entries = text.lines().enumerate().filter(|(_, line)| !line.starts_with(' '));
    let parsed = entries.map(|(number, line)| {
        let problem = || Error::input(path, format!("line {} is not of the form of WordNet", number + 1));
        parse(line).ok_or_else(problem)
    });
    let found: HashMap<K, V> = parsed.collect::<Result<_>>()?;
    if found.is_empty() { Err(Error::input(path, "no entry of WordNet".to_owned())) } else { Ok(found) }
}

/// `form word…`
fn exception(line: &str) -> Option<(String, Vec<String>)> {
    let mut fields = line.split_whitespace().map(str::to_owned);
    let form = fields.next()?;
    let words: Vec<String> = fields.collect();
    (!words.is_empty()).then_some((form, words))
}

/// `lemma pos sets pointers pointer… sets tagged place…`
fn index_entry(line: &str) -> Option<(String, Vec<u32>)> {
    let mut fields = line.split_whitespace();
    let lemma = fields.next()?;
    let sets: usize = fields.nth(1)?.parse().ok()?;
    let pointers: usize = fields.next()?.parse().ok()?;
    let places: Vec<u32> = fields.skip(pointers + 2).map(|place| place.parse().ok()).collect::<Option<_>>()?;
    (sets > 0 && places.len() == sets).then(|| (lemma.to_owned(), places))
}

/// `place file type words(hexadecimal) word id…`; the place is that of the line in bytes.
fn synonym_set(line: &str) -> Option<(u32, Vec<String>)> {
    let mut fields = line.split(' ');
    let place = fields.next().filter(|place| place.len() == 8)?.parse().ok()?;
    let count = usize::from_str_radix(fields.nth(2)?, 16).ok()?;
    let mut words = Vec::new();
    for _ in 0..count {
        let (word, _id) = (fields.next()?, fields.next()?);
        // Adjectives may carry where they stand, as in `galore(ip)`.
        let word = word.split_once('(').map_or(word, |(word, _)| word);
        if !word.contains('_') {
            words.push(word.to_owned());
        }
    }
    Some((place, words))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_read_by_field() {
        assert_eq!(
            index_entry("dog n 2 3 @ ~ #m 2 1 02084071 10114209  "),
            Some(("dog".to_owned(), vec![2_084_071, 10_114_209]))
        );
        assert_eq!(index_entry("dog n 2 3 @ ~ #m 2 1 02084071"), None, "a place is missing");
        let line = "00016756 00 s 03 in_league 0 allied(p) 0 a-one 0 001 & 1 a 0000 | joined; by (some)";
        assert_eq!(synonym_set(line), Some((16_756, vec!["allied".to_owned(), "a-one".to_owned()])));
        assert_eq!(synonym_set("00016756 00 s 04 a 0 b 0"), None);
    }

    #[test]
    fn what_is_no_wordnet_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(WordNet::open(folder.path()).is_err());
        for (name, _) in PARTS {
            std::fs::write(folder.path().join(format!("{name}.exc")), "geese goose\n").unwrap();
            std::fs::write(folder.path().join(format!("index.{name}")), "  1 licence\ngoose n 1 0 1 0 00000001\n")
                .unwrap();
            std::fs::write(folder.path().join(format!("data.{name}")), "00000002 05 n 01 goose 0 000 | bird\n")
                .unwrap();
        }
        let error = WordNet::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("`goose` has a set"), "{error}");
        for (name, _) in PARTS {
            let data = "00000001 05 n 02 goose 0 Anser 1 000 | bird\n";
            std::fs::write(folder.path().join(format!("data.{name}")), data).unwrap();
        }
        let wordnet = WordNet::open(folder.path()).unwrap();
        assert_eq!(wordnet.synonyms("Geese"), BTreeSet::from(["Anser", "goose"]));
        assert!(wordnet.synonyms("duck").is_empty());
    }
}
