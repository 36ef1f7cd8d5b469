//! The report as Markdown.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::error::Error;

/// Renders a template of Markdown. The filter `cell` makes a text fit into a cell of a table.
pub(super) fn render(template: &str, page: &impl Serialize) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("only white space is configured"));
    environment.add_filter("cell", |text: String| cell(&text));
    environment.add_filter("thousands", audsem_core::terminal::thousands);
    environment.add_filter("fixed", |value: f64, decimals: usize| format!("{value:.decimals$}"));
    let text = environment.render_named_str("page.md", template, Serde(page));
    Ok(text.map_err(audsem_report::ReportError::from)?)
}

/// A text on one line, whose marks Markdown does not read.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().flat_map(|c| if "|\\`*_<>[]".contains(c) { vec!['\\', c] } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_in_their_cells() {
        assert_eq!(cell("a|b\n *c* <d>"), "a\\|b \\*c\\* \\<d\\>");
    }
}
