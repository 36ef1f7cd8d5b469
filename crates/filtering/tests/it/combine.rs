//! `combine` and `explain` as a user meets them.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use audsem_core::hub::ModelDir;
use audsem_core::run::RunOptions;
use audsem_core::tables::{Cue, Row, text_hash, write_parquet};
use audsem_core::testing::{finished_run, tree};
use audsem_filtering::classify;
use audsem_filtering::tables::{BertLabel, CaptionText, LlmLabel};

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
    assert!(kept.contains("combine     5  names") && kept.ends_with("kept: person, laughs\n"), "{kept}");
    let left_out = text(&["explain", "[Mary, laughs]", "--compat", "reference"]);
    assert!(
        left_out.contains("left out by rule 13 of combine: the caption has a word that the dictionary lacks"),
        "{left_out}"
    );
    let json: serde_json::Value = serde_json::from_str(&text(&["explain", "[he laughs]", "--json"])).unwrap();
    assert_eq!(
        (json["kept"].as_bool(), json["rule"].as_u64(), json["reason"].as_str()),
        (Some(false), Some(7), Some("pronoun"))
    );
    // The rules of `extract` come first, and a limit is told with its flag.
    let short = text(&["explain", "[Mary]", "--duration", "0.5"]);
    assert!(short.ends_with(
        "left out by rule 2 of extract: the cue is shorter than the minimum duration: 0.5 s, minimum 1 s (--min-duration)\n"
    ), "{short}");
    let one_word = text(&["explain", "[laughs]", "--duration", "2"]);
    assert!(one_word.ends_with(
        "left out by rule 11 of combine: the caption has fewer words than the minimum: 1 word, minimum 2 (--min-words)\n"
    ), "{one_word}");
    let json: serde_json::Value = serde_json::from_str(&text(&["explain", "Mary laughs", "--json"])).unwrap();
    assert_eq!((json["command"].as_str(), json["rule"].as_u64()), (Some("extract"), Some(1)));
    let json: serde_json::Value = serde_json::from_str(&text(&["explain", "[Mary laughs]", "--json"])).unwrap();
    let rules: Vec<(&str, u64)> = json["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["command"].as_str().unwrap(), step["rule"].as_u64().unwrap()))
        .collect();
    let expected = (1..=4).map(|n| ("extract", n)).chain((1..=12).map(|n| ("combine", n)));
    assert_eq!(rules, expected.collect::<Vec<_>>());
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

/// Two tables of cues, the second cut short.
fn one_good_one_truncated(folder: &Path) -> Vec<u8> {
    std::fs::create_dir(folder.join("cues")).unwrap();
    let mut whole = Vec::new();
    for (i, name) in ["0.parquet", "1.parquet"].into_iter().enumerate() {
        let text = if i == 0 { "[cow moo]" } else { "[person laughs]" };
        let cue = Cue { row_id: i as u64, video_id: "v".into(), start_ms: 0, dur_ms: 2000, text: text.into() };
        whole.clear();
        write_parquet(&[cue], &mut whole).unwrap();
        std::fs::write(folder.join("cues").join(name), &whole).unwrap();
    }
    std::fs::write(folder.join("cues/1.parquet"), &whole[..whole.len() / 2]).unwrap();
    whole
}

#[test]
fn a_table_that_cannot_be_read_shows_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    lists(folder.path());
    let whole = one_good_one_truncated(folder.path());
    let args = ["combine", "--input", "cues", "--policy", "none", "--output", "out"];
    for flag in ["-q", "--no-progress"] {
        let output = audsem(folder.path(), &[&args[..], &LISTS, &[flag]].concat());
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("1.parquet") && message.contains("1 shard failed"), "{flag}: {message}");
    }
    let out = folder.path().join("out");
    assert!(!out.join("texts.txt").exists(), "the list of texts was made from a part of the clips");
    let stats: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("stats.json")).unwrap()).unwrap();
    assert_eq!((&stats["complete"], &stats["failed_shards"][0]["shard"]), (&false.into(), &"00001".into()));
    let refused = audsem_core::tables::tables_under(&out).unwrap_err().to_string();
    assert!(refused.contains("unfinished run folder") && refused.contains("shard part-00001 failed"), "{refused}");

    // The file put right is another input, which is said and not mixed with what was done; begun again it is as
    // if nothing had been.
    std::fs::write(folder.path().join("cues/1.parquet"), whole).unwrap();
    let other = audsem(folder.path(), &[&args[..], &LISTS].concat());
    let message = String::from_utf8_lossy(&other.stderr).into_owned();
    assert_eq!(other.status.code(), Some(2));
    assert!(message.contains("inputs: changed: 1.parquet") && message.contains("--fresh"), "{message}");
    let undisturbed = ["combine", "--input", "cues", "--policy", "none", "--output", "undisturbed"];
    for args in [[&args[..], &LISTS, &["--fresh"]].concat(), [&undisturbed[..], &LISTS].concat()] {
        assert_eq!(audsem(folder.path(), &args).status.code(), Some(0));
    }
    assert_eq!(tree(&out).unwrap(), tree(&folder.path().join("undisturbed")).unwrap());
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

fn table<R: Row>(path: &Path, row: R) {
    write_parquet(&[row], std::fs::File::create(path).unwrap()).unwrap();
}

#[test]
fn the_reference_goes_from_dump_to_published_csv() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    lists(folder.path());
    let cue = |start: u8, text: &str| format!(r#"{{"-start":"{start}","-dur":"2.5","t":"{text}"}}"#);
    let cues = [cue(1, "[cow moo]"), cue(5, "[Mary laughs]"), cue(9, "so it goes")].join(",");
    let dump = format!(
        r#"{{"video":{{"videoid":"v"}},"captions":[{{"lang":"en","subtitles":{{"transcript":{{"text":[{cues}]}}}}}}]}}"#
    );
    std::fs::write(path("dump.json"), dump).unwrap();
    let run = |args: &[&str]| {
        let output = audsem(folder.path(), args);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["extract", "--compat", "reference", "--input", "dump.json", "--output", "cues"]);
    let (text, text_hash) = ("[cow moo]".to_owned(), text_hash("[cow moo]"));
    table(&path("llm.parquet"), LlmLabel { text_hash, text: text.clone(), llm_label: 0, llm_yes_prob: None });
    table(&path("bert.parquet"), BertLabel { text_hash, text, bert_label: 1, bert_prob: 0.75 });
    let labels = ["combine", "--input", "cues", "--bert", "bert.parquet", "--llm", "llm.parquet"];
    run(&[&labels[..], &LISTS, &["--compat", "reference", "--output", "published"]].concat());
    // The corrected rules take what both say, which is nothing here.
    let corrected = audsem(folder.path(), &[&labels[..], &LISTS, &["--output", "corrected"]].concat());
    let message = String::from_utf8_lossy(&corrected.stderr).into_owned();
    assert_eq!(corrected.status.code(), Some(1), "{message}");
    assert!(message.contains("error: none of 2 cues was kept"), "{message}");

    let csv = "merged_bert_thatisin_mixtral_captions_nodupe.csv";
    assert_eq!(std::fs::read_to_string(path("published").join(csv)).unwrap(), "text\ncow moo\n");
    assert_eq!(std::fs::read_to_string(path("corrected/texts.txt")).unwrap(), "");
    assert!(!path("corrected").join(csv).exists());
}

#[test]
fn a_lost_table_and_a_pipe_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    lists(folder.path());
    let cue = |row_id, text: &str| {
        let mut bytes = Vec::new();
        let cue = Cue { row_id, video_id: "v".into(), start_ms: 0, dur_ms: 1000, text: text.into() };
        write_parquet(&[cue], &mut bytes).unwrap();
        bytes
    };
    let (first, second) = (cue(0, "[cow moo]"), cue(1, "[cow moo]"));
    let made: [(&str, &[u8]); 2] = [("part-00000.parquet", &first), ("part-00001.parquet", &second)];
    finished_run(&folder.path().join("cues"), &made).unwrap();
    std::fs::remove_file(folder.path().join("cues/part-00001.parquet")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe.csv")).status().unwrap().success());
    for (input, said) in [("cues", "part-00001.parquet is missing"), ("pipe.csv", "this is a pipe or a device")] {
        let output = audsem(folder.path(), &["combine", "--policy", "none", "--output", "out", "--input", input]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && message.contains(said), "{message}");
        assert!(!folder.path().join("out").exists());
    }
}

/// The same command could never read it, so nothing is begun, and what is wrong is told once.
#[test]
fn a_table_of_another_kind_is_refused_once_by_all_that_read_captions() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("cues.csv"), "video_id,start,duration,text\nv,1,2,[cow moo]\n").unwrap();
    std::fs::write(path("other.csv"), "a,b\n1,2\n").unwrap();
    table(&path("texts.parquet"), CaptionText { clean_text: "x".into(), n_clips: 1, first_row_id: 0 });
    let bert = BertLabel { text_hash: 1, text: "x".into(), bert_label: 1, bert_prob: 0.5 };
    table(&path("bert.parquet"), bert);
    let has = "in table `texts.parquet`: it has `clean_text`, `n_clips`, `first_row_id`";
    let header = "no column `video_id` in CSV file `other.csv`: its header names `a`, `b`".to_owned();
    let (combine, label) = ("combine --policy none", "label --model m --server http://127.0.0.1:1/v1 --dry-run");
    for (arguments, said) in [
        (format!("{combine} --input texts.parquet"), format!("no column `row_id` (u64) {has}")),
        (format!("{combine} --input cues.csv texts.parquet"), format!("no column `row_id` (u64) {has}")),
        (format!("{combine} --input other.csv"), header.clone()),
        ("combine --input cues.csv --llm bert.parquet".to_owned(), "this step reads a llm labels table".to_owned()),
        (format!("{label} --input texts.parquet"), format!("no column `text` (string) {has}")),
        (format!("{label} --input other.csv"), header),
    ] {
        let arguments = format!("{arguments} --output out");
        let output = audsem(folder.path(), &arguments.split(' ').collect::<Vec<_>>());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), message.matches(&said).count()), (Some(2), 1), "{arguments}: {message}");
        assert!(!message.contains("again"), "{message}");
        assert!(!path("out").exists());
    }
    let model = ModelDir::local(folder.path());
    let config = classify::Config::new(path("texts.parquet"), model);
    let error = classify::run(&config, &RunOptions::new(path("out"))).unwrap_err().to_string();
    assert!(error.starts_with("no column `text` (string) in table"), "{error}");
}

#[test]
fn a_process_that_waits_for_a_lock_stops_on_request() {
    let folder = tempfile::tempdir().unwrap();
    lists(folder.path());
    std::fs::write(folder.path().join("cues.csv"), "video_id,start,duration,text\nv,1,2,[cow moo]\n").unwrap();
    std::fs::create_dir(folder.path().join("out")).unwrap();
    let lock = std::fs::File::create(folder.path().join("out/.run.lock")).unwrap();
    lock.lock().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"));
    command.args(["combine", "--policy", "none", "--input", "cues.csv", "--output", "out"]).args(LISTS);
    let mut child = command.current_dir(folder.path()).stderr(Stdio::piped()).spawn().unwrap();
    let opened = format!("/proc/{}/fd", child.id());
    let waits = || {
        let mut files = std::fs::read_dir(&opened).into_iter().flatten().flatten();
        files.any(|file| std::fs::read_link(file.path()).is_ok_and(|file| file.ends_with(".run.lock")))
    };
    while !waits() {
        assert!(child.try_wait().unwrap().is_none(), "it does not wait");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(3) && message.contains("stopped on request"), "{message}");
}
