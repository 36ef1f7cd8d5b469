//! Sums in place.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};
use rayon::prelude::*;

use super::super::rows::contiguous;
use super::TASK_VALUES;

/// Adds `x` to `sum`, which must not share its values with a tensor that is still needed. candle's own sum is a new tensor,
/// of zeros at first.
///
/// # Errors
/// Another shape, type or device; a sum with gaps.
pub(in crate::nn) fn add_to(sum: &Tensor, x: &Tensor) -> Result<()> {
    if sum.dims() != x.dims() {
        bail!("a sum of {:?} and {:?}", sum.dims(), x.dims());
    }
    sum.inplace_op2(&x.contiguous()?, &Add)
}

struct Add;

impl InplaceOp2 for Add {
    fn name(&self) -> &'static str {
        "add-in-place"
    }

    fn cpu_fwd(&self, sum: &mut CpuStorage, sum_l: &Layout, x: &CpuStorage, x_l: &Layout) -> Result<()> {
        let (CpuStorage::F32(sum), Some((begin, end))) = (sum, sum_l.contiguous_offsets()) else {
            bail!("a sum in place is of f32 without gaps");
        };
        let parts = sum[begin..end].par_chunks_mut(TASK_VALUES).zip(contiguous(x, x_l)?.par_chunks(TASK_VALUES));
        parts.for_each(|(sum, x)| sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn what_is_added_is_there_and_what_does_not_fit_is_refused() {
        let ramp = |n: usize| Tensor::arange(0f32, n as f32, &Device::Cpu).unwrap();
        let (sum, x) = (ramp(3 * TASK_VALUES + 2), ramp(3 * TASK_VALUES + 2));
        let wanted = (&sum + &x).unwrap().to_vec1::<f32>().unwrap();
        add_to(&sum, &x).unwrap();
        assert_eq!(sum.to_vec1::<f32>().unwrap(), wanted);
        assert_eq!(x.to_vec1::<f32>().unwrap(), ramp(3 * TASK_VALUES + 2).to_vec1::<f32>().unwrap());
        // A view of a part, and one with gaps as what is added.
        let part = ramp(12).reshape((4, 3)).unwrap().narrow(0, 1, 2).unwrap();
        add_to(&part, &ramp(6).reshape((3, 2)).unwrap().t().unwrap()).unwrap();
        assert_eq!(part.to_vec2::<f32>().unwrap(), [[3.0, 6.0, 9.0], [7.0, 10.0, 13.0]]);
        assert!(add_to(&ramp(4), &ramp(3)).is_err());
        assert!(add_to(&ramp(4), &ramp(4).to_dtype(DType::F64).unwrap()).is_err());
        assert!(add_to(&ramp(6).reshape((3, 2)).unwrap().t().unwrap(), &ramp(6).reshape((2, 3)).unwrap()).is_err());
    }
}
