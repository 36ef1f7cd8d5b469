//! Where the scores of a report come from.

use std::path::PathBuf;

use audsem_core::run::RunFacts;
use audsem_core::terminal::counted;
use audsem_report::About;

use super::{HashedConfig, Summaries};
use crate::criterion::label;
use crate::error::Error;
use crate::scores::{Scores, TableKind, file_name};

/// Names of sets that are listed.
const NAMED: usize = 12;

/// The runs that have written the scores.
#[derive(Debug)]
pub(super) struct Source {
    runs: Vec<RunFacts>,
    n_tables: usize,
    kind: &'static str,
}

impl Source {
    pub(super) fn of(inputs: &[PathBuf], scores: &Scores) -> Result<Self, Error> {
        let runs = inputs.iter().map(|path| RunFacts::around(path)).collect::<Result<Vec<_>, _>>()?;
        let kind = match scores.files.first().map(|file| file.kind) {
            Some(TableKind::Matches) => "matches",
            _ => "scores",
        };
        Ok(Self { runs: runs.into_iter().flatten().collect(), n_tables: scores.files.len(), kind })
    }

    /// What stands under the title of the page: models, inputs, day, and the lists beside it.
    pub(super) fn about(&self, settings: &HashedConfig<'_>, summaries: &Summaries) -> About {
        let mut names: Vec<&str> = summaries.sets.values().flat_map(|sets| sets.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        let more = if names.len() > NAMED { format!(" and {} more", names.len() - NAMED) } else { String::new() };
        names.truncate(NAMED);
        let tables = counted(self.n_tables, "tables");
        let inputs = format!("{}{more}, {tables} of {}", names.join(", "), self.kind);
        let mut about = About::default().with_runs(&self.runs).with("inputs", inputs);
        let side = settings.criterion.side.name();
        for (modality, total) in &summaries.totals {
            for (threshold, n) in settings.criterion.thresholds.iter().zip(&total.beyond) {
                let list = format!("{side}-{}-{}.csv", file_name(modality), label(*threshold));
                about = about.with_file(&list, counted(*n, "clips"));
            }
        }
        about.with_file("report.txt", "this page as text")
    }
}
