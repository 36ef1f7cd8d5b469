//! Copies of the model on several devices, which share out the batches of each update.

use std::thread::{Builder, scope};

use audsem_core::device::DeviceChoice;
use audsem_core::error::Error as CoreError;

use crate::error::{Error, Result};
use crate::reduce::{AllReduce, LoopBack, SingleRank};
use crate::setup::STACK_BYTES;

/// Trains one copy on each device by `copy`, each in a thread of its own, beside the `first`, whose result this returns.
///
/// # Errors
/// The error of the copy that failed; the others end then.
pub(super) fn with_copies<T>(
    devices: &[DeviceChoice],
    copy: &(dyn Fn(DeviceChoice, &dyn AllReduce) -> Result<()> + Sync),
    first: impl FnOnce(&dyn AllReduce) -> Result<T>,
) -> Result<T> {
    let mut group = LoopBack::group(1 + devices.len()).into_iter();
    let (Some(own), true) = (group.next(), group.len() > 0) else { return first(&SingleRank) };
    scope(|scope| {
        let mut threads = Vec::new();
        for (device, rank) in devices.iter().zip(group) {
            let builder = Builder::new().name(format!("training {}", rank.rank())).stack_size(STACK_BYTES);
            let thread = builder.spawn_scoped(scope, move || leaving(&rank, || copy(*device, &rank)));
            threads.push(thread.map_err(|error| {
                own.leave();
                CoreError::Config { what: "--copies-on".to_owned(), problem: format!("no thread for it: {error}") }
            })?);
        }
        let trained = leaving(&own, || first(&own));
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
