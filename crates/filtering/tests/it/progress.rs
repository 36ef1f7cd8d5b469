//! What the line of progress says of commands whose work is not counted in records known before.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::kill::write_dump;

/// The lines of progress that a call writes where stderr is no terminal, without the title.
fn progress(arguments: &[&str], title: &str) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"));
    command.args(arguments).args(["--workers", "1", "--progress-every", "0.02"]).stdin(Stdio::null());
    let output = command.output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    let lines: Vec<String> = told.lines().filter_map(|line| line.strip_prefix(title).map(str::to_owned)).collect();
    assert!(!lines.is_empty(), "{told}");
    lines
}

/// A compressed dump is one shard, and nothing tells how many cues it has: its own bytes tell how far it is.
#[test]
fn the_time_left_of_a_compressed_dump_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_dump(&path("dump.jsonl"), 6);
    let plain = std::fs::read(path("dump.jsonl")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    std::fs::write(path("dump.jsonl.gz"), gzip.finish().unwrap()).unwrap();
    std::fs::write(path("dump.jsonl.zst"), zstd::encode_all(&plain[..], 1).unwrap()).unwrap();
    for name in ["dump.jsonl.gz", "dump.jsonl.zst"] {
        let (input, output) = (path(name), path(&format!("out-{name}")));
        let arguments = ["extract", "--max-fail-rate", "1", "--input", input.to_str().unwrap(), "--output"];
        let lines = progress(&[&arguments[..], &[output.to_str().unwrap()]].concat(), "extract: ");
        let told: Vec<&String> = lines.iter().filter(|line| line.contains(" cues (")).collect();
        assert!(told.iter().any(|line| line.ends_with(" left")), "{name}: {lines:#?}");
        assert!(lines.iter().all(|line| !line.contains(" shards")), "{name}: {lines:#?}");
    }
}

#[test]
fn a_training_tells_its_epoch_and_its_loss() {
    let folder = tempfile::tempdir().unwrap();
    let captions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captions/labelled.csv");
    let output = folder.path().join("out");
    let arguments = ["train-classifier", "--from-scratch", "--epochs", "3", "--limit", "400", "--input"];
    let arguments = [&arguments[..], &[captions.to_str().unwrap(), "--output", output.to_str().unwrap()]].concat();
    let lines = progress(&arguments, "train-classifier (train): ");
    for epoch in [1, 2] {
        let said = format!("epoch {epoch} of 3: train loss ");
        let line = lines.iter().find_map(|line| line.strip_prefix(&said));
        let line = line.unwrap_or_else(|| panic!("no line of epoch {epoch}: {lines:#?}"));
        let (loss, rest) = line.split_once(", held-out F1 ").unwrap();
        assert!(loss.parse::<f64>().unwrap() > 0.0 && rest.ends_with(" s left"), "{line}");
    }
}
