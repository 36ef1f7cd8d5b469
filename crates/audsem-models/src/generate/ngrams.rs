//! Which tokens would repeat an n-gram.

/// Tokens that would complete an n-gram of `size` tokens that `ids` has already; with `size` 1 every token of `ids`.
pub(super) fn repeating(ids: &[u32], size: usize) -> impl Iterator<Item = u32> + '_ {
    // The n-gram in the making: its first size − 1 tokens. A shorter sequence has no n-gram to repeat.
    let prefix = (ids.len() + 1).checked_sub(size).map(|start| &ids[start..]);
    ids.windows(size.max(1)).filter_map(move |ngram| {
        let (last, first) = ngram.split_last()?;
        (prefix == Some(first)).then_some(*last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_token_must_not_complete_an_earlier_ngram() {
        let check = |ids: &[u32], size, expected: &[u32]| {
            assert_eq!(repeating(ids, size).collect::<Vec<_>>(), expected, "{ids:?} {size}");
        };
        check(&[1, 2, 3, 1, 2], 3, &[3]);
        check(&[1, 2, 3, 1, 2, 4, 1, 2], 3, &[3, 4]);
        check(&[1, 2], 3, &[]);
        check(&[1], 3, &[]);
        check(&[5, 6], 1, &[5, 6]);
        check(&[7, 7], 2, &[7]);
    }
}
