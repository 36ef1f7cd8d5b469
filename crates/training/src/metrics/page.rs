//! The page of curves.

use audsem_core::terminal::thousands;
use audsem_report::{About, LineChart, Markup, ReportError, render};
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
    about: About,
    facts: Vec<(&'a str, String)>,
    charts: Vec<Markup>,
    /// Numbers that never changed, and their values.
    constant: Vec<(&'a str, String)>,
}

/// A page with a curve for each number of a history that changes, and a table of facts about the training.
///
/// # Errors
/// The template is wrong.
pub fn metrics_page(
    title: &str,
    about: About,
    facts: &[(&str, Value)],
    history: &History,
) -> Result<String, ReportError> {
    let mut names = history.names();
    names.sort_by_key(|name| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    let curves = names.into_iter().map(|name| (name, history.curve(name))).filter(|(_, points)| points.len() > 1);
    let (constant, changing): (Vec<_>, Vec<_>) =
        curves.partition(|(_, points)| points.iter().all(|(_, value)| *value == points[0].1));
    let chart =
        |(name, points): (&str, _)| LineChart { title: name.to_owned(), axis: "updates".to_owned(), points }.draw();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        value => value.as_u64().map_or_else(|| value.to_string(), thousands),
    };
    let page = Page {
        title,
        about,
        facts: facts.iter().map(|(name, value)| (*name, text(value))).collect(),
        charts: changing.into_iter().map(chart).collect::<Result<_, _>>()?,
        constant: constant.into_iter().map(|(name, points)| (name, points[0].1.to_string())).collect(),
    };
    render(include_str!("page.html"), page)
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
            history.push(
                MetricRecord::new(step).with("learning_rate", 1e-4 * loss).with("loss", loss).with("skipped", 0.0),
            );
        }
        history.push(MetricRecord::new(6).with("once", 1.0));
        let facts = [("updates", 6.into()), ("tokens", 15_192.into()), ("model", "a&b".into())];
        let about = About::default().with("data", "shards");
        let page = metrics_page("Training <1>", about, &facts, &history).unwrap();
        assert_eq!(page.matches("<figure ").count(), 2, "one point is no curve, and neither is what never changes");
        assert!(page.contains("skipped 0") && page.contains("<dt>data</dt><dd>shards</dd>"), "{page}");
        assert!(page.contains("<td>15,192</td>"), "{page}");
        assert!(page.find("loss").unwrap() < page.find("learning_rate").unwrap());
        assert!(page.contains("Training &lt;1&gt;") && page.contains("a&amp;b"), "{page}");
    }
}
