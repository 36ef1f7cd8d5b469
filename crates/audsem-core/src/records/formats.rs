//! The formats themselves.

use super::format::{Field, FieldKind, Need, RecordFormat, Rule};

const fn text(name: &'static str, need: Need, doc: &'static str) -> Field {
    Field { name, kind: FieldKind::Text, need, doc }
}

const FILE_NAME: Field =
    text("file_name", Need::Always, "names the clip: name or tar key, with or without folders and extension");
const SEMANTIC: Field = text("semantic_elements", Need::WithSemantic, "the elements heard");
const THINKING: Field = text("thinking", Need::Always, "the reasoning");

/// What a language model wrote about a clip: one caption.
pub static CAPTION_RECORD: RecordFormat = RecordFormat {
    name: "Caption records",
    doc: "A caption of a clip; input of the tasks `caption` and `video`.",
    fields: &[FILE_NAME, text("caption", Need::Always, "the caption"), THINKING, SEMANTIC],
    rules: &[],
    example: r#"{"file_name": "dQw4w9WgXcQ (12_34-15_54)", "caption": "A door slams shut in a hall.", "thinking": "A thud, then an echo."}"#,
};

static QA_RECORD_PAIR: RecordFormat = RecordFormat {
    name: "Pairs",
    doc: "A question with its answer.",
    fields: &[
        text("question", Need::Always, "the question"),
        THINKING,
        text("answer", Need::Always, "the answer"),
        SEMANTIC,
    ],
    rules: &[],
    example: r#"{"question": "What is it that slams?", "thinking": "A thud, then an echo.", "answer": "A heavy door."}"#,
};

/// What a language model asked about a clip: open questions.
pub static QA_RECORD: RecordFormat = RecordFormat {
    name: "Question records",
    doc: "Questions about a clip; input of the task `qa`. A record may also hold the fields of one pair beside `file_name`, without \
          `qa_pairs`: all such rows of a clip are its pairs.",
    fields: &[
        FILE_NAME,
        Field { name: "qa_pairs", kind: FieldKind::List(&QA_RECORD_PAIR), need: Need::Always, doc: "the questions" },
    ],
    rules: &[],
    example: r#"{"file_name": "dQw4w9WgXcQ (12_34-15_54)", "qa_pairs": [{"question": "What is it that slams?", "thinking": "A thud, then an echo.", "answer": "A heavy door."}]}"#,
};

static MC_QA_RECORD_PAIR: RecordFormat = RecordFormat {
    name: "Multiple-choice pairs",
    doc: "A question with options and its answer.",
    fields: &[
        text("question", Need::Always, "the question, with or without its options below a line `Choices:`"),
        THINKING,
        text("answer", Need::Always, "one of the options"),
        Field {
            name: "choices",
            kind: FieldKind::Choices,
            need: Need::Optional,
            doc: "the options, where they do not stand in the question; these count where both are there",
        },
        SEMANTIC,
    ],
    rules: &[],
    example: r#"{"question": "What slams?", "choices": {"A": "A door", "B": "A book"}, "thinking": "A thud, then an echo.", "answer": "A. A door"}"#,
};

/// What a language model asked about a clip: questions with options.
pub static MC_QA_RECORD: RecordFormat = RecordFormat {
    name: "Multiple-choice records",
    doc: "Questions with options about a clip; input of the tasks `mc-qa` and `mc-qa-long`. A record may also hold the fields of one \
          pair, as above.",
    fields: &[
        FILE_NAME,
        Field { name: "qa_pairs", kind: FieldKind::List(&MC_QA_RECORD_PAIR), need: Need::Always, doc: "the questions" },
    ],
    rules: &[],
    example: r#"{"file_name": "dQw4w9WgXcQ (12_34-15_54)", "qa_pairs": [{"question": "What is it that slams?\nChoices:\nA. A door\nB. A book", "thinking": "A thud, then an echo.", "answer": "A. A door"}]}"#,
};

const CLIP_KEY: Field =
    text("file_name", Need::Optional, "the record's (caption, video) or the clip's tar key (questions)");
const ANSWER: Field = text("answer", Need::Always, "the answer");

/// The JSON of a caption sample.
pub static CAPTION_SAMPLE: RecordFormat = RecordFormat {
    name: "Samples of `caption` and `video`",
    doc: "A request and the caption that answers it. Further fields are those of the record; for `video` also those of the clip's JSON.",
    fields: &[
        CLIP_KEY,
        text("caption", Need::Always, "the caption"),
        THINKING,
        SEMANTIC,
        text("answer", Need::Always, "the caption again, where trainers look for it"),
        text("question", Need::Always, "a request, drawn by the clip's key and the seed"),
    ],
    rules: &[],
    example: r#"{"file_name": "dQw4w9WgXcQ (12_34-15_54)", "caption": "A door slams shut in a hall.", "thinking": "A thud, then an echo.", "answer": "A door slams shut in a hall.", "question": "What is going on in this audio clip?"}"#,
};

/// The JSON of a sample with one open question.
pub static QA_SAMPLE: RecordFormat = RecordFormat {
    name: "Samples of `qa`",
    doc: "A question and its answer. Further fields are those of the pair.",
    fields: &[CLIP_KEY, text("question", Need::Always, "the question"), THINKING, ANSWER, SEMANTIC],
    rules: &[],
    example: r#"{"file_name": "dQw4w9WgXcQ (12_34-15_54)", "question": "What is it that slams?", "thinking": "A thud, then an echo.", "answer": "A heavy door."}"#,
};

/// The JSON of a sample with all open questions about a clip.
pub static QA_SAMPLES_TOGETHER: RecordFormat = RecordFormat {
    name: "Samples of `qa` with `--pairs together`",
    doc: "All questions about a clip.",
    fields: &[
        CLIP_KEY,
        Field {
            name: "qa_pairs",
            kind: FieldKind::List(&QA_SAMPLE),
            need: Need::Always,
            doc: "what else would be samples",
        },
    ],
    rules: &[],
    example: r#"{"file_name": "dQw4w9WgXcQ (12_34-15_54)", "qa_pairs": [{"question": "What is it that slams?", "thinking": "A thud, then an echo.", "answer": "A heavy door."}]}"#,
};

/// The JSON of a sample with one question with options.
pub static MC_QA_SAMPLE: RecordFormat = RecordFormat {
    name: "Samples of `mc-qa` and `mc-qa-long`",
    doc: "A question with options and its answer. Further fields are those of the pair.",
    fields: &[
        CLIP_KEY,
        text(
            "question",
            Need::Always,
            "the question with `Choices:` and one line per option, or the whole instruction (`mc-qa-long`)",
        ),
        Field { name: "choices", kind: FieldKind::Choices, need: Need::Always, doc: "the options" },
        THINKING,
        ANSWER,
        SEMANTIC,
    ],
    rules: &[Rule::AnswerAmongChoices],
    example: r#"{"file_name": "dQw4w9WgXcQ (12_34-15_54)", "question": "What is it that slams?\nChoices:\nA. A door\nB. A book", "choices": {"A": "A door", "B": "A book"}, "thinking": "A thud, then an echo.", "answer": "A. A door"}"#,
};

/// The JSON of a sample with all questions with options about a clip.
pub static MC_QA_SAMPLES_TOGETHER: RecordFormat = RecordFormat {
    name: "Samples of `mc-qa` and `mc-qa-long` with `--pairs together`",
    doc: "All questions about a clip.",
    fields: &[
        CLIP_KEY,
        Field {
            name: "qa_pairs",
            kind: FieldKind::List(&MC_QA_SAMPLE),
            need: Need::Always,
            doc: "what else would be samples",
        },
    ],
    rules: &[],
    example: r#"{"file_name": "dQw4w9WgXcQ (12_34-15_54)", "qa_pairs": [{"question": "What is it that slams?\nChoices:\nA. A door\nB. A book", "choices": {"A": "A door", "B": "A book"}, "thinking": "A thud, then an echo.", "answer": "A. A door"}]}"#,
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Map, Value, json};

    use super::super::{Layout, Task, Violation};
    use super::*;

    fn all() -> [&'static RecordFormat; 8] {
        [
            &CAPTION_RECORD,
            &QA_RECORD,
            &MC_QA_RECORD,
            &CAPTION_SAMPLE,
            &QA_SAMPLE,
            &QA_SAMPLES_TOGETHER,
            &MC_QA_SAMPLE,
            &MC_QA_SAMPLES_TOGETHER,
        ]
    }

    fn object(json: &str) -> Map<String, Value> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn every_example_is_of_its_format() {
        for format in all() {
            assert_eq!(format.check(&object(format.example), false), Ok(()), "{}", format.name);
        }
    }

    #[test]
    fn an_object_without_a_field_that_is_needed_is_refused() {
        for format in all() {
            for field in format.fields.iter().filter(|field| field.need == Need::Always) {
                for value in [None, Some(Value::Null), Some(json!(""))] {
                    let mut object = object(format.example);
                    object.shift_remove(field.name);
                    if let Some(value) = value {
                        object.insert(field.name.to_owned(), value);
                    }
                    let fault = format.check(&object, false).unwrap_err();
                    assert_eq!((fault.violation, fault.detail.as_str()), (Violation::Missing, field.name));
                }
                let mut object = object(format.example);
                object.insert(field.name.to_owned(), json!(3));
                assert_eq!(format.check(&object, false).unwrap_err().violation, Violation::WrongType, "{}", field.name);
            }
        }
    }

    #[test]
    fn semantic_elements_are_needed_where_they_are_used() {
        for task in Task::ALL {
            for layout in [Layout::Repeat, Layout::Together] {
                let format = task.sample(layout);
                let fault = format.check(&object(format.example), true).unwrap_err();
                assert_eq!(fault.violation, Violation::Missing);
                assert!(fault.detail.ends_with("semantic_elements"), "{}", fault.detail);
            }
        }
    }

    #[test]
    fn faults_of_pairs_say_which() {
        let mut sample = object(MC_QA_SAMPLES_TOGETHER.example);
        sample["qa_pairs"][0]["answer"] = json!("C. A cat");
        let fault = MC_QA_SAMPLES_TOGETHER.check(&sample, false).unwrap_err();
        assert_eq!(fault.violation, Violation::AnswerNotAmongChoices);
        assert!(fault.detail.starts_with("qa_pairs[0]: "), "{}", fault.detail);
    }

    #[test]
    fn docs_formats_md_is_current() {
        let markdown = |formats: &[&RecordFormat]| formats.iter().map(|format| format.markdown()).collect::<String>();
        crate::testing::assert_formats_part("records", &markdown(&all()[..3]));
        crate::testing::assert_formats_part("samples", &markdown(&all()[3..]));
    }
}
