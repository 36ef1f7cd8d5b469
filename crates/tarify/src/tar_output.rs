//! The output tar of a shard.

use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_core::run::{LeftOut, Outcome, OutputFile, ShardError, ShardOutput};
use audsem_core::tar::{ShardOptions, ShardWriter, TarError};

use crate::reason::Fault;

/// A tar in the run folder that is created with its first sample, so that no tar is empty.
pub(crate) struct TarOutput {
    name: String,
    options: ShardOptions,
    open: Option<(PathBuf, ShardWriter<OutputFile>)>,
}

impl TarOutput {
    pub(crate) fn new(name: String, options: ShardOptions) -> Self {
        Self { name, options, open: None }
    }

    /// Appends a sample, unless a tar cannot hold it under this key.
    pub(crate) fn write(
        &mut self,
        out: &ShardOutput,
        key: &str,
        members: &[(&str, &[u8])],
    ) -> Result<Outcome<()>, ShardError> {
        let (path, writer) = match &mut self.open {
            Some(open) => open,
            None => {
                let file = out.create(&self.name)?;
                self.open.insert((file.path().to_owned(), ShardWriter::new(file, self.options)))
            }
        };
        match writer.write_sample(key, members) {
            Ok(()) => Ok(Ok(())),
            Err(TarError::Write { source }) => Err(CoreError::Write { path: path.clone(), source }.into()),
            Err(refused) => Ok(Err(LeftOut::fail(Fault::Unwritable, refused.to_string()))),
        }
    }

    /// Finishes the tar, if it holds a sample.
    pub(crate) fn close(self, out: &mut ShardOutput) -> Result<(), ShardError> {
        let Some((path, writer)) = self.open else { return Ok(()) };
        if writer.counts().samples == 0 {
            return Ok(());
        }
        match writer.finish() {
            Ok((file, _)) => Ok(out.close(file)?),
            Err(TarError::Write { source }) => Err(CoreError::Write { path, source }.into()),
            Err(other) => Err(ShardError::fatal(other)),
        }
    }
}
