//! What all charts share: the sizes they are drawn in.

use audsem_core::terminal::thousands;
use serde::Serialize;

use crate::axis::round_values;
use crate::page::{Markup, ReportError};

/// A size of a chart, in units of its view box, which are about pixels where the style shows it: letters keep their size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Size {
    /// The class by which the style knows it.
    pub(crate) name: &'static str,
    pub(crate) width: f64,
    /// Labels along the horizontal axis at most.
    pub(crate) most_ticks: usize,
}

/// For a page's whole width.
pub(crate) const WIDE: Size = Size { name: "wide", width: 760.0, most_ticks: 10 };

/// For phones, and for charts side by side.
pub(crate) const NARROW: Size = Size { name: "narrow", width: 360.0, most_ticks: 6 };

/// A chart in both sizes, of which the style shows one.
pub(crate) fn in_both_sizes(draw: impl Fn(Size) -> Result<String, ReportError>) -> Result<Markup, ReportError> {
    Ok(Markup::new(format!("<figure class=\"chart\">{}{}</figure>\n", draw(WIDE)?, draw(NARROW)?)))
}

/// Round numbers along an axis, with how they are written.
pub(crate) fn tick_labels(low: f64, high: f64, most: usize) -> Vec<(f64, String)> {
    let values = round_values(low, high);
    let every = values.len().div_ceil(most.max(1)).max(1);
    values.into_iter().step_by(every).map(|(value, decimals)| (value, written(value, decimals))).collect()
}

/// A number for people: thousands apart, where it is large.
fn written(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, rest) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), thousands);
    rest.map_or_else(|| format!("{sign}{whole}"), |rest| format!("{sign}{whole}.{rest}"))
}

/// A value as it stands beside a curve: whole numbers as they are, others with four significant digits.
pub(crate) fn shown(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return written(value, 0);
    }
    let magnitude = value.abs().log10().floor();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 12")]
    let decimals = (3.0 - magnitude).clamp(0.0, 12.0) as usize;
    let text = written(value, decimals);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        for (value, text) in [
            (0.0, "0"),
            (13_245.0, "13,245"),
            (-12_345.678, "-12,346"),
            (4.673_298, "4.673"),
            (0.000_8, "0.0008"),
            (1.5, "1.5"),
            (66.67, "66.67"),
        ] {
            assert_eq!(shown(value), text);
        }
    }

    #[test]
    fn narrow_axes_have_fewer_labels() {
        let labels = |most| tick_labels(0.0, 1.0, most).into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(10), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(3), ["0.0", "0.4", "0.8"]);
        assert_eq!(tick_labels(0.0, 12_000.0, 3)[1], (6_000.0, "6,000".to_owned()));
    }
}
