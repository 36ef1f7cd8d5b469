//! Run folders for tests of what reads them.

use std::path::Path;

use crate::error::Result;
use crate::run::{Run, RunConfig, RunOptions, RunSpec, Shard, Step};

#[derive(serde::Serialize)]
struct Writing {}

impl RunConfig for Writing {
    const TOOL: &'static str = "test";
    const COMMAND: &'static str = "write";
}

/// Makes a run folder as a run that has ended leaves it, with a shard for each of these files.
///
/// # Errors
/// The folder cannot be written, or holds something else.
pub fn finished_run(folder: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    let mut plan = Vec::new();
    for (number, (name, content)) in files.iter().enumerate() {
        plan.push(Shard { name: format!("{number:05}"), fingerprint: (*name).into(), work: (*name, *content) });
    }
    let mut run = Run::open(&RunOptions::new(folder), RunSpec::new(&Writing {}))?;
    let step = Step { name: "part", unit: "files", physical: "MB" };
    run.execute(step, &plan, |(name, content), out| {
        out.file_kept(1);
        Ok(out.write_file(name, content)?)
    })?;
    run.finish().map(drop)
}
