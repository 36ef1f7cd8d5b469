//! `convert-weights` on files of other libraries.

use std::path::{Path, PathBuf};
use std::process::Command;

fn weight_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/goldens/weight_files").join(name)
}

fn convert(input: &Path, network: &str, output: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-metadata-eval"));
    command.args(["convert-weights", "--network", network]).args(more);
    let done = command.arg("--input").arg(input).arg("--output").arg(output).output().unwrap();
    (done.status.code(), [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat())
}

#[test]
fn weight_files_become_model_folders() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("whisper");
    let (code, text) = convert(&weight_file("model.bin"), "whisper", &out, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("whisper: "), "{text}");
    let config: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("config.json")).unwrap()).unwrap();
    assert_eq!((&config["model_type"], &config["d_model"]), (&"whisper".into(), &16.into()));
    let first = std::fs::read(out.join("model.safetensors")).unwrap();
    let (_, text) = convert(&weight_file("model.bin"), "whisper", &out, &["--format", "ctranslate2", "--json"]);
    let report: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(report["network"], "whisper");
    assert_eq!(std::fs::read(out.join("model.safetensors")).unwrap(), first);

    let out = folder.path().join("plain");
    let (code, text) = convert(&weight_file("zip.pt"), "plain", &out, &["--key", "model"]);
    assert_eq!(code, Some(0), "{text}");
    let source: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("source.json")).unwrap()).unwrap();
    assert_eq!(source["metadata"]["label_dict"]["1"], "/m/0bt9lr");
    assert!(!out.join("config.json").exists());
}

#[test]
fn weights_of_another_network_are_refused_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let (code, text) = convert(&weight_file("linear.onnx"), "yamnet", &out, &[]);
    assert_eq!(code, Some(2), "{text}");
    for part in ["not those of yamnet", "missing (56)", "unexpected (7)", "hint: check `--network`"] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert!(!out.exists());
    let (code, text) = convert(&weight_file("linear.onnx"), "plain", &out, &["--format", "torch"]);
    assert!(code == Some(2) && text.contains("linear.onnx"), "{text}");
}
