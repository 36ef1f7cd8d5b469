//! Prompts: requests for captions, and the instruction around a question.

use audsem_core::records::{Choices, Question, Task};
use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::Error;

/// The requests that ship with the program.
pub(super) const CAPTION_QUESTIONS: &str = include_str!("../../templates/caption_questions.txt");

/// The instruction for long multiple choice that ships with the program.
pub(super) const MC_QA_LONG: &str = include_str!("../../templates/mc_qa_long.txt");

/// The text of the template a task uses, `None` for tasks that use none.
pub(super) fn default_template(task: Task) -> Option<&'static str> {
    match task {
        Task::Caption | Task::Video => Some(CAPTION_QUESTIONS),
        Task::McQaLong => Some(MC_QA_LONG),
        Task::Qa | Task::McQa => None,
    }
}

/// The template of a task, ready for use.
pub enum Templates {
    /// Requests, one of which is drawn per clip.
    Requests(Vec<String>),
    /// A minijinja template over `question`, `choices` and `semantic`.
    Instruction(Box<Environment<'static>>),
    /// The question comes from the record.
    None,
}

const INSTRUCTION: &str = "mc_qa_long";

/// What a template may use.
#[derive(Serialize)]
struct Variables<'a> {
    question: &'a str,
    choices: &'a Choices,
    semantic: bool,
}

impl Templates {
    /// Reads the template `text` of `task`.
    ///
    /// # Errors
    /// When it holds no request, or is not a valid minijinja template over the three variables.
    pub fn parse(task: Task, text: Option<&str>) -> Result<Self, Error> {
        let problem = |problem: String| Error::Template { task: task.name(), problem };
        let Some(text) = text else { return Ok(Self::None) };
        if task != Task::McQaLong {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let requests: Vec<String> = lines.map(str::to_owned).collect();
            if requests.is_empty() {
                return Err(problem("it holds no line with a request".to_owned()));
            }
            return Ok(Self::Requests(requests));
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        environment.add_template_owned(INSTRUCTION, text.to_owned()).map_err(|error| problem(format!("{error:#}")))?;
        let templates = Self::Instruction(Box::new(environment));
        let choices = Choices::from_value(&serde_json::json!(["one", "two"])).expect("two texts are choices");
        let probe = Question { stem: "question".to_owned(), choices };
        templates.instruction(&probe, true).map_err(problem)?;
        Ok(templates)
    }

    /// The request for the clip `key`: the same for the same key and seed, whatever the order.
    ///
    /// # Panics
    /// For templates of a task without requests.
    pub fn request(&self, key: &str, seed: u64) -> &str {
        let Self::Requests(requests) = self else { unreachable!("only caption tasks ask for a request") };
        let index = xxh3_64_with_seed(key.as_bytes(), seed) % requests.len() as u64;
        &requests[usize::try_from(index).expect("an index into a list in memory")]
    }

    /// The whole question of a multiple-choice pair.
    ///
    /// # Errors
    /// What minijinja says, when the template cannot be filled in.
    pub fn instruction(&self, question: &Question, semantic: bool) -> Result<String, String> {
        let Self::Instruction(environment) = self else { return Ok(question.text()) };
        let variables = Variables { question: &question.stem, choices: &question.choices, semantic };
        let template = environment.get_template(INSTRUCTION).map_err(|error| format!("{error:#}"))?;
        let text = template.render(Serde(&variables)).map_err(|error| format!("{error:#}"))?;
        Ok(text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    fn question() -> Question {
        let choices = Choices::from_value(&serde_json::json!(["A dog", "A door"])).unwrap();
        Question { stem: "What barks?".to_owned(), choices }
    }

    #[test]
    fn t10_a_request_follows_from_key_and_seed_alone() {
        let templates = Templates::parse(Task::Caption, Some(CAPTION_QUESTIONS)).unwrap();
        let draw = |seed| (0..200).map(|i| templates.request(&format!("clip {i}"), seed)).collect::<Vec<_>>();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_eq!(draw(7).into_iter().collect::<BTreeSet<_>>().len(), 10, "all ten are drawn");
    }

    #[test]
    fn the_instruction_lists_the_options_and_names_the_tags() {
        let templates = Templates::parse(Task::McQaLong, Some(MC_QA_LONG)).unwrap();
        let plain = templates.instruction(&question(), false).unwrap();
        assert!(plain.starts_with("What barks?\n"), "{plain}");
        assert!(plain.contains("\nA. A dog\nB. A door.\n"), "{plain}");
        assert!(plain.contains("<think> </think>") && plain.ends_with("<answer> </answer>."), "{plain}");
        assert!(!plain.contains("semantic_elements"), "{plain}");
        let semantic = templates.instruction(&question(), true).unwrap();
        assert!(semantic.contains("<semantic_elements> </semantic_elements>"), "{semantic}");
    }

    #[test]
    fn templates_of_users_are_checked_when_read() {
        let check = |task, text, expected: &str| {
            let error = Templates::parse(task, Some(text)).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(Task::Caption, "# only a comment\n\n", "no line with a request");
        check(Task::McQaLong, "{{ question", "mc-qa-long");
        check(Task::McQaLong, "{{ questoin }}", "undefined");
        let own = Templates::parse(Task::McQaLong, Some("{{ question }} ({{ choices|length }})")).unwrap();
        assert_eq!(own.instruction(&question(), false).unwrap(), "What barks? (2)");
    }
}
