//! Finds where one top-level object of a dump ends and the next begins, from a few bytes.
//!
//! In valid JSON a `}` followed, across blanks and line ends only, by a `{` always stands between two
//! top-level values: inside an array or an object a comma (or a colon) would have to come between.
//! A raw line end cannot occur inside a JSON string. So wherever a line begins with `{` and the last
//! byte before it that is not a blank is `}`, the input can be cut, without parsing what comes before.
//! The rule looks at a bounded number of bytes, which makes it the same for every reader, wherever in
//! the file that reader began.

use memchr::{memchr_iter, memrchr};

/// Longest run of blanks and empty lines before a `{` that is looked through, in bytes. After a longer
/// run there is no boundary; the two objects then simply stay in one segment.
pub(super) const LOOK_BACK: usize = 256;

/// First boundary at or after `from` (and after 0): the index of the `{` that begins an object.
#[must_use]
pub(super) fn first_boundary(bytes: &[u8], from: usize) -> Option<usize> {
    let from = from.max(1);
    let line_ends = bytes.get(from - 1..)?;
    memchr_iter(b'\n', line_ends).map(|i| from + i).find(|&at| is_boundary(bytes, at))
}

/// Last boundary in `bytes` that lies after `floor`.
#[must_use]
pub(super) fn last_boundary(bytes: &[u8], floor: usize) -> Option<usize> {
    let mut end = bytes.len();
    while let Some(line_end) = memrchr(b'\n', bytes.get(floor..end)?) {
        let at = floor + line_end + 1;
        if is_boundary(bytes, at) {
            return Some(at);
        }
        end = at - 1;
    }
    None
}

/// Whether an object begins at `at`, which must follow a line end.
fn is_boundary(bytes: &[u8], at: usize) -> bool {
    if bytes.get(at) != Some(&b'{') {
        return false;
    }
    let before = &bytes[at.saturating_sub(LOOK_BACK)..at];
    before.iter().rfind(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n')) == Some(&b'}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        while let Some(at) = first_boundary(bytes, found.last().map_or(0, |last| last + 1)) {
            found.push(at);
        }
        found
    }

    #[test]
    fn boundaries_stand_between_top_level_objects_only() {
        let far = format!("{{}}\n{}{{}}", " ".repeat(LOOK_BACK));
        for (input, expected) in [
            ("{}\n{}\n", vec![3]),
            ("{}\r\n{}", vec![4]),
            ("{} \t\n\n\r\n{}", vec![8]),
            ("{\"a\":[\n{},\n{}\n]}\n{}", vec![17]),
            ("{}{}", vec![]),
            ("{}\n {}", vec![]),
            ("{\"a\":[1\n{}\n", vec![]), // cut short: no `}` ends the line before
            ("\n\n{}", vec![]),
            ("", vec![]),
            (&far, vec![]),
        ] {
            assert_eq!(all(input.as_bytes()), expected, "{input:?}");
        }
    }

    #[test]
    fn the_last_boundary_is_the_last_of_all() {
        let text = b"{}\n{\"a\":1}\n{\n\"b\":[\n{},\n{}]}\n";
        assert_eq!(last_boundary(text, 0), all(text).last().copied());
        assert_eq!(last_boundary(text, 11), None);
        assert_eq!(last_boundary(b"", 0), None);
    }
}
