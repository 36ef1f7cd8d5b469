//! Options that a data set writes as one text, each behind its letter in brackets.

/// The options of a list of texts or of one text, without their letters: `(A) dog (B) cat`, on one line or on several. `None`
/// where the letters do not follow each other from A on, so that nobody can tell where an option ends.
pub(super) fn options(texts: &[String]) -> Option<Vec<String>> {
    let found: Option<Vec<String>> = match texts {
        [one] => in_text(one),
        several => {
            letters().zip(several).map(|(mark, text)| text.trim().strip_prefix(mark.as_str()).map(clean)).collect()
        }
    };
    found.filter(|options| options.len() >= 2 && options.iter().all(|option| !option.is_empty()))
}

/// An option, or a right answer, without a letter in brackets before it.
pub(super) fn bare(text: &str) -> String {
    let text = text.trim();
    let mark = letters().find_map(|mark| text.strip_prefix(mark.as_str()));
    mark.map_or_else(|| text.to_owned(), clean)
}

fn letters() -> impl Iterator<Item = String> {
    ('A'..='Z').map(|letter| format!("({letter})"))
}

fn clean(text: &str) -> String {
    text.trim().to_owned()
}

fn in_text(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix("(A)")?;
    let mut options = Vec::new();
    for mark in letters().skip(1) {
        let Some((option, after)) = rest.split_once(mark.as_str()) else { break };
        options.push(clean(option));
        rest = after;
    }
    options.push(clean(rest));
    // A letter that stands there again belongs to an option, or to another list: nobody knows.
    let is_plain = |option: &String| letters().all(|mark| !option.contains(&mark));
    options.iter().all(is_plain).then_some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_apart_by_their_letters() {
        let read = |texts: &[&str]| options(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        let two = Some(vec!["a dog".to_owned(), "a cat".to_owned()]);
        for texts in [
            &["(A) a dog (B) a cat"][..],
            &["(A) a dog\n(B) a cat\n"],
            &["(A) a dog", "(B) a cat"],
            &["(A)a dog(B)a cat"],
        ] {
            assert_eq!(read(texts), two, "{texts:?}");
        }
        assert_eq!(read(&["(A) 1 (B) 2 (C) 3 (D) 4 (E) 5"]).map(|options| options.len()), Some(5));
        for texts in [
            &["a dog, a cat"][..],
            &["(A) a dog"],
            &["(B) a dog (A) a cat"],
            &["(A) x (B) y (A) z"],
            &["(A) (B) y"],
            &["x", "y"],
            &[],
        ] {
            assert_eq!(read(texts), None, "{texts:?}");
        }
        assert_eq!((bare("(C) a dog "), bare("a dog (C)")), ("a dog".to_owned(), "a dog (C)".to_owned()));
    }
}
