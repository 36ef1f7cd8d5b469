//! Questions that are shown with their answers.

use std::collections::BTreeSet;

use audsem_report::Markup;
use serde::Serialize;

use super::scored::ScoredRun;
use super::sounds::FoundSounds;
use crate::score::MetricKind;
use crate::tables::ItemScore;

/// A question, and what the runs have answered.
#[derive(Debug, Serialize)]
pub(super) struct Example<'a> {
    id: &'a str,
    question: &'a str,
    options: Vec<ShownOption<'a>>,
    references: &'a [String],
    sounds: Vec<ShownSound<'a>>,
    answers: Vec<ShownAnswer<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownOption<'a> {
    letter: char,
    text: &'a str,
    right: bool,
}

#[derive(Debug, Serialize)]
struct ShownSound<'a> {
    name: &'a str,
    source: Option<Markup>,
}

#[derive(Debug, Serialize)]
struct ShownAnswer<'a> {
    run: &'a str,
    thinking: Option<&'a str>,
    semantic_elements: Option<&'a str>,
    answer: Option<&'a str>,
    /// All that was written, where no answer was found in it.
    output: Option<&'a str>,
    verdict: String,
    right: Option<bool>,
}

/// The answers of the first run that are shown: right ones, wrong ones and those without an answer in turn, each in the order
/// of the data set.
fn chosen<'a>(run: &'a ScoredRun, benchmark: &str, most: usize) -> Vec<&'a ItemScore> {
    let rows = run.heard(benchmark);
    let verdicts: [fn(&ItemScore) -> bool; 3] = [
        |row| row.answer.is_some() && row.official == Some(1.0),
        |row| row.answer.is_some() && row.official != Some(1.0),
        |row| row.answer.is_none(),
    ];
    let mut turns: Vec<_> = verdicts.iter().map(|is| rows.iter().copied().filter(move |row| is(row))).collect();
    let mut shown: Vec<&ItemScore> = Vec::new();
    loop {
        let before = shown.len();
        for turn in &mut turns {
            shown.extend(turn.next().filter(|_| shown.len() < most));
        }
        if shown.len() == before {
            break;
        }
    }
    shown.sort_by_key(|row| row.index);
    shown
}

/// The names of the sounds of all examples.
pub(super) fn wanted(runs: &[ScoredRun], most: usize) -> BTreeSet<String> {
    let Some(first) = runs.first() else { return BTreeSet::new() };
    let rows = first.summary.benchmarks.keys().flat_map(|benchmark| chosen(first, benchmark, most));
    rows.flat_map(|row| row.sounds.iter().cloned()).collect()
}

/// The examples of a data set.
pub(super) fn examples<'a>(
    runs: &'a [ScoredRun],
    benchmark: &str,
    most: usize,
    sounds: &FoundSounds,
) -> Vec<Example<'a>> {
    let Some(first) = runs.first() else { return Vec::new() };
    let all: Vec<(&str, Vec<&ItemScore>)> = runs.iter().map(|run| (run.name.as_str(), run.heard(benchmark))).collect();
    chosen(first, benchmark, most)
        .into_iter()
        .map(|row| Example {
            id: &row.id,
            question: &row.question,
            options: ('A'..='Z')
                .zip(&row.choices)
                .map(|(letter, text)| ShownOption { letter, text, right: row.references.contains(text) })
                .collect(),
            references: if row.choices.is_empty() { &row.references } else { &[] },
            sounds: row.sounds.iter().map(|name| ShownSound { name, source: sounds.get(name).cloned() }).collect(),
            answers: all
                .iter()
                .filter_map(|(run, rows)| Some(answer(run, rows.iter().find(|other| other.id == row.id)?)))
                .collect(),
        })
        .collect()
}

fn answer<'a>(run: &'a str, row: &'a ItemScore) -> ShownAnswer<'a> {
    let of_choice = row.official.map(|score| if score == 1.0 { "right" } else { "wrong" });
    let of_rule = row.instruction.map(|score| if score == 1.0 { "followed" } else { "not followed" });
    let score = of_choice.or(of_rule).map(str::to_owned);
    let other = || {
        let kind = MetricKind::main(&row.kind);
        kind.share(row)
            .filter(|(_, of)| *of > 0.0)
            .map(|(sum, of)| format!("{} {}", kind.about().0, kind.text(sum / of)))
    };
    let verdict = score.or_else(other).unwrap_or_else(|| "not scored".to_owned());
    let problem = row.problem.as_deref().map(|problem| format!(": {problem}")).unwrap_or_default();
    let status = if row.status == "answered" { String::new() } else { format!(" ({}{problem})", row.status) };
    ShownAnswer {
        run,
        thinking: row.thinking.as_deref(),
        semantic_elements: row.semantic_elements.as_deref(),
        answer: row.answer.as_deref(),
        output: row.output.as_deref().filter(|_| row.answer.is_none()),
        verdict: verdict + &status,
        right: row.official.or(row.instruction).map(|score| score == 1.0),
    }
}
