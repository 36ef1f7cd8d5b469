//! HTML reports: pages from templates, plots as SVG, and players for sounds.
//!
//! A page is a minijinja template of the stage that extends `base.html` of this crate, and the data it shows. It holds
//! everything it needs: no scripts, no fonts, nothing from the network. Every value is escaped.
//!
//! ```
//! use audsem_report::{Histogram, Markup, render};
//!
//! #[derive(serde::Serialize)]
//! struct Lengths {
//!     title: &'static str,
//!     n: u64,
//!     plot: Markup,
//! }
//!
//! let title = "Lengths < 2 s";
//! let plot = Histogram { title: title.into(), axis: "seconds".into(), counted: "clips".into(), low: 0.0, high: 2.0, counts: vec![3, 1], marks: vec![] };
//! let template = r#"{% extends "base.html" %}{% block body %}{{ plot }}<p>{{ n|thousands }} & more</p>{% endblock %}"#;
//! let page = render(template, Lengths { title, n: 12_345, plot: plot.draw()? })?;
//! assert!(page.contains("<title>Lengths &lt; 2 s</title>") && page.contains("<p>12,345 & more</p>") && page.contains("<svg "));
//! # Ok::<(), audsem_report::ReportError>(())
//! ```

mod about;
mod axis;
mod chart;
mod histogram;
mod interval_chart;
mod line_chart;
mod page;
mod sound;

pub use about::About;
pub use histogram::{Histogram, Mark};
pub use interval_chart::{IntervalBar, IntervalChart};
pub use line_chart::LineChart;
pub use page::{Markup, ReportError, render};
pub use sound::{data_url, relative_url};
