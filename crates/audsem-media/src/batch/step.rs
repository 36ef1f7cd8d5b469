//! A command that runs networks over clips.

use std::path::PathBuf;

use audsem_core::clips::{ClipDrop, ClipFault, Deduplicator, PlannedSource, index_keys, limited, list_media};
use audsem_core::error::Result;
use audsem_core::run::{
    ModelFingerprint, Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Stats, Step, Summary,
};

use super::joint::Networks;
use super::table::{JointOutput, OfOne};
use super::{AnyNetwork, ClipDecoder, ClipNetwork, ClipTables, MediaFault, part};
use crate::audio::Decoder;

/// Counter of clips that were decoded, each once for all networks of a run.
pub const DECODED: &str = "decoded";

/// What follows the name of a network in the counter of clips for which it did not have to be run.
pub const UNASKED: &str = "_not_asked";

/// Networks, and what begins the tables of their outputs.
type Joint<'a, O, M> = (Networks<'a, O, M>, &'a dyn ClipTables<JointOutput<O>>);

/// A command that runs a network over clips: everything but the network.
#[derive(Debug)]
pub struct BatchStep<'a, C, D = Decoder> {
    /// Everything that decides the content of the tables; hashed into `run.json`.
    pub config: &'a C,
    /// The checkpoints that are used.
    pub models: Vec<ModelFingerprint>,
    /// Tars, media, folders of either, or lists.
    pub inputs: &'a [PathBuf],
    /// What decodes the clips: a [`Decoder`] for sounds, a [`FrameDecoder`](super::FrameDecoder) for pictures.
    pub decoder: &'a D,
    /// Clips in one forward pass.
    pub batch_size: usize,
}

impl<C: RunConfig, D: ClipDecoder> BatchStep<'_, C, D> {
    /// Runs one network over every clip of the inputs and writes `part-*.parquet`. A dry run counts the clips, and
    /// of sounds their seconds as far as headers tell, and needs no network.
    ///
    /// # Errors
    /// An input cannot be read, the output cannot be written, or the network fails.
    ///
    /// # Panics
    /// If there is no network and the run is not a dry run.
    pub fn run<N>(self, network: Option<&N>, options: &RunOptions) -> Result<Summary>
    where
        N: ClipNetwork<D::Media, Features: 'static, Output: 'static> + ClipTables<N::Output>,
    {
        let Some(network) = network else { return self.over_clips::<N::Output>(None, options) };
        let network_of_any: &dyn AnyNetwork<N::Output, D::Media> = network;
        let list = [("network", network_of_any)];
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
        networks: &[(&str, &dyn AnyNetwork<O, D::Media>)],
        tables: &dyn ClipTables<JointOutput<O>>,
        options: &RunOptions,
    ) -> Result<Summary> {
        let joint = (!networks.is_empty()).then_some((Networks { list: networks, isolated: true }, tables));
        self.over_clips(joint, options)
    }

    fn over_clips<O>(self, joint: Option<Joint<'_, O, D::Media>>, options: &RunOptions) -> Result<Summary> {
        assert!(options.dry_run || joint.is_some(), "a run that is not dry has a network");
        let (decoder, batch_size) = (self.decoder, self.batch_size);
        let work = joint.map(|(networks, tables)| part::Work { networks, tables, decoder, batch_size });
        let sources = limited(list_media(self.inputs, D::CONTENT)?, options.limit)?;
        let mut run = Run::open(options, RunSpec::new(self.config).models(self.models))?;
        let Some(plan) = index_keys(&mut run, &sources, D::CONTENT)? else { return run.finish() };
        let step = Step { name: "part", unit: "clips", physical: D::UNIT };
        run.must_keep(step).explain(ClipDrop::ALL).explain(ClipFault::ALL).explain(MediaFault::ALL);
        let report = run.execute(step, &plan.shards, |planned, out| {
            let mut dedupe = plan.deduplicator(planned, D::CONTENT)?;
            match &work {
                Some(work) if !options.dry_run => part::write(work, planned, &mut dedupe, out)?,
                _ => count::<D>(planned, &mut dedupe, out)?,
            }
            dedupe.report(out);
            Ok(())
        })?;
        let silent =
            work.iter().flat_map(|work| work.networks.list).filter(|(name, _)| gave_nothing(name, &report.stats));
        let silent: Vec<&str> = silent.map(|(name, _)| *name).collect();
        let summary = D::describe(run.finish()?.with_result("shards", sources.len()), &report.stats);
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

/// Counts the clips of a source and what their first bytes tell.
fn count<D: ClipDecoder>(
    planned: &PlannedSource<'_>,
    dedupe: &mut Deduplicator<'_>,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    planned.source.for_each_media(dedupe, D::HEAD_BYTES, |clip| {
        out.file_kept(1);
        D::count_unread(&clip, out);
        Ok(())
    })
}
