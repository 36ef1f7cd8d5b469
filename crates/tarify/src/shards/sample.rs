//! From a record of generated text to the JSON of its training samples: pure functions.

use audsem_core::clip_id::ClipId;
use serde_json::{Map, Value};

use super::Task;
use super::choices::Question;
use super::reason::{DropReason, Fault};
use super::templates::Templates;
use super::text::{LeftOut, TextLimits, clean, field, type_name};

/// How the pairs of a clip become samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PairLayout {
    /// One sample per pair, each with the whole audio: what the trainers read.
    Repeat,
    /// One sample per clip that holds all its pairs in `qa_pairs`: the audio is stored once.
    Together,
}

/// Everything that decides what a sample says.
pub struct Rules {
    /// The kind of samples.
    pub task: Task,
    /// Whether samples need and use `semantic_elements`.
    pub semantic: bool,
    /// What text must be like.
    pub limits: TextLimits,
    /// One sample per pair or per clip.
    pub pairs: PairLayout,
    /// The words around the record's own.
    pub templates: Templates,
    /// Decides which request a caption answers.
    pub seed: u64,
}

/// What became of a record.
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

impl Rules {
    /// The key of the sample with this number of a clip.
    pub fn sample_key(&self, clip: &ClipId, number: usize) -> String {
        if self.task.has_pairs() && self.pairs == PairLayout::Repeat {
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

    fn caption(&self, clip: &ClipId, mut record: Map<String, Value>) -> Result<Map<String, Value>, LeftOut> {
        let caption = field(&record, "caption")?;
        self.limits.check_words(&caption)?;
        self.limits.check_chars(&caption, DropReason::CaptionShort)?;
        let thinking = field(&record, "thinking")?;
        self.limits.check_chars(&thinking, DropReason::ThinkingShort)?;
        let semantic = self.semantic_elements(&record)?;
        let mut used = vec![("caption", caption.as_str()), ("thinking", thinking.as_str())];
        used.extend(semantic.as_deref().map(|text| ("semantic_elements", text)));
        self.limits.check_phrases(&used)?;
        let question = self.templates.request(&clip.tar_key(), self.seed).to_owned();
        record.insert("answer".to_owned(), caption.clone().into());
        record.insert("caption".to_owned(), caption.into());
        record.insert("thinking".to_owned(), thinking.into());
        if let Some(text) = semantic {
            record.insert("semantic_elements".to_owned(), text.into());
        }
        record.insert("question".to_owned(), question.into());
        Ok(record)
    }

    fn pairs(&self, clip: &ClipId, record: &Map<String, Value>) -> Made {
        let pairs = match record.get("qa_pairs") {
            Some(Value::Array(pairs)) if !pairs.is_empty() => pairs,
            None | Some(Value::Null | Value::Array(_)) => {
                return Made::nothing((DropReason::NoPairs.into(), String::new()));
            }
            Some(other) => {
                let detail = format!("qa_pairs is {}, not a list", type_name(other));
                return Made::nothing((Fault::WrongType.into(), detail));
            }
        };
        let mut made = Made::default();
        for (number, pair) in pairs.iter().enumerate() {
            match self.pair(clip, pair) {
                Ok(sample) => made.samples.push(sample),
                Err(why) => made.left_out.push((Some(number), why)),
            }
        }
        made.kept = made.samples.len() as u64;
        if self.pairs == PairLayout::Together && !made.samples.is_empty() {
            made.samples = vec![together(clip, std::mem::take(&mut made.samples))];
        }
        made
    }

    /// A new object each time, so that a record used twice is not changed twice.
    fn pair(&self, clip: &ClipId, pair: &Value) -> Result<Map<String, Value>, LeftOut> {
        let Value::Object(pair) = pair else {
            return Err((Fault::WrongType.into(), format!("the pair is {}, not an object", type_name(pair))));
        };
        let question = self.question(pair)?;
        let thinking = field(pair, "thinking")?;
        self.limits.check_chars(&thinking, DropReason::ThinkingShort)?;
        let answer = field(pair, "answer")?;
        self.limits.check_answer(&answer)?;
        let semantic = self.semantic_elements(pair)?;
        let mut used =
            vec![("question", question.as_str()), ("thinking", thinking.as_str()), ("answer", answer.as_str())];
        used.extend(semantic.as_deref().map(|text| ("semantic_elements", text)));
        self.limits.check_phrases(&used)?;
        let mut sample = Map::new();
        sample.insert("file_name".to_owned(), clip.tar_key().into());
        for (name, value) in pair.iter().filter(|(name, _)| *name != "file_name") {
            sample.insert(name.clone(), value.clone());
        }
        sample.insert("question".to_owned(), question.into());
        sample.insert("thinking".to_owned(), thinking.into());
        sample.insert("answer".to_owned(), answer.into());
        match semantic {
            Some(text) => _ = sample.insert("semantic_elements".to_owned(), text.into()),
            None if self.task != Task::Qa => _ = sample.shift_remove("semantic_elements"),
            None => {}
        }
        Ok(sample)
    }

    fn question(&self, pair: &Map<String, Value>) -> Result<String, LeftOut> {
        if self.task == Task::Qa {
            let question = field(pair, "question")?;
            self.limits.check_chars(&question, DropReason::QuestionShort)?;
            return Ok(question);
        }
        let question = Question::read(pair)?;
        self.limits.check_chars(&question.stem, DropReason::QuestionShort)?;
        self.templates
            .instruction(&question, self.semantic)
            .map_err(|problem| (Fault::WrongType.into(), format!("the template cannot be filled in: {problem}")))
    }

    /// The cleaned field in semantic mode, `None` otherwise.
    fn semantic_elements(&self, object: &Map<String, Value>) -> Result<Option<String>, LeftOut> {
        if !self.semantic {
            return Ok(None);
        }
        let text = field(object, "semantic_elements")?;
        self.limits.check_chars(&text, DropReason::SemanticShort)?;
        Ok(Some(text))
    }
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

/// The JSON of a video sample: what the source tar says of the clip, then the record's fields,
/// which win where both have one.
pub(super) fn merge(mut described: Map<String, Value>, record: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in record {
        described.insert(name, value);
    }
    described
}

/// Takes the clip a record speaks of from its `file_name`.
///
/// # Errors
/// [`Fault::NoName`] and [`Fault::BadName`].
pub(super) fn clip_of(record: &Map<String, Value>) -> Result<ClipId, LeftOut> {
    let name = match record.get("file_name") {
        None | Some(Value::Null) => return Err((Fault::NoName.into(), "no file_name".to_owned())),
        Some(Value::String(name)) => clean(name),
        Some(other) => return Err((Fault::WrongType.into(), format!("file_name is {}", type_name(other)))),
    };
    name.parse().map_err(|error| (Fault::BadName.into(), format!("{error}")))
}
