//! `combine` and `explain` as a user meets them.

use std::path::Path;
use std::process::{Command, Output};

fn audsem(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_audsem-filtering")).current_dir(folder).args(args).output().unwrap()
}

fn lists(folder: &Path) {
    std::fs::write(folder.join("names.txt"), "Mary\n").unwrap();
    std::fs::write(folder.join("words.txt"), "person\nlaughs\ncow\nmoo\n").unwrap();
}

const LISTS: [&str; 4] = ["--names", "names.txt", "--dictionary", "words.txt"];

#[test]
fn explain_prints_the_way_of_a_caption() {
    let folder = tempfile::tempdir().unwrap();
    lists(folder.path());
    let text = |args: &[&str]| {
        let output = audsem(folder.path(), &[args, &LISTS].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let kept = text(&["explain", "[Mary, laughs]"]);
    assert!(kept.contains("   6  names") && kept.ends_with("kept: person, laughs\n"), "{kept}");
    let left_out = text(&["explain", "[Mary, laughs]", "--compat", "reference"]);
    assert!(left_out.contains("left out by rule 15: the caption has a word that the dictionary lacks"), "{left_out}");
    let json: serde_json::Value = serde_json::from_str(&text(&["explain", "[he laughs]", "--json"])).unwrap();
    assert_eq!(
        (json["kept"].as_bool(), json["rule"].as_u64(), json["reason"].as_str()),
        (Some(false), Some(8), Some("pronoun"))
    );
}

#[test]
fn combine_leaves_a_run_folder_and_a_funnel() {
    let folder = tempfile::tempdir().unwrap();
    lists(folder.path());
    std::fs::write(
        folder.path().join("cues.csv"),
        "video_id,start,duration,text\nv,1,2,[cow moo]\nv,3,2,[he laughs]\nw,1,2,[Mary laughs]\n",
    )
    .unwrap();
    let args = ["combine", "--input", "cues.csv", "--policy", "none", "--output", "out", "--json"];
    let output = audsem(folder.path(), &[&args[..], &LISTS].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["status"], "done");
    let mut names: Vec<_> = std::fs::read_dir(folder.path().join("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "log.jsonl",
            "part-00000.done.json",
            "part-00000.parquet",
            "rejects-00000.jsonl",
            "run.json",
            "stats.json",
            "texts-all.done.json",
            "texts.parquet",
            "texts.txt",
            "timing.json",
        ]
    );
    assert_eq!(std::fs::read_to_string(folder.path().join("out/texts.txt")).unwrap(), "cow moo\nperson laughs\n");
    let stats = std::fs::read_to_string(folder.path().join("out/stats.json")).unwrap();

    // Once more: nothing is done again and nothing changes.
    let again = audsem(folder.path(), &[&args[..], &LISTS].concat());
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(folder.path().join("out/stats.json")).unwrap(), stats);

    // Other rules in the same folder: refused, with the field that differs.
    let other = audsem(folder.path(), &[&args[..], &LISTS, &["--max-chars", "60"]].concat());
    assert_eq!(other.status.code(), Some(2));
    let message = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(message.contains("config.settings.max_chars: was 50, now 60"), "{message}");
}

#[test]
fn combine_without_labels_asks_for_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cues.csv"), "video_id,start,duration,text\n").unwrap();
    let output = audsem(folder.path(), &["combine", "--input", "cues.csv", "--output", "out"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(message.contains("--policy none") && message.contains("--bert"), "{message}");
    assert!(!folder.path().join("out").exists());
}
