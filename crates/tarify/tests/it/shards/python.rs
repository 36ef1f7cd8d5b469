//! The shards load with the Python packages that trainers use, and hold what they should.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use audsem_core::testing::python;
use audsem_tarify::shards::{Task, ValidSize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::world::{Outcome, World, audio_tar, caption, flac};

fn load(out: &Outcome, cache: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/shards/load_shards.py");
    let output = Command::new(python())
        .arg(script)
        .args([&out.folder, cache])
        .envs([("HF_HUB_OFFLINE", "1"), ("HF_DATASETS_OFFLINE", "1"), ("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")])
        .env("HF_HOME", cache)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the readers must report, from our own reader.
fn expected(out: &Outcome, split: &str) -> Vec<Value> {
    let describe = |sample: audsem_core::tar::Sample| {
        let flac = sample.get("flac").unwrap();
        let sha256 = audsem_core::files::hex(&Sha256::digest(flac));
        let json: Value = serde_json::from_slice(sample.get("json").unwrap()).unwrap();
        serde_json::json!({ "key": sample.key, "sha256": sha256, "json": json })
    };
    out.samples(split).into_iter().map(describe).collect()
}

fn world() -> World {
    let names: Vec<_> = (0..9).map(|n| format!("vi-de_o{n:04} ({n}.25-{}.5)", n + 1)).collect();
    let clips: Vec<_> = names.iter().map(|name| (name.as_str(), flac(48_000, 1.25, 0.5))).collect();
    let text = "A \"dog\" barks — twice, über 30 Hz 🐕.";
    let mut records: Vec<_> = names.iter().map(|name| caption(name, text)).collect();
    for record in &mut records {
        record["qa_pairs"] = serde_json::json!([
            { "question": "What is heard here?", "thinking": "It is clear to hear.", "answer": "A. A dog", "choices": { "A": "A dog", "B": "A cat" } },
            { "question": "What else is there?", "thinking": "It is hard to hear.", "answer": "B. A cat", "choices": { "A": "A cow", "B": "A cat" } },
        ]);
    }
    World::new(&[audio_tar(&clips[..5]), audio_tar(&clips[5..])], &records)
}

fn check(task: Task) {
    let world = world();
    let mut config = world.config(task);
    config.num_valid = ValidSize::Clips(3);
    config.max_count = 4.try_into().unwrap();
    let out = world.run(&config);
    let report = load(&out, &world.path("cache"));
    for split in ["train", "valid"] {
        let expected = expected(&out, split);
        assert_eq!(expected.len() as u64, out.sizes(split).values().sum::<u64>());
        assert!(!expected.is_empty());
        for reader in ["webdataset", "datasets"] {
            let seen = report[reader][split].as_array().unwrap();
            assert_eq!(seen.len(), expected.len(), "{reader} {split}");
            let by_key: BTreeMap<&str, &Value> = seen.iter().map(|s| (s["key"].as_str().unwrap(), s)).collect();
            for sample in &expected {
                let got = by_key[sample["key"].as_str().unwrap()];
                assert_eq!(got["sha256"], sample["sha256"], "{reader}: the FLAC is unchanged");
                assert_eq!(got["json"], sample["json"], "{reader}");
                assert_eq!((got["rate"].as_u64(), got["frames"].as_u64()), (Some(48_000), Some(60_000)));
                assert!((got["peak"].as_f64().unwrap() - 0.5).abs() < 1e-3);
            }
        }
    }
}

#[test]
fn caption_shards_load_in_python() {
    check(Task::Caption);
}

#[test]
fn multiple_choice_shards_load_in_python() {
    check(Task::McQa);
}
