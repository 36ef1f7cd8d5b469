//! Runs of predictions with known answers.

use std::collections::BTreeMap;

use audsem_evaluate::item::{AnswerKind, EvaluationItem};
use audsem_evaluate::prediction::{HeardSound, Prediction, PredictionStatus, SoundAudit};
use serde_json::json;

use crate::workbench::Bench;

/// The options of every choice; the second is right.
pub(crate) const OPTIONS: [&str; 4] = ["a cat", "a dog", "a cow", "the rain"];

/// A choice, number `n` of a data set, asked about the sound `n / 2`.
pub(crate) fn choice(n: u64, output: &str) -> Prediction {
    let choices: Vec<String> = OPTIONS.map(str::to_owned).to_vec();
    let task = ["sound", "music", "speech"][(n % 3) as usize];
    let published = json!({
        "id": format!("q{n}"), "audio_id": format!("./sounds/{}.wav", n / 2), "question": "What is heard?",
        "choices": choices, "answer": "a dog", "task": task, "difficulty": "easy", "rubric": ["hears it", "names it"],
    });
    let item = EvaluationItem {
        benchmark: "mmau".to_owned(),
        id: format!("q{n}"),
        kind: AnswerKind::Choice,
        sounds: vec![format!("./sounds/{}.wav", n / 2)],
        question: "What is heard?".to_owned(),
        choices: choices.clone(),
        references: vec!["a dog".to_owned()],
        groups: BTreeMap::from([("task".to_owned(), task.to_owned()), ("difficulty".to_owned(), "easy".to_owned())]),
        published: published.as_object().unwrap().clone(),
    };
    Prediction {
        item,
        index: n,
        heard: HeardSound::Sound,
        permutation: 0,
        shown_choices: choices,
        prompt_sha256: "0".repeat(64),
        status: PredictionStatus::Answered,
        problem: None,
        output: Some(output.to_owned()),
        prompt_tokens: Some(300),
        text_tokens: Some(50),
        output_tokens: Some(5),
        sounds: vec![SoundAudit { duration_ms: 10_000, given_ms: 10_000, expected_tokens: Some(250) }],
    }
}

/// A question of another kind.
pub(crate) fn free(kind: AnswerKind, benchmark: &str, n: u64, references: &[&str], output: &str) -> Prediction {
    let mut asked = choice(n, output);
    asked.item.kind = kind;
    asked.item.benchmark = benchmark.to_owned();
    (asked.item.choices, asked.shown_choices) = (Vec::new(), Vec::new());
    asked.item.references = references.iter().map(|text| (*text).to_owned()).collect();
    asked
}

/// The same question, heard in another way.
pub(crate) fn heard(mut asked: Prediction, heard: HeardSound) -> Prediction {
    asked.heard = heard;
    if heard == HeardSound::Nothing {
        asked.sounds.clear();
        asked.prompt_tokens = asked.text_tokens;
    }
    asked
}

/// The same question with the options turned round by `n` places, answered with the letter of the option `chosen`.
pub(crate) fn turned(mut asked: Prediction, n: usize, chosen: usize) -> Prediction {
    asked.shown_choices.rotate_left(n);
    asked.permutation = n as u32;
    let place = asked.shown_choices.iter().position(|text| text == OPTIONS[chosen]).unwrap();
    asked.output = Some(format!("<answer>{}. {}</answer>", char::from(b'A' + place as u8), OPTIONS[chosen]));
    asked
}

/// A question without its sound.
pub(crate) fn without_sound(mut asked: Prediction) -> Prediction {
    asked.status = PredictionStatus::NoSound;
    asked.problem = Some("the file is absent".to_owned());
    asked.output = None;
    (asked.prompt_tokens, asked.sounds) = (None, Vec::new());
    asked
}

/// Writes a run folder of predictions, a file for each of the lists.
pub(crate) fn write_run(bench: &Bench, name: &str, files: &[Vec<Prediction>]) {
    let lines = |asked: &Vec<Prediction>| -> Vec<u8> {
        let lines = asked.iter().map(|prediction| serde_json::to_string(prediction).unwrap() + "\n");
        lines.collect::<String>().into_bytes()
    };
    let files: Vec<(String, Vec<u8>)> =
        files.iter().enumerate().map(|(i, asked)| (format!("part-{i:05}.jsonl"), lines(asked))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (name.as_str(), text.as_slice())).collect();
    audsem_core::testing::finished_run(&bench.path(name), &files).unwrap();
}

/// Twenty choices about ten sounds with thoughts, three orders, silence and no sound; `right` of them are right with the
/// sound.
pub(crate) fn many_choices(right: u64) -> Vec<Vec<Prediction>> {
    let answer = |n: u64| if n < right { 1 } else { 2 };
    let thoughts = |n: u64| "a word ".repeat((n as usize % 5) * 12);
    let output = |n: u64, option: usize| {
        let letter = char::from(b'A' + option as u8);
        let thoughts = thoughts(n);
        format!(
            "<think>{thoughts}</think>\n<semantic_elements>an animal</semantic_elements>\n<answer>{letter}. {}</answer>",
            OPTIONS[option]
        )
    };
    let all = |n: u64| {
        let asked = choice(n, &output(n, answer(n)));
        let mut ways = vec![asked.clone()];
        ways.extend(
            [1, 2].map(|order| turned(asked.clone(), order, if n.is_multiple_of(4) { order } else { answer(n) })),
        );
        ways.push(heard(choice(n, &output(n, 0)), HeardSound::Silence));
        ways.push(heard(choice(n, &output(n, usize::from(n % 4 == 1))), HeardSound::Nothing));
        ways
    };
    [0..10, 10..20].map(|range: std::ops::Range<u64>| range.flat_map(all).collect()).to_vec()
}
