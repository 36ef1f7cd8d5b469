//! The likeliest pieces of a text.

use super::{Piece, SentencePieceModel, UNKNOWN_PENALTY};

/// The best way to a place of a text.
#[derive(Debug, Clone, Copy)]
struct Path {
    score: f32,
    from: usize,
    is_unknown: bool,
}

impl SentencePieceModel {
    /// The pieces of the likeliest way through a normalised text, and whether each is a character that no piece begins with. Sums
    /// are rounded as in the library, so that ways of equal score are told apart in the same way.
    pub(super) fn cut<'a>(&self, text: &'a str) -> Vec<(&'a str, bool)> {
        let mut best: Vec<Option<Path>> = vec![None; text.len() + 1];
        for (at, character) in text.char_indices() {
            let score = best[at].map_or(0.0, |path| path.score);
            let length = character.len_utf8();
            let mut is_known = false;
            for end in ends(text, at, self.longest) {
                let Some(piece) = self.pieces.get(&text[at..end]) else { continue };
                is_known |= end - at == length;
                let sum = self.score(piece, end - at) + f64::from(score);
                improve(&mut best[end], sum, at, false);
            }
            if !is_known {
                let sum = self.worst - UNKNOWN_PENALTY + score;
                improve(&mut best[at + length], f64::from(sum), at, true);
            }
        }
        let (mut pieces, mut end) = (Vec::new(), text.len());
        while let Some(path) = best[end].filter(|_| end > 0) {
            pieces.push((&text[path.from..end], path.is_unknown));
            end = path.from;
        }
        pieces.reverse();
        pieces
    }

    /// Pieces that a user has defined are better than everything that their bytes could be.
    fn score(&self, piece: &Piece, length: usize) -> f64 {
        match piece.is_user_defined {
            true => f64::from(length as f32 * self.best) - 0.1,
            false => f64::from(piece.score),
        }
    }
}

/// Where pieces that begin at a place may end.
fn ends(text: &str, at: usize, longest: usize) -> impl Iterator<Item = usize> {
    let rest = &text[at..];
    rest.char_indices().map(move |(place, c)| at + place + c.len_utf8()).take_while(move |end| end - at <= longest)
}

#[expect(clippy::cast_possible_truncation, reason = "the library stores its sums in single precision")]
fn improve(best: &mut Option<Path>, score: f64, from: usize, is_unknown: bool) {
    if best.is_none_or(|known| score > f64::from(known.score)) {
        *best = Some(Path { score: score as f32, from, is_unknown });
    }
}
