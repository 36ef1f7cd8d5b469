//! A histogram as a drawing in the page.

use std::fmt::Write as _;

use super::SetSummary;
use super::html::{escape, grouped};
use super::text::histogram;
use crate::criterion::{Criterion, label};

/// Bars.
const BARS: usize = 60;

/// Size of the drawing, and of the margins for its labels, in units of the drawing.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 288.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 40.0;

/// What the label of a threshold needs beside it, and the height of a row of them.
const LABEL_WIDTH: f64 = 38.0;
const LABEL_HEIGHT: f64 = 14.0;

/// Rows of labels above the bars at most.
const LABEL_ROWS: usize = 3;

/// Where numbers lie in the drawing.
struct Axes {
    bins: Vec<(f64, u64)>,
    /// Width of a bin.
    width: f64,
    /// The longest bar.
    most: u64,
}

impl Axes {
    fn low(&self) -> f64 {
        self.bins[0].0
    }

    fn high(&self) -> f64 {
        self.low() + self.width * self.bins.len() as f64
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.low()) / (self.high() - self.low()) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, n: f64) -> f64 {
        HEIGHT - BOTTOM - n / self.most as f64 * (HEIGHT - TOP - BOTTOM)
    }
}

/// Draws the histogram of a set, with a line at each threshold within its range.
pub(super) fn draw(criterion: &Criterion, modality: &str, set: &SetSummary) -> String {
    let bins = histogram(set, BARS);
    let most = bins.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1);
    let axes = Axes { width: bins[1].0 - bins[0].0, bins, most };
    let (mut out, column) = (String::new(), criterion.column.name());
    let mut write = || -> std::fmt::Result {
        writeln!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Histogram of {column}, {}\">",
            escape(modality)
        )?;
        counts(&mut out, &axes)?;
        bars(&mut out, &axes)?;
        values(&mut out, &axes, column)?;
        thresholds(&mut out, &axes, criterion)?;
        writeln!(out, "</svg>")
    };
    write().expect("writing to a string does not fail");
    out
}

fn text(out: &mut String, class: &str, anchor: &str, (x, y): (f64, f64), content: &str) -> std::fmt::Result {
    writeln!(out, "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{content}</text>")
}

/// Lines at nothing, half and all of the longest bar.
fn counts(out: &mut String, axes: &Axes) -> std::fmt::Result {
    let mut levels = vec![0, axes.most / 2, axes.most];
    levels.dedup();
    for n in levels {
        let (at, end) = (axes.y(n as f64), WIDTH - RIGHT);
        writeln!(out, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>")?;
        text(out, "tick", "end", (LEFT - 8.0, at + 4.0), &grouped(n))?;
    }
    Ok(())
}

fn bars(out: &mut String, axes: &Axes) -> std::fmt::Result {
    for (from, n) in axes.bins.iter().filter(|(_, n)| *n > 0) {
        let (left, top) = (axes.x(*from), axes.y(*n as f64));
        let to = from + axes.width;
        let (bar, tall) = ((axes.x(to) - left - 1.0).max(0.5), HEIGHT - BOTTOM - top);
        writeln!(
            out,
            "<rect class=\"bar\" x=\"{left:.2}\" y=\"{top:.2}\" width=\"{bar:.2}\" height=\"{tall:.2}\">\
             <title>{from:.4} to {to:.4}: {}</title></rect>",
            grouped(*n)
        )?;
    }
    Ok(())
}

/// Round numbers along the axis.
fn values(out: &mut String, axes: &Axes, column: &str) -> std::fmt::Result {
    for (value, decimals) in round_values(axes.low(), axes.high()) {
        text(out, "tick", "middle", (axes.x(value), HEIGHT - 22.0), &format!("{value:.decimals$}"))?;
    }
    text(out, "tick", "middle", ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 5.0), column)
}

/// Four to ten round numbers from `low` to `high`, and the decimals they need.
fn round_values(low: f64, high: f64) -> Vec<(f64, usize)> {
    let power = (high - low).log10().floor();
    let steps = [0.1, 0.2, 0.5, 1.0].map(|share| share * 10f64.powf(power));
    let count = |step: f64| (high / step).floor() - (low / step).ceil() + 1.0;
    let step = steps.into_iter().rfind(|step| count(*step) >= 4.0).unwrap_or(steps[0]);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a width in bins has few decimals")]
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

/// Lines at the thresholds. A label that would lie on its neighbour goes a row higher.
fn thresholds(out: &mut String, axes: &Axes, criterion: &Criterion) -> std::fmt::Result {
    let mut within: Vec<f32> = criterion.thresholds.clone();
    within.retain(|threshold| (axes.low()..=axes.high()).contains(&f64::from(*threshold)));
    within.sort_by(f32::total_cmp);
    let mut ends = [f64::NEG_INFINITY; LABEL_ROWS];
    for threshold in within {
        let at = axes.x(f64::from(threshold));
        let row = ends.iter().position(|end| at - LABEL_WIDTH / 2.0 >= *end).unwrap_or(LABEL_ROWS - 1);
        ends[row] = at + LABEL_WIDTH / 2.0;
        let bottom = HEIGHT - BOTTOM;
        writeln!(out, "<line class=\"threshold\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>")?;
        let inside = at.clamp(LEFT, WIDTH - LABEL_WIDTH / 2.0);
        text(out, "threshold-label", "middle", (inside, TOP - 6.0 - LABEL_HEIGHT * row as f64), &label(threshold))?;
    }
    Ok(())
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
