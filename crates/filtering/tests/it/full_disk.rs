//! A disk that takes no more: said, nothing half-done under a final name, and the same command continues.
//!
//! A limit on the size of files stands for the full disk: a write beyond it fails just so, only for another reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use audsem_core::testing::tree;

/// Most blocks (of 512 bytes, or 1024 in some shells) a file may have: room for `run.json`, none for a table.
const BLOCKS: &str = "16";

fn run(folder: &Path, limited: bool, args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_audsem-filtering");
    let mut command = if limited {
        // With the signal ignored, a write beyond the limit is an error and not the end.
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {BLOCKS}; exec \"$0\" \"$@\""), program]);
        shell
    } else {
        Command::new(program)
    };
    command.current_dir(folder).args(args).output().unwrap()
}

/// Runs the command on the full disk, then with room, and compares with a run that had room from the beginning.
fn check(folder: &Path, args: &[&str], file: &str) {
    let with_output = |output: &'static str| [args, &["--output", output]].concat();
    let full = run(folder, true, &with_output("out"));
    let message = String::from_utf8_lossy(&full.stderr).into_owned();
    assert_eq!(full.status.code(), Some(2), "{message}");
    assert!(message.contains("cannot write") && message.contains(file) && message.contains("too large"), "{message}");
    let left: Vec<PathBuf> = tree(&folder.join("out")).unwrap().into_keys().collect();
    assert_eq!(left, [PathBuf::from("run.json")], "only what was complete may have a name");

    for output in ["out", "undisturbed"] {
        let roomy = run(folder, false, &with_output(output));
        assert_eq!(roomy.status.code(), Some(0), "{}", String::from_utf8_lossy(&roomy.stderr));
    }
    let trees: Vec<BTreeMap<_, _>> = ["out", "undisturbed"].map(|output| tree(&folder.join(output)).unwrap()).into();
    assert_eq!(trees[0], trees[1]);
}

/// Captions that compress badly, so that their table is larger than the limit.
fn captions() -> impl Iterator<Item = (usize, String)> {
    let word = |n: u64| format!("{:x}", (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..2000).map(move |i| (i, format!("[{} {}]", word(2 * i as u64), word(2 * i as u64 + 1))))
}

#[test]
fn extract_on_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut dump = String::new();
    for (i, text) in captions() {
        let _ = writeln!(
            dump,
            r#"{{"video":{{"videoid":"v{i}"}},"captions":[{{"lang":"en","subtitles":{{"transcript":{{"text":{{"-start":"1","-dur":"2","t":"{text}"}}}}}}}}]}}"#
        );
    }
    fs::write(folder.path().join("dump.json"), dump).unwrap();
    check(folder.path(), &["extract", "--input", "dump.json"], "part-00000.parquet");
}

#[test]
fn combine_on_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut cues = "video_id,start,duration,text\n".to_owned();
    for (i, text) in captions() {
        let _ = writeln!(cues, "v{i},1,2,{text}");
    }
    fs::write(folder.path().join("cues.csv"), cues).unwrap();
    check(folder.path(), &["combine", "--policy", "none", "--input", "cues.csv"], "part-00000.parquet");
}
