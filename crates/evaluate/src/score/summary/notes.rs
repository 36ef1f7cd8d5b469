//! What people should know of scores that are not what they seem.

use std::collections::BTreeMap;

use super::SummarySettings;
use crate::score::words::Normaliser;
use crate::tables::ItemScore;

/// What is told of the answers to a data set, each question counting once.
pub(super) fn notes<'a>(
    questions: impl Iterator<Item = &'a ItemScore> + Clone,
    settings: &SummarySettings<'_>,
) -> Vec<String> {
    let mut problems: BTreeMap<&str, u64> = BTreeMap::new();
    for problem in questions.clone().filter_map(|row| row.instruction_problem.as_deref()) {
        *problems.entry(problem).or_default() += 1;
    }
    let told = |(problem, n): (&str, u64)| match n {
        1 => format!("One instruction is not scored: {problem}."),
        n => format!("{n} instructions are not scored: {problem}."),
    };
    let mut notes: Vec<String> = problems.into_iter().map(told).collect();
    let is_thai = |row: &ItemScore| {
        row.kind == "transcript"
            && settings.normaliser.unwrap_or_else(|| Normaliser::of(&row.benchmark)) == Normaliser::Thai
    };
    if !settings.thai_words && questions.clone().any(is_thai) {
        notes.push(
            "Transcripts were compared as they stand, so that a run of Thai without blanks is one word: no word list was given \
             (--thai-words)."
                .to_owned(),
        );
    }
    if let Some(sha256) =
        settings.bleu_model.as_ref().filter(|_| questions.clone().any(|row| row.kind == "translation"))
    {
        notes.push(format!("The tokens of BLEU are the pieces of a model with SHA-256 {sha256}."));
    }
    let translated = questions.clone().find(|row| row.kind == "translation").map(|row| row.benchmark.as_str());
    if let Some(tokens) = translated.and_then(|benchmark| settings.estimator.bleu.rules(benchmark)) {
        notes.push(format!(
            "The tokens of BLEU are those of sacrebleu's `{tokens}`; AudioBench publishes BLEU of `flores101` (--bleu-model), which \
             is another number."
        ));
    }
    let captions = questions.clone().filter(|row| row.kind == "caption" && row.heard == "sound");
    let (n, known) = captions.fold((0, 0), |(n, known), row| (n + 1, known + u64::from(row.spice.is_some())));
    if settings.spice && known < n {
        notes.push(format!("SPICE is known of {known} of {n} captions, and the mean is of these alone."));
    }
    notes
}
