//! What every training leaves in its run folder: the trained tensors, a card that says how they were made, and the numbers.

use audsem_core::run::{ShardError, ShardOutput};
use serde_json::{Map, Value};

use crate::card::{CARD, FINAL, TrainingCard};
use crate::checkpoint::NamedFiles;
use crate::error::Error;
use crate::metrics::{EVENTS_FILE, History, event_file, metrics_page};

/// The page of curves.
const PAGE: &str = "report.html";

/// A training that is over.
pub(crate) struct FinishedTraining<'a> {
    /// Heading of the page of curves.
    pub(crate) title: &'static str,
    /// The trained tensors.
    pub(crate) files: NamedFiles,
    /// How they were made.
    pub(crate) card: TrainingCard,
    /// The numbers.
    pub(crate) history: &'a History,
}

impl FinishedTraining<'_> {
    /// Writes all files. Returns the numbers at the end.
    pub(crate) fn write(self, out: &mut ShardOutput) -> Result<Map<String, Value>, ShardError> {
        let Self { title, files, card, history } = self;
        for (name, bytes) in files {
            out.write_file(format!("{FINAL}/{name}"), &bytes)?;
        }
        let json = serde_json::to_string_pretty(&card).map_err(ShardError::fatal)?;
        out.write_file(format!("{FINAL}/{CARD}"), format!("{json}\n").as_bytes())?;
        out.write_file("metrics.jsonl", &history.jsonl())?;
        out.write_file(EVENTS_FILE, &event_file(history))?;
        let facts: Vec<(&str, Value)> =
            card.results.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let page = metrics_page(title, &facts, history).map_err(Error::from)?;
        out.write_file(PAGE, page.as_bytes())?;
        Ok(card.results)
    }
}
