//! The labelled captions, training on them, and scoring with what was trained.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use audsem_core::hub::ModelDir;
use audsem_core::run::{RunOptions, ShardSelection, Status, Summary};
use audsem_core::tables::{Cue, read_parquet, text_hash, write_parquet};
use audsem_filtering::classify::{self, Scorer, ScorerOptions, checkpoint_of, train};
use audsem_filtering::tables::BertLabel;
use candle_core::{DType, Device};
use serde_json::Value;

fn captions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captions/labelled.csv")
}

struct Row {
    text: String,
    sound: bool,
    heldout: bool,
}

fn rows() -> Vec<Row> {
    let mut reader = csv::Reader::from_path(captions()).unwrap();
    let row = |record: csv::StringRecord| Row {
        text: record[0].to_owned(),
        sound: &record[1] == "1",
        heldout: &record[3] == "heldout",
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    text.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

#[test]
fn no_held_out_caption_is_a_near_duplicate_of_a_learned_one() {
    let rows = rows();
    let (heldout, learned): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.heldout);
    assert!(rows.len() >= 700 && heldout.len() * 6 >= rows.len(), "{} {}", rows.len(), heldout.len());
    let normalised: BTreeSet<String> = rows.iter().map(|row| words(&row.text).join(" ")).collect();
    assert_eq!(normalised.len(), rows.len(), "every caption differs from every other in its words");
    let sets: Vec<BTreeSet<String>> = learned.iter().map(|row| words(&row.text).into_iter().collect()).collect();
    for row in heldout {
        let own: BTreeSet<String> = words(&row.text).into_iter().collect();
        for (set, other) in sets.iter().zip(&learned) {
            let shared = own.intersection(set).count();
            let all = own.len() + set.len() - shared;
            assert!(10 * shared < 6 * all, "{:?} is too close to {:?}", row.text, other.text);
        }
    }
}

#[test]
fn no_surface_feature_gives_the_class_away() {
    type Feature = (&'static str, fn(&str) -> f64);
    let features: [Feature; 8] = [
        ("characters", |text| text.chars().count() as f64),
        ("words", |text| text.split_whitespace().count() as f64),
        ("letters per word", |text| text.len() as f64 / text.split_whitespace().count() as f64),
        ("capitals", |text| text.chars().filter(|c| c.is_uppercase()).count() as f64 / text.len() as f64),
        ("digits", |text| text.chars().filter(char::is_ascii_digit).count() as f64),
        ("commas", |text| text.matches(',').count() as f64),
        ("full stops", |text| text.matches('.').count() as f64),
        ("brackets", |text| f64::from(u8::from(text.starts_with(['[', '(', '{'])))),
    ];
    for (name, feature) in features {
        let (sounds, others): (Vec<_>, Vec<_>) = rows().into_iter().partition(|row| row.sound);
        let values = |rows: &[Row]| rows.iter().map(|row| feature(&row.text)).collect::<Vec<f64>>();
        let (sounds, others) = (values(&sounds), values(&others));
        let wins: f64 = sounds
            .iter()
            .flat_map(|a| {
                others.iter().map(move |b| {
                    if a > b {
                        1.0
                    } else if a < b {
                        0.0
                    } else {
                        0.5
                    }
                })
            })
            .sum();
        // The area under the ROC curve: one half says nothing, 0 or 1 everything.
        let area = wins / (sounds.len() * others.len()) as f64;
        assert!((0.34..=0.66).contains(&area), "{name}: {area:.3}");
    }
}

/// Trains on few captions for one epoch: enough for everything that does not ask how good the result is.
fn trained(output: &Path, seed: u64, workers: usize) -> Summary {
    let config = train::Config { epochs: 1, ..train::Config::scratch(vec![captions()]) };
    let options = RunOptions { seed, workers, limit: Some(400), ..RunOptions::new(output) };
    train::run(&config, &options).unwrap()
}

/// Every file of a run folder that must repeat, by name.
fn bytes(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(bytes(&path));
        } else if !path.ends_with("log.jsonl") && !path.ends_with("timing.json") {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

fn relative(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    bytes(folder).into_iter().map(|(path, bytes)| (path.strip_prefix(folder).unwrap().to_owned(), bytes)).collect()
}

#[test]
fn a_small_network_from_nothing_generalises() {
    let folder = tempfile::tempdir().unwrap();
    let config = train::Config::scratch(vec![captions()]);
    let summary = train::run(&config, &RunOptions::new(folder.path())).unwrap();
    assert_eq!(summary.status, Status::Done);
    let metrics: Value = serde_json::from_slice(&fs::read(folder.path().join("metrics.json")).unwrap()).unwrap();
    let f1 = metrics["heldout"]["f1"].as_f64().unwrap();
    assert!(f1 >= 0.85, "held-out F1 {f1}");
    let count = |key: &str| metrics["heldout"]["confusion"][key].as_u64().unwrap();
    let n: u64 = ["true_positive", "false_positive", "false_negative", "true_negative"].into_iter().map(count).sum();
    assert_eq!(metrics["n_heldout"].as_u64().unwrap(), n);
    assert_eq!(metrics["history"].as_array().unwrap().len(), config.epochs);
    // The checkpoint alone gives the verdicts that were reported.
    let dir = checkpoint_of(ModelDir::local(folder.path())).unwrap();
    let scorer = Scorer::open(&dir, &Device::Cpu, &scorer_options(7)).unwrap();
    let mut reader = csv::Reader::from_path(folder.path().join("heldout.csv")).unwrap();
    for record in reader.records().step_by(9) {
        let record = record.unwrap();
        let alone = scorer.score(&[&record[0]], |_| ()).unwrap()[0].unwrap().probability;
        assert!((alone - record[2].parse::<f32>().unwrap()).abs() < 1e-5, "{record:?} {alone}");
    }
}

#[test]
fn the_seed_decides_every_byte_and_the_number_of_workers_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    trained(&path("a"), 3, 1);
    trained(&path("b"), 3, 2);
    trained(&path("c"), 4, 1);
    assert_eq!(relative(&path("a")), relative(&path("b")));
    let weights = |name: &str| fs::read(path(name).join("model/model.safetensors")).unwrap();
    assert_ne!(weights("a"), weights("c"));
    let files: Vec<String> = relative(&path("a/model")).keys().map(|name| name.display().to_string()).collect();
    let expected = [
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ];
    assert_eq!(files, expected);
}

#[test]
fn a_checkpoint_can_be_tuned_further_and_starts_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    trained(&first, 0, 1);
    let start = checkpoint_of(ModelDir::local(&first)).unwrap();
    let config = train::Config {
        epochs: 1,
        batch_size: 64,
        learning_rate: 0.0,
        ..train::Config::fine_tune(vec![captions()], start.clone())
    };
    let options = RunOptions { limit: Some(400), ..RunOptions::new(&second) };
    train::run(&config, &options).unwrap();
    // At a learning rate of 0 nothing moves, so all names and values went through.
    let read = |dir: &Path, name: &str| fs::read(dir.join(name)).unwrap();
    for name in ["model.safetensors", "vocab.txt", "tokenizer.json"] {
        assert_eq!(read(start.root(), name), read(&second.join("model"), name), "{name}");
    }
}

#[test]
fn labelled_captions_that_cannot_be_used_are_filed_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("captions.csv");
    let train_with = |text: &str, output: &str| {
        fs::write(&path, text).unwrap();
        let config = train::Config { epochs: 1, heldout: 0.5, ..train::Config::scratch(vec![path.clone()]) };
        train::run(&config, &RunOptions { max_fail_rate: 1.0, ..RunOptions::new(folder.path().join(output)) })
    };
    let good = "Caption,matches_condition\ndog barks,True\ncat meows,True\nPARIS,False\nhe left,False\n";
    let odd = "[Dog barks],True\n[],False\nrain falls,perhaps\nparis,True\nthunder,1\nMonday,0\nsirens,1\nTuesday,0\n";
    let summary = train_with(&format!("{good}{odd}"), "odd").unwrap();
    let stats = summary.step("train").unwrap();
    assert_eq!((stats.read, stats.kept, stats.n_dropped(), stats.n_failed()), (12, 8, 2, 2));
    let rejects = fs::read_to_string(folder.path().join("odd/rejects-00000.jsonl"))
        .or_else(|_| fs::read_to_string(folder.path().join("odd/rejects-train-00000.jsonl")))
        .unwrap();
    for reason in ["repeated_text", "empty_text", "bad_label", "contradiction"] {
        assert!(rejects.contains(reason), "{reason} not in {rejects}");
    }
    let unclosed = format!("{good}rain,\"True\nwind,False\n");
    for (text, part) in [
        ("a,b\n1,2\n", "no column text or Caption; it has a, b"),
        ("text,label\nrain,1\n", "the train part needs captions of both classes; it has 0"),
        ("text,label\n\"rain,1\n", "line 2: a quote has no partner up to the end of the file"),
        (&unclosed, "line 6: a quote has no partner up to the end of the file"),
    ] {
        let error = train_with(text, &format!("bad{}", text.len())).unwrap_err().to_string();
        let expected = format!(
            "cannot train on labelled captions: {}: {part}\nhint: give a CSV file with the columns text (or Caption), ",
            path.display()
        );
        assert!(error.starts_with(&expected), "{error}");
    }
}

fn cues(folder: &Path, texts: &[&str]) -> PathBuf {
    let cue = |(i, text): (usize, &&str)| Cue {
        row_id: i as u64,
        video_id: format!("v{i}"),
        start_ms: 0,
        dur_ms: 2000,
        text: (*text).to_owned(),
    };
    let path = folder.join("cues.parquet");
    let rows: Vec<Cue> = texts.iter().enumerate().map(cue).collect();
    write_parquet(&rows, File::create(&path).unwrap()).unwrap();
    path
}

#[test]
fn distinct_texts_are_scored_once_whatever_the_workers_and_as_if_alone() {
    let folder = tempfile::tempdir().unwrap();
    trained(&folder.path().join("trained"), 0, 1);
    let model = checkpoint_of(ModelDir::local(&folder.path().join("trained"))).unwrap();
    let texts =
        ["[dog barks]", "(dog barks)", "[dog barks]", "[]", "{MUSIC}", "[a long aside about nothing at all]", "é"];
    let input = cues(folder.path(), &texts);
    let score = |name: &str, workers| {
        let config = classify::Config { texts_per_shard: 2, ..classify::Config::new(&input, model.clone()) };
        let options = RunOptions { workers, ..RunOptions::new(folder.path().join(name)) };
        classify::run(&config, &options).unwrap()
    };
    let summary = score("one", 1);
    score("two", 2);
    assert_eq!(relative(&folder.path().join("one")), relative(&folder.path().join("two")));
    assert_eq!(summary.step("texts").unwrap().counts["texts"], 6);
    assert_eq!(summary.step("part").unwrap().kept, 6);

    let parts = audsem_core::tables::parts(&folder.path().join("one"), "part").unwrap();
    let labels: Vec<BertLabel> = parts.iter().flat_map(|path| read_parquet(path).unwrap()).collect();
    assert_eq!(labels.len(), 6);
    let scorer = Scorer::open(&model, &Device::Cpu, &scorer_options(64)).unwrap();
    for label in &labels {
        assert_eq!(label.text_hash, text_hash(&label.text));
        assert_eq!(label.bert_label == 1, label.bert_prob > 0.5);
        let alone = scorer.score(&[&label.text], |_| ()).unwrap()[0].unwrap().probability;
        assert_eq!(alone.to_bits(), label.bert_prob.to_bits(), "{}: {alone} {}", label.text, label.bert_prob);
    }
    assert_eq!(labels[0].bert_prob, labels[1].bert_prob, "brackets say nothing about the sound");
}

fn scorer_options(batch_size: usize) -> ScorerOptions {
    ScorerOptions { dtype: DType::F32, max_tokens: None, batch_size, sound_label: None }
}

/// A checkpoint says in the names of its classes which one means a sound; the other way round is not the same.
#[test]
fn classes_are_taken_by_name_and_unclear_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    trained(&folder.path().join("model"), 1, 1);
    let model = checkpoint_of(ModelDir::local(&folder.path().join("model"))).unwrap();
    let path = model.root().join("config.json");
    let probability = |names: [&str; 2], sound_label: Option<&str>| {
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config["id2label"] = serde_json::json!({"0": names[0], "1": names[1]});
        config["label2id"] = serde_json::json!({names[0]: 0, names[1]: 1});
        fs::write(&path, config.to_string()).unwrap();
        let options = ScorerOptions { sound_label: sound_label.map(str::to_owned), ..scorer_options(8) };
        let scorer = Scorer::open(&model, &Device::Cpu, &options).map_err(|error| error.to_string())?;
        Ok::<f32, String>(scorer.score(&["[dog barks]"], |_| ()).unwrap()[0].unwrap().probability)
    };
    let sound = probability(["other", "sound"], None).unwrap();
    assert!((sound - 0.5).abs() > 1e-4, "{sound} says nothing about order");
    assert_eq!(probability(["LABEL_0", "LABEL_1"], None).unwrap(), sound);
    assert!((probability(["sound", "not_sound"], None).unwrap() - (1.0 - sound)).abs() < 1e-6);
    let error = probability(["alpha", "beta"], None).unwrap_err();
    assert!(["alpha", "beta", "--sound-label"].iter().all(|part| error.contains(part)), "{error}");
    assert_eq!(probability(["alpha", "beta"], Some("beta")).unwrap(), sound);
    assert!((probability(["alpha", "beta"], Some("alpha")).unwrap() - (1.0 - sound)).abs() < 1e-6);
}

/// Bit for bit, whatever lies in the same batch or shard, by any number of workers or processes.
#[test]
fn a_text_has_the_same_probability_in_any_company() {
    let folder = tempfile::tempdir().unwrap();
    trained(&folder.path().join("model"), 1, 1);
    let model = checkpoint_of(ModelDir::local(&folder.path().join("model"))).unwrap();
    let texts: Vec<String> = rows().into_iter().take(150).map(|row| row.text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let input = cues(folder.path(), &texts);
    let run = |name: &str, texts_per_shard, batch_size, workers, shards: &[(usize, usize)]| {
        let config = classify::Config { texts_per_shard, batch_size, ..classify::Config::new(&input, model.clone()) };
        for &(index, count) in shards {
            let shard = ShardSelection { index, count };
            let options = RunOptions { workers, shard, ..RunOptions::new(folder.path().join(name)) };
            classify::run(&config, &options).unwrap();
        }
        let parts = audsem_core::tables::parts(&folder.path().join(name), "part").unwrap();
        let labels: Vec<BertLabel> = parts.iter().flat_map(|path| read_parquet(path).unwrap()).collect();
        let bits: BTreeMap<String, u32> =
            labels.into_iter().map(|label| (label.text, label.bert_prob.to_bits())).collect();
        assert_eq!(bits.len(), 150);
        bits
    };
    let whole = [(0, 1)];
    let wanted = run("one", 1000, 64, 1, &whole);
    for (name, per_shard, batch_size, workers) in [("a", 1, 64, 2), ("b", 7, 3, 1), ("c", 1000, 1, 2), ("d", 33, 5, 4)]
    {
        assert!(run(name, per_shard, batch_size, workers, &whole) == wanted, "{name}");
    }
    run("whole", 20, 64, 2, &whole);
    // The first process collects the texts, and the second scores its share of them.
    run("split", 20, 64, 1, &[(0, 2), (1, 2), (0, 2)]);
    assert_eq!(relative(&folder.path().join("split")), relative(&folder.path().join("whole")));
}

/// A text is read as far as the model takes it, and one that is longer is counted.
#[test]
fn texts_are_read_to_the_limit_of_the_model_and_cuts_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    trained(&folder.path().join("model"), 1, 1);
    let model = checkpoint_of(ModelDir::local(&folder.path().join("model"))).unwrap();
    let long = format!("[{}]", "wind ".repeat(40));
    let input = cues(folder.path(), &["[dog barks]", &long]);
    let run = |name: &str, max_tokens| {
        let config = classify::Config { max_tokens, ..classify::Config::new(&input, model.clone()) };
        classify::run(&config, &RunOptions::new(folder.path().join(name))).unwrap()
    };
    assert_eq!(run("own", None).results["truncated"], 1);
    assert_eq!(run("less", Some(3)).results["truncated"], 2);
    assert_eq!(run("more", Some(500)).results["truncated"], 1, "no flag lengthens what the model has positions for");
}

#[test]
fn the_commands_work_together_and_a_wrong_model_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let input = cues(folder.path(), &["[wind howls]", "[chapter two]"]);
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_audsem-filtering"));
        command.args(args).current_dir(folder.path()).env("HF_HUB_OFFLINE", "1").env("HF_HOME", folder.path());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (captions, input) = (captions(), input.display().to_string());
    let captions = captions.display().to_string();
    let train =
        ["train-classifier", "-i", &captions, "-o", "model", "--from-scratch", "--epochs", "1", "--limit", "400"];
    let (code, message) = run(&train);
    assert_eq!(code, Some(0), "{message}");
    let (code, message) = run(&["classify", "-i", &input, "-o", "labels", "--model", "model"]);
    assert_eq!(code, Some(0), "{message}");
    assert!(folder.path().join("labels/part-00000.parquet").is_file());
    let (code, message) = run(&["classify", "-i", &input, "-o", "other", "--model", "org/absent"]);
    assert_eq!(code, Some(2), "{message}");
    assert!(message.contains("org/absent") && message.contains("HF_HUB_OFFLINE"), "{message}");
}

/// A text so long that its first tokens cannot be told is counted, whatever else there is.
#[test]
fn a_text_without_an_end_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    trained(&folder.path().join("model"), 1, 1);
    let model = checkpoint_of(ModelDir::local(&folder.path().join("model"))).unwrap();
    let (words, one) = ("wind howls ".repeat(1 << 20), "x".repeat(10 << 20));
    let input = cues(folder.path(), &["[dog barks]", &words, &one]);
    let options = RunOptions { max_fail_rate: 1.0, ..RunOptions::new(folder.path().join("out")) };
    let summary = classify::run(&classify::Config::new(&input, model), &options).unwrap();
    let step = summary.step("part").unwrap();
    assert_eq!((step.kept, step.failed["too_long"], step.counts["truncated"]), (2, 1, 1));
    let rejects = fs::read(folder.path().join("out/rejects-00000.jsonl")).unwrap();
    assert!(rejects.len() < 1000, "{}", rejects.len());
}

/// The head of the checkpoint that training begins with says in its names which class is the sound.
#[test]
fn training_takes_the_classes_of_its_checkpoint_by_name() {
    let folder = tempfile::tempdir().unwrap();
    trained(&folder.path().join("first"), 0, 1);
    let start = checkpoint_of(ModelDir::local(&folder.path().join("first"))).unwrap();
    let path = start.root().join("config.json");
    let tuned = |output: &str, names: [&str; 2]| -> Result<Vec<f64>, String> {
        let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        config["id2label"] = serde_json::json!({"0": names[0], "1": names[1]});
        config["label2id"] = serde_json::json!({names[0]: 0, names[1]: 1});
        fs::write(&path, config.to_string()).unwrap();
        let config = train::Config {
            epochs: 1,
            learning_rate: 0.0,
            ..train::Config::fine_tune(vec![captions()], start.clone())
        };
        let output = folder.path().join(output);
        let options = RunOptions { limit: Some(400), ..RunOptions::new(&output) };
        train::run(&config, &options).map_err(|error| error.to_string())?;
        let mut reader = csv::Reader::from_path(output.join("heldout.csv")).unwrap();
        Ok(reader.records().map(|row| row.unwrap()[2].parse().unwrap()).collect())
    };
    let wanted = tuned("same", ["other", "sound"]).unwrap();
    let inverted = tuned("inverted", ["sound", "not_sound"]).unwrap();
    assert!(wanted.iter().zip(&inverted).all(|(a, b)| (a + b - 1.0).abs() < 1e-6), "{wanted:?} {inverted:?}");
    let written: Value =
        serde_json::from_slice(&fs::read(folder.path().join("inverted/model/config.json")).unwrap()).unwrap();
    assert_eq!(written["id2label"], serde_json::json!({"0": "sound", "1": "other"}));
    assert_eq!(written["label2id"], serde_json::json!({"sound": 0, "other": 1}));
    let error = tuned("unclear", ["music", "noise"]).unwrap_err();
    assert!(["id2label", "music", "noise"].iter().all(|part| error.contains(part)), "{error}");
}

/// The rows of all files in their order, as if they stood in one.
#[test]
fn several_files_are_learned_from_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = fs::read_to_string(captions()).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let lines: Vec<&str> = rows.lines().take(300).collect();
    let file = |name: &str, lines: &[&str]| {
        fs::write(path(name), format!("{header}\n{}\n", lines.join("\n"))).unwrap();
        path(name)
    };
    let train_on = |inputs: Vec<PathBuf>, output: &str| {
        let config = train::Config { epochs: 1, ..train::Config::scratch(inputs) };
        train::run(&config, &RunOptions { max_fail_rate: 1.0, ..RunOptions::new(path(output)) })
    };
    let parts = vec![file("a.csv", &lines[..180]), file("b.csv", &lines[180..])];
    let one = train_on(vec![file("all.csv", &lines)], "one").unwrap();
    let several = train_on(parts.clone(), "several").unwrap();
    let numbers = |summary: &Summary| summary.step("train").map(|step| (step.read, step.kept)).unwrap();
    assert_eq!((numbers(&one).0, numbers(&several)), (300, numbers(&one)));
    for name in ["model/model.safetensors", "model/vocab.txt", "heldout.csv"] {
        assert!(fs::read(path("one").join(name)).unwrap() == fs::read(path("several").join(name)).unwrap(), "{name}");
    }
    // A repeated text is counted, whichever file it stands in, and other files are another run.
    let repeated = train_on(vec![parts[0].clone(), parts[1].clone(), parts[0].clone()], "repeated").unwrap();
    let step = repeated.step("train").unwrap();
    assert_eq!((step.read, step.kept, step.dropped["repeated_text"]), (480, numbers(&one).1, 180));
    let error = train_on(vec![parts[0].clone()], "several").unwrap_err().to_string();
    assert!(error.contains("b.csv"), "{error}");
}

#[test]
fn a_split_is_given_by_all_files_or_by_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let fixed =
        file("fixed.csv", "text,label,split\ndog barks,1,train\nhe left,0,train\nrain,1,heldout\nParis,0,heldout\n");
    let free = file("free.csv", "text,label\nthunder,1\nMonday,0\n");
    for inputs in [vec![fixed.clone(), free.clone()], vec![free, fixed]] {
        let config = train::Config { epochs: 1, ..train::Config::scratch(inputs) };
        let error = train::run(&config, &RunOptions::new(folder.path().join("out"))).unwrap_err().to_string();
        assert!(error.contains("free.csv: no column split, which ") && error.contains("fixed.csv has"), "{error}");
    }
}

#[test]
fn captions_that_training_cuts_or_cannot_read_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("captions.csv");
    let (long, endless) = ("wind ".repeat(40), "rain ".repeat(20_000));
    let learned = format!("{long},1,train\nParis,0,train\nrain,1,train\n{endless},1,train\n");
    let heldout = "London,0,heldout\ndoor slams,1,heldout\nhe left,0,heldout\n";
    fs::write(&path, format!("text,label,split\n{learned}{heldout}")).unwrap();
    let config = train::Config { epochs: 1, ..train::Config::scratch(vec![path.clone()]) };
    let options = RunOptions { max_fail_rate: 1.0, ..RunOptions::new(folder.path().join("out")) };
    let summary = train::run(&config, &options).unwrap();
    assert_eq!(summary.results["truncated"], 1);
    let step = summary.step("train").unwrap();
    assert_eq!((step.counts["truncated"], step.failed["too_long"]), (1, 1));
}
