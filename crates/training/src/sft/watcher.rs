//! What people see of a training while it runs.

use audsem_core::run::{RunOptions, ShardOutput, log_event};
use serde_json::json;

use super::fine_tuning::TrainingEvent;
use crate::error::Result;
use crate::metrics::{LiveMetrics, MetricRecord, peak_memory_mib};

/// Shows a training on the progress line, in the log and in the folder of live metrics.
pub(super) struct Watcher<'a> {
    options: &'a RunOptions,
    live: Option<LiveMetrics>,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(options: &'a RunOptions) -> Self {
        Self { options, live: None }
    }

    pub(super) fn see(&mut self, event: TrainingEvent<'_>, out: &mut ShardOutput) -> Result<()> {
        match event {
            TrainingEvent::Hearing(proof) => {
                tracing::info!("{proof}");
                self.append(&proof.record())?;
            }
            TrainingEvent::Begun(history) => self.live = Some(LiveMetrics::start(&self.options.output, history)?),
            TrainingEvent::Tokens(tokens) => out.work(tokens as f64),
            TrainingEvent::Validation(record) => {
                tracing::info!(
                    "update {}: {}",
                    record.step,
                    text(record, &["valid_loss", "valid_mean_token_accuracy"])
                );
                self.append(record)?;
            }
            TrainingEvent::Record { record, tokens_per_s, left } => {
                let left = left.map(|left| format!(", {} s left", left.as_secs())).unwrap_or_default();
                let said = text(record, &["loss", "mean_token_accuracy"]);
                let line = format!("update {}: {said}, {tokens_per_s:.0} tokens/s{left}", record.step);
                tracing::info!("{line}");
                out.note(line);
                self.append(record)?;
                let detail =
                    json!({ "step": record.step, "tokens_per_s": tokens_per_s, "peak_mib": peak_memory_mib() });
                log_event(&self.options.output, "speed", detail)?;
            }
        }
        Ok(())
    }

    fn append(&self, record: &MetricRecord) -> Result<()> {
        self.live.as_ref().map_or(Ok(()), |live| live.append(record))
    }

    /// Removes what is of no use when the training is over.
    pub(super) fn finish(self) -> Result<()> {
        LiveMetrics::remove(&self.options.output)
    }
}

/// Some numbers of a record.
fn text(record: &MetricRecord, names: &[&str]) -> String {
    let number = |name: &&str| Some(format!("{} {:.4}", name.replace('_', " "), record.get(name)?));
    names.iter().filter_map(number).collect::<Vec<_>>().join(", ")
}
