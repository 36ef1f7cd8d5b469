//! The prompts: template files with named slots, built in or the user's own.

use std::path::{Path, PathBuf};

use audsem_llm::{Prompt, PromptTemplate, TextError};
use serde_json::{Value, json};

use super::check::WordLimits;
use super::metadata::Evidence;
use super::product::{Product, Style};

/// The notes about a clip, which follow the instructions of every writer: what prompts have in common comes first, so
/// that a server computes it once.
const CLIP: &str = include_str!("prompts/clip.txt");

/// File name of the notes in a folder of prompts.
const CLIP_FILE: &str = "clip.txt";

fn built_in(product: Product, is_judge: bool) -> (&'static str, &'static str) {
    match (product, is_judge) {
        (Product::Caption, false) => ("caption.txt", include_str!("prompts/caption.txt")),
        (Product::Qa, false) => ("qa.txt", include_str!("prompts/qa.txt")),
        (Product::Mcqa, false) => ("mcqa.txt", include_str!("prompts/mcqa.txt")),
        (Product::VisualCaption, false) => ("visual-caption.txt", include_str!("prompts/visual-caption.txt")),
        (Product::Caption | Product::VisualCaption, true) => {
            ("caption-judge.txt", include_str!("prompts/caption-judge.txt"))
        }
        (Product::Qa, true) => ("qa-judge.txt", include_str!("prompts/qa-judge.txt")),
        (Product::Mcqa, true) => ("mcqa-judge.txt", include_str!("prompts/mcqa-judge.txt")),
    }
}

/// Where templates come from.
#[derive(Debug, Clone, Default)]
pub struct PromptSource {
    /// A folder whose files replace built-in ones of equal name.
    pub folder: Option<PathBuf>,
    /// A complete template for the writer, notes about the clip included.
    pub template: Option<PathBuf>,
}

impl PromptSource {
    /// The template of a writer: its instructions, then the notes about the clip.
    ///
    /// # Errors
    /// [`TextError::Template`].
    pub fn writer(&self, product: Product) -> Result<PromptTemplate, TextError> {
        if let Some(path) = &self.template {
            return PromptTemplate::load(path);
        }
        let (name, text) = built_in(product, false);
        if product == Product::VisualCaption {
            // It hears the clip, and has notes of its own.
            return PromptTemplate::parse(name, &self.text(name, text)?);
        }
        let (instructions, notes) = (self.text(name, text)?, self.text(CLIP_FILE, CLIP)?);
        PromptTemplate::parse(name, &format!("{}\n\n{notes}", instructions.trim_end()))
    }

    /// The template of a judge.
    ///
    /// # Errors
    /// [`TextError::Template`].
    pub fn judge(&self, product: Product) -> Result<PromptTemplate, TextError> {
        let (name, text) = built_in(product, true);
        PromptTemplate::parse(name, &self.text(name, text)?)
    }

    fn text(&self, name: &str, built_in: &str) -> Result<String, TextError> {
        let path = self.folder.as_ref().map(|folder| folder.join(name));
        // A file that cannot be looked at is there for all we know, and reading it gives the reason.
        match path.filter(|path| path.try_exists().unwrap_or(true)) {
            Some(path) => read(&path),
            None => Ok(built_in.to_owned()),
        }
    }
}

fn read(path: &Path) -> Result<String, TextError> {
    let fault =
        |error: std::io::Error| TextError::Template { name: path.display().to_string(), reason: error.to_string() };
    std::fs::read_to_string(path).map_err(fault)
}

/// What a template gets beside the clip.
#[derive(Debug, Clone, Copy)]
pub struct PromptSettings {
    /// Kind of text.
    pub product: Product,
    /// Style of the reasoning.
    pub style: Style,
    /// Bounds of lengths, which the instructions name.
    pub limits: WordLimits,
    /// Whether AST's labels are shown.
    pub with_ast: bool,
    /// Whether questions are about the time of sounds, and reasoning may cite times.
    pub grounded: bool,
}

impl PromptSettings {
    /// All slots for a clip.
    #[must_use]
    pub fn slots(&self, clip: &Evidence) -> Value {
        let mut slots = clip.slots(self.with_ast);
        let category = |category: &super::product::Category| json!({"key": category.key, "meaning": category.meaning});
        slots["semantic"] = (self.style == Style::Semantic).into();
        slots["categories"] = self.product.categories().iter().map(category).collect();
        slots["grounded"] = self.grounded.into();
        slots["min_thinking"] = self.limits.min_thinking.into();
        slots["max_answer"] = self.limits.max_answer.into();
        slots
    }

    /// The JSON schema of answers.
    #[must_use]
    pub fn schema(&self) -> Value {
        self.product.schema(self.style, self.grounded)
    }

    /// The prompt of a writer.
    ///
    /// # Errors
    /// [`TextError::Template`].
    pub fn ask_writer(&self, template: &PromptTemplate, clip: &Evidence) -> Result<Prompt, TextError> {
        template.render(&self.slots(clip))
    }

    /// The prompt of a judge about `output`; it sees the closed caption with `with_facts`.
    ///
    /// # Errors
    /// [`TextError::Template`].
    pub fn ask_judge(
        &self,
        template: &PromptTemplate,
        clip: &Evidence,
        output: &str,
        with_facts: bool,
    ) -> Result<Prompt, TextError> {
        let mut slots = self.slots(clip);
        slots["output"] = output.into();
        slots["with_facts"] = with_facts.into();
        template.render(&slots)
    }
}

/// A prompt as text, with a heading for each turn.
#[must_use]
pub fn as_text(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Raw(text) => format!("{text}\n"),
        Prompt::Chat(turns) => turns.iter().fold(String::new(), |text, turn| {
            let role = json!(turn.role);
            format!("{text}--- {} ---\n{}\n", role.as_str().unwrap_or_default(), turn.content.text())
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::metadata::tests::dog_and_door;
    use super::super::words::faults_of;
    use super::*;

    fn settings(product: Product, style: Style) -> PromptSettings {
        PromptSettings { product, style, limits: WordLimits::default(), with_ast: false, grounded: false }
    }

    #[test]
    fn every_prompt_renders_with_instructions_first_and_the_clip_last() {
        for product in [Product::Caption, Product::Qa, Product::Mcqa] {
            for style in [Style::Simple, Style::Semantic] {
                let (source, settings) = (PromptSource::default(), settings(product, style));
                let prompt =
                    |key| as_text(&settings.ask_writer(&source.writer(product).unwrap(), &dog_and_door(key)).unwrap());
                let text = prompt("k");
                assert!(text.starts_with("--- system ---\n") && text.contains("--- user ---\n"), "{text}");
                let notes = text.find("\nNotes about the clip:\n").unwrap();
                assert!(notes < text.find("[dog barks, door slams]").unwrap() && notes > text.len() / 2, "{text}");
                assert_eq!(text.contains("\"inanimate\""), style == Style::Semantic);
                assert!(!text.contains(": none\n") && !text.contains(": null\n") && !text.contains("\n\n\n"), "{text}");
                let judge = source.judge(product).unwrap();
                let asked = |facts| as_text(&settings.ask_judge(&judge, &dog_and_door("k"), "OUTPUT", facts).unwrap());
                assert!(asked(false).contains("==========\nOUTPUT\n==========") && !asked(false).contains("dog barks"));
                assert!(asked(true).contains("[dog barks, door slams]"));
            }
        }
    }

    #[test]
    fn files_replace_built_in_prompts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            audsem_core::files::write_atomically(&folder.path().join(name), text.as_bytes()).unwrap();
        };
        write("caption.txt", "--- user ---\nMine\n");
        let source = PromptSource { folder: Some(folder.path().to_owned()), template: None };
        let settings = settings(Product::Caption, Style::Simple);
        let text = |source: &PromptSource| {
            as_text(&settings.ask_writer(&source.writer(Product::Caption).unwrap(), &dog_and_door("k")).unwrap())
        };
        assert!(text(&source).starts_with("--- user ---\nMine\n\nNotes about the clip:\n"), "{}", text(&source));
        write("whole.txt", "{{ closed_caption }} {{ duration }}");
        let whole = PromptSource { template: Some(folder.path().join("whole.txt")), ..source };
        assert_eq!(text(&whole), "--- user ---\n[dog barks, door slams] 4\n");
    }

    /// What the rules look for is what these sentences of the instructions hold, should a model repeat them.
    #[test]
    fn an_echo_of_the_instructions_is_found() {
        assert!(!faults_of("You answer with one JSON object and nothing else.").is_empty());
    }
}
