//! `summary.json`: what the answers of a run are worth, by data set and by what the model heard.

mod corpus;
mod estimate;
mod metrics;
mod ngrams;
mod notes;
mod permutations;
mod thinking;

use std::collections::{BTreeMap, BTreeSet};

use audsem_metrics::bleu::BleuTokenizer;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use corpus::CaptionStatistics;
pub(super) use corpus::{add_cider, add_overall};
pub use estimate::{Estimate, Estimator, by_sound, sums};
pub use metrics::MetricKind;
pub use permutations::PermutationSummary;
pub use thinking::{BudgetScore, ThinkingSummary};

use super::audit::TokenAudit;
use super::item::{INSTRUCTION, official_by_chance, official_with_letter};
use super::predictions::RunRecord;
use super::words::Normaliser;
use crate::item::is_outside;
use crate::judge::JudgeRecord;
use crate::tables::ItemScore;

/// What a run of `score` has found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreSummary {
    /// How the predictions were made.
    pub predictions: RunRecord,
    /// Who judged open answers, and by what rubric.
    pub judge: Option<JudgeRecord>,
    /// How BLEU cuts texts into tokens, by sacrebleu's name; none for the rules of each data set.
    pub bleu_tokens: Option<BleuTokenizer>,
    /// SHA-256 of the model whose pieces are the tokens of BLEU.
    #[serde(default)]
    pub bleu_model: Option<String>,
    /// Resamples of each bootstrap interval.
    pub resamples: u32,
    /// The data sets, by name.
    pub benchmarks: BTreeMap<String, BenchmarkSummary>,
}

/// The answers to one data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkSummary {
    /// The kind of answer that is asked for; of several the one of most questions.
    pub kind: String,
    /// Number of questions.
    pub n_questions: u64,
    /// Number of different sounds, or sets of sounds that are asked about together.
    pub n_sounds: u64,
    /// SHA-256 of the questions, options and right answers, which tells versions of a data set apart.
    pub data_sha256: String,
    /// Expected score of an option that is drawn at random, by the letter; none where there are no options.
    pub chance: Option<f64>,
    /// Expected score, by the official rule, of the text of an option that is drawn at random: it is higher than `chance` where
    /// the rule takes a wrong option for the right one.
    #[serde(default)]
    pub chance_official: Option<f64>,
    /// Score, by the official rule, of the right option behind its letter: more is out of reach for a model that copies letters.
    #[serde(default)]
    pub lettered_official: Option<f64>,
    /// Questions whose right answer is not among their options.
    pub answers_outside: Vec<String>,
    /// Questions some of whose options are equal.
    pub repeated_options: Vec<String>,
    /// Questions two of whose options have the same words, in another order or beside marks, for which the official rule is
    /// blind.
    pub same_words: Vec<String>,
    /// What the model heard, and how it answered: `sound`, `silence`, `nothing`.
    pub heard: BTreeMap<String, HeardSummary>,
    /// Predictions with sounds by the verdict on their tokens.
    pub token_audit: BTreeMap<String, u64>,
    /// Predictions with sounds of which the model got a part alone, by the policy for long ones.
    pub n_shortened: u64,
    /// What people should know of the scores.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The answers to one data set in one way of hearing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeardSummary {
    /// Questions that were asked.
    pub n_total: u64,
    /// Questions whose right answer is known, or whose instruction has a rule, which all count.
    pub n_scored: u64,
    /// Instructions that no rule can be applied to.
    #[serde(default)]
    pub n_without_rule: u64,
    /// Questions that have an answer.
    pub n_with_answer: u64,
    /// Choices whose answer means none of the options.
    pub n_unparsed: u64,
    /// Answers that were left to a judge, those without an answer among them.
    #[serde(default)]
    pub n_judged: u64,
    /// Of these, those that have a rating: what is missing is the failures of the judge.
    #[serde(default)]
    pub n_rated: u64,
    /// What became of them.
    pub statuses: BTreeMap<String, u64>,
    /// Where their answers were found.
    pub answer_sources: BTreeMap<String, u64>,
    /// The metrics in the order in which they are shown, the main one first.
    pub metrics: Vec<(MetricKind, Estimate)>,
    /// Names and words of captions.
    pub captions: Option<CaptionStatistics>,
    /// By what scores are told, such as `task`, and its values.
    pub groups: BTreeMap<String, GroupsSummary>,
    /// The options in other orders.
    pub permutations: Option<PermutationSummary>,
    /// The reasoning.
    pub thinking: Option<ThinkingSummary>,
}

/// The scores by the values of one property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupsSummary {
    /// Mean of the main metric over the values, each counting once.
    pub macro_mean: Option<f64>,
    /// The metrics of each value, the main one first.
    pub values: BTreeMap<String, Vec<(MetricKind, Estimate)>>,
}

impl HeardSummary {
    /// The estimate of a metric.
    #[must_use]
    pub fn metric(&self, kind: MetricKind) -> Option<&Estimate> {
        self.metrics.iter().find(|(found, _)| *found == kind).map(|(_, estimate)| estimate)
    }

    /// The main metric.
    #[must_use]
    pub fn main(&self) -> Option<&(MetricKind, Estimate)> {
        self.metrics.first()
    }
}

/// What a summary is made with.
pub(super) struct SummarySettings<'a> {
    pub(super) estimator: Estimator<'a>,
    /// Words of reasoning that were asked for.
    pub(super) target_words: Option<u32>,
    /// How words were compared; `None` for the rules of each data set.
    pub(super) normaliser: Option<Normaliser>,
    /// Whether the words of Thai were known.
    pub(super) thai_words: bool,
    /// SHA-256 of the model whose pieces are the tokens of BLEU.
    pub(super) bleu_model: Option<String>,
    /// Whether SPICE was given.
    pub(super) spice: bool,
}

impl SummarySettings<'_> {
    /// The summaries of all data sets among the rows.
    pub(super) fn benchmarks(&self, rows: &[ItemScore]) -> BTreeMap<String, BenchmarkSummary> {
        let mut by_name: BTreeMap<&str, Vec<&ItemScore>> = BTreeMap::new();
        for row in rows {
            by_name.entry(&row.benchmark).or_default().push(row);
        }
        by_name.into_iter().map(|(name, rows)| (name.to_owned(), self.benchmark(&rows))).collect()
    }

    fn benchmark(&self, rows: &[&ItemScore]) -> BenchmarkSummary {
        let mut questions: BTreeMap<&str, &ItemScore> = BTreeMap::new();
        for row in rows {
            questions.entry(&row.id).or_insert(row);
        }
        let ids = |keep: fn(&ItemScore) -> bool| -> Vec<String> {
            questions.values().filter(|row| keep(row)).map(|row| row.id.clone()).collect()
        };
        let mut by_hearing: BTreeMap<&str, Vec<&ItemScore>> = BTreeMap::new();
        for row in rows {
            by_hearing.entry(&row.heard).or_default().push(row);
        }
        let with_sound: Vec<&&ItemScore> = rows.iter().filter(|row| row.heard == "sound").collect();
        BenchmarkSummary {
            kind: estimate::kinds(rows).first().map(|kind| (*kind).to_owned()).unwrap_or_default(),
            n_questions: questions.len() as u64,
            n_sounds: questions.values().map(|row| &row.sounds).collect::<BTreeSet<_>>().len() as u64,
            data_sha256: data_sha256(questions.values().copied()),
            chance: chance(questions.values().copied()),
            chance_official: mean_of_choices(questions.values().copied(), official_by_chance),
            lettered_official: mean_of_choices(questions.values().copied(), official_with_letter),
            answers_outside: ids(|row| is_outside(&row.choices, &row.references)),
            repeated_options: ids(|row| row.choices.iter().collect::<BTreeSet<_>>().len() < row.choices.len()),
            same_words: ids(has_same_words),
            heard: by_hearing.into_iter().map(|(heard, rows)| (heard.to_owned(), self.heard(&rows))).collect(),
            token_audit: counted(with_sound.iter().map(|row| row.token_audit.as_str())),
            n_shortened: with_sound.iter().filter(|row| row.given_ms < row.sound_ms).count() as u64,
            notes: notes::notes(questions.values().copied(), self),
        }
    }

    fn heard(&self, rows: &[&ItemScore]) -> HeardSummary {
        let published: Vec<&ItemScore> = rows.iter().copied().filter(|row| row.permutation == 0).collect();
        let count = |keep: fn(&ItemScore) -> bool| published.iter().filter(|row| keep(row)).count() as u64;
        HeardSummary {
            n_total: published.len() as u64,
            n_scored: count(|row| match row.kind.as_str() {
                INSTRUCTION => row.instruction_problem.is_none(),
                _ => !row.references.is_empty(),
            }),
            n_without_rule: count(|row| row.instruction_problem.is_some()),
            n_with_answer: count(|row| row.answer.is_some()),
            n_unparsed: count(|row| row.official.is_some() && row.chosen.is_none()),
            n_judged: count(|row| row.judgement.is_some()),
            n_rated: count(|row| row.rating.is_some()),
            statuses: counted(published.iter().map(|row| row.status.as_str())),
            answer_sources: counted(published.iter().map(|row| row.answer_source.as_str())),
            metrics: self.estimator.all(&published),
            captions: CaptionStatistics::of(&published),
            groups: self.groups(&published),
            permutations: PermutationSummary::of(rows, &self.estimator),
            thinking: ThinkingSummary::of(&published, self.target_words, &self.estimator),
        }
    }

    fn groups(&self, rows: &[&ItemScore]) -> BTreeMap<String, GroupsSummary> {
        let mut groups: BTreeMap<&str, BTreeMap<&str, Vec<&ItemScore>>> = BTreeMap::new();
        for row in rows {
            for group in &row.groups {
                groups.entry(&group.name).or_default().entry(&group.value).or_default().push(row);
            }
        }
        let main = MetricKind::main(estimate::kinds(rows).first().copied().unwrap_or_default());
        let summarise = |values: BTreeMap<&str, Vec<&ItemScore>>| {
            let values: BTreeMap<String, Vec<(MetricKind, Estimate)>> =
                values.into_iter().map(|(value, rows)| (value.to_owned(), self.estimator.brief(&rows))).collect();
            // A mean of different metrics would mean nothing.
            let of_main = |metrics: &Vec<(MetricKind, Estimate)>| {
                metrics.iter().find(|(kind, _)| *kind == main).map(|(_, estimate)| estimate.value)
            };
            let main: Vec<f64> = values.values().filter_map(of_main).collect();
            let macro_mean = (!main.is_empty()).then(|| main.iter().sum::<f64>() / main.len() as f64);
            GroupsSummary { macro_mean, values }
        };
        groups.into_iter().map(|(name, values)| (name.to_owned(), summarise(values))).collect()
    }
}

fn counted<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}

/// A hash of what is asked and what is right, in the order of the ids.
fn data_sha256<'a>(questions: impl Iterator<Item = &'a ItemScore>) -> String {
    let mut hasher = Sha256::new();
    for row in questions {
        let parts = [&row.id, &row.question].into_iter().chain(&row.choices).chain(&row.references);
        let line = serde_json::to_vec(&parts.map(|part| part.trim()).collect::<Vec<_>>());
        hasher.update(line.expect("texts are plain data"));
    }
    audsem_core::files::hex(&hasher.finalize())
}

/// The share of right options, over all questions with options and a right answer.
fn chance<'a>(questions: impl Iterator<Item = &'a ItemScore>) -> Option<f64> {
    mean_of_choices(questions, |row| {
        let is_right = |choice: &&String| row.references.iter().any(|right| right.trim() == choice.trim());
        row.choices.iter().filter(is_right).count() as f64 / row.choices.len() as f64
    })
}

/// The mean over all questions with options and a right answer; `None` if there is none.
fn mean_of_choices<'a>(questions: impl Iterator<Item = &'a ItemScore>, of: impl Fn(&ItemScore) -> f64) -> Option<f64> {
    let is_choice = |row: &&ItemScore| row.kind == "choice" && !row.choices.is_empty() && !row.references.is_empty();
    let found: Vec<f64> = questions.filter(is_choice).map(of).collect();
    (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
}

/// Whether a wrong option has the words of a right one.
fn has_same_words(row: &ItemScore) -> bool {
    let words = |text: &String| audsem_metrics::string_match::words(text);
    row.references.iter().any(|right| {
        let right_words = words(right);
        row.choices.iter().any(|choice| choice != right && words(choice) == right_words)
    })
}

/// Every verdict on tokens with its number, those without predictions among them.
#[must_use]
pub fn all_audits(found: &BTreeMap<String, u64>) -> Vec<(TokenAudit, u64)> {
    TokenAudit::ALL.iter().map(|audit| (*audit, found.get(audit.name()).copied().unwrap_or(0))).collect()
}
