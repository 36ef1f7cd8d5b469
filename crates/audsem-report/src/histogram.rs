//! Histograms.

use audsem_core::terminal::thousands;
use minijinja::value::Serde;
use serde::Serialize;

use crate::chart::{Size, in_both_sizes, tick_labels};
use crate::page::{Markup, ReportError, environment};

/// Height of the plot and the margins for its labels, in units of its view box.
const HEIGHT: f64 = 288.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 70.0;
const BOTTOM: f64 = 40.0;

/// Width and height that the label of a mark takes.
const LABEL_WIDTH: f64 = 38.0;
const LABEL_HEIGHT: f64 = 14.0;

/// Rows of labels above the bars at most.
const LABEL_ROWS: usize = 3;

/// A line across the bars, such as a threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Where it stands on the horizontal axis; outside the bars it is left out.
    pub at: f64,
    /// What stands above it.
    pub label: String,
}

/// A histogram with bins of equal width.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// What it shows, for screen readers.
    pub title: String,
    /// Name of the horizontal axis.
    pub axis: String,
    /// What is counted, the name of the vertical axis.
    pub counted: String,
    /// Where the first bin begins.
    pub low: f64,
    /// Where the last bin ends; more than `low`.
    pub high: f64,
    /// How many values lie in each bin.
    pub counts: Vec<u64>,
    /// Lines across the bars.
    pub marks: Vec<Mark>,
}

/// What the template draws, in units of the view box.
#[derive(Serialize)]
struct View<'a> {
    size: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    title: &'a str,
    axis: &'a str,
    counted: &'a str,
    levels: Vec<(f64, String)>,
    bars: Vec<Bar>,
    ticks: Vec<(f64, String)>,
    marks: Vec<PlacedMark<'a>>,
}

#[derive(Serialize)]
struct Bar {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    from: f64,
    to: f64,
    count: u64,
}

#[derive(Serialize)]
struct PlacedMark<'a> {
    x: f64,
    label_x: f64,
    label_y: f64,
    label: &'a str,
}

impl Histogram {
    /// Draws it as SVG.
    ///
    /// # Errors
    /// None in practice: the template is built in.
    pub fn draw(&self) -> Result<Markup, ReportError> {
        in_both_sizes(|size| Plot { of: self, size }.draw())
    }

    /// The count of the longest bar, at least 1.
    fn most(&self) -> u64 {
        self.counts.iter().copied().max().unwrap_or(0).max(1)
    }
}

/// A histogram in one size.
struct Plot<'a> {
    of: &'a Histogram,
    size: Size,
}

impl<'a> Plot<'a> {
    fn draw(&self) -> Result<String, ReportError> {
        let view = View {
            size: self.size.name,
            width: self.size.width,
            height: HEIGHT,
            left: LEFT,
            right: self.size.width - RIGHT,
            top: TOP,
            bottom: HEIGHT - BOTTOM,
            title: &self.of.title,
            axis: &self.of.axis,
            counted: &self.of.counted,
            levels: self.levels(),
            bars: self.bars(),
            ticks: self.ticks(),
            marks: self.placed_marks(),
        };
        Ok(environment().get_template("histogram.html")?.render(Serde(view))?)
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.of.low) / (self.of.high - self.of.low) * (self.size.width - LEFT - RIGHT)
    }

    fn y(&self, count: u64) -> f64 {
        HEIGHT - BOTTOM - count as f64 / self.of.most() as f64 * (HEIGHT - TOP - BOTTOM)
    }

    /// Grid lines at zero, half and all of the longest bar.
    fn levels(&self) -> Vec<(f64, String)> {
        let mut levels = vec![0, self.of.most() / 2, self.of.most()];
        levels.dedup();
        levels.into_iter().map(|count| (self.y(count), thousands(count))).collect()
    }

    fn bars(&self) -> Vec<Bar> {
        let bin = (self.of.high - self.of.low) / self.of.counts.len() as f64;
        let bar = |(i, &count): (usize, &u64)| {
            let (from, to) = (self.of.low + i as f64 * bin, self.of.low + (i + 1) as f64 * bin);
            let (x, y) = (self.x(from), self.y(count));
            // One unit of space between neighbours, unless the bars are that thin themselves.
            let width = (self.x(to) - x - 1.0).max(0.5);
            Bar { x, y, width, height: HEIGHT - BOTTOM - y, from, to, count }
        };
        self.of.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(bar).collect()
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        let labels = tick_labels(self.of.low, self.of.high, self.size.most_ticks).into_iter();
        labels.map(|(value, label)| (self.x(value), label)).collect()
    }

    /// Marks from left to right. A label that would overlap its neighbour goes a row higher.
    fn placed_marks(&self) -> Vec<PlacedMark<'a>> {
        let mut within: Vec<&Mark> =
            self.of.marks.iter().filter(|mark| (self.of.low..=self.of.high).contains(&mark.at)).collect();
        within.sort_by(|a, b| a.at.total_cmp(&b.at));
        let mut ends = [f64::NEG_INFINITY; LABEL_ROWS];
        let mut place = |mark: &'_ Mark| {
            let x = self.x(mark.at);
            let row = ends.iter().position(|end| x - LABEL_WIDTH / 2.0 >= *end).unwrap_or(LABEL_ROWS - 1);
            ends[row] = x + LABEL_WIDTH / 2.0;
            let label_x = x.clamp(LEFT, self.size.width - LABEL_WIDTH / 2.0);
            (x, label_x, TOP - 6.0 - LABEL_HEIGHT * row as f64)
        };
        within
            .into_iter()
            .map(|mark| {
                let (x, label_x, label_y) = place(mark);
                PlacedMark { x, label_x, label_y, label: &mark.label }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::{NARROW, WIDE};

    fn histogram() -> Histogram {
        let mark = |at: f64| Mark { at, label: format!("{at}") };
        Histogram {
            title: "of <sounds>".to_owned(),
            axis: "score".to_owned(),
            counted: "clips".to_owned(),
            low: 0.0,
            high: 4.0,
            counts: vec![2, 0, 1000, 500],
            marks: vec![mark(3.0), mark(1.0), mark(1.05), mark(9.0)],
        }
    }

    #[test]
    fn bars_and_marks_lie_where_their_values_are() {
        let histogram = histogram();
        let wide = Plot { of: &histogram, size: WIDE };
        let (x, heights): (Vec<f64>, Vec<f64>) = wide.bars().iter().map(|bar| (bar.x, bar.height)).unzip();
        assert_eq!(x, [LEFT, LEFT + 340.0, LEFT + 510.0], "680 units for four bins, none for the empty one");
        let expected = [178.0 * 0.002, 178.0, 89.0];
        assert!(heights.iter().zip(expected).all(|(height, expected)| (height - expected).abs() < 1e-9), "{heights:?}");
        let marks: Vec<(f64, f64)> = wide.placed_marks().iter().map(|mark| (mark.x, mark.label_y)).collect();
        assert_eq!(marks, [(LEFT + 170.0, 64.0), (LEFT + 178.5, 50.0), (LEFT + 510.0, 64.0)]);
        let narrow = Plot { of: &histogram, size: NARROW };
        let x: Vec<f64> = narrow.bars().iter().map(|bar| bar.x).collect();
        assert_eq!(x, [LEFT, LEFT + 140.0, LEFT + 210.0], "280 units for four bins");
    }

    #[test]
    fn the_drawing_is_escaped_and_inserted_as_it_is() {
        #[derive(Serialize)]
        struct Page {
            plots: Vec<Markup>,
        }
        let page = Page { plots: vec![histogram().draw().expect("a valid template")] };
        let page = crate::render("{{ plots[0] }}", page).expect("a valid template");
        assert_eq!(page.matches("<svg ").count(), 2, "one for each size");
        assert!(page.contains("aria-label=\"of &lt;sounds&gt;\"") && page.contains(">clips</text>"), "{page}");
        assert!(page.contains("<title>2.0000 to 3.0000: 1,000</title>"), "{page}");
    }
}
