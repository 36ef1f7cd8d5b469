//! A command that runs networks over clips.

use std::path::PathBuf;

use audsem_core::clips::{
    ClipContent, ClipDrop, ClipFault, Deduplicator, PlannedSource, index_keys, limited, list_sounds,
};
use audsem_core::error::Result;
use audsem_core::run::{
    ModelFingerprint, Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Stats, Step, Summary,
};

use super::length::{HEAD_BYTES, milliseconds};
use super::{AnyNetwork, MediaFault, part};
use crate::audio::Decoder;

/// Counter of the length of all clips.
pub const MILLISECONDS: &str = "milliseconds";

/// Counter of clips whose length is known only after decoding.
const UNKNOWN_LENGTH: &str = "unknown_length";

/// A command that runs a network over clips: everything but the network.
#[derive(Debug)]
pub struct BatchStep<'a, C> {
    /// Everything that decides the content of the tables; hashed into `run.json`.
    pub config: &'a C,
    /// The checkpoints that are used.
    pub models: Vec<ModelFingerprint>,
    /// Tars, sounds, folders of either, or lists.
    pub inputs: &'a [PathBuf],
    /// What decodes the sounds.
    pub decoder: &'a Decoder,
    /// Clips in one forward pass.
    pub batch_size: usize,
}

impl<C: RunConfig> BatchStep<'_, C> {
    /// Runs one network over every clip of the inputs and writes `part-*.parquet`. A dry run counts the clips and their
    /// seconds as far as headers tell, and needs no network.
    ///
    /// # Errors
    /// An input cannot be read, the output cannot be written, or the network fails.
    ///
    /// # Panics
    /// If there is no network and the run is not a dry run.
    pub fn run(self, network: Option<&dyn AnyNetwork>, options: &RunOptions) -> Result<Summary> {
        assert!(options.dry_run || network.is_some(), "a run that is not dry has a network");
        self.run_all(&Vec::from_iter(network.map(|network| ("part", network))), options)
    }

    /// Runs several networks over every clip, each of which is decoded once, and writes a table of each under the name
    /// given with it. A clip that one of them cannot use is a reject and has no row in any table.
    ///
    /// # Errors
    /// As [`BatchStep::run`].
    pub fn run_all(self, networks: &[(&str, &dyn AnyNetwork)], options: &RunOptions) -> Result<Summary> {
        let sources = limited(list_sounds(self.inputs)?, options.limit)?;
        let mut run = Run::open(options, RunSpec::new(self.config).models(self.models))?;
        let Some(plan) = index_keys(&mut run, &sources, ClipContent::Sound)? else { return run.finish() };
        let step = Step { name: "part", unit: "clips", physical: "s of sound" };
        run.must_keep(step).explain(ClipDrop::ALL).explain(ClipFault::ALL).explain(MediaFault::ALL);
        let report = run.execute(step, &plan.shards, |planned, out| {
            let mut dedupe = plan.deduplicator(planned, ClipContent::Sound)?;
            if options.dry_run {
                count(planned, &mut dedupe, out)?;
            } else {
                part::write(networks, self.decoder, self.batch_size, planned, &mut dedupe, out)?;
            }
            dedupe.report(out);
            Ok(())
        })?;
        Ok(described(run.finish()?, sources.len(), &report.stats))
    }
}

/// Counts the clips of a source and their length, as far as their headers tell.
fn count(planned: &PlannedSource<'_>, dedupe: &mut Deduplicator<'_>, out: &mut ShardOutput) -> Result<(), ShardError> {
    planned.source.for_each_sound(dedupe, HEAD_BYTES, |sound| {
        out.file_kept(1);
        match milliseconds(&sound.bytes, sound.n_bytes) {
            Some(ms) => out.count(MILLISECONDS, ms),
            None => out.count(UNKNOWN_LENGTH, 1),
        }
        Ok(())
    })
}

/// Adds how many shards and how many seconds of sound there are.
fn described(summary: Summary, n_shards: usize, stats: &Stats) -> Summary {
    let count = |name| stats.counts.get(name).copied().unwrap_or(0);
    let seconds = count(MILLISECONDS) as f64 / 1000.0;
    let summary = summary.with_result("shards", n_shards).with_result("seconds_of_sound", seconds);
    match count(UNKNOWN_LENGTH) {
        0 => summary,
        n => summary.with_result("sounds_not_in_these_seconds", n),
    }
}
