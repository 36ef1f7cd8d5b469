//! From a record of generated text to the JSON of its training samples: pure functions.

use audsem_core::clip_id::ClipId;
use audsem_core::records::{Choices, Layout, Question, Task, clean, text_of, type_name};
use audsem_core::run::{LeftOut, Outcome};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use super::config::Answers;
use super::reason::{DropReason, Fault};
use super::templates::Templates;
use super::text::{TextLimits, field, not_of_format};

/// Everything that decides what a sample says.
pub struct SampleRules {
    /// The kind of samples.
    pub task: Task,
    /// Whether samples need and use `semantic_elements`.
    pub semantic: bool,
    /// Whether captions need thinking.
    pub wants_thinking: bool,
    /// What text must be like.
    pub limits: TextLimits,
    /// One sample per pair or per clip.
    pub pairs: Layout,
    /// How answers to questions with choices are written.
    pub answers: Answers,
    /// The words around the record's own.
    pub templates: Templates,
    /// Decides which request a caption answers.
    pub seed: u64,
}

/// The outcome of a record.
#[derive(Debug, Default)]
pub struct Made {
    /// The JSON of the samples, in order.
    pub samples: Vec<Map<String, Value>>,
    /// Units (the record, or its pairs) that are in `samples`.
    pub kept: u64,
    /// Units left out: the number of the pair in the record, and why.
    pub left_out: Vec<(Option<usize>, LeftOut)>,
}

impl Made {
    /// A record left out as a whole.
    pub fn nothing(why: LeftOut) -> Self {
        Self { left_out: vec![(None, why)], ..Self::default() }
    }
}

impl SampleRules {
    /// The key of the sample with this number of a clip.
    pub fn sample_key(&self, clip: &ClipId, number: usize) -> String {
        if self.task.has_pairs() && self.pairs == Layout::Repeat {
            return format!("{}_qa_{number}", clip.tar_key());
        }
        clip.tar_key()
    }

    /// Makes the samples of one record about `clip`.
    pub fn apply(&self, clip: &ClipId, record: Map<String, Value>) -> Made {
        match self.task {
            Task::Caption | Task::Video => match self.caption(clip, record) {
                Ok(sample) => Made { samples: vec![sample], kept: 1, left_out: Vec::new() },
                Err(why) => Made::nothing(why),
            },
            Task::Qa | Task::McQa | Task::McQaLong => self.pairs(clip, &record),
        }
    }

    fn caption(&self, clip: &ClipId, mut record: Map<String, Value>) -> Outcome<Map<String, Value>> {
        let caption = field(&record, "caption")?;
        self.limits.check_words(&caption)?;
        self.limits.check_chars(&caption, DropReason::CaptionShort)?;
        let thinking = if self.wants_thinking { Some(field(&record, "thinking")?) } else { None };
        if let Some(thinking) = &thinking {
            self.limits.check_chars(thinking, DropReason::ThinkingShort)?;
        }
        let semantic = self.semantic_elements(&record)?;
        let mut used = vec![("caption", caption.as_str())];
        used.extend(thinking.as_deref().map(|text| ("thinking", text)));
        used.extend(semantic.as_deref().map(|text| ("semantic_elements", text)));
        self.limits.check_phrases(&used)?;
        let question = self.templates.request(&clip.tar_key(), self.seed).to_owned();
        record.insert("answer".to_owned(), caption.clone().into());
        record.insert("caption".to_owned(), caption.into());
        if let Some(text) = thinking {
            record.insert("thinking".to_owned(), text.into());
        }
        if let Some(text) = semantic {
            record.insert("semantic_elements".to_owned(), text.into());
        }
        record.insert("question".to_owned(), question.into());
        Ok(record)
    }

    fn pairs(&self, clip: &ClipId, record: &Map<String, Value>) -> Made {
        let pairs = match record.get("qa_pairs") {
            Some(Value::Array(pairs)) if !pairs.is_empty() => pairs,
            _ if is_row(record) => return self.row(clip, record),
            None | Some(Value::Null | Value::Array(_)) => {
                return Made::nothing(LeftOut::drop(DropReason::NoPairs, String::new()));
            }
            Some(other) => {
                let detail = format!("qa_pairs is {}, not a list", type_name(other));
                return Made::nothing(LeftOut::fail(Fault::WrongType, detail));
            }
        };
        let mut made = Made::default();
        for (number, pair) in pairs.iter().enumerate() {
            let Value::Object(pair) = pair else {
                let detail = format!("the pair is {}, not an object", type_name(pair));
                made.left_out.push((Some(number), LeftOut::fail(Fault::WrongType, detail)));
                continue;
            };
            match self.pair(clip, pair) {
                Ok(sample) => made.samples.push(sample),
                Err(why) => made.left_out.push((Some(number), why)),
            }
        }
        made.kept = made.samples.len() as u64;
        self.lay_out(clip, made)
    }

    /// The row of a table of questions: one pair.
    fn row(&self, clip: &ClipId, record: &Map<String, Value>) -> Made {
        match self.pair(clip, record) {
            Ok(sample) => self.lay_out(clip, Made { samples: vec![sample], kept: 1, left_out: Vec::new() }),
            Err(why) => Made::nothing(why),
        }
    }

    fn lay_out(&self, clip: &ClipId, mut made: Made) -> Made {
        if self.pairs == Layout::Together && !made.samples.is_empty() {
            made.samples = vec![together(clip, std::mem::take(&mut made.samples))];
        }
        made
    }

    /// A new object each time, so that a record used twice is not changed twice.
    fn pair(&self, clip: &ClipId, pair: &Map<String, Value>) -> Outcome<Map<String, Value>> {
        let PairQuestion { question, choices } = self.question(pair)?;
        let thinking = field(pair, "thinking")?;
        self.limits.check_chars(&thinking, DropReason::ThinkingShort)?;
        let answer = self.answer(pair, choices.as_ref())?;
        self.limits.check_answer(&answer)?;
        let semantic = self.semantic_elements(pair)?;
        let mut used =
            vec![("question", question.as_str()), ("thinking", thinking.as_str()), ("answer", answer.as_str())];
        used.extend(semantic.as_deref().map(|text| ("semantic_elements", text)));
        self.limits.check_phrases(&used)?;
        let mut sample = Map::new();
        sample.insert("file_name".to_owned(), clip.tar_key().into());
        for (name, value) in pair.iter().filter(|(name, _)| !["file_name", "qa_pairs"].contains(&name.as_str())) {
            sample.insert(name.clone(), value.clone());
        }
        sample.insert("question".to_owned(), question.into());
        sample.insert("thinking".to_owned(), thinking.into());
        sample.insert("answer".to_owned(), answer.into());
        if let Some(choices) = choices {
            sample.insert("choices".to_owned(), choices.to_value());
        }
        match semantic {
            Some(text) => _ = sample.insert("semantic_elements".to_owned(), text.into()),
            None if self.task.has_choices() => _ = sample.shift_remove("semantic_elements"),
            None => {}
        }
        Ok(sample)
    }

    fn question(&self, pair: &Map<String, Value>) -> Outcome<PairQuestion> {
        if !self.task.has_choices() {
            let question = field(pair, "question")?;
            self.limits.check_chars(&question, DropReason::QuestionShort)?;
            return Ok(PairQuestion { question, choices: None });
        }
        let question = Question::read(pair).map_err(not_of_format)?;
        self.limits.check_chars(&question.stem, DropReason::QuestionShort)?;
        let text = self.templates.instruction(&question, self.semantic).map_err(|problem| {
            LeftOut::fail(Fault::WrongType, format!("the template cannot be filled in: {problem}"))
        })?;
        Ok(PairQuestion { question: text, choices: Some(question.choices) })
    }

    /// The answer as it is written. One that means no choice would teach the wrong thing.
    fn answer(&self, pair: &Map<String, Value>, choices: Option<&Choices>) -> Outcome<String> {
        let answer = field(pair, "answer")?;
        let Some(choices) = choices else { return Ok(answer) };
        let choice = choices.find(&answer).map_err(not_of_format)?;
        Ok(match self.answers {
            Answers::Canonical => choice.answer(),
            Answers::Keep => answer,
        })
    }

    /// The cleaned field in semantic mode, `None` otherwise.
    fn semantic_elements(&self, object: &Map<String, Value>) -> Outcome<Option<String>> {
        if !self.semantic {
            return Ok(None);
        }
        let text = field(object, "semantic_elements")?;
        self.limits.check_chars(&text, DropReason::SemanticShort)?;
        Ok(Some(text))
    }
}

/// The question of a pair as the model is asked it.
struct PairQuestion {
    question: String,
    choices: Option<Choices>,
}

/// Whether a record is the row of a table of questions: one pair, without a list of them.
fn is_row(record: &Map<String, Value>) -> bool {
    let has = |name: &str| record.get(name).is_some_and(|value| !value.is_null());
    has("question") && !has("qa_pairs")
}

fn together(clip: &ClipId, samples: Vec<Map<String, Value>>) -> Map<String, Value> {
    let pairs = samples.into_iter().map(|mut pair| {
        pair.shift_remove("file_name");
        Value::Object(pair)
    });
    let mut sample = Map::new();
    sample.insert("file_name".to_owned(), clip.tar_key().into());
    sample.insert("qa_pairs".to_owned(), pairs.collect());
    sample
}

/// One sample of all pairs of several samples about the same clip, each with its `qa_pairs`.
pub(super) fn join(samples: Vec<Map<String, Value>>) -> Map<String, Value> {
    let mut samples = samples.into_iter();
    let mut all = samples.next().unwrap_or_default();
    for mut sample in samples {
        if let (Some(Value::Array(all)), Some(Value::Array(more))) =
            (all.get_mut("qa_pairs"), sample.get_mut("qa_pairs"))
        {
            all.append(more);
        }
    }
    all
}

/// The JSON of a video sample: what the source tar says of the clip, then the record's fields,
/// which win where both have one.
pub(super) fn merge(mut described: Map<String, Value>, record: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in record {
        described.insert(name, value);
    }
    described
}

/// What makes two records the same: the clip, and in tables of questions the question too.
pub(super) fn identity_of(clip: &ClipId, record: &Map<String, Value>, task: Task) -> (ClipId, u64) {
    let question = record.get("question").and_then(Value::as_str).filter(|_| task.has_pairs() && is_row(record));
    (clip.clone(), question.map_or(0, |question| xxh3_64(clean(question).as_bytes())))
}

/// The clip that a record refers to, from its `file_name`.
///
/// # Errors
/// [`Fault::NoName`] and [`Fault::BadName`].
pub(super) fn clip_of(record: &Map<String, Value>) -> Outcome<ClipId> {
    if record.get("file_name").is_none_or(Value::is_null) {
        return Err(LeftOut::fail(Fault::NoName, "no file_name".to_owned()));
    }
    let name = clean(text_of(record, "file_name").map_err(not_of_format)?);
    name.parse().map_err(|error| LeftOut::fail(Fault::BadName, format!("{error}")))
}
