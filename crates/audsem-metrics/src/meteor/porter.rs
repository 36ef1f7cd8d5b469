//! The stemmer of Porter (1980) as NLTK has it by default: with the changes of Porter himself, and those of NLTK.

/// Words that the rules get wrong, and their stems.
const IRREGULAR: [(&str, &str); 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// Plurals; the first ending that fits decides.
const PLURALS: [(&str, &str); 4] = [("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")];

/// Double endings, which become single ones where a syllable stands in front.
const DOUBLE_ENDINGS: [(&str, &str); 21] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
];

/// Endings that become shorter where a syllable stands in front.
const LONG_ENDINGS: [(&str, &str); 7] =
    [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

/// Endings that are dropped where two syllables stand in front; `ion` only behind `s` and `t`.
const LAST_ENDINGS: [&str; 19] = [
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

/// The stem of a word, in lower case.
#[must_use]
pub fn stem(word: &str) -> String {
    let lower = word.to_lowercase();
    if let Some((_, stem)) = IRREGULAR.iter().find(|(irregular, _)| *irregular == lower) {
        return (*stem).to_owned();
    }
    if word.chars().count() <= 2 {
        return lower;
    }
    let steps = [without_plural, without_participle, with_final_i, without_double, without_long, without_last];
    let word = steps.into_iter().fold(lower, |word, step| step(word));
    with_single_l(without_final_e(word))
}

/// Which letters are consonants: all but vowels, and `y` unless it follows a consonant.
fn consonants(word: &str) -> Vec<bool> {
    let mut flags: Vec<bool> = Vec::with_capacity(word.len());
    for c in word.chars() {
        let is_consonant = match c {
            'a' | 'e' | 'i' | 'o' | 'u' => false,
            'y' => !flags.last().copied().unwrap_or(false),
            _ => true,
        };
        flags.push(is_consonant);
    }
    flags
}

/// Number of vowels that a consonant follows, about that of syllables.
fn measure(stem: &str) -> usize {
    consonants(stem).windows(2).filter(|two| !two[0] && two[1]).count()
}

fn has_vowel(stem: &str) -> bool {
    consonants(stem).contains(&false)
}

fn ends_in_double_consonant(word: &str) -> bool {
    let mut last = word.chars().rev();
    let (one, other) = (last.next(), last.next());
    one.is_some() && one == other && consonants(word).last() == Some(&true)
}

/// Whether a word ends in consonant, vowel and consonant (but `w`, `x` or `y`), or is a vowel and a consonant.
fn ends_in_short_syllable(word: &str) -> bool {
    match consonants(word)[..] {
        [false, true] => true,
        [.., true, false, true] => !word.ends_with(['w', 'x', 'y']),
        _ => false,
    }
}

fn without_plural(word: String) -> String {
    if word.ends_with("ies") && word.chars().count() == 4 {
        return word[..word.len() - 1].to_owned();
    }
    for (ending, new) in PLURALS {
        if let Some(stem) = word.strip_suffix(ending) {
            return format!("{stem}{new}");
        }
    }
    word
}

fn without_participle(word: String) -> String {
    if word.ends_with("ied") {
        let kept = if word.chars().count() == 4 { 1 } else { 2 };
        return word[..word.len() - kept].to_owned();
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 { format!("{stem}ee") } else { word };
    }
    let stems = ["ed", "ing"].into_iter().filter_map(|ending| word.strip_suffix(ending));
    match stems.into_iter().find(|stem| has_vowel(stem)) {
        Some(stem) => completed(stem),
        None => word,
    }
}

/// A stem without `ed` or `ing`, with the `e` that belongs to it, and without the letter that was doubled.
fn completed(stem: &str) -> String {
    if ["at", "bl", "iz"].iter().any(|ending| stem.ends_with(ending)) {
        return format!("{stem}e");
    }
    if ends_in_double_consonant(stem) {
        let kept = if stem.ends_with(['l', 's', 'z']) { 0 } else { stem.chars().next_back().map_or(0, char::len_utf8) };
        return stem[..stem.len() - kept].to_owned();
    }
    let is_short = measure(stem) == 1 && ends_in_short_syllable(stem);
    if is_short { format!("{stem}e") } else { stem.to_owned() }
}

/// `i` for a final `y` behind a consonant that is not the only letter.
fn with_final_i(word: String) -> String {
    match word.strip_suffix('y') {
        Some(stem) if stem.chars().count() > 1 && consonants(stem).last() == Some(&true) => format!("{stem}i"),
        _ => word,
    }
}

fn without_double(word: String) -> String {
    if let Some(stem) = word.strip_suffix("alli").filter(|stem| measure(stem) > 0) {
        return without_double(format!("{stem}al"));
    }
    for (ending, new) in DOUBLE_ENDINGS {
        if let Some(stem) = word.strip_suffix(ending) {
            return if measure(stem) > 0 { format!("{stem}{new}") } else { word };
        }
    }
    match word.strip_suffix("ogi") {
        // The `l` counts as part of what stands in front.
        Some(stem) if stem.ends_with('l') && measure(stem) > 0 => format!("{stem}og"),
        _ => word,
    }
}

fn without_long(word: String) -> String {
    for (ending, new) in LONG_ENDINGS {
        if let Some(stem) = word.strip_suffix(ending) {
            return if measure(stem) > 0 { format!("{stem}{new}") } else { word };
        }
    }
    word
}

fn without_last(word: String) -> String {
    for ending in LAST_ENDINGS {
        if let Some(stem) = word.strip_suffix(ending) {
            let is_dropped = measure(stem) > 1 && (ending != "ion" || stem.ends_with(['s', 't']));
            return if is_dropped { stem.to_owned() } else { word };
        }
    }
    word
}

fn without_final_e(word: String) -> String {
    match word.strip_suffix('e') {
        Some(stem) if measure(stem) > 1 || (measure(stem) == 1 && !ends_in_short_syllable(stem)) => stem.to_owned(),
        _ => word,
    }
}

fn with_single_l(word: String) -> String {
    match word.strip_suffix('l') {
        Some(stem) if stem.ends_with('l') && measure(stem) > 1 => stem.to_owned(),
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_kind_share_a_stem() {
        for (word, expected) in [
            ("Skies", "sky"),
            ("dies", "die"),
            ("flies", "fli"),
            ("spied", "spi"),
            ("hopping", "hop"),
            ("filing", "file"),
            ("falling", "fall"),
            ("archaeology", "archaeolog"),
            ("radically", "radic"),
            ("enjoys", "enjoy"),
            ("controlling", "control"),
            ("adoption", "adopt"),
            ("as", "as"),
        ] {
            assert_eq!(stem(word), expected, "{word}");
        }
    }
}
