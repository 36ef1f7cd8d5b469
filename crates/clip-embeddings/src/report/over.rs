//! Lists of what lies over the thresholds: what later stages leave out.

use std::path::PathBuf;

use audsem_core::run::{OutputFile, Run, Shard, ShardError, ShardOutput, Step};
use audsem_core::tables::{Columns as _, ParquetFile, Score};

use super::{Config, Summaries};
use crate::error::Error;
use crate::scores::ScoreFile;

/// One list in the making.
struct List {
    modality: String,
    threshold: f32,
    csv: csv::Writer<OutputFile>,
}

/// Writes `over-MODALITY-THRESHOLD.csv` for each modality and threshold.
pub(super) fn write(
    run: &mut Run,
    scores: &[ScoreFile],
    config: &Config,
    summaries: &Summaries,
    fingerprint: &str,
) -> Result<(), Error> {
    let plan = [Shard { name: "all".to_owned(), fingerprint: fingerprint.to_owned(), work: scores }];
    let step = Step { name: "over", unit: "scores", physical: "" };
    let modalities: Vec<&String> = summaries.sets.keys().collect();
    let limit = run.options().limit.unwrap_or(u64::MAX);
    run.execute(step, &plan, |scores, out| write_lists(scores, config, &modalities, limit, out))?;
    Ok(())
}

fn write_lists(
    scores: &[ScoreFile],
    config: &Config,
    modalities: &[&String],
    limit: u64,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let mut lists = Vec::new();
    for modality in modalities {
        for threshold in &config.thresholds {
            let name = PathBuf::from(format!("over-{modality}-{threshold:.2}.csv"));
            let mut csv = csv::Writer::from_writer(out.create(name)?);
            csv.write_record(["key", "source", "dissimilarity"]).map_err(ShardError::fatal)?;
            lists.push(List { modality: (*modality).clone(), threshold: *threshold, csv });
        }
    }
    let mut left = usize::try_from(limit).unwrap_or(usize::MAX);
    for file in scores {
        for columns in ParquetFile::<Score>::open(&file.path).map_err(ShardError::fatal)?.groups() {
            let columns = columns.map_err(ShardError::fatal)?;
            let n = columns.len().min(left);
            left -= n;
            out.read(n as u64);
            for score in (0..n).map(|i| columns.get(i)) {
                let mut over = false;
                for list in &mut lists {
                    if score.modality == list.modality && score.dissimilarity > list.threshold {
                        over = true;
                        let value = score.dissimilarity.to_string();
                        list.csv.write_record([score.key, score.source, &value]).map_err(ShardError::fatal)?;
                    }
                }
                out.keep(1);
                out.count("over", u64::from(over));
            }
        }
    }
    for list in lists {
        let file = list.csv.into_inner().map_err(|error| ShardError::fatal(error.into_error()))?;
        out.close(file)?;
    }
    Ok(())
}
