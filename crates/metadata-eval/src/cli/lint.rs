//! `lint`.

use std::path::PathBuf;

use clap::Args;

use crate::error::Error;
use crate::lint::{Config, run};

/// Flags of `lint`.
#[derive(Debug, Clone, Args)]
pub struct LintArgs {
    /// Files of captions or questions (JSON lines), folders of them, or run folders of `caption`, `qa` or `mcqa`
    #[arg(short, long, value_name = "PATH", required = true, num_args = 1..)]
    pub records: Vec<PathBuf>,
    /// Run folder of `combine` or `filter`, or any file or folder of such tables: finds texts of other clips
    #[arg(long = "table", alias = "clips", value_name = "PATH")]
    pub clips: Option<PathBuf>,
    /// Examples shown of each fault
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub examples: usize,
}

impl LintArgs {
    /// The report, for people or as JSON.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn text(&self, as_json: bool) -> Result<String, Error> {
        let config = Config { records: self.records.clone(), clips: self.clips.clone(), examples: self.examples };
        let report = run(&config)?;
        Ok(if as_json { report.to_json() } else { report.to_string() })
    }
}
