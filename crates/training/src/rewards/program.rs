//! A reward that a program of the user gives.
//!
//! The program reads one JSON object a line and answers each with one line, in any order: `{"id": 3, "reward": 0.5}`,
//! `{"id": 3, "reward": null}` where the reward does not apply, or `{"id": 3, "error": "why"}`.

use std::time::Duration;

use audsem_core::answers::TaggedAnswer;
use audsem_media::program::{Companion, CompanionError};
use serde::Deserialize;
use serde_json::json;

use super::{Reward, RewardItem, RewardValue};

/// A program that gives no rewards at all.
#[derive(Debug, thiserror::Error)]
#[error("the reward `{name}`: {source}")]
pub struct RewardProgramError {
    /// The reward.
    pub name: String,
    /// What happened to its program.
    pub source: CompanionError,
}

/// An answer of the program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    id: usize,
    #[serde(default)]
    reward: Option<f64>,
    #[serde(default)]
    error: Option<String>,
}

/// Asks a program, which runs as long as this value lives.
pub struct ProgramReward {
    name: String,
    command: Vec<String>,
    limit: Duration,
    running: Option<Companion>,
}

impl ProgramReward {
    /// The program starts with the first completions; `limit` is the time that it has for a batch.
    pub fn new(name: String, command: Vec<String>, limit: Duration) -> Self {
        Self { name, command, limit, running: None }
    }

    fn ask(&mut self, lines: &[String]) -> Result<Vec<String>, CompanionError> {
        let program = match &mut self.running {
            Some(program) => program,
            none => none.insert(Companion::start(&self.command)?),
        };
        program.exchange(lines, self.limit)
    }
}

/// A completion as the program gets it.
fn line(id: usize, item: &RewardItem<'_>) -> String {
    let read = TaggedAnswer::read(item.completion);
    let references: Vec<&str> = item.further_references.iter().map(String::as_str).collect();
    json!({
        "id": id, "key": item.key, "question": item.question, "choices": item.choices, "answer": item.answer,
        "further_references": references, "completion": item.completion,
        "given": { "thinking": read.thinking, "semantic_elements": read.semantic_elements, "answer": read.answer },
    })
    .to_string()
}

/// Sorts the answers to their completions. A line that cannot be used belongs to none, so its completion has no answer.
fn sort(answers: &[String], n: usize) -> Vec<RewardValue> {
    let mut values: Vec<Option<RewardValue>> = vec![None; n];
    let mut unusable = Vec::new();
    for answer in answers {
        match serde_json::from_str::<Given>(answer) {
            Ok(given) if given.id < n && values[given.id].is_none() => {
                let id = given.id;
                values[id] = Some(value(given));
            }
            Ok(given) => unusable.push(format!("the id {} of an answer is unknown or was there before", given.id)),
            Err(error) => unusable.push(format!("an answer is not of the form {{\"id\", \"reward\"}}: {error}")),
        }
    }
    let mut unusable = unusable.into_iter();
    let absent = || Err("the program gave no answer about this completion".to_owned());
    values.into_iter().map(|value| value.unwrap_or_else(|| unusable.next().map_or_else(absent, Err))).collect()
}

fn value(given: Given) -> RewardValue {
    match (given.error, given.reward) {
        (Some(problem), _) => Err(format!("the program says: {problem}")),
        (None, Some(reward)) if !reward.is_finite() => Err(format!("the reward {reward} is not finite")),
        (None, reward) => Ok(reward),
    }
}

impl Reward for ProgramReward {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&mut self, items: &[RewardItem<'_>]) -> Result<Vec<RewardValue>, RewardProgramError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let lines: Vec<String> = items.iter().enumerate().map(|(id, item)| line(id, item)).collect();
        let answers = self.ask(&lines).map_err(|source| RewardProgramError { name: self.name.clone(), source })?;
        Ok(sort(&answers, items.len()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn program(script: &str) -> ProgramReward {
        let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        ProgramReward::new("words".to_owned(), command, Duration::from_secs(30))
    }

    fn items(n: usize) -> Vec<RewardItem<'static>> {
        vec![RewardItem { key: "k", answer: "a", completion: "<answer>a</answer>", ..RewardItem::default() }; n]
    }

    #[test]
    fn answers_may_come_in_any_order_and_explain_themselves() {
        let mut reward = program(
            "read -r a; read -r b; read -r c; read -r d
             echo '{\"id\": 2, \"error\": \"no sound\"}'; echo '{\"id\": 0, \"reward\": 0.25}'
             echo 'loading a model'; echo '{\"id\": 1, \"reward\": null}'; sleep 60",
        );
        let values = reward.score(&items(4)).unwrap();
        assert_eq!(values[..2], [Ok(Some(0.25)), Ok(None)]);
        assert_eq!(values[2], Err("the program says: no sound".to_owned()));
        assert!(values[3].clone().unwrap_err().contains("not of the form"), "{:?}", values[3]);
    }

    #[test]
    fn the_program_gets_what_the_model_wrote_and_runs_on() {
        let mut reward = program(
            "while read -r line; do
                case $line in *'\"given\":{\"thinking\":null,\"semantic_elements\":null,\"answer\":\"a\"}'*) r=1 ;; *) r=0 ;; esac
                id=${line#*\\\"id\\\":}; echo \"{\\\"id\\\": ${id%%,*}, \\\"reward\\\": $r}\"
             done",
        );
        for _ in 0..2 {
            assert_eq!(reward.score(&items(3)).unwrap(), vec![Ok(Some(1.0)); 3]);
        }
        assert!(reward.score(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_program_that_ends_is_named_with_its_last_words() {
        let error = program("echo 'out of memory' >&2; exit 1").score(&items(2)).err().unwrap().to_string();
        assert!(error.starts_with("the reward `words`: /bin/sh ended after 0 of 2"), "{error}");
        assert!(error.ends_with("out of memory"), "{error}");
    }
}
