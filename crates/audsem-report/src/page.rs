//! Rendering of templates.

use std::sync::OnceLock;

use audsem_core::terminal::thousands;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use serde::Serialize;

/// Why a page could not be rendered: its template is wrong, or asks for a value that is not there.
#[derive(Debug, thiserror::Error)]
#[error("the template of a page: {}", chain(.0))]
pub struct ReportError(#[from] minijinja::Error);

/// The message of a template error with its causes, which the library does not print by default.
fn chain(error: &minijinja::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

/// Text that a template inserts without escaping. It must be a field of a struct that is passed to [`render`]; converted
/// to a `serde_json::Value`, it would be escaped.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Markup(Value);

impl Markup {
    /// `text` must be escaped already.
    pub(crate) fn new(text: String) -> Self {
        Self(Value::from_safe_string(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str().unwrap_or_default()
    }
}

/// Renders a page. The template may extend `base.html`, which takes `title`, `about` ([`crate::About`], if any) and the block
/// `body`, and import the macros of `clips.html` and `tables.html`. `{{ scroll }}` opens a `div` for a wide table. Filters beside the standard ones: `thousands` (`12,345`) and `fixed(n)` (`n` decimals).
///
/// # Errors
/// The template does not parse, or uses a value that `context` lacks.
pub fn render(template: &str, context: impl Serialize) -> Result<String, ReportError> {
    Ok(environment().render_named_str("page.html", template, Serde(context))?)
}

/// What stands before a table that may be wider than the screen: a place that scrolls, also with the keyboard, and a hint
/// that the style shows where there is more to see.
const SCROLL: &str =
    "<div class=\"scroll\" tabindex=\"0\"><p class=\"scroll-hint\" aria-hidden=\"true\">more to the right →</p>";

/// The templates and filters that all pages share.
pub(crate) fn environment() -> &'static Environment<'static> {
    static SHARED: OnceLock<Environment<'static>> = OnceLock::new();
    SHARED.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .keep_trailing_newline(true)
                .build()
                .expect("only white space is configured"),
        );
        environment.add_global("style", Value::from_safe_string(include_str!("../templates/style.css").into()));
        environment.add_global("scroll", Value::from_safe_string(SCROLL.to_owned()));
        environment.add_filter("thousands", thousands);
        environment.add_filter("fixed", |value: f64, decimals: usize| format!("{value:.decimals$}"));
        for (name, source) in [
            ("tables.html", include_str!("../templates/tables.html")),
            ("base.html", include_str!("../templates/base.html")),
            ("clips.html", include_str!("../templates/clips.html")),
            ("histogram.html", include_str!("../templates/histogram.html")),
            ("interval_chart.html", include_str!("../templates/interval_chart.html")),
            ("line_chart.html", include_str!("../templates/line_chart.html")),
        ] {
            environment.add_template(name, source).expect("the built-in templates parse, as every test shows");
        }
        environment
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_cannot_break_out_of_the_page() {
        let template = r#"{% extends "base.html" %}{% block body %}<p title="{{ text }}">{{ text }}</p>{% endblock %}"#;
        let page = render(template, json!({ "title": "</title>", "text": "<b>\"&'" })).expect("a valid template");
        assert!(page.contains("<title>&lt;&#x2f;title&gt;</title>"), "{page}");
        assert!(page.contains("<p title=\"&lt;b&gt;&quot;&amp;&#x27;\">&lt;b&gt;&quot;&amp;&#x27;</p>"), "{page}");
    }

    #[test]
    fn a_missing_value_is_an_error_that_names_the_line() {
        let error = render("one\n{{ two }}", json!({})).expect_err("there is no `two`").to_string();
        assert!(error.contains("undefined") && error.contains("page.html:2"), "{error}");
    }
}
