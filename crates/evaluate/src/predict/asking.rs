//! The ways to ask each question, what is sent for each, and what becomes of the answers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use audsem_core::files::hex;
use audsem_llm::{
    Answered, FinishReason, GenerateTask, Message, Part, Prompt, Refusal, Request, Response, Role, TextError,
};
use sha2::{Digest as _, Sha256};

use super::orders::orders;
use super::prompts::{MOST_CHOICES, QuestionWording};
use super::sound::{GivenSounds, Unaskable};
use crate::item::EvaluationItem;
use crate::prediction::{HeardSound, Prediction, PredictionStatus};

/// How the questions of a run are asked.
pub(super) struct AskingRules<'a> {
    pub wording: &'a QuestionWording,
    /// Orders of the options.
    pub permute: u32,
    /// Whether questions are also asked with silence and with nothing.
    pub blind: bool,
    pub max_tokens: u32,
    pub seed: u64,
    /// Whether the tokens of the text alone are asked for too.
    pub counts_text: bool,
}

/// A request that is sent.
pub(super) struct Question {
    key: String,
    turns: Vec<Message>,
    sounds: Vec<Part>,
    max_tokens: u32,
}

/// What a model said to a request.
pub(super) struct Said {
    text: String,
    is_cut: bool,
    prompt_tokens: u64,
    output_tokens: u64,
}

/// The task of asking: every answer is taken as it is, because it is the answer that is measured.
pub(super) struct Asker;

impl GenerateTask for Asker {
    type Record = Question;
    type Row = Said;

    fn key<'a>(&self, question: &'a Question) -> Cow<'a, str> {
        Cow::Borrowed(&question.key)
    }

    fn request(&self, question: &Question) -> Result<Request, TextError> {
        let prompt = Prompt::Chat(question.turns.clone());
        let prompt = if question.sounds.is_empty() { prompt } else { prompt.with_media(question.sounds.clone())? };
        Ok(Request::greedy(prompt, question.max_tokens))
    }

    fn settings_hint(&self) -> &'static str {
        "change --max-tokens"
    }

    fn validate(&self, _: &Question, answer: &Response) -> Result<Said, Refusal> {
        // Servers that take the thinking out of the text leave its marks out too.
        let text = match answer.reasoning.as_deref() {
            Some(reasoning) if !reasoning.trim().is_empty() => format!("<think>{reasoning}</think>{}", answer.text),
            _ => answer.text.clone(),
        };
        let is_cut = answer.finish == FinishReason::Length;
        let (prompt_tokens, output_tokens) = (answer.usage.prompt_tokens, answer.usage.completion_tokens);
        Ok(Said { text, is_cut, prompt_tokens, output_tokens })
    }
}

/// A way to ask a question.
struct Way {
    /// The prediction, without an answer.
    prediction: Prediction,
    /// Its requests, one for each piece of the sound.
    asked: Range<usize>,
    /// The request for the text alone.
    text_alone: Option<usize>,
}

/// All that is asked about the questions of a shard.
#[derive(Default)]
pub(super) struct Plan {
    pub questions: Vec<Question>,
    ways: Vec<Way>,
    /// Requests for text alone by their prompt, because silence and pieces share those of the sound.
    texts: HashMap<String, usize>,
}

/// Number of ways in which a question is asked.
pub(super) fn number_of_ways(item: &EvaluationItem, rules: &AskingRules<'_>) -> u64 {
    orders_of(item, rules).len() as u64 + if rules.blind && !item.sounds.is_empty() { 2 } else { 0 }
}

/// Options that letters cannot name are not shown in other orders.
fn orders_of(item: &EvaluationItem, rules: &AskingRules<'_>) -> Vec<Vec<usize>> {
    let n = if item.choices.len() > MOST_CHOICES { 1 } else { rules.permute };
    orders(item.choices.len(), n, rules.seed, &item.id)
}

impl Plan {
    /// Adds the ways to ask a question: with its sounds in each order of its options, then in the published order with silence
    /// and with nothing. Where the sounds cannot be given, all but the last are not asked.
    pub(super) fn add(
        &mut self,
        index: u64,
        item: &EvaluationItem,
        given: &Result<GivenSounds, Unaskable>,
        rules: &AskingRules<'_>,
    ) {
        let orders = orders_of(item, rules);
        let heard = if item.sounds.is_empty() { HeardSound::Nothing } else { HeardSound::Sound };
        let mut ways: Vec<(HeardSound, usize)> = (0..orders.len()).map(|permutation| (heard, permutation)).collect();
        if rules.blind && heard == HeardSound::Sound {
            ways.extend([(HeardSound::Silence, 0), (HeardSound::Nothing, 0)]);
        }
        for (heard, permutation) in ways {
            let shown: Vec<String> = orders[permutation].iter().map(|&at| item.choices[at].clone()).collect();
            let turns = turns(rules.wording, item, &shown);
            let prediction = Prediction {
                item: item.clone(),
                index,
                heard,
                permutation: u32::try_from(permutation).unwrap_or(u32::MAX),
                prompt_sha256: hash(&turns),
                shown_choices: shown,
                status: PredictionStatus::Answered,
                problem: None,
                output: None,
                prompt_tokens: None,
                text_tokens: None,
                output_tokens: None,
                sounds: match (heard, given) {
                    (HeardSound::Sound | HeardSound::Silence, Ok(given)) => given.audits.clone(),
                    _ => Vec::new(),
                },
            };
            self.add_way(prediction, turns, given, rules);
        }
    }

    fn add_way(
        &mut self,
        mut prediction: Prediction,
        turns: Vec<Message>,
        given: &Result<GivenSounds, Unaskable>,
        rules: &AskingRules<'_>,
    ) {
        let first = self.questions.len();
        let mut text_alone = None;
        match sounds_of(&prediction, given) {
            Err((status, problem)) => (prediction.status, prediction.problem) = (status, Some(problem)),
            Ok(pieces) => {
                let (item, heard, order) = (&prediction.item.id, prediction.heard, prediction.permutation);
                for (piece, sounds) in pieces.into_iter().enumerate() {
                    let key = format!("{item}, {heard:?}, order {order}, piece {piece}");
                    let (turns, max_tokens) = (turns.clone(), rules.max_tokens);
                    self.questions.push(Question { key, turns, sounds, max_tokens });
                }
                let asked = first..self.questions.len();
                if rules.counts_text && prediction.heard != HeardSound::Nothing {
                    text_alone = Some(self.text_alone(&prediction, turns));
                }
                self.ways.push(Way { prediction, asked, text_alone });
                return;
            }
        }
        self.ways.push(Way { prediction, asked: first..first, text_alone });
    }

    /// The request for the text alone, which is made once for each text.
    fn text_alone(&mut self, prediction: &Prediction, turns: Vec<Message>) -> usize {
        let questions = &mut self.questions;
        *self.texts.entry(prediction.prompt_sha256.clone()).or_insert_with(|| {
            let key = format!("{}, text alone", prediction.item.id);
            questions.push(Question { key, turns, sounds: Vec::new(), max_tokens: 1 });
            questions.len() - 1
        })
    }

    /// The predictions in the order of the questions, from the answers to all requests.
    pub(super) fn predictions(self, answers: Vec<Answered<Said>>) -> Vec<Prediction> {
        let finished = self.ways.into_iter().map(|Way { mut prediction, asked, text_alone }| {
            if !asked.is_empty() {
                let pieces = asked.len() as u64;
                take(&mut prediction, &answers[asked]);
                prediction.text_tokens = match text_alone.map(|at| &answers[at]) {
                    Some(Answered::Accepted(said)) => told(said.prompt_tokens).map(|tokens| tokens * pieces),
                    Some(_) => None,
                    None => prediction.prompt_tokens.filter(|_| prediction.heard == HeardSound::Nothing),
                };
            }
            prediction
        });
        finished.collect()
    }
}

/// The sounds of each request of a way to ask.
fn sounds_of(prediction: &Prediction, given: &Result<GivenSounds, Unaskable>) -> Result<Vec<Vec<Part>>, Unaskable> {
    let n = prediction.item.choices.len();
    if n > MOST_CHOICES {
        let problem = format!("{n} options, of which letters can name {MOST_CHOICES}");
        return Err((PredictionStatus::Refused, problem));
    }
    if prediction.heard == HeardSound::Nothing {
        return Ok(vec![Vec::new()]);
    }
    let given = given.as_ref().map_err(Clone::clone)?;
    let parts = if prediction.heard == HeardSound::Silence { given.silence() } else { given.media() };
    parts.map_err(|error| (PredictionStatus::NoSound, error.to_string()))
}

fn turns(wording: &QuestionWording, item: &EvaluationItem, shown: &[String]) -> Vec<Message> {
    let system = wording.system().map(|text| Message::new(Role::System, text));
    system.into_iter().chain([Message::new(Role::User, wording.text(item, shown))]).collect()
}

/// SHA-256 (hex) of the turns as JSON.
fn hash(turns: &[Message]) -> String {
    let json = serde_json::to_vec(turns).expect("turns of text hold nothing JSON cannot say");
    hex(&Sha256::digest(json))
}

/// A number of tokens, if one was told: no prompt has none.
fn told(tokens: u64) -> Option<u64> {
    (tokens > 0).then_some(tokens)
}

/// Joins the answers to the pieces of a question.
fn take(prediction: &mut Prediction, answers: &[Answered<Said>]) {
    let mut said = Vec::with_capacity(answers.len());
    for answer in answers {
        match answer {
            Answered::Accepted(answer) => said.push(answer),
            Answered::Refused(refusal) => return refused(prediction, refusal.reason.clone()),
            Answered::Failed(error) => return refused(prediction, error.to_string()),
        }
    }
    prediction.output = Some(match said.as_slice() {
        [one] => one.text.clone(),
        several => several.iter().map(|said| said.text.trim()).collect::<Vec<_>>().join(" "),
    });
    let sum = |tokens: fn(&Said) -> u64| said.iter().map(|&said| told(tokens(said))).sum::<Option<u64>>();
    prediction.prompt_tokens = sum(|said| said.prompt_tokens);
    prediction.output_tokens = sum(|said| said.output_tokens);
    if said.iter().any(|said| said.is_cut) {
        prediction.status = PredictionStatus::CutOff;
    }
}

fn refused(prediction: &mut Prediction, problem: String) {
    prediction.status = PredictionStatus::Refused;
    prediction.problem = Some(problem);
}
