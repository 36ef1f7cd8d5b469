//! The example of the specification: six clips, one of them in the tar twice, and what each task
//! makes of them.

use audsem_tarify::shards::Task;
use serde_json::{Value, json};

use super::world::{World, audio_tar, flac};

const CLIPS: [&str; 6] = [
    "AAAAAAAAAA1 (1.0-3.5)",
    "BBBBBBBBBB2 (4.0-6.0)",
    "CCCCCCCCCC3 (0.0-2.0)",
    "DDDDDDDDDD4 (7.25-9.0)",
    "EEEEEEEEEE5 (10.0-12.0)",
    "FFFFFFFFFF6 (1.0-2.0)",
];

fn tar() -> Vec<u8> {
    let loud = |seconds| flac(48_000, seconds, 0.5);
    audio_tar(&[
        ("AAAAAAAAAA1 (1.0-3.5).mp4", loud(2.5)),
        ("BBBBBBBBBB2 (4.0-6.0).webm", loud(2.0)),
        ("CCCCCCCCCC3 (0.0-2.0).mp4", flac(48_000, 2.0, 0.000_125)),
        ("DDDDDDDDDD4 (7.25-9.0).mp4", loud(1.75)),
        ("EEEEEEEEEE5 (10.0-12.0).mp4", loud(2.0)),
        ("FFFFFFFFFF6 (1.0-2.0).mp4", loud(0.05)),
        ("AAAAAAAAAA1 (1.0-3.5).mp4", loud(2.5)),
    ])
}

fn file_name(clip: &str) -> String {
    format!("tar/{}", clip.replace('.', "_"))
}

fn key(number: usize) -> String {
    CLIPS[number - 1].replace('.', "_")
}

fn captions() -> Vec<Value> {
    let record = |(number, clip): (usize, &&str)| {
        let caption = if number == 0 { "A dog barks\nloudly" } else { "Rain falls on a tin roof." };
        let thinking = if number == 3 { "The original caption says rain." } else { "It patters\nall the time." };
        json!({ "file_name": file_name(clip), "caption": caption, "thinking": thinking, "semantic_elements": "rain, roof, patter" })
    };
    CLIPS.iter().enumerate().map(record).collect()
}

fn pairs() -> Vec<Value> {
    let record = |clip: &&str| {
        json!({ "file_name": file_name(clip), "qa_pairs": [
            { "question": "What can be\nheard?", "thinking": "A low growl, then\nbarking.", "answer": "A. A dog",
              "choices": { "A": "A dog", "B": "A\ndoor" }, "semantic_elements": "dog, bark, yard" },
            { "question": "Where does it take place?", "thinking": "There is an echo.", "answer": "B. In a large hall",
              "choices": { "A": "Outside", "B": "In a large hall" }, "semantic_elements": "echo, hall, space" },
        ] })
    };
    let mut records: Vec<Value> = CLIPS.iter().map(record).collect();
    for pair in records[3]["qa_pairs"].as_array_mut().unwrap() {
        pair.as_object_mut().unwrap().remove("semantic_elements");
    }
    records
}

#[test]
fn captions_come_out_once_clean_and_with_their_answer() {
    let world = World::new(&[tar()], &captions());
    let mut config = world.config(Task::Caption);
    config.max_count = 2.try_into().unwrap();
    let out = world.run(&config);
    assert_eq!(out.keys("train"), [key(1), key(2), key(5)]);
    assert_eq!(out.sizes("train"), [("0000.tar".to_owned(), 2), ("0001.tar".to_owned(), 1)].into());
    let first = out.json(&key(1));
    assert_eq!(first["caption"], "A dog barks loudly");
    assert_eq!(first["answer"], "A dog barks loudly");
    assert_eq!(first["thinking"], "It patters all the time.");
    assert_eq!(first["file_name"], file_name(CLIPS[0]));
    let fields: Vec<_> = first.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["file_name", "caption", "thinking", "semantic_elements", "answer", "question"]);
    assert_eq!(out.reasons(&key(3)), ["no_clip", "silent"]);
    assert_eq!(out.reasons(&key(4)), ["no_record", "omit_phrase"]);
    assert_eq!(out.reasons(&key(6)), ["audio_short", "no_clip"]);
    assert_eq!(out.reasons(&key(1)), ["duplicate_clip"]);
}

#[test]
fn the_audio_is_copied_unchanged() {
    let world = World::new(&[tar()], &captions());
    let out = world.run(&world.config(Task::Caption));
    let samples = out.samples("train");
    assert_eq!(samples[0].get("flac").unwrap(), flac(48_000, 2.5, 0.5));
    assert_eq!(samples[0].members[0].0, "flac", "flac before json");
    assert_eq!(samples[2].get("flac").unwrap(), flac(48_000, 2.0, 0.5));
}

#[test]
fn qa_drops_short_answers_and_keeps_the_other_fields() {
    let world = World::new(&[tar()], &pairs());
    let out = world.run(&world.config(Task::Qa));
    let expected: Vec<_> = [1, 2, 4, 5].map(|number| format!("{}_qa_0", key(number))).into();
    assert_eq!(out.keys("train"), expected, "`A. A dog` has 8 characters");
    let sample = out.json(&expected[0]);
    assert_eq!(sample["question"], "Where does it take place?");
    assert_eq!(sample["file_name"], key(1));
    assert_eq!(sample["choices"]["B"], "In a large hall");
    assert_eq!(sample["semantic_elements"], "echo, hall, space", "stays without --semantic");
    assert_eq!(out.reasons(&format!("{} pair 0", key(1))), ["answer_short"]);
}

#[test]
fn mc_qa_writes_the_choices_below_the_question() {
    let world = World::new(&[tar()], &pairs());
    let out = world.run(&world.config(Task::McQa));
    let expected: Vec<_> =
        [1, 2, 4, 5].into_iter().flat_map(|n| [0, 1].map(|p| format!("{}_qa_{p}", key(n)))).collect();
    assert_eq!(out.keys("train"), expected);
    let sample = out.json(&expected[0]);
    assert_eq!(sample["question"], "What can be heard?\nChoices:\nA. A dog\nB. A door");
    assert_eq!(sample["answer"], "A. A dog");
    assert!(sample.get("semantic_elements").is_none());
}

#[test]
fn mc_qa_with_semantic_elements_drops_pairs_without_them() {
    let world = World::new(&[tar()], &pairs());
    let mut config = world.config(Task::McQa);
    config.semantic = true;
    let out = world.run(&config);
    let expected: Vec<_> = [1, 2, 5].into_iter().flat_map(|n| [0, 1].map(|p| format!("{}_qa_{p}", key(n)))).collect();
    assert_eq!(out.keys("train"), expected);
    assert_eq!(out.json(&expected[0])["semantic_elements"], "dog, bark, yard");
    assert_eq!(out.reasons(&format!("{} pair 0", key(4))), ["missing_field"]);
}

#[test]
fn mc_qa_long_puts_the_instruction_around_the_question() {
    let world = World::new(&[tar()], &pairs());
    let mut config = world.config(Task::McQaLong);
    config.semantic = true;
    let out = world.run(&config);
    assert_eq!(out.keys("train").len(), 6, "both pairs of three clips");
    let question = out.json(&format!("{}_qa_0", key(1)))["question"].as_str().unwrap().to_owned();
    for part in [
        "What can be heard?",
        "\nA. A dog\nB. A door.\n",
        "<think> </think>",
        "<semantic_elements> </semantic_elements>",
        "<answer> </answer>",
    ] {
        assert!(question.contains(part), "{part:?} in {question}");
    }
    assert!(!out.folder.join("valid").exists());
}
