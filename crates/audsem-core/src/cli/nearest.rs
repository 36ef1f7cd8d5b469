//! The word that was probably meant.

/// The known word that is nearest to one that is unknown, if it is near enough to be a slip of the pen.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = (word.chars().count() / 3).clamp(1, 3);
    let distance = |known: &str| strsim::damerau_levenshtein(word, known);
    let near = known.into_iter().map(|known| (distance(known), known)).filter(|(distance, _)| *distance <= most);
    near.min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let known = ["threshold", "min-duration", "seed", "shard"];
        for (word, meant) in [("treshold", "threshold"), ("min-durations", "min-duration"), ("sede", "seed")] {
            assert_eq!(nearest(word, known), Some(meant));
        }
        for word in ["model", "x", "duration"] {
            assert_eq!(nearest(word, known), None, "{word}");
        }
    }
}
