//! MMAU-Pro (Kumar et al., 2025): questions with options, open ones, and instructions to follow, about one or several sounds.

use std::collections::BTreeMap;
use std::path::Path;

use audsem_metrics::instruction::Instruction;
use serde_json::{Map, Value};

use super::benchmark::{BenchmarkItems, PublishedRecord, records};
use super::{AnswerKind, EvaluationItem};
use crate::error::Error;

/// Name of the data set.
pub(crate) const NAME: &str = "mmau-pro";

/// The category of questions whose answers have to follow an instruction.
const INSTRUCTIONS: &str = "instruction following";

/// The field that names the rule of an instruction.
const RULE: &str = "task_identifier";

/// Adds the questions of a table or a file.
pub(super) fn read(path: &Path, into: &mut BenchmarkItems) -> Result<(), Error> {
    into.files.push(path.to_owned());
    let mut problems: BTreeMap<String, usize> = BTreeMap::new();
    for (n, fields) in records(path)?.into_iter().enumerate() {
        let record = PublishedRecord { path, number: n + 1, fields: &fields };
        let choices = match fields.get("choices") {
            None | Some(Value::Null) => Vec::new(),
            Some(_) => record.texts("choices")?,
        };
        let mut groups = record.groups(&["category"])?;
        groups.extend(rule_name(&fields).map(|name| (RULE.to_owned(), name)));
        let sounds = match fields.get("audio_path") {
            Some(Value::Array(_)) => record.texts("audio_path")?,
            _ => vec![record.text("audio_path")?],
        };
        let item = EvaluationItem {
            benchmark: NAME.to_owned(),
            id: record.text("id")?,
            kind: if choices.is_empty() { AnswerKind::Open } else { AnswerKind::Choice },
            sounds,
            question: record.text("question")?,
            choices,
            references: record.optional("answer")?.into_iter().collect(),
            groups,
            published: fields,
        };
        if let Some(Err(problem)) = instruction(&item) {
            *problems.entry(problem).or_default() += 1;
        }
        into.items.push(item);
    }
    let told = problems.into_iter().map(|(problem, n)| match n {
        1 => format!("an instruction cannot be scored: {problem}"),
        n => format!("{n} instructions cannot be scored: {problem}"),
    });
    into.notes.extend(told);
    Ok(())
}

/// The instruction that an answer has to follow, or why its rule cannot be applied; `None` for every other kind of question.
pub(crate) fn instruction(item: &EvaluationItem) -> Option<Result<Instruction, String>> {
    let is_instruction = item.groups.get("category").is_some_and(|category| category == INSTRUCTIONS);
    (item.benchmark == NAME && is_instruction).then(|| {
        let name = rule_name(&item.published).ok_or_else(|| format!("`{RULE}` names no rule"))?;
        let parameters = parameters(&item.published)?;
        Instruction::read(&name, &parameters, &item.question).map_err(|problem| problem.to_string())
    })
}

/// The name of a rule: a text, which may be JSON itself, or a list of one.
fn rule_name(fields: &Map<String, Value>) -> Option<String> {
    let name = match fields.get(RULE)? {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str())),
        value => value.clone(),
    };
    let name = match &name {
        Value::Array(list) if list.len() == 1 => list[0].as_str(),
        value => value.as_str(),
    };
    name.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// The parameters of a rule: an object, the same as JSON, or a list of one; none where there are none.
fn parameters(fields: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let unusable = |value: &Value| format!("`kwargs` holds no parameters but {value}");
    let given = match fields.get("kwargs") {
        None | Some(Value::Null) => return Ok(Map::new()),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(Map::new()),
        Some(value @ Value::String(text)) => serde_json::from_str(text).map_err(|_| unusable(value))?,
        Some(value) => value.clone(),
    };
    match given {
        Value::Object(parameters) => Ok(parameters),
        Value::Null => Ok(Map::new()),
        Value::Array(mut list) if list.len() == 1 && list[0].is_object() => match list.remove(0) {
            Value::Object(parameters) => Ok(parameters),
            value => Err(unusable(&value)),
        },
        value => Err(unusable(&value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(fields: Value) -> Option<Result<Instruction, String>> {
        let Value::Object(published) = fields else { panic!("an object") };
        instruction(&EvaluationItem {
            benchmark: NAME.to_owned(),
            id: "1".to_owned(),
            kind: AnswerKind::Open,
            sounds: Vec::new(),
            question: "Tell.".to_owned(),
            choices: Vec::new(),
            references: Vec::new(),
            groups: BTreeMap::from([("category".to_owned(), published["category"].as_str().unwrap_or("").to_owned())]),
            published,
        })
    }

    #[test]
    fn instructions_are_read_in_every_published_form() {
        let wanted = Some(Ok(Instruction::Bullets(audsem_metrics::instruction::Bounds::exactly(3))));
        for (name, parameters) in [
            (json!("Number Bullets"), json!({ "N": 3, "keywords": null })),
            (json!("\"Number Bullets\""), json!("{\"N\": 3}")),
            (json!(["Number Bullets"]), json!([{ "N": 3.0 }])),
            (json!("[\"Number Bullets\"]"), json!("[{\"N\": 3}]")),
        ] {
            let found = of(json!({ "category": INSTRUCTIONS, "task_identifier": name, "kwargs": parameters }));
            assert_eq!(found, wanted, "{name} {parameters}");
        }
        let found = of(json!({ "category": INSTRUCTIONS, "task_identifier": "Title" }));
        assert_eq!(found, Some(Ok(Instruction::Title)));
        assert_eq!(of(json!({ "category": "open", "task_identifier": "Title" })), None);
    }

    #[test]
    fn what_cannot_be_applied_says_why() {
        for (fields, wanted) in [
            (json!({}), "`task_identifier` names no rule"),
            (json!({ "task_identifier": { "a": 1 } }), "`task_identifier` names no rule"),
            (json!({ "task_identifier": "Rhyme" }), "no rule is called `Rhyme`"),
            (json!({ "task_identifier": "Title", "kwargs": "{'N': 3}" }), "`kwargs` holds no parameters"),
            (json!({ "task_identifier": "Title", "kwargs": [1] }), "`kwargs` holds no parameters but [1]"),
            (json!({ "task_identifier": "Number Bullets", "kwargs": {} }), "has no parameter `N`"),
        ] {
            let mut fields = fields;
            fields["category"] = INSTRUCTIONS.into();
            let problem = of(fields.clone()).expect("it is an instruction").expect_err("it cannot be applied");
            assert!(problem.contains(wanted), "{fields}: {problem}");
        }
    }
}
