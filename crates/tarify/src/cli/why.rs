//! Flags of `why`.

use std::path::PathBuf;

use audsem_core::cli::{CommandOutput, GlobalArgs};
use clap::Args;

use crate::error::Error;
use crate::why;

/// Say what became of a clip or a video in the run folders of a pipeline, and why it was left out.
///
/// Every step that it passed or that left it out, in the order of the pipeline: the value, the limit, and the flag that sets it.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The key of a clip, the id of a video, or the name of a file, as any of our files spells it: `VIDEO (1_0-2_5)`,
    /// `clips/VIDEO (1.0-2.5).mp4`, `VIDEO@1.0`, `VIDEO`
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Run folders of one pipeline, or a folder that holds them
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
}

impl WhyArgs {
    /// Finds the key and tells its way.
    ///
    /// # Errors
    /// The folders cannot be read, or the key is in none of them.
    pub fn run(&self, global: &GlobalArgs) -> Result<CommandOutput, Error> {
        let report = why::run(&why::Config { key: self.key.clone(), folders: self.folders.clone() })?;
        Ok(CommandOutput::Text(if global.json { report.to_json() } else { report.to_string() }))
    }
}
