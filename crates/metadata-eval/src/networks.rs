//! The networks of a run over clips: loaded, identified, and what each of them could not do.

use audsem_core::run::ModelFingerprint;
use audsem_media::batch::{AnyNetwork, ClipSound, JointOutput};

use crate::checkpoint::{NamedNetwork, NetworkSettings, OpenedCheckpoint};
use crate::error::Error;
use crate::tables::ModelFailure;

/// A network over media `M` with output `O`, whatever it is.
pub(crate) type LoadedNetwork<'a, O, M = ClipSound> = Box<dyn AnyNetwork<O, M> + 'a>;

/// A network of a run.
struct OpenedNetwork<'a, O, M> {
    name: &'static str,
    network: LoadedNetwork<'a, O, M>,
    checkpoint: OpenedCheckpoint,
}

/// The networks of a run in their order, over media `M` with output `O`.
pub(crate) struct OpenedNetworks<'a, O, M = ClipSound>(Vec<OpenedNetwork<'a, O, M>>);

impl<'a, O, M> OpenedNetworks<'a, O, M> {
    /// Finds the checkpoints and loads the networks; none on a dry run. This comes before the run folder is created: a folder
    /// left by a wrong model would block the right one.
    ///
    /// # Errors
    /// A checkpoint is not there, or is not that of its network.
    pub(crate) fn open<N: NamedNetwork>(
        wanted: &[(N, NetworkSettings)],
        dry_run: bool,
        load: impl Fn(N, &NetworkSettings, &OpenedCheckpoint) -> Result<LoadedNetwork<'a, O, M>, Error>,
    ) -> Result<Self, Error> {
        let open = |(model, settings): &(N, NetworkSettings)| {
            let checkpoint = settings.open()?;
            let network = load(*model, settings, &checkpoint)?;
            Ok(OpenedNetwork { name: model.name(), network, checkpoint })
        };
        let wanted = if dry_run { &[] } else { wanted };
        wanted.iter().map(open).collect::<Result<_, Error>>().map(Self)
    }

    /// The name of each network, and what decides its output.
    pub(crate) fn identities(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|opened| (opened.name, &*opened.checkpoint.identity)).collect()
    }

    /// What stands in `run.json` about the networks.
    pub(crate) fn fingerprints(&self) -> Vec<ModelFingerprint> {
        self.0.iter().map(|opened| opened.checkpoint.fingerprint.clone()).collect()
    }

    /// The networks with their names, as a batch step runs them.
    pub(crate) fn named(&self) -> Vec<(&str, &dyn AnyNetwork<O, M>)> {
        self.0.iter().map(|opened| (opened.name, &*opened.network as &dyn AnyNetwork<O, M>)).collect()
    }

    /// Gives what the networks found in a clip to `add`, and returns why the others found nothing.
    pub(crate) fn divide(&self, findings: JointOutput<O>, mut add: impl FnMut(O)) -> Vec<ModelFailure> {
        let mut failures = Vec::new();
        for (finding, opened) in findings.into_iter().zip(&self.0) {
            match finding {
                Ok(finding) => add(finding),
                Err(error) => failures.push(ModelFailure::of(opened.name, error)),
            }
        }
        failures
    }
}
