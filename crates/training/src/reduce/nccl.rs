//! Sums between the GPUs of a machine by NCCL.
//!
//! Compiled with the feature `nccl`. It has been compiled, and not run: no machine with several GPUs was at hand.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaStream};
use cudarc::nccl::{Comm, Id, ReduceOp};

use super::{AllReduce, LoopBack};
use crate::error::{Error, Result};

/// A rank that trains on a GPU of its own. Counts and losses are summed in the memory of the machine, gradients by NCCL.
#[derive(Debug)]
pub struct NcclRank {
    /// Tells the others when one goes no further: inside NCCL they would wait for ever.
    machine: LoopBack,
    communicator: Comm,
    stream: Arc<CudaStream>,
}

/// What ranks need to find each other.
#[derive(Debug, Clone, Copy)]
pub struct NcclId(Id);

impl NcclId {
    /// A new group.
    ///
    /// # Errors
    /// The library is missing.
    pub fn new() -> Result<Self> {
        Ok(Self(Id::new().map_err(|error| Error::Nccl(format!("{error:?}")))?))
    }
}

impl NcclRank {
    /// Joins the group with the GPU of this ordinal, and waits for the other ranks.
    ///
    /// # Errors
    /// There is no such GPU, or two ranks name the same.
    pub fn join(machine: LoopBack, ordinal: usize, group: NcclId) -> Result<Self> {
        let context = CudaContext::new(ordinal).map_err(|error| Error::Nccl(error.to_string()))?;
        let stream = context.default_stream();
        let communicator = Comm::from_rank(Arc::clone(&stream), machine.rank(), machine.ranks(), group.0);
        let communicator = communicator.map_err(|error| Error::Nccl(format!("{error:?}")))?;
        Ok(Self { machine, communicator, stream })
    }
}

impl AllReduce for NcclRank {
    fn rank(&self) -> usize {
        self.machine.rank()
    }

    fn ranks(&self) -> usize {
        self.machine.ranks()
    }

    fn sum(&self, values: &mut [f32]) -> Result<()> {
        let of_driver = |error: cudarc::driver::DriverError| Error::Nccl(error.to_string());
        // All come this far, or all end here.
        self.machine.sum_f64(&mut [0.0])?;
        let mut on_device = self.stream.clone_htod(values).map_err(of_driver)?;
        let summed = self.communicator.all_reduce_in_place(&mut on_device, &ReduceOp::Sum);
        summed.map_err(|error| Error::Nccl(format!("{error:?}")))?;
        self.stream.memcpy_dtoh(&on_device, values).map_err(of_driver)?;
        self.stream.synchronize().map_err(of_driver)
    }

    fn sum_f64(&self, values: &mut [f64]) -> Result<()> {
        self.machine.sum_f64(values)
    }
}
