//! One test for each known defect of earlier packers that concerns shards, named after its cause.

use std::fs;
use std::io::Write;

use audsem_core::run::RunOptions;
use audsem_tarify::shards::{Answers, Layout, Task};
use serde_json::{Value, json};

use super::world::{World, audio_tar, caption, flac, raw_tar};

fn clip(number: usize) -> String {
    format!("video{number:06} (1.0-2.0)")
}

fn key(number: usize) -> String {
    clip(number).replace('.', "_")
}

fn sound() -> Vec<u8> {
    flac(16_000, 1.0, 0.5)
}

/// A tar of loud clips with these numbers.
fn tar(numbers: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let names: Vec<_> = numbers.into_iter().map(|n| clip(n) + ".mp4").collect();
    audio_tar(&names.iter().map(|name| (name.as_str(), sound())).collect::<Vec<_>>())
}

fn captions(numbers: impl IntoIterator<Item = usize>) -> Vec<Value> {
    numbers.into_iter().map(|n| caption(&key(n), &format!("Sound number {n} is heard."))).collect()
}

fn pair(answer: &str) -> Value {
    json!({ "question": "What is it that barks?", "thinking": "It is a dog, I think.", "answer": answer, "choices": { "A": "A dog", "B": "A door" } })
}

#[test]
fn t1_the_caption_is_the_answer_that_training_reads() {
    let world = World::new(&[tar([1])], &[caption(&key(1), "A dog barks twice.")]);
    let sample = world.run(&world.config(Task::Caption)).json(&key(1));
    assert_eq!(sample["answer"], sample["caption"]);
    assert!(!sample["question"].as_str().unwrap().is_empty());
}

#[test]
fn t4_semantic_elements_that_are_absent_lose_nothing() {
    let records = [1, 2].map(|n| json!({ "file_name": key(n), "qa_pairs": [pair("A. A dog")] }));
    let world = World::new(&[tar([1, 2])], &records);
    assert_eq!(world.run(&world.config(Task::McQa)).keys("train").len(), 2);
}

#[test]
fn t5_short_options_are_answers() {
    let short = json!({ "question": "Is there a dog here?", "thinking": "It is a dog, I think.", "answer": "Yes", "choices": ["Yes", "No"] });
    let record = json!({ "file_name": key(1), "qa_pairs": [short, pair("A")] });
    let world = World::new(&[tar([1])], &[record]);
    let mut config = world.config(Task::McQa);
    let out = world.run(&config);
    let answers = [0, 1].map(|n| out.json(&format!("{}_qa_{n}", key(1)))["answer"].clone());
    assert_eq!(answers, ["A. Yes", "A. A dog"], "what is written has letter and text");
    config.answers = Answers::Keep;
    let kept = world.run_with(&config, &RunOptions::new(world.path("kept")));
    assert_eq!(kept.keys("train"), [format!("{}_qa_0", key(1))], "`A` has fewer than three characters");
    config.text.min_answer_chars = 1;
    let all = world.run_with(&config, &RunOptions::new(world.path("all")));
    assert_eq!(all.keys("train").len(), 2);
}

#[test]
fn t6_a_record_or_clip_that_comes_twice_gives_one_sample() {
    let record = |answer| json!({ "file_name": key(1), "qa_pairs": [pair(answer)] });
    let world = World::new(&[tar([1, 1])], &[record("A. A dog"), record("B. A door")]);
    let out = world.run(&world.config(Task::McQa));
    let name = format!("{}_qa_0", key(1));
    assert_eq!(out.keys("train"), [name.as_str()]);
    assert_eq!(out.json(&name)["answer"], "A. A dog", "the first record counts");
    assert_eq!(out.json(&name)["question"], "What is it that barks?\nChoices:\nA. A dog\nB. A door");
    assert_eq!(out.reasons(&key(1)), ["duplicate_clip", "duplicate_record"]);
}

#[test]
fn t7_a_bad_record_loses_itself_alone() {
    let good = caption(&key(9), "A good caption it is.");
    let mut numbers = captions(1..9);
    numbers[0].as_object_mut().unwrap().remove("caption");
    numbers[1]["caption"] = json!(["not", "text"]);
    numbers[2]["thinking"] = Value::Null;
    numbers[3]["file_name"] = json!("no blank and no span");
    numbers[4].as_object_mut().unwrap().remove("file_name");
    numbers[5]["caption"] = json!("short");
    let mut text: Vec<String> = numbers[..6].iter().map(Value::to_string).collect();
    text.push("{\"file_name\": \"cut of".to_owned());
    text.push("[]".to_owned());
    text.push(String::new());
    text.push(good.to_string());
    let world = World::with_text(&[tar(1..10)], &text.join("\n"));
    let out = world.run(&world.config(Task::Caption));
    assert_eq!(out.keys("train"), [key(9)]);
    let reasons: Vec<_> = out.rejects().into_iter().map(|(_, reason)| reason).filter(|r| r != "no_record").collect();
    let mut expected = [
        "missing_field",
        "wrong_type",
        "missing_field",
        "bad_name",
        "no_name",
        "caption_short",
        "bad_json",
        "bad_json",
    ];
    let mut reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
    expected.sort_unstable();
    reasons.sort_unstable();
    assert_eq!(reasons, expected);
}

#[test]
fn t7_a_bad_sample_of_a_source_tar_loses_itself_alone() {
    let described = |n: usize| json!({ "original_filename": clip(n) + ".mp4" }).to_string();
    let (sound, one, three) = (sound(), described(1), described(3));
    let world = World::new(
        &[raw_tar(&[
            ("0.flac", &sound),
            ("0.json", b"{ not json"),
            ("1.json", one.as_bytes()),
            ("2.flac", &sound),
            ("3.flac", &sound),
            ("3.json", three.as_bytes()),
            ("4.flac", &sound),
            ("4.json", br#"{"original_filename": "withoutblank.mp4"}"#),
        ])],
        &captions([1, 3]),
    );
    let out = world.run(&world.config(Task::Caption));
    assert_eq!(out.keys("train"), [key(3)]);
    assert_eq!(out.reasons("0.tar:0"), ["bad_json"]);
    assert_eq!(out.reasons(&key(1)), ["no_audio", "no_clip"]);
    assert_eq!(out.reasons("0.tar:2"), ["no_json"]);
    assert_eq!(out.reasons("0.tar:4"), ["bad_name"]);
}

#[test]
fn t8_json_may_come_before_its_audio() {
    let described = |n: usize| json!({ "original_filename": clip(n) + ".mp4" }).to_string();
    let (first, second) = (flac(16_000, 1.0, 0.5), flac(16_000, 2.0, 0.25));
    let (one, two, three) = (described(1), described(2), described(3));
    let world = World::new(
        &[raw_tar(&[
            ("1.json", one.as_bytes()),
            ("1.flac", &first),
            ("2.json", two.as_bytes()),
            ("2.flac", &second),
            // Members of one sample lie together: every reader of tars takes these for two samples.
            ("3.json", three.as_bytes()),
            ("4.txt", b""),
            ("3.flac", &second),
        ])],
        &captions([1, 2, 3]),
    );
    let out = world.run(&world.config(Task::Caption));
    let samples = out.samples("train");
    assert_eq!((samples.len(), out.reasons("0.tar:3")), (2, vec!["no_json".to_owned()]));
    assert_eq!(out.reasons(&key(3)), ["no_audio", "no_clip"]);
    assert_eq!((samples[0].key.as_str(), samples[0].get("flac")), (key(1).as_str(), Some(&first[..])));
    assert_eq!((samples[1].key.as_str(), samples[1].get("flac")), (key(2).as_str(), Some(&second[..])));
}

#[test]
fn t10_requests_follow_from_key_and_seed() {
    let world = World::new(&[tar(0..20)], &captions(0..20));
    let questions = |seed, folder: &str| {
        let mut options = RunOptions::new(world.path(folder));
        options.seed = seed;
        let out = world.run_with(&world.config(Task::Caption), &options);
        (0..20).map(|n| out.json(&key(n))["question"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(questions(1, "a"), questions(1, "b"));
    assert_ne!(questions(1, "a"), questions(2, "c"));
}

#[test]
fn t11_samples_stand_in_the_order_of_the_tars() {
    let world = World::new(&[tar([5, 3]), tar([1]), tar([4, 2])], &captions(1..6));
    assert_eq!(world.run(&world.config(Task::Caption)).keys("train"), [5, 3, 1, 4, 2].map(key));
}

#[test]
fn t12_sizes_are_counted_in_the_shards() {
    let world = World::new(&[tar(0..7)], &captions(0..7));
    let mut config = world.config(Task::Caption);
    config.max_count = 3.try_into().unwrap();
    // Two samples of one clip fit, a third does not.
    config.max_bytes = ((2 * (sound().len() as u64 + 2048)).try_into()).ok();
    let out = world.run(&config);
    let shards = out.shards("train");
    let counted = (0..).zip(&shards).map(|(n, shard)| (format!("{n:04}.tar"), shard.len() as u64)).collect();
    assert_eq!(out.sizes("train"), counted);
    assert!(shards.iter().all(|shard| shard.len() <= 2) && shards.len() == 4);
    let text = fs::read_to_string(out.folder.join("train/sizes.json")).unwrap();
    assert!(text.starts_with("{\n    \"0000.tar\": 2,\n"), "{text}");
}

#[test]
fn t13_pairs_of_a_clip_can_share_its_audio() {
    let record = json!({ "file_name": key(1), "qa_pairs": [pair("A. A dog"), pair("C"), pair("B. A door")] });
    let world = World::new(&[tar([1])], &[record]);
    let mut config = world.config(Task::McQa);
    config.pairs = Layout::Together;
    let out = world.run(&config);
    assert_eq!(out.keys("train"), [key(1)]);
    let sample = out.json(&key(1));
    let answers: Vec<_> = sample["qa_pairs"].as_array().unwrap().iter().map(|pair| &pair["answer"]).collect();
    assert_eq!(answers, ["A. A dog", "B. A door"]);
}

#[test]
fn t20_any_container_in_any_folder_matches() {
    let names = ["a/b/video000001 (1.0-2.0).webm", "video000002 (1.0-2.0).mkv", "x.y/video000003 (1.0-2.0)"];
    let clips: Vec<_> = names.iter().map(|name| (*name, sound())).collect();
    let world = World::new(&[audio_tar(&clips)], &captions(1..4));
    assert_eq!(world.run(&world.config(Task::Caption)).keys("train"), [1, 2, 3].map(key));
}

#[test]
fn t37_names_with_dots_and_no_ending_are_whole() {
    let records =
        [caption("tar/video000001 (1.0-2.0)", "A dog barks twice."), caption(&(clip(2) + ".webm"), "A cat is heard.")];
    let world = World::new(&[tar([1, 2])], &records);
    assert_eq!(world.run(&world.config(Task::Caption)).keys("train"), [1, 2].map(key));
}

#[test]
fn t38_a_clip_in_two_tars_is_used_once_and_reported() {
    let world = World::new(&[tar([1, 2]), tar([2, 3])], &captions(1..4));
    let out = world.run(&world.config(Task::Caption));
    assert_eq!(out.keys("train"), [1, 2, 3].map(key));
    assert_eq!(out.reasons(&key(2)), ["duplicate_clip"]);
}

#[test]
fn t39_shards_of_an_earlier_run_never_survive() {
    let world = World::new(&[tar(0..6)], &captions(0..6));
    let mut config = world.config(Task::Caption);
    config.max_count = 1.try_into().unwrap();
    let first = world.run(&config);
    assert_eq!(first.shards("train").len(), 6);
    config.max_count = 4.try_into().unwrap();
    let error = audsem_tarify::shards::run(&config, &RunOptions::new(&first.folder)).unwrap_err().to_string();
    assert!(error.contains("max_count") && error.contains("--fresh"), "{error}");
    // What a kill leaves between giving a shard its name and noting it.
    for stray in ["train/0007.tar", "train/.0008.tar.tmp", "valid/0000.tar"] {
        let path = first.folder.join(stray);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(b"stray").unwrap();
    }
    let mut options = RunOptions::new(&first.folder);
    options.fresh = true;
    let own = first.folder.join("train/own.tar");
    fs::write(&own, "a tar of the user's own").unwrap();
    let again = world.run_with(&config, &options);
    fs::remove_file(&own).expect("tars with another name than a shard has are left alone");
    let clean = world.run_with(&config, &RunOptions::new(world.path("clean")));
    assert_eq!(again.tree(), clean.tree());
    assert_eq!(again.sizes("train").len(), 2);
}
