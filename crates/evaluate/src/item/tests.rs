#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use audsem_core::files::write_atomically;
use audsem_core::tar::{ShardOptions, ShardWriter};
use serde_json::{Value, json};

use super::*;

/// Reads a file of this content.
fn read(benchmark: Benchmark, name: &str, content: &[u8]) -> Result<BenchmarkItems, String> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(name);
    write_atomically(&path, content).unwrap();
    read_benchmark(benchmark, &[path]).map_err(|error| error.to_string())
}

fn question(id: &str, difficulty: &str) -> Value {
    json!({
        "id": id, "audio_id": "./test-mini-audios/a.wav", "question": "What barks?", "choices": [" A dog", "A door"],
        "answer": "A dog", "dataset": "Clotho", "task": "sound", "split": "test-mini", "category": ["Reasoning"],
        "sub-category": "Eco-Acoustic Knowledge", "difficulty": difficulty,
    })
}

#[test]
fn mmau_is_read_as_it_is_published() {
    let all = json!([question("1", "easy"), question("2", "hard")]);
    let read = read(Benchmark::Mmau, "mmau.json", all.to_string().as_bytes()).unwrap();
    let item = &read.items[0];
    assert_eq!((item.benchmark.as_str(), item.id.as_str(), item.kind), ("mmau", "1", AnswerKind::Choice));
    assert_eq!((&item.sounds[0], &item.choices[0]), (&"./test-mini-audios/a.wav".to_owned(), &" A dog".to_owned()));
    assert_eq!(item.groups["category"], "Reasoning", "a list of one text is that text");
    assert_eq!(item.groups["difficulty"], "easy");
    assert_eq!(item.published["split"], "test-mini");
    assert!(read.notes[0].contains("1 easy, 0 medium and 1 hard"), "{:?}", read.notes);
    assert_eq!(read.notes.len(), 1, "the answer is an option but for blanks");
}

#[test]
fn versions_of_mmau_are_told_apart() {
    let difficulties = ["easy"; 224].into_iter().chain(["medium"; 540]).chain(["hard"; 236]);
    let options = [2; 27].into_iter().chain([4; 948]).chain([5; 24]).chain([8]);
    let mut all: Vec<Value> = Vec::new();
    for (n, (difficulty, options)) in difficulties.zip(options).enumerate() {
        let mut item = question(&n.to_string(), difficulty);
        let mut choices: Vec<String> = (0..options).map(|n| format!("A dog{}", "s".repeat(n))).collect();
        // 27 of the published questions have an option twice.
        if (100..127).contains(&n) {
            choices[1] = choices[2].clone();
        }
        item["choices"] = choices.into();
        all.push(item);
    }
    let text = Value::from(all.clone()).to_string();
    let first = read(Benchmark::Mmau, "mmau.json", text.as_bytes()).unwrap();
    assert!(first.notes[0].contains("test-mini v05.15.25 (current), by its numbers"), "{:?}", first.notes);
    let mut changed = all.clone();
    changed[200]["choices"][1] = changed[200]["choices"][2].clone();
    let changed = read(Benchmark::Mmau, "mmau.json", Value::from(changed).to_string().as_bytes()).unwrap();
    assert!(changed.notes[0].contains("as test-mini v05.15.25 (current), but other options"), "{:?}", changed.notes);
    // Another answer is another content; another layout of the file is not.
    let lines: String = all.iter().map(|item| format!("{item}\n")).collect();
    let same = read(Benchmark::Mmau, "mmau.jsonl", lines.as_bytes()).unwrap();
    assert_eq!(same.content_sha256, first.content_sha256);
    // An option is no answer.
    let (mut with_answer, mut with_option) = (question("1", "easy"), question("1", "easy"));
    with_answer["answer"] = "A cat".into();
    with_option["choices"] = json!([" A dog", "A door", "A cat"]);
    with_option.as_object_mut().unwrap().remove("answer");
    let hash =
        |item: &Value| read(Benchmark::Mmau, "x.json", json!([item]).to_string().as_bytes()).unwrap().content_sha256;
    assert_ne!(hash(&with_answer), hash(&with_option));
    all[0]["answer"] = "A dogs".into();
    let other = read(Benchmark::Mmau, "mmau.json", Value::from(all).to_string().as_bytes()).unwrap();
    assert_ne!(other.content_sha256, first.content_sha256);
}

#[test]
fn a_test_set_has_no_answers_and_strange_answers_are_told() {
    let mut withheld = question("1", "easy");
    withheld.as_object_mut().unwrap().remove("answer");
    let read_one = |item: &Value| read(Benchmark::Mmau, "x.json", json!([item]).to_string().as_bytes()).unwrap();
    let read_withheld = read_one(&withheld);
    assert!(read_withheld.items[0].references.is_empty() && read_withheld.notes[0].contains("withheld"));
    let mut strange = question("1", "easy");
    strange["answer"] = "A cat".into();
    assert!(read_one(&strange).notes[1].contains("is not among the options: 1"));
    let with = |choices: Value| {
        let mut item = question("1", "easy");
        item["choices"] = choices;
        read_one(&item).notes[1..].join("\n")
    };
    assert!(with(json!([])).contains("1 question without options"));
    assert!(with(json!(["A dog", " A dog"])).contains("1 question with equal options"));
    assert_eq!(with(json!(["A dog", "A cat"])), "");
}

#[test]
fn mmar_is_read_line_by_line() {
    let line = json!({
        "id": "x", "audio_path": "./audio/x.wav", "question": "Which?", "choices": ["a", "b"], "answer": "b",
        "modality": "speech", "category": "Semantic Layer", "sub-category": "Content", "language": "en", "cue": null,
    });
    let read = read(Benchmark::Mmar, "MMAR-meta.jsonl", format!("{line}\n\n").as_bytes()).unwrap();
    assert_eq!((read.items[0].references[0].as_str(), read.items[0].groups["modality"].as_str()), ("b", "speech"));
}

#[test]
fn options_in_fields_of_their_own_are_options() {
    let mut fields = json!({
        "id": "m1", "audio": "a.wav", "question": "Which?", "choice_a": "x", "choice_b": "y", "choice_c": "", "choice_d": null,
        "answer_gt": "y", "task_name": "stress", "category": "Perception",
    });
    let mmsu = read(Benchmark::Mmsu, "x.jsonl", fields.to_string().as_bytes()).unwrap();
    let item = &mmsu.items[0];
    assert_eq!((&item.choices, &item.references[0]), (&vec!["x".to_owned(), "y".to_owned()], &"y".to_owned()));
    assert_eq!((item.sounds[0].as_str(), item.groups["task_name"].as_str()), ("a.wav", "stress"));
    let object = fields.as_object_mut().unwrap();
    object.extend([
        ("uniq_id".to_owned(), json!(7)),
        ("path".to_owned(), json!("b.flac")),
        ("dataset_name".to_owned(), json!("Set")),
    ]);
    let air = read(Benchmark::AirBench, "x.json", json!([fields]).to_string().as_bytes()).unwrap();
    assert_eq!((air.items[0].id.as_str(), air.items[0].sounds[0].as_str()), ("7", "stress_Set/b.flac"));
}

#[test]
fn mmau_pro_has_open_questions_and_several_sounds() {
    let rows = json!([
        { "id": "p1", "audio_path": ["a.wav", "b.wav"], "question": "Same?", "choices": ["yes", "no"], "answer": "no",
          "category": "sound" },
        { "id": "p2", "audio_path": ["c.wav"], "question": "Tell.", "choices": null, "answer": "A tale.", "category": "open" },
        { "id": "p3", "audio_path": "d.wav", "question": "In two words.", "answer": "x",
          "category": "instruction following", "task_identifier": "Length" },
    ]);
    let read = read(Benchmark::MmauPro, "x.json", rows.to_string().as_bytes()).unwrap();
    let told: Vec<_> = read.items.iter().map(|item| (item.kind, item.sounds.len())).collect();
    assert_eq!(told, [(AnswerKind::Choice, 2), (AnswerKind::Open, 1), (AnswerKind::Open, 1)]);
    assert_eq!(read.notes, ["an instruction cannot be scored: no rule is called `Length`"]);
    assert_eq!(read.items[2].groups["task_identifier"], "Length");
}

#[test]
fn files_that_are_no_benchmark_say_what_is_wrong() {
    for (content, expected) in [
        ("[]", "there is no question in it"),
        ("[1]", "record 1 is no object"),
        ("[{\"id\": \"1\"}]", "record 1: it has no `audio_id`; its fields are id"),
        ("{\"id\": ", "line 1: "),
        ("id,answer\n1,a", "hint: a JSON list is expected, or one JSON object on each line"),
        ("[{\"id\": {}}]", "`id` is no text"),
    ] {
        let problem = read(Benchmark::Mmau, "x.json", content.as_bytes()).unwrap_err();
        assert!(problem.contains(expected), "{content}: {problem}");
    }
    let twice = json!([question("1", "easy"), question("1", "easy")]).to_string();
    assert!(read(Benchmark::Mmau, "x.json", twice.as_bytes()).unwrap_err().contains("two questions have the id `1`"));
    assert!(read_benchmark(Benchmark::Mmau, &[Path::new("/").to_owned()]).is_err());
}

#[test]
fn shards_that_were_held_out_are_questions() {
    let mut shard = ShardWriter::new(Vec::new(), ShardOptions::default());
    let mut add = |key: &str, json: Value| {
        shard.write_sample(key, &[("flac", b"fLaC"), ("json", json.to_string().as_bytes())]).unwrap();
    };
    add(
        "V (1_0-3_5)_qa_0",
        json!({ "question": "What barks?\nChoices:\nA. A dog\nB. A door", "thinking": "t", "answer": "A. A dog" }),
    );
    add(
        "W (0_0-1_0)",
        json!({ "qa_pairs": [
        { "question": "Which?", "answer": "A tone." }, { "question": "What?", "answer": "" }, "none",
    ] }),
    );
    add("X (0_0-1_0)", json!({ "question": "Describe it.", "caption": "A tone.", "answer": "A tone." }));
    let read = read(Benchmark::Shards, "0000.tar", &shard.finish().unwrap().0).unwrap();
    let told: Vec<_> = read.items.iter().map(|item| (item.id.as_str(), item.kind, item.question.as_str())).collect();
    assert_eq!(
        told,
        [
            ("V (1_0-3_5)_qa_0", AnswerKind::Choice, "What barks?"),
            ("W (0_0-1_0)#0", AnswerKind::Open, "Which?"),
            ("X (0_0-1_0)", AnswerKind::Caption, "Describe it."),
        ]
    );
    assert_eq!((read.items[0].references[0].as_str(), read.items[0].choices.len()), ("A dog", 2));
    assert_eq!(read.items[0].sounds, ["V (1_0-3_5)"], "questions about one clip share its sound");
    for (id, reason) in [("W (0_0-1_0)#1", "its `answer` is empty"), ("W (0_0-1_0)#2", "it is no object")] {
        let wanted = format!("`{id}` is left out: {reason}");
        assert!(read.notes.iter().any(|note| note.contains(&wanted)), "{:?}", read.notes);
    }
}
