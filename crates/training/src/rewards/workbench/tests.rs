#![allow(clippy::unwrap_used)]

use super::*;

fn write(folder: &std::path::Path, lines: &[Value]) -> PathBuf {
    let path = folder.join("completions.jsonl");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    write_atomically(&path, text.as_bytes()).unwrap();
    path
}

fn completion(key: &str, words: usize, answer: &str) -> Value {
    let thinking = vec!["word"; words].join(" ");
    json!({
        "key": key, "question": "What barks?", "choices": {"A": "A dog", "B": "A door"}, "answer": "A. A dog",
        "completion": format!("<think>{thinking}</think>\n<answer>{answer}</answer>"),
    })
}

fn report(toml: &str, lines: &[Value]) -> WorkbenchReport {
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        completions: vec![write(folder.path(), lines)],
        rewards: RewardConfig::parse(toml).unwrap(),
        form: AnswerForm { is_tagged: true, is_semantic: false, target_words: Some(4) },
        table: Some(folder.path().join("scored.jsonl")),
        examples: 2,
    };
    let report = run(&config).unwrap();
    let table = std::fs::read_to_string(folder.path().join("scored.jsonl")).unwrap();
    assert_eq!(table.lines().count() as u64, report.completions);
    let first: Value = serde_json::from_str(table.lines().next().unwrap()).unwrap();
    assert!(first["rewards"]["accuracy"].is_number() && first["reward"].is_number(), "{first}");
    report
}

const UNGATED: &str = "[accuracy]\nweight = 0.5\n[length]\ngate = \"none\"\n";
const GATED: &str = "[accuracy]\nweight = 0.5\n[length]\n";

/// A right answer without reasoning, and a wrong one with the length that is asked for.
fn lines() -> Vec<Value> {
    let mut lines = vec![completion("one", 60, "A"), completion("one", 4, "B. A door")];
    lines.extend([completion("two", 4, "A"), completion("two", 4, "A. A dog")]);
    lines.extend([completion("three", 60, "B"), completion("three", 60, "B"), completion("four", 4, "A")]);
    lines
}

#[test]
fn length_before_correctness_is_counted() {
    let ungated = report(UNGATED, &lines());
    let order = ungated.order.clone().unwrap();
    assert_eq!((order.pairs, order.wrong_first), (1, 1));
    assert_eq!(order.wrong_first_by_reward, [("length".to_owned(), 1)]);
    assert!(ungated.to_string().contains("1 of these because of `length`"), "{ungated}");
    assert_eq!(report(GATED, &lines()).order.unwrap().wrong_first, 0);
}

#[test]
fn groups_without_gradient_are_counted_by_what_they_share() {
    let report = report(GATED, &lines());
    let groups = &report.groups;
    assert_eq!((groups.n, groups.single, groups.without_gradient), (4, 1, 2));
    assert_eq!((groups.all_right, groups.all_wrong), (1, 1));
    assert_eq!((report.completions, report.total.n, report.total.max), (7, 7, Some(1.5)));
    assert!(report.to_string().contains("2 of 3 without a gradient"), "{report}");
    assert_eq!(report.tags.words_if_wrong.median, Some(60.0));
    assert_eq!(report.tags.problems["<semantic_elements> is missing"], 7);
}

#[test]
fn the_same_question_at_another_step_is_another_group() {
    let at = |step: u64| {
        let mut line = completion("one", 4, "A");
        line["step"] = json!(step);
        line
    };
    assert_eq!(report(GATED, &[at(1), at(1), at(2)]).groups.n, 2);
}

#[test]
fn what_cannot_be_read_or_scored_is_told() {
    let mut no_option = completion("five", 4, "A");
    no_option["answer"] = json!("C. A cat");
    let report = report(GATED, &[completion("one", 4, "A"), json!({"key": "one"}), no_option, json!([1])]);
    assert_eq!((report.completions, report.unreadable, report.rewards[0].faults), (2, 2, 1));
    let text = report.to_string();
    for part in [
        "2 lines are no completions",
        "completions.jsonl:2: answer",
        "could not score 1",
        "completions.jsonl:3: the right answer",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json: Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["rewards"][0]["faults"], 1);
}

#[test]
fn files_without_a_completion_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &[json!({"key": "one"})]);
    let error = read_completions(&[path]).unwrap_err().to_string();
    assert!(error.contains("no line is a completion (completions.jsonl:1: answer)"), "{error}");
}
