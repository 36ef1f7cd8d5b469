//! Round numbers along an axis.

/// Four to ten round numbers from `low` to `high`, and the decimals that print them exactly.
pub(crate) fn round_values(low: f64, high: f64) -> Vec<(f64, usize)> {
    let power = (high - low).log10().floor();
    let steps = [0.1, 0.2, 0.5, 1.0].map(|share| share * 10f64.powf(power));
    let count = |step: f64| (high / step).floor() - (low / step).ceil() + 1.0;
    let step = steps.into_iter().rfind(|step| count(*step) >= 4.0).unwrap_or(steps[0]);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an axis needs few decimals")]
    let decimals = (if step == steps[3] { -power } else { 1.0 - power }).max(0.0) as usize;
    let mut values = Vec::new();
    let mut number = (low / step).ceil();
    while number * step <= high && values.len() < 10 {
        // −0 and 0 are the same number.
        values.push((number * step + 0.0, decimals));
        number += 1.0;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_has_round_numbers_whatever_its_range() {
        for (low, high) in
            [(0.4606, 1.1176), (-0.0707, 0.7676), (0.95, 0.9509), (-1.0, 2.0), (0.0, 0.006), (0.31, 0.41)]
        {
            let values = round_values(low, high);
            assert!((4..=10).contains(&values.len()), "{low} {high}: {values:?}");
            for (value, decimals) in values {
                assert!((low..=high).contains(&value));
                let printed: f64 = format!("{value:.decimals$}").parse().expect("a number");
                assert!((printed - value).abs() < 1e-9, "{low} {high}: {value} as {printed}");
            }
        }
    }
}
