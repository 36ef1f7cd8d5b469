//! Bars with intervals, such as scores with their uncertainty.

use minijinja::value::Serde;
use serde::Serialize;

use crate::chart::tick_labels;
use crate::page::{Markup, ReportError, environment};

/// Labels along the axis at most.
const MOST_TICKS: usize = 6;

/// A value and its interval.
#[derive(Debug, Clone, PartialEq)]
pub struct IntervalBar {
    /// What it is of.
    pub label: String,
    /// The value.
    pub value: f64,
    /// Both ends of its interval, where it has one.
    pub interval: Option<(f64, f64)>,
    /// What is written beside the bar, such as `66.7 % (63.7–69.5)`.
    pub text: String,
    /// Whether it stands back behind the others, as a published value does.
    pub faint: bool,
}

/// Bars from left to right on one axis, each with its interval and a text. Labels and texts keep their size on narrow
/// screens, where they stand above their bar.
#[derive(Debug, Clone, PartialEq)]
pub struct IntervalChart {
    /// What it shows, for screen readers.
    pub title: String,
    /// Name of the axis.
    pub axis: String,
    /// Whether values are shares, which the axis shows in percent.
    pub is_share: bool,
    /// Where the axis begins.
    pub low: f64,
    /// Where it ends; more than `low`.
    pub high: f64,
    /// A value that is marked on every bar, such as that of chance, and its name.
    pub mark: Option<(f64, String)>,
    /// The bars, from top to bottom.
    pub bars: Vec<IntervalBar>,
}

/// What the template draws, in percent of the axis.
#[derive(Serialize)]
struct View<'a> {
    title: &'a str,
    axis: &'a str,
    /// Places and labels.
    ticks: Vec<(f64, String)>,
    mark: Option<(f64, &'a str)>,
    bars: Vec<Bar<'a>>,
}

#[derive(Serialize)]
struct Bar<'a> {
    label: &'a str,
    text: &'a str,
    faint: bool,
    width: f64,
    /// Begin and length.
    interval: Option<(f64, f64)>,
}

impl IntervalChart {
    /// Draws it as HTML.
    ///
    /// # Errors
    /// None in practice: the template is built in.
    pub fn draw(&self) -> Result<Markup, ReportError> {
        let bar = |bar: &'_ IntervalBar| {
            let interval = bar.interval.map(|(low, high)| (self.percent(low), self.percent(high)));
            (self.percent(bar.value), interval.map(|(low, high)| (low, high - low)))
        };
        let bars = self.bars.iter().map(|from| {
            let (width, interval) = bar(from);
            Bar { label: &from.label, text: &from.text, faint: from.faint, width, interval }
        });
        let view = View {
            title: &self.title,
            axis: &self.axis,
            ticks: self.ticks(),
            mark: self.mark.as_ref().map(|(at, name)| (self.percent(*at), name.as_str())),
            bars: bars.collect(),
        };
        Ok(Markup::new(environment().get_template("interval_chart.html")?.render(Serde(view))?))
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        let factor = if self.is_share { 100.0 } else { 1.0 };
        let unit = if self.is_share { " %" } else { "" };
        let labels = tick_labels(self.low * factor, self.high * factor, MOST_TICKS).into_iter();
        labels.map(|(value, label)| (self.percent(value / factor), label + unit)).collect()
    }

    /// Where a value lies on the axis, in percent; at an end where it lies beyond.
    fn percent(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low) * 100.0).clamp(0.0, 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_intervals_lie_where_their_values_are() {
        let bar = |value: f64, interval, faint| IntervalBar {
            label: "a <b>".to_owned(),
            value,
            interval,
            text: format!("{value}"),
            faint,
        };
        let chart = IntervalChart {
            title: "scores".to_owned(),
            axis: "CIDEr".to_owned(),
            is_share: false,
            low: 0.0,
            high: 2.0,
            mark: Some((0.5, "chance".to_owned())),
            bars: vec![bar(1.0, Some((0.8, 1.3)), false), bar(3.0, None, true)],
        };
        let html = chart.draw().expect("a valid template").as_str().to_owned();
        assert!(html.contains("a &lt;b&gt;") && html.contains("aria-label=\"scores\""), "{html}");
        for part in ["width:50.00%", "left:40.00%;width:25.00%", "left:25.00%", "width:100.00%"] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        assert!(html.contains("CIDEr") && html.contains("<span style=\"left:50.00%\">1.0</span>"), "{html}");
        let shares = IntervalChart { is_share: true, high: 1.0, mark: None, ..chart };
        let html = shares.draw().expect("a valid template").as_str().to_owned();
        assert!(html.contains("<span style=\"left:40.00%\">40 %</span>"), "{html}");
        let html = IntervalChart { is_share: false, high: 2.0, ..shares }
            .draw()
            .expect("a valid template")
            .as_str()
            .to_owned();
        assert_eq!(html.matches("class=\"interval\"").count(), 1, "one bar has none");
        assert_eq!(html.matches("interval-bar faint").count(), 1);
    }
}
