//! The answers behind the page, as a list for spreadsheets and programs.

use std::path::Path;

use audsem_core::error::Error as CoreError;

use super::scored::ScoredRun;
use crate::error::Error;
use crate::score::MetricKind;

/// The list.
pub(super) const ANSWERS_FILE: &str = "answers.csv";

/// A line for each answer of each run: what was asked and answered, and its score by the main metric of its kind.
///
/// # Errors
/// None in practice: memory takes any text.
pub(super) fn answers_csv(runs: &[ScoredRun]) -> Result<Vec<u8>, Error> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| CoreError::input(Path::new(ANSWERS_FILE), error.to_string());
    csv.write_record([
        "run",
        "benchmark",
        "id",
        "heard",
        "permutation",
        "status",
        "sound_ms",
        "given_ms",
        "token_audit",
        "question",
        "reference",
        "answer",
        "metric",
        "score",
    ])
    .map_err(failed)?;
    for run in runs {
        for row in &run.rows {
            let metric = MetricKind::main(&row.kind);
            let score = metric.share(row).filter(|(_, of)| *of > 0.0).map(|(sum, of)| (sum / of).to_string());
            let [permutation, sound_ms, given_ms] =
                [u64::from(row.permutation), row.sound_ms, row.given_ms].map(|number| number.to_string());
            csv.write_record([
                run.name.as_str(),
                &row.benchmark,
                &row.id,
                &row.heard,
                &permutation,
                &row.status,
                &sound_ms,
                &given_ms,
                &row.token_audit,
                &row.question,
                &row.references.join(" | "),
                row.answer.as_deref().unwrap_or_default(),
                metric.about().0,
                score.as_deref().unwrap_or_default(),
            ])
            .map_err(failed)?;
        }
    }
    csv.into_inner().map_err(|error| CoreError::input(Path::new(ANSWERS_FILE), error.to_string()).into())
}
