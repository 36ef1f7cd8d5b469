//! A histogram as a drawing in the page.

use std::fmt::Write as _;

use super::text::histogram;
use super::{Config, SetSummary};

/// Bars.
const BARS: usize = 60;

/// Size of the drawing, and of the margins for its labels, in units of the drawing.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 274.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 38.0;
const BOTTOM: f64 = 40.0;

/// Draws the histogram of a set, with a line at each threshold within its range.
pub(super) fn draw(config: &Config, modality: &str, set: &SetSummary) -> String {
    let bins = histogram(set, BARS);
    let most = bins.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1);
    let low = bins[0].0;
    let width = if bins.len() > 1 { bins[1].0 - bins[0].0 } else { 1.0 };
    let high = low + width * BARS as f64;
    let x = |value: f64| LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT);
    let y = |n: f64| HEIGHT - BOTTOM - n / most as f64 * (HEIGHT - TOP - BOTTOM);
    let mut out = String::new();
    let write = |out: &mut String| -> std::fmt::Result {
        writeln!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Histogram of the dissimilarity, {modality}\">"
        )?;
        for share in [0.0, 0.5, 1.0] {
            let n = (most as f64 * share).round();
            let (at, end) = (y(n), WIDTH - RIGHT);
            writeln!(out, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>")?;
            writeln!(
                out,
                "<text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{n}</text>",
                LEFT - 8.0,
                at + 4.0
            )?;
        }
        for (from, n) in &bins {
            let (left, top) = (x(*from), y(*n as f64));
            let bar = (x(from + width) - left - 1.0).max(0.5);
            let tall = HEIGHT - BOTTOM - top;
            writeln!(
                out,
                "<rect class=\"bar\" x=\"{left:.2}\" y=\"{top:.2}\" width=\"{bar:.2}\" height=\"{tall:.2}\"><title>{from:.4} to {:.4}: {n}</title></rect>",
                from + width
            )?;
        }
        for i in 0..=5 {
            let value = low + (high - low) * f64::from(i) / 5.0;
            writeln!(
                out,
                "<text class=\"tick\" text-anchor=\"middle\" x=\"{:.1}\" y=\"{:.1}\">{value:.3}</text>",
                x(value),
                HEIGHT - 22.0
            )?;
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        writeln!(
            out,
            "<text class=\"tick\" text-anchor=\"middle\" x=\"{middle}\" y=\"{}\">dissimilarity</text>",
            HEIGHT - 5.0
        )?;
        let within = config.thresholds.iter().map(|t| f64::from(*t)).filter(|t| (low..=high).contains(t));
        for (i, threshold) in within.enumerate() {
            // Labels of close thresholds lie above each other.
            let (at, top) = (x(threshold), TOP - 14.0 * (i % 2) as f64);
            let (bottom, label) = (HEIGHT - BOTTOM, top - 6.0);
            writeln!(out, "<line class=\"threshold\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>")?;
            writeln!(
                out,
                "<text class=\"threshold-label\" text-anchor=\"middle\" x=\"{at:.1}\" y=\"{label}\">{threshold:.2}</text>"
            )?;
        }
        writeln!(out, "</svg>")
    };
    write(&mut out).expect("writing to a string does not fail");
    out
}
