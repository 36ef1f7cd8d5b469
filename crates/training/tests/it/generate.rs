//! `compose` and `generate` through the binary.

use std::path::Path;

use audsem_core::testing::{Bench, Called};
use audsem_media::audio::encode_wav;
use serde_json::Value;

pub(crate) fn golden(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens").join(name).to_str().unwrap().to_owned()
}

/// A bench with two sounds of different rates and a composed model.
pub(crate) fn bench() -> Bench {
    let bench = Bench::new(env!("CARGO_BIN_EXE_audsem-training"));
    for (name, rate, pitch) in [("low.wav", 16_000, 0.05), ("high.wav", 8_000, 0.6)] {
        let tone: Vec<f32> = (0..rate / 2).map(|n| 0.4 * (n as f32 * pitch).sin()).collect();
        bench.write(name, encode_wav(&tone, 1, rate).unwrap());
    }
    compose(&bench, "model").ended(0);
    bench
}

fn compose(bench: &Bench, output: &str) -> Called {
    let (whisper, language) = (golden("whisper_tiny"), golden("qwen2_tiny"));
    bench.call(&format!("compose --audio-encoder {whisper} --language-model {language} --output {output} --seed 7"))
}

/// The JSON objects that a call has printed.
fn answers(called: &Called) -> Vec<Value> {
    called.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ask(bench: &Bench, flags: &str) -> Called {
    bench.call(&format!("generate --model model --question What? --max-new-tokens 6 --device cpu {flags}"))
}

#[test]
fn a_composed_model_answers_questions_about_files() {
    let bench = bench();
    let composition = bench.json("model/composition.json");
    assert_eq!(composition["language_model"]["name"], "qwen2_tiny");
    assert!(composition["parameters"]["projector"].as_u64().unwrap() == 16 * 32 + 32, "{composition}");
    let told = compose(&bench, "model").ended(0);
    assert!(told.stdout.ends_with("}\n"), "{:?}", told.stdout);
    let (whisper, language) = (golden("whisper_tiny"), golden("qwen2_tiny"));
    let other = format!("compose --audio-encoder {whisper} --language-model {language} --output model --seed 8");
    bench.call(&other).ended(2).says("holds another model already");

    let called = ask(&bench, "--audio low.wav high.wav").ended(0);
    let told = answers(&called);
    assert_eq!(told.len(), 2);
    for (answer, file) in told.iter().zip(["low.wav", "high.wav"]) {
        assert_eq!((&answer["audio"][0], &answer["question"]), (&Value::from(file), &Value::from("What?")));
        assert!(answer["completion_tokens"].as_u64().unwrap() <= 6 && answer["text"].is_string(), "{answer}");
    }
    assert_eq!(told[0]["prompt_tokens"], told[1]["prompt_tokens"], "both sounds last half a second");
    assert_eq!(called.stdout, ask(&bench, "--audio low.wav high.wav").stdout);
    let together = answers(&ask(&bench, "--audio low.wav high.wav --together").ended(0));
    assert_eq!(together[0]["audio"].as_array().unwrap().len(), 2);
    assert!(together[0]["prompt_tokens"].as_u64() > told[0]["prompt_tokens"].as_u64());
}

#[test]
fn draws_depend_on_their_seed_and_beams_have_scores() {
    let bench = bench();
    let draw = |seed: u32| {
        let called = ask(&bench, &format!("--audio low.wav --temperature 3 --answers 3 --seed {seed}")).ended(0);
        answers(&called).into_iter().map(|answer| answer["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (first, second) = (draw(1), draw(2));
    assert!(first.len() == 3 && first[0] != first[1] && first == draw(1), "{first:?}");
    // Each draw has a seed of its own, counted from the given one.
    assert_eq!(first[1..], second[..2]);
    let beams = answers(&ask(&bench, "--audio low.wav --beams 5 --answers 2").ended(0));
    assert!(beams.len() == 2 && beams[0]["score"].as_f64() >= beams[1]["score"].as_f64(), "{beams:?}");
    ask(&bench, "--audio low.wav --answers 2").ended(2).says("--temperature");
}

#[test]
fn instructions_and_options_are_part_of_the_question() {
    let bench = bench();
    let prompt_tokens = |flags: &str| {
        answers(&ask(&bench, &format!("--audio low.wav {flags}")).ended(0))[0]["prompt_tokens"].as_u64().unwrap()
    };
    let plain = prompt_tokens("");
    let with_options = prompt_tokens("--choice dog cat");
    // Bytes are tokens of this model, apart from a few merges.
    assert!((20..=26).contains(&(with_options - plain)), "{}", with_options - plain);
    assert!(prompt_tokens("--system Hear.") < plain, "a short system turn instead of the default");
    ask(&bench, "--audio low.wav --profile loud").ended(2).says("no instruction profile");
    ask(&bench, "--audio gone.wav").ended(2).says("gone.wav");
    ask(&bench, "--audio model/config.json").ended(2).says("config.json");
    ask(&bench, "--audio low.wav --adapter a/b/c").ended(2).says("a/b/c");
}
