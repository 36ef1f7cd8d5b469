//! `sample`.

use std::path::PathBuf;

use audsem_core::terminal::counted;
use clap::Args;

use crate::error::Error;
use crate::sample::{Config, run};

/// Flags of `sample`.
#[derive(Debug, Clone, Args)]
pub struct SampleArgs {
    /// An output to compare: a name and a file, folder or run folder of records; give the flag once for each
    #[arg(short, long, value_name = "NAME=PATH", required = true, value_parser = named)]
    pub records: Vec<(String, PathBuf)>,
    /// Audio shards with the sounds: tars or folders of them
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    pub shards: Vec<PathBuf>,
    /// Number of clips
    #[arg(short, long, value_name = "N", default_value_t = 20)]
    pub n: usize,
    /// Seed of the choice of clips
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Page to write (HTML, sounds included)
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.into())),
        _ => Err("expected NAME=PATH".to_owned()),
    }
}

impl SampleArgs {
    /// Writes the page and says what is on it.
    ///
    /// # Errors
    /// An input cannot be read.
    pub fn text(&self, as_json: bool) -> Result<String, Error> {
        let sampled = run(&Config {
            outputs: self.records.clone(),
            shards: self.shards.clone(),
            n: self.n,
            seed: self.seed,
            page: self.output.clone(),
        })?;
        if as_json {
            return Ok(format!("{}\n", serde_json::json!(sampled)));
        }
        let crate::sample::Sampled { clips, without_sound, common, unreadable } = sampled;
        let page = self.output.display();
        Ok(format!(
            "{page}: {clips} of {}, {without_sound} without sound; {}\n",
            counted(common, "clips"),
            counted(unreadable, "unreadable lines")
        ))
    }
}
