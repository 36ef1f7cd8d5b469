//! Runs over files.

use std::path::{Path, PathBuf};

use crate::tables::{BertLabel, CaptionText, LlmLabel};
use audsem_core::run::{RejectDetail, RunOptions, Status};
use audsem_core::tables::{ClipRow, Cue, read_parquet, text_hash, write_parquet};

use super::*;

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::write(files.path("names.txt"), NAMES.join("\n")).unwrap();
        let words: serde_json::Map<_, _> =
            DICTIONARY.split_whitespace().map(|word| (word.to_owned(), 1.into())).collect();
        std::fs::write(files.path("words.json"), serde_json::to_string(&words).unwrap()).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn cues(&self, name: &str, first_row_id: u64, texts: &[&str]) {
        let rows: Vec<Cue> = texts
            .iter()
            .enumerate()
            .map(|(i, text)| Cue {
                row_id: first_row_id + i as u64,
                video_id: format!("video{}", i / 3),
                start_ms: 1000 * i as u32,
                dur_ms: 1500,
                text: (*text).to_owned(),
            })
            .collect();
        self.table(name, &rows);
    }

    fn table<R: audsem_core::tables::Row>(&self, name: &str, rows: &[R]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_parquet(rows, std::fs::File::create(path).unwrap()).unwrap();
    }

    fn config(&self, input: &[&str], policy: Policy) -> Config {
        Config {
            input: input.iter().map(|name| self.path(name)).collect(),
            judging: Judging {
                bert: vec![],
                llm: vec![],
                policy,
                thresholds: Thresholds { bert: None, llm: None },
                settings: Settings::new(),
                names: Some(self.path("names.txt")),
                names_exclude: None,
                dictionary: Some(self.path("words.json")),
            },
        }
    }

    fn options(&self, name: &str) -> RunOptions {
        RunOptions::new(self.path(name))
    }

    fn rejects(&self, name: &str) -> Vec<RejectDetail> {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn texts_of(dir: &Path) -> Vec<(String, u64, u64)> {
    let rows: Vec<CaptionText> = read_parquet(&dir.join("texts.parquet")).unwrap();
    let lines = std::fs::read_to_string(dir.join("texts.txt")).unwrap();
    assert_eq!(lines.lines().collect::<Vec<_>>(), rows.iter().map(|row| row.clean_text.as_str()).collect::<Vec<_>>());
    rows.into_iter().map(|row| (row.clean_text, row.n_clips, row.first_row_id)).collect()
}

#[test]
fn the_published_run_counts_29_25_24_22_19_18_and_11_texts() {
    let files = Files::new();
    files.cues("cues.parquet", 0, &GOLDEN.map(|(text, ..)| text));
    // The language model says no to all of it, which changes nothing: its labels are only joined.
    let hashed = |text: &str| (text_hash(text), text.to_owned());
    let bert = GOLDEN.map(|(text, ..)| {
        let (text_hash, text) = hashed(text);
        BertLabel { text_hash, text, bert_label: 1, bert_prob: 0.9 }
    });
    let llm = GOLDEN.map(|(text, ..)| {
        let (text_hash, text) = hashed(text);
        LlmLabel { text_hash, text, llm_label: 0, llm_yes_prob: None }
    });
    files.table("bert.parquet", &bert);
    files.table("llm.parquet", &llm);
    let mut config = files.config(&["cues.parquet"], Policy::None);
    config.judging.bert = vec![files.path("bert.parquet")];
    config.judging.llm = vec![files.path("llm.parquet")];
    config.judging.policy = Judging::default_policy(&config.judging.bert, &config.judging.llm, true).unwrap();
    config.judging.settings.reference = true;
    let summary = run(&config, &files.options("out")).unwrap();
    let stats = summary.step("part").unwrap();
    let mut left = vec![stats.read];
    for reasons in [&["too_short", "too_long"][..], &["charset"], &["pronoun"], &["punctuation"], &["persons"]] {
        let dropped: u64 = reasons.iter().filter_map(|reason| stats.dropped.get(*reason)).sum();
        left.push(left.last().unwrap() - dropped);
    }
    assert_eq!(left, [29, 25, 24, 22, 19, 18]);
    assert_eq!(stats.read, stats.accounted());
    let mut expected: Vec<&str> = Vec::new();
    for (_, clean, _) in GOLDEN {
        if !clean.starts_with('!') && !expected.contains(&clean) {
            expected.push(clean);
        }
    }
    let texts = texts_of(&files.path("out"));
    assert_eq!(texts.iter().map(|(text, ..)| text.as_str()).collect::<Vec<_>>(), expected);
    assert_eq!(texts.len(), 11);
    let csv = std::fs::read_to_string(files.path("out/merged_bert_thatisin_mixtral_captions_nodupe.csv")).unwrap();
    assert_eq!(csv, PUBLISHED_CSV);
    assert_eq!(summary.step("texts").unwrap().counts["texts"], 11);
}

/// The result of the golden table as the published scripts write it, in order of first occurrence.
const PUBLISHED_CSV: &str = "text
door slams shut
rain falling
cow moo
a dog barks
music playing
\"dog barks, cat hisses\"
\"applause, cheering\"
dog's bark
person laughs loudly
person laughs
person person laughs
";

#[test]
fn the_published_csv_doubles_quotes_and_has_a_header_when_empty() {
    let files = Files::new();
    for (name, texts, expected) in
        [("quote", &["[said \"hey]"][..], "text\n\"said \"\"hey\"\n"), ("empty", &["[dog]"][..], "text\n")]
    {
        files.cues("cues.parquet", 0, texts);
        let mut config = files.config(&["cues.parquet"], Policy::None);
        config.judging.settings.reference = true;
        run(&config, &files.options(name)).unwrap();
        let csv = std::fs::read_to_string(files.path(name).join(published::NAME)).unwrap();
        assert_eq!(csv, expected);
    }
}

#[derive(serde::Serialize)]
struct Nothing {}

impl RunConfig for Nothing {
    const TOOL: &'static str = "audsem-filtering";
    const COMMAND: &'static str = "combine";
}

#[test]
fn texts_that_the_cache_has_no_room_for_are_judged_each_time() {
    let files = Files::new();
    // Twice in one batch of rows, and so many that there are several.
    let texts: Vec<&str> = std::iter::repeat_n(GOLDEN.map(|(text, ..)| text), 400).flatten().collect();
    files.cues("cues.parquet", 0, &texts);
    let judge = &JUDGES[0];
    let outputs = [("none", 0), ("little", 64), ("enough", 1 << 16)].map(|(name, n_bytes)| {
        let inputs = [files.path("cues.parquet")];
        let mut run = Run::open(&files.options(name), RunSpec::new(&Nothing {}).inputs(&inputs)).unwrap();
        let plan = plan(run.inputs(), &[], None).unwrap();
        let cache = VerdictCache::for_tables(n_bytes);
        let step = Step { name: "part", unit: "cues", physical: "MB" };
        let report = run.execute(step, &plan, |part, out| part::run(judge, &cache, part, out)).unwrap();
        assert_eq!((report.stats.read, report.stats.accounted()), (29 * 400, 29 * 400));
        report.outputs[0].fingerprint.clone()
    });
    assert!(outputs.iter().all(|output| *output == outputs[2]), "{outputs:?}");
}

#[test]
fn f6_f8_clips_keep_their_ids_and_texts_their_order() {
    let files = Files::new();
    files.cues("cues/part-00000.parquet", 0, &["[cow moo]", "[he laughs]", "[Rain falling]", "[COW MOO]"]);
    files.cues("cues/part-00001.parquet", 4, &["[dog barks]", "[rain falling]"]);
    let summary = run(&files.config(&["cues"], Policy::None), &files.options("out")).unwrap();
    assert_eq!(summary.status, Status::Done);
    let clips: Vec<ClipRow> = read_parquet(&files.path("out/part-00000.parquet")).unwrap();
    assert_eq!(clips.len(), 3);
    let expected = ClipRow {
        row_id: 2,
        key: Some("video0 (2_0-3_5)".into()),
        video_id: "video0".into(),
        start_ms: 2000,
        end_ms: 3500,
        text: "[Rain falling]".into(),
        clean_text: "rain falling".into(),
        text_hash: text_hash("[Rain falling]"),
        bert_prob: None,
        llm_yes_prob: None,
    };
    assert_eq!(clips[1], expected);
    let text = |text: &str, n, first| (text.to_owned(), n, first);
    assert_eq!(
        texts_of(&files.path("out")),
        [text("cow moo", 2, 0), text("rain falling", 2, 2), text("dog barks", 1, 4)]
    );
    let rejects = files.rejects("out/rejects-00000.jsonl");
    assert_eq!(rejects.len(), 1);
    assert_eq!(rejects[0].key, "video0 (1.0-2.5)");
    assert_eq!((rejects[0].reason.as_str(), rejects[0].detail.as_str()), ("pronoun", "rule 7: he laughs"));
    let texts = summary.step("texts").unwrap();
    assert_eq!((texts.read, texts.kept, texts.counts["texts"]), (5, 5, 3));
}

#[test]
fn labels_decide_before_words_and_travel_with_the_clip() {
    let files = Files::new();
    files.cues("cues.parquet", 0, &["[cow moo]", "[dog barks]", "[cat hisses]", "[he laughs]"]);
    let bert = |text: &str, bert_label, bert_prob| BertLabel {
        text_hash: text_hash(text),
        text: text.into(),
        bert_label,
        bert_prob,
    };
    files.table("bert/part-00000.parquet", &[bert("[cow moo]", 1, 0.75), bert("[he laughs]", 1, 0.5)]);
    files.table("bert/part-00001.parquet", &[bert("[dog barks]", 0, 0.25)]);
    let llm = |text: &str, llm_label| LlmLabel {
        text_hash: text_hash(text),
        text: text.into(),
        llm_label,
        llm_yes_prob: Some(0.5),
    };
    files.table("llm.parquet", &[llm("[cow moo]", -1), llm("[dog barks]", 1)]);
    let mut config = files.config(&["cues.parquet"], Policy::Bert);
    config.judging.bert = vec![files.path("bert")];
    let summary = run(&config, &files.options("bert-only")).unwrap();
    let dropped = &summary.step("part").unwrap().dropped;
    assert_eq!((dropped["not_a_sound"], dropped["no_label"], dropped["pronoun"]), (1, 1, 1));
    let clips: Vec<ClipRow> = read_parquet(&files.path("bert-only/part-00000.parquet")).unwrap();
    assert_eq!((clips.len(), clips[0].bert_prob, clips[0].llm_yes_prob), (1, Some(0.75), None));
    let rejects = files.rejects("bert-only/rejects-00000.jsonl");
    assert_eq!(rejects[0].detail, "rule 1: bert 0 (0.250), llm none: [dog barks]");
    let reasons: Vec<_> = rejects.iter().map(|line| line.reason.as_str()).collect();
    assert_eq!(reasons, ["not_a_sound", "no_label", "pronoun"]);

    config.judging.llm = vec![files.path("llm.parquet")];
    config.judging.policy = Policy::Both;
    let both = run(&config, &files.options("both")).unwrap();
    assert_eq!(both.step("part").unwrap().dropped["unknown_label"], 1);
    config.judging.policy = Policy::Either;
    let either = run(&config, &files.options("either")).unwrap();
    assert_eq!(either.step("part").unwrap().kept, 2);
}

#[test]
fn output_is_the_same_for_any_number_of_workers() {
    let files = Files::new();
    let texts: Vec<&str> = GOLDEN.iter().map(|(text, ..)| *text).cycle().take(1000).collect();
    files.cues("cues/a.parquet", 0, &texts);
    files.cues("cues/b.parquet", 1000, &texts[7..300]);
    let config = files.config(&["cues"], Policy::None);
    let bytes = |workers: usize| {
        let name = format!("out{workers}");
        run(&config, &RunOptions { workers, ..files.options(&name) }).unwrap();
        ["part-00000.parquet", "part-00001.parquet", "rejects-00000.jsonl", "texts.parquet", "texts.txt", "stats.json"]
            .map(|file| std::fs::read(files.path(&name).join(file)).unwrap())
    };
    assert!(bytes(1) == bytes(5));
}

#[test]
fn csv_tables_are_read_and_bad_lines_are_faults() {
    let files = Files::new();
    let csv = "video_id,start,duration,text\nv,1.1,2.2,[cow moo]\nv,x,1,[dog barks]\nv,2,3,[he laughs]\n";
    std::fs::write(files.path("cues.csv"), csv).unwrap();
    let summary = run(&files.config(&["cues.csv"], Policy::None), &files.options("out")).unwrap();
    let stats = summary.step("part").unwrap();
    assert_eq!((stats.read, stats.kept, stats.failed["bad_line"], stats.dropped["pronoun"]), (3, 1, 1, 1));
    let clips: Vec<ClipRow> = read_parquet(&files.path("out/part-00000.parquet")).unwrap();
    assert_eq!((clips[0].start_ms, clips[0].end_ms), (1100, 3300));
    assert_eq!(files.rejects("out/rejects-00000.jsonl")[0].key, "line 3");
}

#[test]
fn empty_tables_make_empty_outputs_and_no_success() {
    let files = Files::new();
    files.cues("cues.parquet", 0, &[]);
    let summary = run(&files.config(&["cues.parquet"], Policy::None), &files.options("out")).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (Status::Empty, 1));
    assert_eq!(texts_of(&files.path("out")), []);
}

audsem_core::row! {
    table "cues of another program";
    /// A cue, of which any value may be absent.
    struct AnyCue / AnyCueRef / AnyCueColumns / AnyCueBuffers {
        /// Its number.
        pub row_id: Option<u64>,
        /// Its video.
        pub video_id: Option<String>,
        /// Its start.
        pub start_ms: Option<i64>,
        /// Its length.
        pub dur_ms: Option<u32>,
        /// Its text.
        pub text: Option<String>,
    }
}

#[test]
fn a_row_with_an_absent_or_odd_value_costs_itself_alone() {
    let files = Files::new();
    let cue = |row_id: u64, start_ms: i64, text: Option<&str>| AnyCue {
        row_id: Some(row_id),
        video_id: Some("v".to_owned()),
        start_ms: Some(start_ms),
        dur_ms: Some(1500),
        text: text.map(str::to_owned),
    };
    let rows = [
        cue(0, 0, Some("[cow moo]")),
        cue(1, 1000, None),
        cue(2, -5, Some("[dog barks]")),
        cue(3, 9000, Some("[dog barks]")),
    ];
    files.table("cues.parquet", &rows);
    let mut trees = Vec::new();
    for (name, workers) in [("one", 1), ("two", 2)] {
        let options = RunOptions { workers, max_fail_rate: 1.0, ..files.options(name) };
        let summary = run(&files.config(&["cues.parquet"], Policy::None), &options).unwrap();
        let part = summary.step("part").unwrap();
        assert_eq!((part.read, part.kept, part.failed["bad_line"]), (4, 2, 2));
        let rejects = files.rejects(&format!("{name}/rejects-00000.jsonl"));
        let keys: Vec<&str> = rejects.iter().map(|reject| reject.key.as_str()).collect();
        assert_eq!(keys, ["row 1", "row 2"]);
        assert!(rejects[0].detail.contains("column `text`: the value is absent"), "{rejects:?}");
        trees.push(audsem_core::testing::tree(&files.path(name)).unwrap());
    }
    assert_eq!(trees[0], trees[1]);
    // Within a limit, bad rows count as read.
    let options = RunOptions { limit: Some(3), max_fail_rate: 1.0, ..files.options("limited") };
    let summary = run(&files.config(&["cues.parquet"], Policy::None), &options).unwrap();
    let part = summary.step("part").unwrap();
    assert_eq!((part.read, part.kept, part.failed["bad_line"]), (3, 1, 2));
}

#[test]
fn duplicate_rows_are_clips_of_one_text() {
    let files = Files::new();
    let cue = Cue { row_id: 3, video_id: "v".into(), start_ms: 0, dur_ms: 1000, text: "[cow moo]".into() };
    files.table("cues.parquet", &[cue.clone(), cue]);
    run(&files.config(&["cues.parquet"], Policy::None), &files.options("out")).unwrap();
    assert_eq!(texts_of(&files.path("out")), [("cow moo".to_owned(), 2, 3)]);
}

#[test]
fn a_cue_that_ends_beyond_the_range_is_a_fault() {
    let files = Files::new();
    files.table(
        "cues.parquet",
        &[Cue { row_id: 0, video_id: "v".into(), start_ms: u32::MAX, dur_ms: 1, text: "[cow moo]".into() }],
    );
    let summary = run(&files.config(&["cues.parquet"], Policy::None), &files.options("out")).unwrap();
    assert_eq!(summary.step("part").unwrap().failed["end_beyond_range"], 1);
}

#[test]
fn a_limit_counts_over_all_tables() {
    let files = Files::new();
    files.cues("cues/a.parquet", 0, &["[cow moo]"; 5]);
    files.cues("cues/b.parquet", 5, &["[dog barks]"; 5]);
    let options = RunOptions { limit: Some(7), ..files.options("out") };
    let summary = run(&files.config(&["cues"], Policy::None), &options).unwrap();
    assert_eq!(summary.step("part").unwrap().read, 7);
    assert_eq!(texts_of(&files.path("out"))[1], ("dog barks".to_owned(), 2, 5));
}

#[test]
fn a_table_without_the_columns_is_refused_and_nothing_runs() {
    let files = Files::new();
    files.cues("cues/a.parquet", 0, &["[cow moo]"]);
    files.table("cues/b.parquet", &[CaptionText { clean_text: "x".into(), n_clips: 1, first_row_id: 0 }]);
    let error = run(&files.config(&["cues"], Policy::None), &files.options("out")).unwrap_err().to_string();
    let said = "b.parquet`: it has `clean_text`, `n_clips`, `first_row_id`\nhint: this step reads a cues table";
    assert!(error.starts_with("no column `row_id` (u64) in table `") && error.ends_with(said), "{error}");
    assert!(!files.path("out").exists());
}

#[test]
fn what_is_missing_is_named_before_anything_runs() {
    let files = Files::new();
    files.cues("cues.parquet", 0, &["[cow moo]"]);
    let message = |config: &Config| run(config, &files.options("out")).unwrap_err().to_string();
    assert!(message(&files.config(&["cues.parquet"], Policy::Bert)).contains("--bert DIR"));
    assert!(message(&files.config(&["cues.parquet"], Policy::Either)).contains("hint:"));
    assert!(message(&files.config(&["nowhere"], Policy::None)).contains("nowhere"));
    let mut config = files.config(&["cues.parquet"], Policy::None);
    config.judging.dictionary = None;
    config.judging.settings.reference = true;
    assert!(message(&config).contains("--dictionary FILE"));
    let mut config = files.config(&["cues.parquet"], Policy::Bert);
    config.judging.bert = vec![files.path("cues.parquet")];
    assert!(message(&config).contains("this step reads a bert labels table"));
    assert!(!files.path("out").exists());
    let policy = |bert: &[PathBuf], llm: &[PathBuf], reference| {
        Judging::default_policy(bert, llm, reference).map_err(|error| error.to_string())
    };
    let labels = ["labels".into()];
    assert!(policy(&[], &[], false).unwrap_err().contains("--policy none"));
    assert_eq!(policy(&labels, &labels, false), Ok(Policy::Both));
    assert!(policy(&[], &labels, true).unwrap_err().contains("--bert"));
}

#[test]
fn flags_that_would_do_nothing_or_leave_nothing_are_refused() {
    let files = Files::new();
    files.cues("cues.parquet", 0, &["[cow moo]"]);
    std::fs::write(files.path("bert.csv"), "text,predicted_class\n[cow moo],1\n").unwrap();
    let check = |change: &dyn Fn(&mut Judging), parts: [&str; 2]| {
        let mut config = files.config(&["cues.parquet"], Policy::None);
        change(&mut config.judging);
        let message = run(&config, &files.options("out")).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(!files.path("out").exists());
    };
    check(&|judging| judging.settings.min_chars = 51, ["--min-chars and --max-chars", "51 to 50"]);
    check(&|judging| judging.thresholds.bert = Some(0.5), ["--bert-threshold", "--policy"]);
    check(&|judging| judging.thresholds.llm = Some(0.5), ["--llm-threshold", "--policy"]);
    check(
        &|judging| judging.bert = vec![files.path("bert.csv")],
        ["--bert: labels are read from Parquet", "bert.csv\nhint: name the run folder"],
    );
    let names = Some(files.path("names.txt"));
    let exclude = |judging: &mut Judging| (judging.names, judging.names_exclude) = (None, names.clone());
    check(&exclude, ["--names-exclude", "--names FILE"]);
    let exclude = |judging: &mut Judging| {
        (judging.settings.reference, judging.names_exclude) = (true, names.clone());
    };
    check(&exclude, ["--compat reference", "omit --names-exclude"]);
    let join = |judging: &mut Judging| (judging.settings.reference, judging.settings.join_groups) = (true, true);
    check(&join, ["--compat reference", "omit --groups"]);
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let files = Files::new();
    files.cues("cues.parquet", 0, &["[cow moo]", "[he laughs]"]);
    let options = RunOptions { dry_run: true, ..files.options("out") };
    let summary = run(&files.config(&["cues.parquet"], Policy::None), &options).unwrap();
    let stats = summary.step("part").unwrap();
    assert_eq!((stats.kept, stats.dropped["pronoun"]), (1, 1));
    assert!(!files.path("out").exists());
}
