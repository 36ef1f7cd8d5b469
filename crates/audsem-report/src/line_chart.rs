//! Curves over an axis, such as a loss over the steps of a training.

use std::fmt::Write as _;

use minijinja::value::Serde;
use serde::Serialize;

use crate::chart::{Size, in_both_sizes, shown, tick_labels};
use crate::page::{Markup, ReportError, environment};

/// Labels along the vertical axis at most.
const MOST_LEVELS: usize = 6;

/// Height of the plot and the margins for its labels, in units of its view box.
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 40.0;

/// Points that are drawn at most: more would lie on each other.
const MOST_POINTS: usize = 1000;

/// A curve through points.
#[derive(Debug, Clone, PartialEq)]
pub struct LineChart {
    /// What it shows; stands above the curve.
    pub title: String,
    /// Name of the horizontal axis.
    pub axis: String,
    /// Finite points from left to right.
    pub points: Vec<(f64, f64)>,
}

/// What the template draws, in units of the view box.
#[derive(Serialize)]
struct View<'a> {
    size: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    title: &'a str,
    axis: &'a str,
    levels: Vec<(f64, String)>,
    ticks: Vec<(f64, String)>,
    path: String,
    last: String,
}

/// The range of an axis.
#[derive(Debug, Clone, Copy)]
struct Span {
    low: f64,
    high: f64,
}

impl Span {
    /// The range of some values, with a little space around equal ones.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        match () {
            () if !(low.is_finite() && high.is_finite()) => Self { low: 0.0, high: 1.0 },
            () if high - low > low.abs().max(high.abs()) * 1e-9 => Self { low, high },
            () => Self { low: low - (low.abs() * 0.1).max(0.5), high: high + (high.abs() * 0.1).max(0.5) },
        }
    }

    fn share(self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

impl LineChart {
    /// Draws it as SVG.
    ///
    /// # Errors
    /// None in practice: the template is built in.
    pub fn draw(&self) -> Result<Markup, ReportError> {
        in_both_sizes(|size| self.draw_in(size))
    }

    fn draw_in(&self, size: Size) -> Result<String, ReportError> {
        let (across, up) = (Span::of(self.points.iter().map(|p| p.0)), Span::of(self.points.iter().map(|p| p.1)));
        let x = |value: f64| LEFT + across.share(value) * (size.width - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - up.share(value) * (HEIGHT - TOP - BOTTOM);
        let labels = |labels: Vec<(f64, String)>, place: &dyn Fn(f64) -> f64| {
            labels.into_iter().map(|(value, label)| (place(value), label)).collect()
        };
        let view = View {
            size: size.name,
            width: size.width,
            height: HEIGHT,
            left: LEFT,
            right: size.width - RIGHT,
            title: &self.title,
            axis: &self.axis,
            levels: labels(tick_labels(up.low, up.high, MOST_LEVELS), &y),
            ticks: labels(self.steps(across, size.most_ticks), &x),
            path: path(self.thinned().map(|(across, up)| (x(across), y(up)))),
            last: self.points.last().map(|(_, value)| format!("last: {}", shown(*value))).unwrap_or_default(),
        };
        Ok(environment().get_template("line_chart.html")?.render(Serde(view))?)
    }

    /// Labels along the horizontal axis: between whole numbers, such as those of updates, lies nothing.
    fn steps(&self, across: Span, most: usize) -> Vec<(f64, String)> {
        let mut labels = tick_labels(across.low, across.high, most);
        if self.points.iter().all(|(at, _)| at.fract() == 0.0) {
            labels.retain(|(value, _)| value.fract() == 0.0);
            labels.iter_mut().for_each(|(value, label)| *label = shown(*value));
        }
        labels
    }

    /// The points to draw: of very many every n-th, and the last.
    fn thinned(&self) -> impl Iterator<Item = (f64, f64)> {
        let (n, every) = (self.points.len(), self.points.len().div_ceil(MOST_POINTS).max(1));
        self.points.iter().enumerate().filter(move |(i, _)| i.is_multiple_of(every) || i + 1 == n).map(|(_, p)| *p)
    }
}

/// The `points` of an SVG `polyline`.
fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    points.fold(String::new(), |mut path, (x, y)| {
        let blank = if path.is_empty() { "" } else { " " };
        let _ = write!(path, "{blank}{x:.1},{y:.1}");
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> String {
        let chart = LineChart { title: "loss <a>".to_owned(), axis: "updates".to_owned(), points };
        chart.draw().expect("a valid template").as_str().to_owned()
    }

    #[test]
    fn the_curve_goes_through_its_points() {
        let svg = chart(vec![(0.0, 2.0), (5.0, 1.0), (10.0, 0.0)]);
        assert!(svg.matches("<svg ").count() == 2 && svg.contains("loss &lt;a&gt;"), "{svg}");
        assert!(svg.contains("points=\"72.0,28.0 408.0,104.0 744.0,180.0\""), "{svg}");
        assert!(svg.contains(">last: 0<"), "the last value is written: {svg}");
    }

    #[test]
    fn between_whole_numbers_there_are_no_labels() {
        let labels = |points: &[(f64, f64)]| {
            let chart = LineChart { title: String::new(), axis: String::new(), points: points.to_vec() };
            chart.steps(Span::of(points.iter().map(|p| p.0)), 6).into_iter().map(|(_, label)| label).collect::<Vec<_>>()
        };
        assert_eq!(labels(&[(1.0, 0.5), (2.0, 0.1), (3.0, 0.2)]), ["1", "2", "3"]);
        assert_eq!(labels(&[(1.0, 0.5), (1.5, 0.1), (3.0, 0.2)]), ["1.0", "1.5", "2.0", "2.5", "3.0"]);
    }

    #[test]
    fn equal_values_and_very_many_points_are_drawn() {
        assert!(chart(vec![(1.0, 3.0), (2.0, 3.0)]).contains("points=\"72.0,104.0 744.0,104.0\""));
        chart(Vec::new());
        let many = chart((0..10_500).map(|n| (f64::from(n), f64::from(n % 7))).collect());
        let drawn = many.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        assert!((900..=1001).contains(&drawn.split(' ').count()) && drawn.contains("744.0,"));
    }
}
