//! How much of a question is answered by hearing: the share of tries in which a model finds the right option without it.
//!
//! Each multiple-choice question is asked once for each place of its right option, so that a model that prefers a letter
//! gains nothing by it. Chance is one in four; items that do better can be guessed, and tell little about hearing. The
//! question goes out as text alone or, with `silence`, with a silent recording, as a model with ears expects one.

use std::borrow::Cow;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use audsem_core::records::Question;
use audsem_core::run::{
    FileFingerprint, Fingerprint, LeftOut, Outcome, Run, RunConfig, RunOptions, RunSpec, Shard, ShardError,
    ShardOutput, Step, Summary,
};
use audsem_llm::{
    Answered, Fault, GenerateStep, GenerateTask, Media, Part, PromptTemplate, Refusal, Request, Response, TextError,
    Unanswered, read_json,
};
use audsem_models::language::LanguageModel;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::record_files::{files_under_all, for_each_record};

/// The question.
const PROMPT: &str = include_str!("prompt.txt");

/// Maximum number of tokens of an answer.
const MAX_TOKENS: u32 = 64;

audsem_core::reasons! {
    /// Why a record is left out.
    pub enum RecordFailure {
        NotARecord = "not_a_record": "the line is no record of a clip with questions that have options",
        Unanswered = "unanswered": "the model gave no usable answer to a try of this record",
    }
}

/// Settings of `contribution`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Run folders of `mcqa`, or files and folders of such records.
    pub records: Vec<PathBuf>,
    /// Length of the silent recording in seconds; `None` asks with text alone.
    pub silence_s: Option<u16>,
    /// How often a try is repeated whose answer names no option.
    pub max_attempts: u32,
    /// What happens to questions without an answer. Not part of the hashed configuration.
    pub unanswered: Unanswered,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct HashedConfig<'a> {
    model: &'a str,
    prompt: &'static str,
    silence_s: Option<u16>,
    max_attempts: u32,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "contribution";
}

/// Asks about every record; `part-*.jsonl` has the records with `without_audio`, the share of right answers, for each
/// question and for the whole record.
///
/// # Errors
/// Whatever prevents the run from continuing.
pub fn run(config: &Config, model: &LanguageModel, options: &RunOptions) -> Result<Summary, Error> {
    let files = files_under_all(&config.records)?;
    let identity = model.generator.identity();
    let (silence_s, max_attempts) = (config.silence_s, config.max_attempts);
    let hashed = HashedConfig { model: &identity, prompt: PROMPT, silence_s, max_attempts };
    let spec = RunSpec::new(&hashed).inputs(&files).models(model.fingerprints.clone());
    let mut run = Run::open(options, spec)?;
    let shard = |(i, path): (usize, &PathBuf)| -> Result<Shard<PathBuf>, Error> {
        let fingerprint = Fingerprint::new().with_file(&FileFingerprint::of(path)?).finish();
        Ok(Shard { name: format!("{i:05}"), fingerprint, work: path.clone() })
    };
    let plan: Vec<Shard<PathBuf>> = files.iter().enumerate().map(shard).collect::<Result<_, _>>()?;
    let step = Step { name: "part", unit: "records", physical: "tok" };
    run.must_keep(step).explain(RecordFailure::ALL).explain(Fault::ALL);
    let template = PromptTemplate::parse("contribution", PROMPT)?;
    let silence = config.silence_s.map(Media::silence);
    let task = Trial { template, silence };
    let generate = GenerateStep::new(&task, &*model.generator)
        .with_max_attempts(config.max_attempts)
        .with_unanswered(config.unanswered);
    let report = run.execute(step, &plan, |path, out| ask(path, &generate, out))?;
    let count = |name| report.stats.counts.get(name).copied().unwrap_or(0);
    let (tries, right) = (count("tries"), count("right_without_audio"));
    Ok(run.finish()?.with_result("tries", tries).with_result("right_without_audio", right))
}

/// One question with its right option in one place.
struct Try {
    key: String,
    /// The question as the model reads it.
    text: String,
    /// The letter of the right option.
    right: String,
}

struct Trial {
    template: PromptTemplate,
    silence: Option<Media>,
}

impl GenerateTask for Trial {
    type Record = Try;
    type Row = bool;

    fn key<'a>(&self, record: &'a Try) -> Cow<'a, str> {
        Cow::Borrowed(&record.key)
    }

    fn request(&self, record: &Try) -> Result<Request, TextError> {
        let slots = json!({"question": record.text, "silence": self.silence.is_some()});
        let mut prompt = self.template.render(&slots)?;
        if let Some(silence) = &self.silence {
            prompt = prompt.with_media(vec![Part::Audio(silence.clone())])?;
        }
        let mut request = Request::greedy(prompt, MAX_TOKENS);
        request.schema = Some(answer_schema());
        Ok(request)
    }

    fn harmless(&self) -> Option<Try> {
        let text = "What barks?\nChoices:\nA. a dog\nB. a cat\nC. a cow\nD. a hen".to_owned();
        Some(Try { key: String::new(), text, right: "A".to_owned() })
    }

    fn validate(&self, record: &Try, answer: &Response) -> Result<bool, Refusal> {
        let value = read_json(answer.answer()).map_err(|error| Refusal::new(error.to_string()))?;
        Ok(value["answer"].as_str() == Some(&record.right))
    }
}

/// The JSON schema of an answer: the letter of an option.
#[must_use]
pub fn answer_schema() -> Value {
    json!({
        "type": "object", "properties": {"answer": {"enum": ["A", "B", "C", "D"]}}, "required": ["answer"],
        "additionalProperties": false,
    })
}

/// A record, and its questions.
struct Item {
    record: Map<String, Value>,
    n_tries: Vec<usize>,
}

fn ask(path: &Path, generate: &GenerateStep<'_, Trial>, out: &mut ShardOutput) -> Result<(), ShardError> {
    let (mut items, mut tries) = (Vec::new(), Vec::new());
    for_each_record(path, |place, record| {
        let outcome = record.map_err(|problem| LeftOut::fail(RecordFailure::NotARecord, problem));
        match outcome.and_then(|record| tries_of(&record).map(|found| (record, found))) {
            Ok((record, found)) => {
                items.push(Item { record, n_tries: found.iter().map(Vec::len).collect() });
                tries.extend(found.into_iter().flatten());
            }
            Err(left_out) => {
                out.file_left_out(place, left_out);
            }
        }
    })
    .map_err(ShardError::fatal)?;
    if out.dry_run() {
        out.count("tries", tries.len() as u64);
        out.file_kept(items.len() as u64);
        return Ok(());
    }
    let mut answers = generate.run(&tries, out)?.into_iter();
    let mut file = out.create(format!("part-{}.jsonl", out.name()))?;
    for item in items {
        let key = item.record.get("file_name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let outcome = judged(item, &mut answers, out);
        let Some(record) = out.file(&key, outcome) else { continue };
        writeln!(file, "{}", Value::Object(record)).map_err(audsem_core::error::Error::write(file.path()))?;
    }
    Ok(out.close(file)?)
}

/// The tries of each question of a record: one for each place of the right option.
fn tries_of(record: &Map<String, Value>) -> Outcome<Vec<Vec<Try>>> {
    let fail = |problem: String| LeftOut::fail(RecordFailure::NotARecord, problem);
    let key = record.get("file_name").and_then(Value::as_str).ok_or_else(|| fail("no field file_name".to_owned()))?;
    let pairs = record.get("qa_pairs").and_then(Value::as_array).ok_or_else(|| fail("no field qa_pairs".to_owned()))?;
    let tries = pairs.iter().map(|pair| {
        let pair = pair.as_object().ok_or_else(|| fail("a pair is no object".to_owned()))?;
        let question = Question::read(pair).map_err(|fault| fail(fault.detail))?;
        let answer = pair.get("answer").and_then(Value::as_str).unwrap_or_default();
        let right = question.choices.find(answer).map_err(|fault| fail(fault.detail))?;
        let texts: Vec<&str> = question.choices.iter().map(|choice| choice.text.as_str()).collect();
        if texts.len() != 4 {
            return Err(fail(format!("{} options instead of four", texts.len())));
        }
        let place = texts.iter().position(|text| *text == right.text).unwrap_or_default();
        Ok((0..4).map(|shift| one_try(key, &question.stem, &texts, (place, shift))).collect())
    });
    tries.collect()
}

/// The question with its options turned so that the right one stands at `place + shift`.
fn one_try(key: &str, stem: &str, texts: &[&str], (place, shift): (usize, usize)) -> Try {
    let letters = ["A", "B", "C", "D"];
    let mut turned = texts.to_vec();
    turned.rotate_right(shift);
    let lines: Vec<String> = letters.iter().zip(&turned).map(|(letter, text)| format!("{letter}. {text}")).collect();
    Try {
        key: key.to_owned(),
        text: format!("{stem}\nChoices:\n{}", lines.join("\n")),
        right: letters[(place + shift) % 4].to_owned(),
    }
}

/// Takes the answers to the tries of a record and adds their shares to it.
fn judged(
    item: Item,
    answers: &mut impl Iterator<Item = Answered<bool>>,
    out: &mut ShardOutput,
) -> Outcome<Map<String, Value>> {
    let mut record = item.record;
    let (mut shares, mut problem) = (Vec::new(), None);
    for n in item.n_tries {
        let mut right = 0;
        for answered in answers.take(n) {
            match answered.outcome() {
                Ok(is_right) => right += u64::from(is_right),
                Err(left_out) => problem = Some(left_out.detail().clone()),
            }
        }
        out.count("tries", n as u64);
        out.count("right_without_audio", right);
        shares.push(right as f64 / n as f64);
    }
    if let Some(problem) = problem {
        return Err(LeftOut::fail(RecordFailure::Unanswered, problem));
    }
    if let Some(pairs) = record.get_mut("qa_pairs").and_then(Value::as_array_mut) {
        for (pair, share) in pairs.iter_mut().zip(&shares) {
            pair["without_audio"] = json!(share);
        }
    }
    record.insert("without_audio".into(), json!(shares.iter().sum::<f64>() / shares.len().max(1) as f64));
    Ok(record)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_right_option_stands_in_every_place_once() {
        let pair =
            json!({"question": "What barks?", "choices": ["a dog", "a cat", "a cow", "a hen"], "answer": "C. a cow"});
        let record = json!({"file_name": "k", "qa_pairs": [pair]});
        let tries = tries_of(record.as_object().unwrap()).unwrap();
        let right: Vec<&str> = tries[0].iter().map(|one| one.right.as_str()).collect();
        assert_eq!(right, ["C", "D", "A", "B"]);
        for one in &tries[0] {
            assert!(one.text.contains(&format!("\n{}. a cow", one.right)), "{}", one.text);
        }
    }

    #[test]
    fn silence_is_a_recording_that_decodes() {
        let silence = Media::silence(2);
        let (_, wav) = silence.bytes().unwrap();
        assert_eq!(wav, audsem_media::audio::encode_wav(&[0.0; 32_000], 1, 16_000).unwrap());
        let sound = audsem_media::audio::Decoder::new().decode_bytes(wav, Some("wav")).unwrap();
        assert_eq!((sound.sample_rate_hz, sound.frames()), (16_000, 32_000));
        assert!(sound.to_mono().iter().all(|sample| *sample == 0.0));
    }
}
