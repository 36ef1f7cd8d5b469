//! The rating in what a judge says.

use super::rubric::RatingScale;

/// What precedes the rating.
const LABEL: &str = "rating";

/// The number behind the last `Rating` label that has one behind it, else the last number of the text; why there is none, or
/// why it may not be given. A word that ends like the label, such as `operating`, is none.
///
/// # Errors
/// A reply to the judge.
pub(super) fn rating(text: &str, scale: &RatingScale) -> Result<f64, String> {
    let lower = text.to_lowercase();
    let is_word = |at: usize| !lower[..at].ends_with(char::is_alphanumeric);
    let mut labels = lower.rmatch_indices(LABEL).filter(|(at, _)| is_word(*at));
    let labelled = labels.find_map(|(at, label)| numbers(without_scale(&lower[at + label.len()..])).next());
    let Some(rating) = labelled.or_else(|| numbers(&lower).last()) else {
        return Err("it has no rating".to_owned());
    };
    match scale.allows(rating) {
        true => Ok(rating),
        false => Err(format!("{rating} is not a rating of this scale")),
    }
}

/// What stands behind a label, without a scale in brackets that is repeated from the question: `Rating (0-5): 4`.
fn without_scale(behind: &str) -> &str {
    let scale = behind.trim_start_matches([' ', '*']).strip_prefix('(').and_then(|inside| inside.split_once(')'));
    match scale {
        Some((_, after)) if after.trim_start_matches([' ', '*']).starts_with([':', '=']) => after,
        _ => behind,
    }
}

/// The numbers of a text, with their signs and fractions.
fn numbers(text: &str) -> impl Iterator<Item = f64> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let at = rest.find(|c: char| c.is_ascii_digit())?;
        let is_negative = rest[..at].ends_with(['-', '\u{2212}']);
        let behind = &rest[at..];
        let whole = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        let fraction = behind[whole..].strip_prefix('.').map_or(0, |digits| {
            let n = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            if n > 0 { n + 1 } else { 0 }
        });
        let (number, after) = behind.split_at(whole + fraction);
        rest = after;
        let number: f64 = number.parse().ok()?;
        Some(if is_negative { -number } else { number })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_behind_the_last_label_counts() {
        let graded = RatingScale { lowest: 0.0, highest: 5.0, whole: true, scale: 20.0 };
        for (text, expected) in [
            ("Explanation: 3 details are missing.\nRating: 4", Some(4.0)),
            ("Rating: 2\nExplanation: two of 5 details", Some(2.0)),
            ("Rating: 1 … no. Rating: **4**/5", Some(4.0)),
            ("RATING - 3.", Some(3.0)),
            ("The Rating follows. 5", Some(5.0)),
            ("I give it 2 of the points, 3", Some(3.0)),
            ("Rating: 4.0", Some(4.0)),
            ("Rating: 3.5", None),
            ("Rating: 10", None),
            ("Rating:-1", None),
            ("Rating: five", None),
            ("", None),
            // A last label without a number behind it does not hide the one before.
            ("Rating: 4\nThis rating is fair.", Some(4.0)),
            // Words that end like the label are none.
            ("Rating: 4\nThe machine is heard operating for 3 s, vibrating 2 times.", Some(4.0)),
            ("The machine is operating. 2", Some(2.0)),
            // A scale that is repeated is no rating.
            ("Rating (0-5): 4", Some(4.0)),
            ("**Rating** (a whole number from 0 to 5): **3**", Some(3.0)),
            ("Rating (4)", Some(4.0)),
            ("Rating: (2)", Some(2.0)),
        ] {
            assert_eq!(rating(text, &graded).ok(), expected, "{text:?}");
        }
        let mmar = RatingScale { lowest: 0.2, highest: 1.0, whole: false, scale: 100.0 };
        assert_eq!(rating("Rating: 0.8", &mmar), Ok(0.8));
        assert_eq!(rating("Rating: 0", &mmar), Err("0 is not a rating of this scale".to_owned()));
    }
}
