//! A command that runs networks over clips.

use std::path::PathBuf;

use audsem_core::clips::{
    ClipContent, ClipDrop, ClipFault, Deduplicator, PlannedSource, index_keys, limited, list_sounds,
};
use audsem_core::error::Result;
use audsem_core::run::{
    ModelFingerprint, Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Stats, Step, Summary,
};

use super::joint::Networks;
use super::length::{HEAD_BYTES, milliseconds};
use super::table::{JointOutput, OfOne};
use super::{AnyNetwork, ClipNetwork, ClipTables, MediaFault, part};
use crate::audio::Decoder;

/// Counter of the length of all clips.
pub const MILLISECONDS: &str = "milliseconds";

/// Counter of clips that were decoded, each once for all networks of a run.
pub const DECODED: &str = "decoded";

/// What follows the name of a network in the counter of clips for which it did not have to be run.
pub const UNASKED: &str = "_not_asked";

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
    pub fn run<N>(self, network: Option<&N>, options: &RunOptions) -> Result<Summary>
    where
        N: ClipNetwork<Features: 'static, Output: 'static> + ClipTables<N::Output>,
    {
        let Some(network) = network else { return self.over_clips::<N::Output>(None, options) };
        let list: [(&str, &dyn AnyNetwork<N::Output>); 1] = [("network", network)];
        let (networks, tables) = (Networks { list: &list, isolated: false }, OfOne(network));
        self.over_clips(Some((networks, &tables)), options)
    }

    /// Runs several networks over every clip, each of which is decoded once, and writes one row for each clip of which
    /// some network can make something. Where a network fails, its error stands in the place of its output and
    /// the other networks are unaffected. Where none can use a clip, the clip is a reject. A dry run needs no networks.
    ///
    /// # Errors
    /// An input cannot be read, or the output cannot be written.
    ///
    /// # Panics
    /// If there are no networks and the run is not a dry run.
    pub fn run_joint<O>(
        self,
        networks: &[(&str, &dyn AnyNetwork<O>)],
        tables: &dyn ClipTables<JointOutput<O>>,
        options: &RunOptions,
    ) -> Result<Summary> {
        let joint = (!networks.is_empty()).then_some((Networks { list: networks, isolated: true }, tables));
        self.over_clips(joint, options)
    }

    fn over_clips<O>(
        self,
        joint: Option<(Networks<'_, O>, &dyn ClipTables<JointOutput<O>>)>,
        options: &RunOptions,
    ) -> Result<Summary> {
        assert!(options.dry_run || joint.is_some(), "a run that is not dry has a network");
        let (decoder, batch_size) = (self.decoder, self.batch_size);
        let work = joint.map(|(networks, tables)| part::Work { networks, tables, decoder, batch_size });
        let sources = limited(list_sounds(self.inputs)?, options.limit)?;
        let mut run = Run::open(options, RunSpec::new(self.config).models(self.models))?;
        let Some(plan) = index_keys(&mut run, &sources, ClipContent::Sound)? else { return run.finish() };
        let step = Step { name: "part", unit: "clips", physical: "s of sound" };
        run.must_keep(step).explain(ClipDrop::ALL).explain(ClipFault::ALL).explain(MediaFault::ALL);
        let report = run.execute(step, &plan.shards, |planned, out| {
            let mut dedupe = plan.deduplicator(planned, ClipContent::Sound)?;
            match &work {
                Some(work) if !options.dry_run => part::write(work, planned, &mut dedupe, out)?,
                _ => count(planned, &mut dedupe, out)?,
            }
            dedupe.report(out);
            Ok(())
        })?;
        let silent =
            work.iter().flat_map(|work| work.networks.list).filter(|(name, _)| gave_nothing(name, &report.stats));
        let silent: Vec<&str> = silent.map(|(name, _)| *name).collect();
        let summary = described(run.finish()?, sources.len(), &report.stats);
        Ok(match silent.is_empty() {
            true => summary,
            false => summary.as_empty(format!("no clip has a result of: {}; the rows say why", silent.join(", "))),
        })
    }
}

/// Whether a network that ran beside others gave nothing for any clip.
fn gave_nothing(network: &str, stats: &Stats) -> bool {
    stats.kept > 0 && stats.counts.get(network) == Some(&0)
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
