//! What a page was made of: stands under its title.

use audsem_core::run::RunFacts;
use serde::Serialize;

use crate::page::Markup;
use crate::sound::relative_url;

/// What a page was made of: by which commands, with which models, on which day, and the files that have all of it.
///
/// Days are those of the runs that the page is about, so that the same runs give the same page on any later day.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct About {
    facts: Vec<Fact>,
    files: Vec<FileLink>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Fact {
    name: String,
    text: String,
}

/// A file beside the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct FileLink {
    url: Markup,
    name: String,
    text: String,
}

impl About {
    /// Adds a fact, unless its text is empty.
    #[must_use]
    pub fn with(mut self, name: &str, text: impl Into<String>) -> Self {
        let text = text.into();
        if !text.is_empty() {
            self.facts.push(Fact { name: name.to_owned(), text });
        }
        self
    }

    /// Adds what is known of the runs that a page is about: models, commands and days, each once.
    #[must_use]
    pub fn with_runs<'r>(self, runs: impl IntoIterator<Item = &'r RunFacts>) -> Self {
        let (mut models, mut commands, mut days) = (Vec::new(), Vec::new(), Vec::new());
        for run in runs {
            run.models.iter().for_each(|model| once(&mut models, model.clone()));
            once(&mut commands, format!("{} {}", run.command, run.version));
            run.day.iter().for_each(|day| once(&mut days, day.clone()));
        }
        days.sort();
        let model = if models.len() == 1 { "model" } else { "models" };
        self.with(model, models.join(", ")).with("made by", commands.join(", ")).with("day", days.join(", "))
    }

    /// Links a file beside the page, with what is in it.
    #[must_use]
    pub fn with_file(mut self, path: &str, text: impl Into<String>) -> Self {
        self.files.push(FileLink { url: relative_url(path), name: path.to_owned(), text: text.into() });
        self
    }
}

fn once(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render;

    #[derive(Serialize)]
    struct Page {
        title: &'static str,
        about: About,
    }

    #[test]
    fn a_page_says_what_it_was_made_of() {
        let run = |command: &str, model: &str, day: &str| RunFacts {
            command: command.to_owned(),
            version: "1.2".to_owned(),
            models: vec![model.to_owned()],
            day: Some(day.to_owned()),
        };
        let runs = [
            run("x score", "a<b", "2026-11-27"),
            run("x match", "a<b", "2026-11-26"),
            run("x score", "c", "2026-11-27"),
        ];
        let about = About::default().with_runs(&runs).with("inputs", "clips & more").with("nothing", "");
        let about = about.with_file("over 0.9.csv", "2 clips");
        let page = render("{% extends \"base.html\" %}", Page { title: "t", about }).expect("a valid template");
        for part in [
            "<dt>models</dt><dd>a&lt;b, c</dd>",
            "<dt>made by</dt><dd>x score 1.2, x match 1.2</dd>",
            "<dt>day</dt><dd>2026-11-26, 2026-11-27</dd>",
            "<dt>inputs</dt><dd>clips &amp; more</dd>",
            "<a href=\"over%200.9.csv\">over 0.9.csv</a> (2 clips)",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(!page.contains("nothing"));
    }

    #[test]
    fn a_page_without_facts_has_no_list_of_them() {
        let page = render("{% extends \"base.html\" %}", Page { title: "t", about: About::default() });
        assert!(!page.expect("a valid template").contains("<dl"));
    }
}
