//! Copies of the model on several devices, which share out the batches of each update.

use std::thread::{Builder, scope};

use audsem_core::device::DeviceChoice;
use audsem_core::error::Error as CoreError;

use crate::error::{Error, Result};
use crate::reduce::{AllReduce, LoopBack, SingleRank};
#[cfg(feature = "nccl")]
use crate::reduce::{NcclId, NcclRank};
use crate::setup::STACK_BYTES;

/// Trains one copy on each of the further devices by `copy`, each in a thread of its own, beside the `first`, whose result this
/// returns.
///
/// # Errors
/// The error of the copy that failed; the others end then.
pub(super) fn with_copies<T>(
    own_device: DeviceChoice,
    devices: &[DeviceChoice],
    copy: &(dyn Fn(DeviceChoice, &dyn AllReduce) -> Result<()> + Sync),
    first: impl FnOnce(&dyn AllReduce) -> Result<T>,
) -> Result<T> {
    let mut group = LoopBack::group(1 + devices.len()).into_iter();
    let (Some(own), true) = (group.next(), group.len() > 0) else { return first(&SingleRank) };
    let sums = Sums::between(own_device, devices)?;
    scope(|scope| {
        let mut threads = Vec::new();
        for (device, rank) in devices.iter().zip(group) {
            let builder = Builder::new().name(format!("training {}", rank.rank())).stack_size(STACK_BYTES);
            let thread = builder
                .spawn_scoped(scope, move || leaving(&rank, || sums.with(&rank, *device, |rank| copy(*device, rank))));
            threads.push(thread.map_err(|error| {
                own.leave();
                CoreError::Config { what: "--copies-on".to_owned(), problem: format!("no thread for it: {error}") }
            })?);
        }
        let trained = leaving(&own, || sums.with(&own, own_device, first));
        let mut cause = None;
        for thread in threads {
            let ended = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            cause = cause.or(ended.err().filter(|error| !matches!(error, Error::RankLeft)));
        }
        match (trained, cause) {
            (Err(Error::RankLeft), Some(cause)) => Err(cause),
            (trained, _) => trained,
        }
    })
}

/// How ranks sum their gradients.
#[derive(Debug, Clone, Copy)]
enum Sums {
    /// In the memory of the machine.
    InMemory,
    /// Between GPUs.
    #[cfg(feature = "nccl")]
    ByNccl(NcclId),
}

impl Sums {
    /// By NCCL where this program has it and every copy has a GPU, named by its number.
    #[cfg(feature = "nccl")]
    fn between(own: DeviceChoice, others: &[DeviceChoice]) -> Result<Self> {
        let is_gpu = |device: &DeviceChoice| matches!(device, DeviceChoice::Cuda(_));
        match is_gpu(&own) && others.iter().all(is_gpu) {
            true => Ok(Self::ByNccl(NcclId::new()?)),
            false => Ok(Self::InMemory),
        }
    }

    #[cfg(not(feature = "nccl"))]
    #[allow(clippy::unnecessary_wraps, reason = "with the feature `nccl` it may fail")]
    fn between(_: DeviceChoice, _: &[DeviceChoice]) -> Result<Self> {
        Ok(Self::InMemory)
    }

    /// Does the work of a rank, which sums with the others so.
    fn with<T>(
        self,
        rank: &LoopBack,
        device: DeviceChoice,
        work: impl FnOnce(&dyn AllReduce) -> Result<T>,
    ) -> Result<T> {
        match (self, device) {
            #[cfg(feature = "nccl")]
            (Self::ByNccl(group), DeviceChoice::Cuda(ordinal)) => work(&NcclRank::join(rank.clone(), ordinal, group)?),
            _ => work(rank),
        }
    }
}

/// Does the work of a rank. Where it fails or panics, the others are told.
fn leaving<T>(rank: &LoopBack, work: impl FnOnce() -> Result<T>) -> Result<T> {
    struct Leave<'a>(Option<&'a LoopBack>);
    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            self.0.into_iter().for_each(LoopBack::leave);
        }
    }
    let mut leave = Leave(Some(rank));
    let done = work()?;
    leave.0 = None;
    Ok(done)
}
