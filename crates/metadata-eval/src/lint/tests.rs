#![allow(clippy::unwrap_used)]
use audsem_core::files::write_atomically;
use audsem_core::tables::write_parquet;
use serde_json::json;

use super::*;
use crate::write::words::Wording;

fn lint_lines(lines: &[Value], clips: Option<&[(String, String)]>) -> LintReport {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.jsonl");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    write_atomically(&file, text.as_bytes()).unwrap();
    let clips = clips.map(|clips| {
        let rows: Vec<ClipMetadata> = clips.iter().map(|(key, caption)| clip(key, caption)).collect();
        let mut bytes = Vec::new();
        write_parquet(&rows, &mut bytes).unwrap();
        let path = folder.path().join("clips.parquet");
        write_atomically(&path, &bytes).unwrap();
        path
    });
    run(&Config { records: vec![file], clips, examples: 2 }).unwrap()
}

fn clip(key: &str, caption: &str) -> ClipMetadata {
    ClipMetadata { text: Some(caption.to_owned()), ..crate::write::metadata::empty_row(key) }
}

fn caption(key: &str, text: &str) -> Value {
    json!({"file_name": key, "caption": text, "thinking": format!("Hmm, {text} Number {key}.")})
}

#[test]
fn each_fault_is_counted_with_examples() {
    let report = lint_lines(
        &[
            caption("a", "A dog barks."),
            caption("b", "a dog   barks!"),
            caption("c", "A visible dog says \"go away from here now\"."),
            caption("d", "Dog 0.93 according to the metadata."),
            caption("e", " "),
            caption("f", "I'm sorry, I cannot hear JSON."),
            json!({"caption": "No name."}),
            json!({"file_name": "g"}),
        ],
        None,
    );
    let count = |problem| report.count(problem);
    assert_eq!((report.records, count(Problem::Duplicate), count(Problem::Empty)), (8, 1, 1));
    assert_eq!((count(Problem::Wording(Wording::VisualOnly)), count(Problem::TranscribedSpeech)), (2, 2));
    assert_eq!(count(Problem::Wording(Wording::LeakedScore)), 2);
    assert_eq!(count(Problem::Wording(Wording::FieldName)), 2);
    assert_eq!(count(Problem::Wording(Wording::Refusal)), 2);
    assert_eq!(count(Problem::Wording(Wording::PromptEcho)), 2);
    assert_eq!(count(Problem::Unreadable), 2);
    let json: Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["problems"]["duplicate"]["examples"][0], "records.jsonl:2: text as in records.jsonl:1");
    assert!(report.to_string().contains("       2  visual_only\n"), "{report}");
}

#[test]
fn clean_records_have_no_faults() {
    let report = lint_lines(&[caption("a", "A dog barks."), caption("b", "Rain falls.")], None);
    assert!(report.problems.is_empty(), "{report}");
    assert!(report.to_string().ends_with("nothing found\n"));
}

fn question(i: usize, answer: &str, options: [&str; 4]) -> Value {
    let [a, b, c, d] = options;
    let pair = json!({"question": format!("What is sound {i}?"), "choices": {"A": a, "B": b, "C": c, "D": d},
        "thinking": format!("Hmm {i}"), "answer": answer});
    json!({"file_name": format!("k{i}"), "qa_pairs": [pair]})
}

#[test]
fn letters_and_lengths_that_tell_the_answer_are_reported() {
    let options = ["A dog", "A tomcat", "A cow", "A hen"];
    let biased: Vec<Value> = (0..40).map(|i| question(i, "B. A tomcat", options)).collect();
    let report = lint_lines(&biased, None);
    assert_eq!((report.answered, report.longest, report.letters["B"]), (40, 40, 40));
    assert_eq!((report.count(Problem::LetterBias), report.count(Problem::LengthBias)), (1, 1));

    let even = ["A dog", "A cat", "A cow", "A hen"];
    let letters = ["A. A dog", "B. A cat", "C. A cow", "D. A hen"];
    let balanced: Vec<Value> = (0..40).map(|i| question(i, letters[i % 4], even)).collect();
    assert!(lint_lines(&balanced, None).problems.is_empty());
    let wrong = lint_lines(&[question(0, "A. A cat", even)], None);
    assert_eq!(wrong.count(Problem::AnswerNotAmongChoices), 1);
}

/// Forty clips with sounds of their own: right rows pass, rows moved by one do not.
#[test]
fn shifted_rows_are_found() {
    let sounds = ["dog", "rain", "train", "piano", "siren", "hammer", "baby", "ocean"];
    let clips: Vec<(String, String)> =
        (0..40).map(|i| (format!("k{i}"), format!("[{} heard]", sounds[i % sounds.len()]))).collect();
    let lines = |shift: usize| -> Vec<Value> {
        let text = |i: usize| format!("The {} number {i} is there.", sounds[(i + shift) % sounds.len()]);
        (0..40).map(|i| caption(&format!("k{i}"), &text(i))).collect()
    };
    assert_eq!(lint_lines(&lines(0), Some(&clips)).count(Problem::ShiftedRows), 0);
    let report = lint_lines(&lines(1), Some(&clips));
    assert_eq!(report.count(Problem::ShiftedRows), 1, "{report}");
    assert!(report.to_string().contains("clip +1 rows away in 39 of 39 rows, with their own in 0 of 40"), "{report}");
}

#[test]
fn a_clip_that_is_not_known_is_reported() {
    let clips = [("k".to_owned(), "[dog]".to_owned())];
    assert_eq!(lint_lines(&[caption("other", "A dog.")], Some(&clips)).count(Problem::UnknownClip), 1);
}
