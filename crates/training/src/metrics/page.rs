//! The page of curves.

use audsem_report::{LineChart, Markup, ReportError, render};
use serde::Serialize;
use serde_json::Value;

use super::History;

/// Curves that are drawn first, in this order.
const FIRST: [&str; 7] = [
    "reward",
    "eval/reward",
    "eval/rewards/accuracy/mean",
    "loss",
    "valid_loss",
    "mean_token_accuracy",
    "valid_mean_token_accuracy",
];

#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    facts: Vec<(&'a str, String)>,
    charts: Vec<Markup>,
}

/// A page with a curve for each number of a history, and a table of facts about the training.
///
/// # Errors
/// The template is wrong.
pub fn metrics_page(title: &str, facts: &[(&str, Value)], history: &History) -> Result<String, ReportError> {
    let mut names = history.names();
    names.sort_by_key(|name| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    let charts = names.into_iter().filter_map(|name| {
        let points = history.curve(name);
        (points.len() > 1).then(|| LineChart { title: name.to_owned(), axis: "updates".to_owned(), points }.draw())
    });
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let facts = facts.iter().map(|(name, value)| (*name, text(value))).collect();
    render(include_str!("page.html"), Page { title, facts, charts: charts.collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::metrics::MetricRecord;

    #[test]
    fn a_page_has_a_curve_for_each_number() {
        let mut history = History::default();
        for step in 1..6 {
            let loss = 1.0 / step as f64;
            history.push(MetricRecord::new(step).with("learning_rate", 1e-4 * loss).with("loss", loss));
        }
        history.push(MetricRecord::new(6).with("once", 1.0));
        let page = metrics_page("Training <1>", &[("updates", 6.into()), ("model", "a&b".into())], &history).unwrap();
        assert_eq!(page.matches("<svg ").count(), 2, "one point is no curve");
        assert!(page.find("loss").unwrap() < page.find("learning_rate").unwrap());
        assert!(page.contains("Training &lt;1&gt;") && page.contains("a&amp;b"), "{page}");
    }
}
