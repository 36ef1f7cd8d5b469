//! What every training leaves in its run folder: the trained tensors, a card that says how they were made, and the numbers.

use std::path::Path;

use audsem_core::run::{RunFacts, ShardError, ShardOutput};
use audsem_report::About;
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
    /// The run folder.
    pub(crate) folder: &'a Path,
    /// Further lists beside the page, with what is in them.
    pub(crate) lists: &'a [(&'static str, &'static str)],
}

impl FinishedTraining<'_> {
    /// Writes all files. Returns the numbers at the end.
    pub(crate) fn write(self, out: &mut ShardOutput) -> Result<Map<String, Value>, ShardError> {
        let Self { title, files, card, history, folder, lists } = self;
        for (name, bytes) in files {
            out.write_file(format!("{FINAL}/{name}"), &bytes)?;
        }
        let json = serde_json::to_string_pretty(&card).map_err(ShardError::fatal)?;
        out.write_file(format!("{FINAL}/{CARD}"), format!("{json}\n").as_bytes())?;
        out.write_file("metrics.jsonl", &history.jsonl())?;
        out.write_file(EVENTS_FILE, &event_file(history))?;
        let facts: Vec<(&str, Value)> =
            card.results.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let about = about(&card, RunFacts::around(folder)?.as_ref(), lists);
        let page = metrics_page(title, about, &facts, history).map_err(Error::from)?;
        out.write_file(PAGE, page.as_bytes())?;
        Ok(card.results)
    }
}

/// What stands under the title: model, data, day, and the files beside the page.
fn about(card: &TrainingCard, run: Option<&RunFacts>, lists: &[(&str, &str)]) -> About {
    let data: Vec<String> = card.data.iter().map(|data| data.path.display().to_string()).collect();
    let about = About::default().with_runs(run).with("data", data.join(", "));
    let about = about.with_file("metrics.jsonl", "the numbers of each step");
    let about = lists.iter().fold(about, |about, (name, text)| about.with_file(name, *text));
    about.with_file(&format!("{FINAL}/{CARD}"), "all settings")
}
