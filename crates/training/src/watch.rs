//! What people see of a training while it runs.

use audsem_core::run::{RunOptions, ShardOutput, log_event};
use serde_json::json;

use crate::error::Result;
use crate::metrics::{LiveMetrics, MetricRecord, peak_memory_mib};
use crate::sft::TrainingEvent;

/// Shows a training on the progress line, in the log and in the folder of live metrics.
pub(crate) struct Watcher<'a> {
    options: &'a RunOptions,
    /// What a step of the training is called.
    unit: &'static str,
    /// Names of the numbers that are told.
    shown: &'static [&'static str],
    live: Option<LiveMetrics>,
}

impl<'a> Watcher<'a> {
    /// For a training whose steps are called `unit`, of which the numbers `shown` are told.
    pub(crate) fn new(options: &'a RunOptions, unit: &'static str, shown: &'static [&'static str]) -> Self {
        Self { options, unit, shown, live: None }
    }

    /// Takes note of what happens.
    pub(crate) fn see(&mut self, event: TrainingEvent<'_>, out: &mut ShardOutput) -> Result<()> {
        match event {
            TrainingEvent::Hearing(proof) => {
                tracing::info!("{proof}");
                self.append(&proof.record())?;
            }
            TrainingEvent::Begun(history) => self.live = Some(LiveMetrics::start(&self.options.output, history)?),
            TrainingEvent::Tokens(tokens) => out.work(tokens as f64),
            TrainingEvent::Validation(record) => {
                tracing::info!("{} {}: {}", self.unit, record.step, self.text(record));
                self.append(record)?;
            }
            TrainingEvent::Record { record, tokens_per_s, left } => {
                let left = left.map(|left| format!(", {} s left", left.as_secs())).unwrap_or_default();
                let said = self.text(record);
                let epoch = record.get("epoch").map(|epoch| format!(" (epoch {epoch:.2})")).unwrap_or_default();
                let line = format!("{} {}{epoch}: {said}, {tokens_per_s:.0} tokens/s{left}", self.unit, record.step);
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

    /// Names and values of the shown numbers, as far as a record has them.
    fn text(&self, record: &MetricRecord) -> String {
        let number = |name: &&str| Some(format!("{} {:.4}", name.replace('_', " "), record.get(name)?));
        self.shown.iter().filter_map(number).collect::<Vec<_>>().join(", ")
    }
}
