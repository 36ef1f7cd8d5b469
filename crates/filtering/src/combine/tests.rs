//! The golden table, the corrected defects by their numbers, and runs over files.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use audsem_core::reason::Reason;
use audsem_core::run::{RejectDetail, RunOptions, Status};
use audsem_core::tables::{BertLabel, CaptionText, ClipRow, Cue, LlmLabel, read_parquet, text_hash, write_parquet};
use proptest::prelude::*;

use super::*;

const NAMES: [&str; 2] = ["Mary", "Anne"];
const DICTIONARY: &str = "a and applause bark barking barks bird cat cheering cow dog doglike dogs door falling hey \
                          hisses laughs laughter loudly moo music person playing rain raining said shut sings slams \
                          soft wind";

/// Captions and what the published scripts and the corrected rules make of them; on the right of
/// `!`, the number of the deciding rule and the reason.
const GOLDEN: [(&str, &str, &str); 29] = [
    ("[door slams shut]", "door slams shut", "door slams shut"),
    ("(Rain falling)", "rain falling", "rain falling"),
    ("[cow moo]", "cow moo", "cow moo"),
    ("(a dog  barks)", "a dog barks", "a dog barks"),
    ("[MUSIC PLAYING]", "music playing", "music playing"),
    ("[music playing]", "music playing", "music playing"),
    ("(dog barks, cat hisses)", "dog barks, cat hisses", "dog barks, cat hisses"),
    ("(dog barks, cat hisses, bird sings)", "!15 not_in_dictionary", "dog barks, cat hisses, bird sings"),
    ("[applause, cheering]", "applause, cheering", "applause, cheering"),
    ("[dog's bark]", "dog's bark", "dog's bark"),
    ("[Mary laughs loudly]", "person laughs loudly", "person laughs loudly"),
    ("[Mary Anne laughs]", "person laughs", "person laughs"),
    ("[Mary Anne Mary laughs]", "person person laughs", "person laughs"),
    ("[Mary Mary Mary Mary laughs]", "!10 persons", "!10 persons"),
    ("[Mary, laughs]", "!15 not_in_dictionary", "person, laughs"),
    ("[he laughs]", "!8 pronoun", "!8 pronoun"),
    ("[it's raining]", "!8 pronoun", "!8 pronoun"),
    ("[dog-like bark]", "!9 punctuation", "!9 punctuation"),
    ("[door slams] [dog barks]", "!9 punctuation", "!2 inner_brackets"),
    ("(dog barks) (dog barks)", "!9 punctuation", "!2 inner_brackets"),
    ("\u{266a} soft music \u{266a}", "!5 charset", "!5 charset"),
    ("[2 dogs barking]", "!15 not_in_dictionary", "!15 not_in_dictionary"),
    ("[xylo zzz]", "!15 not_in_dictionary", "!15 not_in_dictionary"),
    ("[dog]", "!4 too_short", "!4 too_short"),
    ("[abc]", "!4 too_short", "!4 too_short"),
    ("[wind]", "!4 too_short", "!4 too_short"),
    ("[laughter and applause from the very large audience now]", "!4 too_long", "!4 too_long"),
    ("[laughs)", "!14 too_few_words", "!14 too_few_words"),
    ("[said \"hey\" loudly]", "!15 not_in_dictionary", "said \"hey\" loudly"),
];

fn rules(settings: Settings) -> Rules {
    Rules::new(settings, WordList::from_iter(NAMES), Some(WordList::from_iter(DICTIONARY.split_whitespace())))
}

fn reference() -> Rules {
    rules(Settings { reference: true, ..Settings::new() })
}

fn told(rules: &Rules, text: &str) -> String {
    match rules.apply(text) {
        Outcome::Keep(clean) => clean,
        Outcome::Drop { rule, reason, .. } => format!("!{rule} {}", reason.name()),
    }
}

/// One caption under the corrected rules.
fn check(text: &str, expected: &str) {
    assert_eq!(told(&rules(Settings::new()), text), expected, "{text}");
}

#[test]
fn golden_table_of_the_published_rules() {
    for (text, expected, _) in GOLDEN {
        assert_eq!(told(&reference(), text), expected, "{text}");
    }
}

#[test]
fn golden_table_of_the_corrected_rules() {
    for (text, _, expected) in GOLDEN {
        check(text, expected);
    }
}

#[test]
fn published_rules_keep_their_order_and_their_quirks() {
    for (text, expected) in [
        // First brackets anywhere, not the enclosing ones.
        ("cow [moo (cow) moo]", "!9 punctuation"),
        ("cow moo) [cow", "cow moo cow"),
        // Length before white space is collapsed, in bytes.
        ("[     ]", "!14 too_few_words"),
        ("[ dog ]", "!14 too_few_words"),
        ("[cow moo\u{a0}\u{a0}]", "cow moo"),
        ("[\u{201c}cow moo\u{201d}]", "!9 punctuation"),
        ("[cow moo $]", "!5 charset"),
        // An empty part is no word.
        ("[cow moo ,]", "!15 not_in_dictionary"),
    ] {
        assert_eq!(told(&reference(), text), expected, "{text}");
    }
}

#[test]
fn f2_the_enclosing_pair_comes_off_and_groups_may_be_joined() {
    check("  [door slams shut]  ", "door slams shut");
    check("[ (door slams) shut ]", "!2 inner_brackets");
    check("door slams shut", "door slams shut");
    check("[door slams shut", "!2 inner_brackets");
    check("]", "!2 inner_brackets");
    check("[]", "!4 too_short");
    let join = rules(Settings { join_groups: true, ..Settings::new() });
    for (text, expected) in [
        ("[door slams] [dog barks]", "door slams, dog barks"),
        ("(dog barks) (dog barks)", "dog barks"),
        ("(dog barks), [cat hisses].", "dog barks, cat hisses"),
        ("[dog barks]{cow moo}", "dog barks, cow moo"),
        ("(dog barks) and (cow moo)", "!2 inner_brackets"),
        ("[dog (barks)]", "!2 inner_brackets"),
        ("[dog barks] []", "!2 inner_brackets"),
        ("[dog barks] [", "!2 inner_brackets"),
        ("[cow moo]", "cow moo"),
    ] {
        assert_eq!(told(&join, text), expected, "{text}");
    }
}

#[test]
fn f3_runs_of_persons_collapse() {
    check("[Mary Anne Mary laughs]", "person laughs");
    check("[Mary Anne said hey, Mary Anne laughs]", "!10 persons");
    check("[Mary Anne and Mary]", "person and person");
    check("[Mary Anne, Mary]", "person, person");
}

#[test]
fn f4_punctuation_comes_off_each_word() {
    check("[dog barks, cat hisses, bird sings]", "dog barks, cat hisses, bird sings");
    check("['dog barks', 'cow moo']", "'dog barks', 'cow moo'");
    check("[dog's bark, cat's hisses]", "!15 not_in_dictionary");
    check("[cow moo ,]", "cow moo ,");
    check("[cow ,]", "!14 too_few_words");
}

#[test]
fn f7_length_is_counted_in_characters_after_trimming() {
    check("[  cow   ]", "!4 too_short");
    check(&format!("[cow{}moo]", " ".repeat(60)), "cow moo");
    check("[\u{e9}\u{e9}\u{e9}\u{e9}]", "!4 too_short");
}

#[test]
fn f9_names_are_found_behind_punctuation_and_common_words_are_no_names() {
    check("[Mary, laughs]", "person, laughs");
    check("[\"Mary\" laughs]", "\"person\" laughs");
    check("[MARY laughs]", "!15 not_in_dictionary");
    let mut names = WordList::from_iter(["Mary", "Will"]);
    names.remove(&WordList::names_that_are_words());
    let rules = Rules::new(Settings::new(), names, None);
    assert_eq!(told(&rules, "[Mary's dog barks]"), "person's dog barks");
    assert_eq!(told(&rules, "[Mary Mary's dog barks]"), "person's dog barks");
    assert_eq!(told(&rules, "[Will dog bark]"), "will dog bark");
}

#[test]
fn thresholds_and_lists_are_settings() {
    let wide = rules(Settings {
        min_chars: 3,
        max_chars: 100,
        min_words: 1,
        max_persons: 9,
        pronouns: vec![],
        ..Settings::new()
    });
    assert_eq!(told(&wide, "[dog]"), "dog");
    assert_eq!(told(&wide, "[Mary, Mary, Mary, Mary laughs]"), "person, person, person, person laughs");
    assert_eq!(told(&wide, "[he laughs]"), "!15 not_in_dictionary");
    let free = Rules::new(Settings::new(), WordList::default(), None);
    assert_eq!(told(&free, "[Xylo zzz]"), "xylo zzz");
}

#[test]
fn explain_names_the_rule_that_decides() {
    let judge = Judge {
        rules: rules(Settings::new()),
        labels: Labels::default(),
        policy: Policy::None,
        thresholds: Thresholds { bert: None, llm: None },
    };
    let left_out = explain(&judge, "[He laughs]");
    assert_eq!((left_out.kept, left_out.rule, left_out.reason), (false, Some(8), Some("pronoun")));
    assert!(
        left_out.to_string().ends_with("left out by rule 8: the caption has a pronoun, as speech has\n"),
        "{left_out}"
    );
    let kept = explain(&judge, "[Mary laughs]");
    assert_eq!(kept.clean_text.as_deref(), Some("person laughs"));
    assert_eq!(kept.steps.iter().map(|step| step.rule).collect::<Vec<_>>(), [2, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15]);
    let unlabelled = explain(&Judge { policy: Policy::Bert, ..judge }, "[Mary laughs]");
    assert_eq!((unlabelled.rule, unlabelled.reason), (Some(1), Some("no_label")));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&unlabelled.to_json()).unwrap()["kept"], false);
}

fn caption() -> impl Strategy<Value = String> {
    let words = "[\\[({]?((Mary|Anne|Mary's|dog|dog's|barks|Rain|cow,|and|he|\"hey\"|,|2|\u{e9}|\u{266a}|[)]|  )[ ,]?){0,9}[\\])}]?";
    prop_oneof![words, "[ -~]{0,60}", any::<String>()]
}

static WIDE: LazyLock<Rules> =
    LazyLock::new(|| rules(Settings { min_chars: 0, max_chars: usize::MAX, ..Settings::new() }));
static JUDGES: LazyLock<[Judge; 2]> = LazyLock::new(|| {
    [rules(Settings::new()), reference()].map(|rules| Judge {
        rules,
        labels: Labels::default(),
        policy: Policy::None,
        thresholds: Thresholds { bert: None, llm: None },
    })
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn clean_captions_stay_as_they_are(text in caption()) {
        // The length may change when a name becomes `person`, so that rule may still object.
        if let Outcome::Keep(clean) = WIDE.apply(&text) {
            prop_assert_eq!(WIDE.apply(&clean), Outcome::Keep(clean.clone()));
        }
    }
}

proptest! {
    #[test]
    fn explain_and_apply_agree(text in caption(), compat in any::<bool>()) {
        let judge = &JUDGES[usize::from(compat)];
        match (judge.rules.apply(&text), explain(judge, &text)) {
            (Outcome::Keep(clean), told) => prop_assert_eq!(Some(clean), told.clean_text),
            (Outcome::Drop { rule, reason, .. }, told) => {
                prop_assert_eq!(Some(rule), told.rule);
                prop_assert_eq!(Some(reason.describe()), told.because);
            }
        }
    }
}

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

#[test]
fn texts_that_the_memory_has_no_room_for_are_judged_each_time() {
    let files = Files::new();
    // Twice in one batch of rows, and so many that there are several.
    let texts: Vec<&str> = std::iter::repeat_n(GOLDEN.map(|(text, ..)| text), 400).flatten().collect();
    files.cues("cues.parquet", 0, &texts);
    let judge = &JUDGES[0];
    let outputs = [("none", 0), ("little", 64), ("enough", 1 << 16)].map(|(name, n_bytes)| {
        let inputs = [files.path("cues.parquet")];
        let spec =
            RunSpec { tool: "audsem-filtering", command: "combine", config: &(), inputs: &inputs, models: Vec::new() };
        let mut run = Run::open(&files.options(name), spec).unwrap();
        let plan = plan(run.inputs(), &[], None).unwrap();
        let memory = Memory::for_tables(n_bytes);
        let step = Step { name: "part", unit: "cues", physical: "MB" };
        let report = run.execute(step, &plan, |part, out| part::run(judge, &memory, part, out)).unwrap();
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
    assert_eq!((rejects[0].reason.as_str(), rejects[0].detail.as_str()), ("pronoun", "rule 8: he laughs"));
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
fn empty_tables_make_empty_outputs() {
    let files = Files::new();
    files.cues("cues.parquet", 0, &[]);
    let summary = run(&files.config(&["cues.parquet"], Policy::None), &files.options("out")).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (Status::Done, 0));
    assert_eq!(texts_of(&files.path("out")), []);
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
fn a_table_without_the_columns_fails_its_shard_and_not_the_run() {
    let files = Files::new();
    files.cues("cues/a.parquet", 0, &["[cow moo]"]);
    files.table("cues/b.parquet", &[CaptionText { clean_text: "x".into(), n_clips: 1, first_row_id: 0 }]);
    let summary = run(&files.config(&["cues"], Policy::None), &files.options("out")).unwrap();
    assert_eq!((summary.status, summary.exit_code()), (Status::OverFailLimit, 1));
    assert!(summary.failed_shards[0].error.contains("no column `row_id`"), "{:?}", summary.failed_shards);
    assert!(files.path("out").join("part-00000.parquet").exists());
    assert!(!files.path("out").join("texts.parquet").exists(), "a list of texts over a part of the clips");
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
        ["--bert: labels are Parquet", "bert.csv\nhint: name the run folder"],
    );
    let names = Some(files.path("names.txt"));
    let exclude = |judging: &mut Judging| (judging.names, judging.names_exclude) = (None, names.clone());
    check(&exclude, ["--names-exclude", "--names FILE"]);
    let exclude = |judging: &mut Judging| {
        (judging.settings.reference, judging.names_exclude) = (true, names.clone());
    };
    check(&exclude, ["--compat reference", "leave --names-exclude out"]);
    let join = |judging: &mut Judging| (judging.settings.reference, judging.settings.join_groups) = (true, true);
    check(&join, ["--compat reference", "leave --groups out"]);
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
