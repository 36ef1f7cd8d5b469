//! ROUGE-L (Lin, 2004) as the COCO caption tools compute it.

/// Weight of recall against precision.
const BETA: f64 = 1.2;

/// ROUGE-L of a sentence of words, from 0 to 1: the F-measure of the best precision and the best recall of the longest common
/// subsequence with any reference.
pub fn rouge_l(given: &[String], references: &[Vec<String>]) -> f64 {
    if given.is_empty() {
        return 0.0;
    }
    let common: Vec<(f64, f64)> = references
        .iter()
        .filter(|reference| !reference.is_empty())
        .map(|reference| {
            let length = longest_common(given, reference) as f64;
            (length / given.len() as f64, length / reference.len() as f64)
        })
        .collect();
    let precision = common.iter().map(|(precision, _)| *precision).fold(0.0, f64::max);
    let recall = common.iter().map(|(_, recall)| *recall).fold(0.0, f64::max);
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    (1.0 + BETA * BETA) * precision * recall / (recall + BETA * BETA * precision)
}

/// Length of the longest common subsequence.
fn longest_common(one: &[String], other: &[String]) -> usize {
    let mut row = vec![0; other.len() + 1];
    for word in one {
        let mut diagonal = 0;
        for (n, candidate) in other.iter().enumerate() {
            let above = row[n + 1];
            row[n + 1] = if word == candidate { diagonal + 1 } else { above.max(row[n]) };
            diagonal = above;
        }
    }
    row[other.len()]
}
