//! The rules for one caption, each a pure function of the caption and the settings.
//!
//! Comments name the steps of the published scripts. Step 1 reads the labels; 11 and 16 work on whole
//! tables; 13 changes nothing and is omitted. Functions named `*_reference` do exactly what the
//! published scripts do and are used by `--compat reference`; the others are corrected.

use super::chars::{core_of, first_punctuation, has_leftover, is_caption, is_closer, is_opener, is_punctuation};
use super::lists::WordList;
use super::pronouns::Pronouns;
use super::reason::DropReason;

/// The word that replaces every name.
const PERSON: &str = "person";

/// A rule's decision about a caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Keep the caption unchanged.
    Keep,
    /// Keep the caption in this form.
    Rewrite(String),
    /// Drop the caption.
    Drop(DropReason),
}

impl Verdict {
    /// Keep, or rewrite if anything changed.
    fn changed(before: &str, after: String) -> Self {
        if before == after { Self::Keep } else { Self::Rewrite(after) }
    }

    /// Keep if `ok`, else drop.
    fn keep_if(ok: bool, reason: DropReason) -> Self {
        if ok { Self::Keep } else { Self::Drop(reason) }
    }
}

/// Steps 2 and 3: removes the enclosing pair of brackets; the kinds may differ, as in `[laughs)`.
/// With `join`, a caption of several groups becomes one: `[door slams] [dog barks]` turns into
/// `door slams, dog barks`.
pub fn brackets(text: &str, join: bool) -> Verdict {
    let trimmed = text.trim();
    let mut inner = trimmed;
    if trimmed.starts_with(is_opener) && trimmed.ends_with(is_closer) && trimmed.len() > 1 {
        inner = trimmed[1..trimmed.len() - 1].trim();
    }
    if !inner.contains(|c| is_opener(c) || is_closer(c)) {
        return Verdict::changed(text, inner.to_owned());
    }
    match join.then(|| groups(trimmed)).flatten() {
        Some(groups) => Verdict::Rewrite(groups.join(", ")),
        None => Verdict::Drop(DropReason::InnerBrackets),
    }
}

/// The distinct contents of a caption that consists of bracket groups only; `None` for any other caption.
fn groups(text: &str) -> Option<Vec<&str>> {
    let mut groups = Vec::new();
    let mut rest = text;
    let blank = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '.' | '-');
    while let Some(open) = rest.find(is_opener) {
        if !rest[..open].chars().all(blank) {
            return None;
        }
        let inside = &rest[open + 1..];
        let close = inside.find(is_closer)?;
        let group = inside[..close].trim();
        if group.is_empty() || group.contains(is_opener) {
            return None;
        }
        if !groups.contains(&group) {
            groups.push(group);
        }
        rest = &inside[close + 1..];
    }
    rest.chars().all(blank).then_some(groups)
}

/// Step 2 as published: removes the first opening bracket, wherever it is.
pub fn opener_reference(text: &str) -> Verdict {
    without_first(text, is_opener)
}

/// Step 3 as published: removes the first closing bracket, wherever it is.
pub fn closer_reference(text: &str) -> Verdict {
    without_first(text, is_closer)
}

fn without_first(text: &str, wanted: fn(char) -> bool) -> Verdict {
    match text.find(wanted) {
        Some(at) => Verdict::Rewrite([&text[..at], &text[at + 1..]].concat()),
        None => Verdict::Keep,
    }
}

/// Step 4: the length in characters, runs of white space counted once.
pub fn length(text: &str, min_chars: usize, max_chars: usize) -> Verdict {
    bounded(n_chars(text), min_chars, max_chars)
}

/// Characters, runs of white space counted once.
pub fn n_chars(text: &str) -> usize {
    text.split_whitespace().fold(0, |n, word| n + word.chars().count() + usize::from(n > 0))
}

/// Step 4 as published: the length in UTF-8 bytes, white space included.
pub fn length_reference(text: &str, min_bytes: usize, max_bytes: usize) -> Verdict {
    bounded(text.len(), min_bytes, max_bytes)
}

fn bounded(n: usize, min: usize, max: usize) -> Verdict {
    match n {
        n if n < min => Verdict::Drop(DropReason::TooShort),
        n if n > max => Verdict::Drop(DropReason::TooLong),
        _ => Verdict::Keep,
    }
}

/// Step 5: ASCII letters and digits, white space and punctuation only.
pub fn charset(text: &str) -> Verdict {
    Verdict::keep_if(is_caption(text), DropReason::Charset)
}

/// Step 6: a token that is a name without the punctuation around it (and without a possessive `'s`)
/// becomes `person`. Collapses white space.
pub fn names(text: &str, names: &WordList) -> Verdict {
    rewrite_tokens(text, |token, out| {
        let core = core_of(token);
        let stem = core.strip_suffix("'s").unwrap_or(core);
        let name = [core, stem].into_iter().find(|name| !name.is_empty() && names.contains(name));
        match name {
            None => out.push_str(token),
            Some(name) => {
                let at = token.find(name).expect("the name is part of the token");
                out.push_str(&token[..at]);
                out.push_str(PERSON);
                out.push_str(&token[at + name.len()..]);
            }
        }
    })
}

/// Step 6 as published: a token that equals a name becomes `person`. Collapses white space.
pub fn names_reference(text: &str, names: &WordList) -> Verdict {
    if is_evenly_spaced(text) && !text.split(' ').any(|token| names.contains(token)) {
        return Verdict::Keep;
    }
    rewrite_tokens(text, |token, out| out.push_str(if names.contains(token) { PERSON } else { token }))
}

/// Whether words are separated by single spaces and there is no other white space, as in nearly all
/// captions: then splitting and joining the words gives the same text.
fn is_evenly_spaced(text: &str) -> bool {
    text.is_ascii() && text.split(' ').all(|token| !token.is_empty() && !token.bytes().any(|b| (9..=13).contains(&b)))
}

fn rewrite_tokens(text: &str, rewrite: impl Fn(&str, &mut String)) -> Verdict {
    let mut out = String::with_capacity(text.len());
    for token in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        rewrite(token, &mut out);
    }
    Verdict::changed(text, out)
}

/// Step 7: lower case.
pub fn lower_case(text: &str) -> Verdict {
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Verdict::Keep;
    }
    Verdict::changed(text, text.to_lowercase())
}

/// Step 8: no pronoun as a whole word (`it's` has one).
pub fn pronouns(text: &str, pronouns: &Pronouns) -> Verdict {
    Verdict::keep_if(!pronouns.occur_in(text), DropReason::Pronoun)
}

/// Step 9: no punctuation but `'`, `"` and `,`.
pub fn punctuation(text: &str) -> Verdict {
    Verdict::keep_if(!has_leftover(text), DropReason::Punctuation)
}

/// Step 10: at most `max` persons, whatever punctuation is around them.
pub fn persons(text: &str, max: usize) -> Verdict {
    Verdict::keep_if(n_persons(text) <= max, DropReason::Persons)
}

/// Persons, whatever punctuation is around them.
pub fn n_persons(text: &str) -> usize {
    let is_person = |token: &&str| {
        let core = core_of(token);
        core.strip_suffix("'s").unwrap_or(core) == PERSON
    };
    text.split_whitespace().filter(is_person).count()
}

/// Step 10 as published: at most `max` tokens that equal `person`.
pub fn persons_reference(text: &str, max: usize) -> Verdict {
    Verdict::keep_if(n_persons_reference(text) <= max, DropReason::Persons)
}

/// Tokens that equal `person`.
pub fn n_persons_reference(text: &str) -> usize {
    text.split_whitespace().filter(|token| *token == PERSON).count()
}

/// Step 12: a run of `person` becomes one (a first and a last name are one person).
pub fn collapse(text: &str) -> Verdict {
    if !text.contains(PERSON) {
        return Verdict::Keep;
    }
    let mut out = String::with_capacity(text.len());
    let mut after_person = false;
    for token in text.split(' ') {
        let bare = core_of(token);
        if after_person && token.starts_with(PERSON) && bare.strip_suffix("'s").unwrap_or(bare) == PERSON {
            // `person person's` keeps what follows the name.
            out.push_str(&token[PERSON.len()..]);
        } else {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(token);
        }
        after_person = token == PERSON;
    }
    Verdict::changed(text, out)
}

/// Step 12 as published: the first `person person` becomes `person`.
pub fn collapse_reference(text: &str) -> Verdict {
    if !text.contains("person person") {
        return Verdict::Keep;
    }
    Verdict::Rewrite(text.replacen("person person", PERSON, 1))
}

/// Step 14: at least `min` words; a lone punctuation mark does not count.
pub fn words(text: &str, min: usize) -> Verdict {
    Verdict::keep_if(n_words(text) >= min, DropReason::TooFewWords)
}

/// Words; a lone punctuation mark is none.
pub fn n_words(text: &str) -> usize {
    text.split_whitespace().filter(|token| !core_of(token).is_empty()).count()
}

/// Step 14 as published: at least `min` parts between single spaces.
pub fn words_reference(text: &str, min: usize) -> Verdict {
    Verdict::keep_if(n_words_reference(text) >= min, DropReason::TooFewWords)
}

/// Parts between single spaces.
pub fn n_words_reference(text: &str) -> usize {
    text.split(' ').count()
}

/// Step 15: every word is in the dictionary, either without the punctuation around it (`don't`) or
/// without any (`dog's` as `dogs`).
pub fn dictionary(text: &str, words: &WordList) -> Verdict {
    let known = |token: &str| {
        let core = core_of(token);
        core.is_empty()
            || words.contains(core)
            || (core.contains(is_punctuation) && words.contains(&core.replace(is_punctuation, "")))
    };
    Verdict::keep_if(text.split_whitespace().all(known), DropReason::NotInDictionary)
}

/// Step 15 as published: the first punctuation mark is removed, then every part between single
/// spaces must be in the dictionary.
pub fn dictionary_reference(text: &str, words: &WordList) -> Verdict {
    let known = |text: &str| text.split(' ').all(|part| words.contains(part));
    let known = match first_punctuation(text) {
        None => known(text),
        Some(at) => known(&[&text[..at.start], &text[at.end..]].concat()),
    };
    Verdict::keep_if(known, DropReason::NotInDictionary)
}
