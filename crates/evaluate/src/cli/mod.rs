//! The command line: clap types only, one file for each part.

mod report;
mod score;

pub use report::ReportArgs;
pub use score::{CompatFlag, ExportArgs, ExtractionArgs, JudgeArgs, NormaliserFlag, ScoreArgs, TokensFlag};
