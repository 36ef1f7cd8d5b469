//! Lists of the clips beyond each threshold, which later stages can drop.

use std::collections::HashSet;

use audsem_core::run::{OutputFile, Reads, Run, Shard, ShardError, ShardOutput, Step};
use audsem_core::tables::text_hash;

use super::Summaries;
use crate::criterion::label;
use crate::error::Error;
use crate::scores::{Counts, Scored, Scores, TableKind, file_name};
use crate::texts::{Captions, TextTables};

/// A list that is being written.
struct List {
    modality: String,
    threshold: f32,
    csv: csv::Writer<OutputFile>,
}

/// What is listed.
struct Lists<'a> {
    scores: &'a Scores,
    modalities: Vec<&'a String>,
    limits: Vec<u64>,
    texts: &'a TextTables,
}

/// Writes `over-MODALITY-THRESHOLD.csv` for each modality and threshold, or `under-…`.
pub(super) fn write(
    run: &mut Run,
    scores: &Scores,
    summaries: &Summaries,
    texts: &TextTables,
    fingerprint: &Reads,
) -> Result<(), Error> {
    let (modalities, limits) = (summaries.sets.keys().collect(), scores.limits(run.options().limit));
    let lists = Lists { scores, modalities, limits, texts };
    let plan = [Shard { name: "all".to_owned(), fingerprint: fingerprint.clone(), work: lists }];
    let step = Step { name: scores.criterion.side.name(), unit: "scores", physical: "" };
    run.execute(step, &plan, Lists::write)?;
    Ok(())
}

impl Lists<'_> {
    /// Whether there is a column for captions.
    fn has_text(&self) -> bool {
        !self.texts.is_empty() || self.scores.files.iter().any(|file| file.kind == TableKind::Matches)
    }

    fn write(&self, out: &mut ShardOutput) -> Result<(), ShardError> {
        let captions = self.captions()?;
        let mut lists = self.open(out)?;
        self.for_each(|scored, value| {
            out.file_kept(1);
            let mut listed = false;
            for list in lists.iter_mut().filter(|list| list.modality == scored.modality) {
                if self.scores.criterion.beyond(value, list.threshold) {
                    listed = true;
                    let text = scored.text.or_else(|| captions.get(scored.key)).unwrap_or_default();
                    let value = value.to_string();
                    let record = [scored.key, scored.source, &value, text];
                    let n_columns = if self.has_text() { 4 } else { 3 };
                    list.csv.write_record(&record[..n_columns]).map_err(ShardError::fatal)?;
                }
            }
            out.count(self.scores.criterion.side.name(), u64::from(listed));
            Ok(())
        })?;
        for list in lists {
            let file = list.csv.into_inner().map_err(|error| ShardError::fatal(error.into_error()))?;
            out.close(file)?;
        }
        Ok(())
    }

    fn open(&self, out: &ShardOutput) -> Result<Vec<List>, ShardError> {
        let criterion = &self.scores.criterion;
        let mut lists = Vec::new();
        for modality in &self.modalities {
            for threshold in &criterion.thresholds {
                let (side, label) = (criterion.side.name(), label(*threshold));
                let name = format!("{side}-{}-{label}.csv", file_name(modality));
                let mut csv = csv::Writer::from_writer(out.create(name)?);
                let header =
                    ["key", "source", criterion.column.name()].into_iter().chain(self.has_text().then_some("text"));
                csv.write_record(header).map_err(ShardError::fatal)?;
                lists.push(List { modality: (*modality).clone(), threshold: *threshold, csv });
            }
        }
        Ok(lists)
    }

    /// The captions of everything that will be listed, and no others.
    fn captions(&self) -> Result<Captions, ShardError> {
        if self.texts.is_empty() {
            return Ok(Captions::default());
        }
        let (criterion, mut wanted) = (&self.scores.criterion, HashSet::new());
        self.for_each(|scored, value| {
            if criterion.thresholds.iter().any(|threshold| criterion.beyond(value, *threshold)) {
                wanted.insert(text_hash(scored.key));
            }
            Ok(())
        })?;
        self.texts.captions(&wanted).map_err(ShardError::fatal)
    }

    /// The rows that count.
    fn for_each(&self, mut visit: impl FnMut(Scored<'_>, f32) -> Result<(), ShardError>) -> Result<(), ShardError> {
        for (i, limit) in self.limits.iter().enumerate() {
            self.scores.for_each(i, *limit, |_, scored, counts| match counts {
                Counts::Value { value, .. } => visit(scored, value),
                _ => Ok(()),
            })?;
        }
        Ok(())
    }
}
