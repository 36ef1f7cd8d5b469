//! What `shards` writes, `check` takes: every task, layout and form of the options.

use audsem_core::records::{Layout, Task};
use audsem_core::run::{RunOptions, Status};
use audsem_tarify::check;
use audsem_tarify::shards::Answers;
use serde_json::{Value, json};

use super::world::{World, audio_tar, flac, raw_tar};

const KEY: &str = "video000001 (1_0-2_0)";

/// Where the options of a question stand.
#[derive(Debug, Clone, Copy)]
enum Options {
    Inside,
    BesideAsObject,
    BesideAsList,
}

fn pair(options: Options, answer: &str) -> Value {
    let mut pair = json!({
        "question": "What is it that barks?", "thinking": "It is a dog, I think.", "answer": answer,
        "semantic_elements": "a dog, a bark",
    });
    match options {
        Options::Inside => pair["question"] = "What is it that barks?\nChoices:\nA. A dog\nB. An old door".into(),
        Options::BesideAsObject => pair["choices"] = json!({ "A": "A dog", "B": "An old door" }),
        Options::BesideAsList => pair["choices"] = json!(["A dog", "An old door"]),
    }
    pair
}

fn record(options: Options) -> Value {
    json!({
        "file_name": KEY, "caption": "A dog barks twice.", "thinking": "It is a dog, I think.",
        "semantic_elements": "a dog, a bark",
        "qa_pairs": [pair(options, "A. A dog"), pair(options, "an old door.")],
    })
}

fn source(task: Task) -> Vec<u8> {
    if task == Task::Video {
        return raw_tar(&[(&format!("{KEY}.mp4"), crate::workbench::clip()), (&format!("{KEY}.json"), b"{}")]);
    }
    audio_tar(&[("video000001 (1.0-2.0).mp4", flac(16_000, 1.0, 0.5))])
}

fn checked(world: &World, folder: &str, task: Task, semantic: bool) -> Status {
    let config = check::Config {
        inputs: vec![world.path(folder).join("train")],
        task: Some(task),
        semantic,
        fields: Vec::new(),
        verify: check::MediaCheck::Headers,
        ffmpeg: None,
    };
    let options =
        RunOptions { max_fail_rate: 0.0, ..RunOptions::new(world.path(&format!("{folder}-checked-{}", task.name()))) };
    check::run(&config, &options).unwrap().status
}

#[test]
fn check_takes_what_shards_writes() {
    for task in Task::ALL {
        for options in [Options::Inside, Options::BesideAsObject, Options::BesideAsList] {
            let world = World::new(&[source(task)], &[record(options)]);
            for (pairs, semantic) in
                [Layout::Repeat, Layout::Together].into_iter().flat_map(|pairs| [(pairs, false), (pairs, true)])
            {
                let case = format!("{}-{pairs:?}-{semantic}-{options:?}", task.name());
                let mut config = world.config(task);
                config.pairs = pairs;
                config.semantic = semantic;
                config.text.min_answer_chars = 3;
                let out = world.run_with(&config, &RunOptions::new(world.path(&case)));
                let n_samples = if task.has_pairs() && pairs == Layout::Repeat { 2 } else { 1 };
                assert_eq!(out.keys("train").len(), n_samples, "{case}: {:?}", out.rejects());
                assert_eq!(checked(&world, &case, task, semantic), Status::Done, "{case}");
                let other = if task.has_pairs() { Task::Caption } else { Task::McQa };
                assert_eq!(checked(&world, &case, other, semantic), Status::CheckFailed, "{case}");
            }
        }
    }
}

#[test]
fn choices_are_always_written_and_answers_name_one_of_them() {
    for options in [Options::Inside, Options::BesideAsObject, Options::BesideAsList] {
        let world = World::new(&[source(Task::McQa)], &[record(options)]);
        let out = world.run(&world.config(Task::McQa));
        let samples = [0, 1].map(|n| out.json(&format!("{KEY}_qa_{n}")));
        for sample in &samples {
            assert_eq!(sample["choices"], json!({ "A": "A dog", "B": "An old door" }), "{options:?}");
            assert_eq!(sample["question"], "What is it that barks?\nChoices:\nA. A dog\nB. An old door");
        }
        assert_eq!((&samples[0]["answer"], &samples[1]["answer"]), (&"A. A dog".into(), &"B. An old door".into()));

        let mut config = world.config(Task::McQa);
        config.answers = Answers::Keep;
        let kept = world.run_with(&config, &RunOptions::new(world.path("kept")));
        assert_eq!(kept.json(&format!("{KEY}_qa_1"))["answer"], "an old door.");
    }
}

#[test]
fn an_answer_that_is_no_choice_is_left_out() {
    let answers = ["C. A cat", "A. An old door", "Because of the dog", "A", "B) An old door"];
    let pairs = answers.map(|answer| pair(Options::BesideAsObject, answer));
    let world = World::new(&[source(Task::McQa)], &[json!({ "file_name": KEY, "qa_pairs": pairs })]);
    let out = world.run(&world.config(Task::McQa));
    assert_eq!(out.keys("train").len(), 2);
    for (n, answer) in answers.iter().enumerate().take(3) {
        assert_eq!(out.reasons(&format!("{KEY} pair {n}")), ["answer_not_among_choices"], "{answer}");
    }
}
