//! Quotations of what people say.

/// Minimum number of words of a quotation: shorter ones name sounds ("knock knock").
const MIN_WORDS: usize = 4;

/// The first quotation in a text, in any of the usual pairs of marks; single quotes are apostrophes too often.
pub(super) fn transcribed(text: &str) -> Option<&str> {
    [('"', '"'), ('“', '”'), ('«', '»'), ('„', '“')].into_iter().find_map(|(open, close)| {
        let mut rest = text;
        while let Some(start) = rest.find(open) {
            let behind = &rest[start + open.len_utf8()..];
            let end = behind.find(close)?;
            if behind[..end].split_whitespace().count() >= MIN_WORDS {
                return Some(&behind[..end]);
            }
            rest = &behind[end + close.len_utf8()..];
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotations_of_some_length_are_found() {
        assert_eq!(transcribed("A man says \"I will be right back\" and leaves."), Some("I will be right back"));
        assert_eq!(transcribed("“Get out of here,” she shouts"), Some("Get out of here,"));
        assert_eq!(transcribed("Two \"pops\" and a \"long bang\" are heard. It's \"a"), None);
    }
}
