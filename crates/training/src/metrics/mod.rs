//! The numbers of a training: `metrics.jsonl`, TensorBoard event files, a page of curves.
//!
//! All of them are made of a [`History`], which is part of a checkpoint, so an interrupted training ends with the same
//! bytes. What depends on the clock (speed, memory) goes to `log.jsonl`.

mod live;
mod page;
mod speed;
mod tensorboard;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use live::{LiveMetrics, live_folder};
pub use page::metrics_page;
pub use speed::{SpeedMeter, peak_memory_mib};
pub use tensorboard::{EVENTS_FILE, event_file};

use crate::checkpoint::Exact;

/// The numbers of one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricRecord {
    /// Updates done.
    pub step: usize,
    /// Name and value, in the order in which they are written.
    values: Vec<(String, Exact)>,
}

impl MetricRecord {
    /// A moment after `step` updates.
    #[must_use]
    pub fn new(step: usize) -> Self {
        Self { step, values: Vec::new() }
    }

    /// Adds a number.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: f64) -> Self {
        self.values.push((name.into(), Exact(value)));
        self
    }

    /// The numbers by name, in their order.
    pub fn values(&self) -> impl Iterator<Item = (&str, f64)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.0))
    }

    /// The number of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// The line of `metrics.jsonl`: `step` and the numbers; null for one that is not finite.
    #[must_use]
    pub fn json_line(&self) -> String {
        let mut line = Map::from_iter([("step".to_owned(), Value::from(self.step))]);
        line.extend(self.values().map(|(name, value)| (name.to_owned(), Value::from(value))));
        format!("{}\n", Value::Object(line))
    }
}

/// The numbers of a training so far, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History {
    /// One record for each moment.
    pub records: Vec<MetricRecord>,
}

impl History {
    /// Adds a moment.
    pub fn push(&mut self, record: MetricRecord) {
        self.records.push(record);
    }

    /// The content of `metrics.jsonl`.
    #[must_use]
    pub fn jsonl(&self) -> Vec<u8> {
        self.records.iter().map(MetricRecord::json_line).collect::<String>().into_bytes()
    }

    /// Names of all numbers, each once, in the order of their first appearance.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.records.iter().flat_map(MetricRecord::values) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The finite values of a number, with their steps.
    #[must_use]
    pub fn curve(&self, name: &str) -> Vec<(f64, f64)> {
        let point = |record: &MetricRecord| Some((record.step as f64, record.get(name)?));
        self.records.iter().filter_map(point).filter(|(_, value)| value.is_finite()).collect()
    }

    /// The last value of a number.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<f64> {
        self.records.iter().rev().find_map(|record| record.get(name))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_history_survives_its_json_bit_for_bit() {
        let mut history = History::default();
        history.push(MetricRecord::new(1).with("loss", 0.1 + 0.2).with("grad_norm", f64::NAN));
        history.push(MetricRecord::new(2).with("valid_loss", 1e-300));
        let back: History = serde_json::from_str(&serde_json::to_string(&history).unwrap()).unwrap();
        assert_eq!(back.jsonl(), history.jsonl());
        assert_eq!(back.last("loss").unwrap().to_bits(), (0.1f64 + 0.2).to_bits());
        let lines = String::from_utf8(history.jsonl()).unwrap();
        assert_eq!(lines.lines().next().unwrap(), r#"{"step":1,"loss":0.30000000000000004,"grad_norm":null}"#);
        assert_eq!(history.names(), ["loss", "grad_norm", "valid_loss"]);
        assert_eq!((history.curve("loss").len(), history.curve("grad_norm").len()), (1, 0));
    }
}
