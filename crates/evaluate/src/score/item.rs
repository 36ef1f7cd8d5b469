//! What one prediction is worth under every convention.

use audsem_core::answers::{TaggedAnswer, is_well_formed};
use audsem_metrics::caption;
use audsem_metrics::instruction::Instruction;
use audsem_metrics::meteor::{WordNet, meteor, meteor_of_nearest};
use audsem_metrics::normalise::{Compat, ThaiWords};
use audsem_metrics::sentences::SentenceModel;
use audsem_metrics::string_match::{chosen_option, is_match, is_same_option};

use super::audit::{TokenAudit, expected_tokens};
use super::extract::Extraction;
use super::letters::{edge_letter_rule, evalscope, lmms_eval};
use super::words::{Normaliser, compare_words};
use crate::item::{AnswerKind, instruction};
use crate::judge::Judgements;
use crate::prediction::{Prediction, PredictionStatus};
use crate::tables::{ItemScore, ScoreGroup};

/// The kind of questions whose answers have to follow an instruction, whatever they are answered with.
pub const INSTRUCTION: &str = "instruction";

/// Scores predictions one by one.
#[derive(Clone, Copy)]
pub struct ItemScorer<'a> {
    /// How answers are extracted.
    pub extraction: Extraction,
    /// Whether mistakes of the reference's text rules are kept.
    pub compat: Compat,
    /// How words are compared; `None` for the rules of the data set.
    pub normaliser: Option<Normaliser>,
    /// The words of Thai, without which it is compared as it stands.
    pub thai: Option<&'a ThaiWords>,
    /// Tells sentences apart, for instructions that are about their number.
    pub sentences: &'a SentenceModel,
    /// Synonyms for METEOR.
    pub wordnet: Option<&'a WordNet>,
    /// Ratings of a judge.
    pub judgements: Option<&'a Judgements>,
}

impl ItemScorer<'_> {
    /// Scores a prediction. What needs the whole data set (CIDEr-D, SPICE) is added later.
    #[must_use]
    pub fn score(&self, prediction: &Prediction) -> ItemScore {
        let output = prediction.output.as_deref().unwrap_or_default();
        let tagged = TaggedAnswer::read(output);
        let (answer, source) = self.extraction.answer(output, &tagged);
        let mut row = unscored(prediction, &tagged);
        row.answer = answer.map(str::to_owned);
        row.answer_source = source.name().to_owned();
        // The published scripts drop such questions, which flatters a model.
        let left_out = self.compat == Compat::Reference && prediction.status == PredictionStatus::NoSound;
        if let Some(rule) = instruction(&prediction.item) {
            row.kind = INSTRUCTION.to_owned();
            match rule {
                Ok(rule) if !left_out => self.instruction(&mut row, &rule),
                Ok(_) => {}
                Err(problem) => row.instruction_problem = Some(problem),
            }
        }
        if !row.references.is_empty() && !left_out {
            match prediction.item.kind {
                _ if row.kind == INSTRUCTION => {}
                AnswerKind::Choice => choice(&mut row),
                AnswerKind::Caption => self.caption(&mut row),
                AnswerKind::Transcript => self.transcript(&mut row),
                AnswerKind::Translation | AnswerKind::Open => {}
            }
            self.judged(&mut row, prediction);
        }
        row
    }

    /// An answer that is not there follows no instruction, though some rules are content with nothing.
    fn instruction(&self, row: &mut ItemScore, rule: &Instruction) {
        let is_followed = |compat: Compat| match row.answer.as_deref() {
            Some(answer) => rule.is_followed(answer, compat, self.sentences),
            None => self.compat == Compat::Reference && rule.is_followed("", compat, self.sentences),
        };
        let scores = [Compat::Reference, Compat::Fixed].map(|compat| f64::from(is_followed(compat)));
        [row.instruction, row.instruction_as_asked] = scores.map(Some);
    }

    fn transcript(&self, row: &mut ItemScore) {
        let normaliser = self.normaliser.unwrap_or_else(|| Normaliser::of(&row.benchmark));
        let reference = row.references.first().map(String::as_str).unwrap_or_default();
        let compared =
            compare_words(reference, row.answer.as_deref().unwrap_or_default(), normaliser, self.thai, self.compat);
        row.word_errors = Some(compared.words.errors());
        row.reference_words = Some(compared.words.reference());
        row.character_errors = Some(compared.characters.errors());
        row.reference_characters = Some(compared.characters.reference());
        row.normalised_answer = Some(compared.prediction);
        row.normalised_reference = Some(compared.reference);
    }

    fn caption(&self, row: &mut ItemScore) {
        let answer = row.answer.as_deref().unwrap_or_default();
        let references: Vec<Vec<String>> = row.references.iter().map(|text| caption::words(text)).collect();
        row.rouge_l = Some(caption::rouge_l(&caption::words(answer), &references));
        row.meteor = Some(meteor_of_nearest(answer, &row.references, self.wordnet));
        if row.references.len() > 1 {
            let each = row.references.iter().map(|reference| meteor(answer, reference, self.wordnet));
            row.meteor_single = Some(each.sum::<f64>() / row.references.len() as f64);
        }
    }

    fn judged(&self, row: &mut ItemScore, prediction: &Prediction) {
        let Some(judgements) = self.judgements.filter(|_| prediction.permutation == 0) else { return };
        // Answers that the rubric leaves to the rules of their kind have no judgement.
        let Some(judgement) = judgements.of(&row.benchmark, &row.id, prediction.heard) else { return };
        row.rating = judgement.rating;
        row.judgement = Some(judgement.outcome.name().to_owned());
    }
}

/// The scores of a choice under every convention. Where several answers are right, the best counts.
fn choice(row: &mut ItemScore) {
    let answer = row.answer.as_deref();
    let [shown, choices, rights] = bare_texts(row);
    let best = |score: &dyn Fn(&str) -> f64| rights.iter().map(|right| score(right)).reduce(f64::max);
    let official = |right: &str| answer.is_some_and(|answer| is_match(answer, right, &choices));
    let chosen = answer.and_then(|answer| chosen_option(answer, &shown)).map(|option| shown[option].clone());
    let parsed = |right: &str| chosen.as_ref().is_some_and(|chosen| is_same_option(chosen, right));
    let letter = |right: &str| edge_letter_rule(answer, &shown, right).unwrap_or(0.0);
    let scores = [
        best(&|right| f64::from(official(right))),
        best(&|right| f64::from(parsed(right))),
        best(&|right| lmms_eval(answer, &shown, right)),
        best(&|right| evalscope(answer, &shown, right)),
        best(&letter),
    ];
    row.letter_skipped = rights.iter().all(|right| edge_letter_rule(answer, &shown, right).is_none());
    row.chosen = chosen.clone();
    [row.official, row.parsed, row.lmms_eval, row.evalscope, row.letter] = scores;
}

/// The score, by the official rule, that the text of an option drawn at random can expect.
pub(super) fn official_by_chance(row: &ItemScore) -> f64 {
    let [_, choices, rights] = bare_texts(row);
    let is_accepted = |choice: &&String| rights.iter().any(|right| is_match(choice, right, &choices));
    choices.iter().filter(is_accepted).count() as f64 / choices.len().max(1) as f64
}

/// The score, by the official rule, of a right option behind its letter, as the question shows it.
pub(super) fn official_with_letter(row: &ItemScore) -> f64 {
    let [_, choices, rights] = bare_texts(row);
    let is_accepted = |(letter, choice): (char, &String)| {
        let answer = format!("{letter}. {choice}");
        rights.iter().any(|right| is_same_option(choice, right) && is_match(&answer, right, &choices))
    };
    f64::from(('A'..='Z').zip(&choices).any(is_accepted))
}

/// The options as shown and as published, and the right answers, without the letters in brackets, `(A) dog`, that some data sets put
/// before each option; where one option has none, they are words like others.
fn bare_texts(row: &ItemScore) -> [Vec<String>; 3] {
    let texts = [&row.shown_choices, &row.choices, &row.references];
    let is_lettered = row.shown_choices.iter().chain(&row.choices).all(|option| bare(option).is_some());
    let bare_text = |text: &String| bare(text).unwrap_or(text).to_owned();
    texts.map(|all| if is_lettered { all.iter().map(bare_text).collect() } else { all.clone() })
}

fn bare(option: &str) -> Option<&str> {
    let (letter, text) = option.strip_prefix('(')?.split_once(") ")?;
    matches!(letter.as_bytes(), [b'A'..=b'Z']).then_some(text)
}

/// What is known of a prediction without scores.
fn unscored(prediction: &Prediction, tagged: &TaggedAnswer<'_>) -> ItemScore {
    let (item, text) = (&prediction.item, |text: Option<&str>| text.map(str::to_owned));
    let output = prediction.output.as_deref().unwrap_or_default();
    let group = |(name, value): (&String, &String)| ScoreGroup { name: name.clone(), value: value.clone() };
    ItemScore {
        benchmark: item.benchmark.clone(),
        id: item.id.clone(),
        index: prediction.index,
        kind: item.kind.name().to_owned(),
        groups: item.groups.iter().map(group).collect(),
        sounds: item.sounds.clone(),
        question: item.question.clone(),
        choices: item.choices.clone(),
        shown_choices: prediction.shown_choices.clone(),
        references: item.references.clone(),
        heard: prediction.heard.name().to_owned(),
        permutation: prediction.permutation,
        status: prediction.status.name().to_owned(),
        problem: prediction.problem.clone(),
        output: prediction.output.clone(),
        thinking: text(tagged.thinking),
        thinking_words: u32::try_from(tagged.thinking_words()).unwrap_or(u32::MAX),
        semantic_elements: text(tagged.semantic_elements),
        well_formed: is_well_formed(output, false) || is_well_formed(output, true),
        answer: None,
        answer_source: String::new(),
        official: None,
        parsed: None,
        chosen: None,
        lmms_eval: None,
        evalscope: None,
        letter: None,
        letter_skipped: false,
        instruction: None,
        instruction_as_asked: None,
        instruction_problem: None,
        normalised_answer: None,
        normalised_reference: None,
        word_errors: None,
        reference_words: None,
        character_errors: None,
        reference_characters: None,
        meteor: None,
        meteor_single: None,
        rouge_l: None,
        cider_d: None,
        spice: None,
        sentence_similarity: None,
        fluency_error: None,
        rating: None,
        judgement: None,
        overall: None,
        sound_ms: prediction.sounds.iter().map(|sound| sound.duration_ms).sum(),
        given_ms: prediction.sounds.iter().map(|sound| sound.given_ms).sum(),
        expected_tokens: expected_tokens(prediction),
        prompt_tokens: prediction.prompt_tokens,
        text_tokens: prediction.text_tokens,
        output_tokens: prediction.output_tokens,
        token_audit: TokenAudit::of(prediction).name().to_owned(),
    }
}
