//! Tensors between two files.

use audsem_core::terminal::counted;
use candle_core::{Device, Tensor};
use half::{bf16, f16};
use safetensors::Dtype;

use super::ConvertError;

/// A type of numbers that weight files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceDtype {
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
    /// 16-bit floats of IEEE 754.
    F16,
    /// 16-bit floats with the exponent of 32-bit ones.
    Bf16,
    /// Signed bytes.
    I8,
    /// Unsigned bytes, also truth values.
    U8,
    /// 16-bit integers.
    I16,
    /// 32-bit integers.
    I32,
    /// 64-bit integers.
    I64,
}

impl SourceDtype {
    /// Bytes of a number.
    pub fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Whether the numbers are floats.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::Bf16)
    }

    pub(super) fn safetensors(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F64 => Dtype::F64,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
            Self::I8 => Dtype::I8,
            Self::U8 => Dtype::U8,
            Self::I16 => Dtype::I16,
            Self::I32 => Dtype::I32,
            Self::I64 => Dtype::I64,
        }
    }
}

/// A tensor of a weight file: numbers in order of rows, little endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTensor {
    dtype: SourceDtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl SourceTensor {
    /// A tensor of bytes that are in place already.
    ///
    /// # Errors
    /// There are more or fewer bytes than the shape has.
    pub fn new(dtype: SourceDtype, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self, ConvertError> {
        let wanted = n_numbers(&shape).and_then(|n| n.checked_mul(dtype.size()));
        if wanted != Some(bytes.len()) {
            return Err(ConvertError::content(format!(
                "{} for numbers of {} in the shape {shape:?}",
                counted(bytes.len(), "bytes"),
                counted(dtype.size(), "bytes")
            )));
        }
        Ok(Self { dtype, shape, bytes })
    }

    pub(super) fn from_f32(shape: Vec<usize>, values: &[f32]) -> Result<Self, ConvertError> {
        Self::new(SourceDtype::F32, shape, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// The type of its numbers.
    pub fn dtype(&self) -> SourceDtype {
        self.dtype
    }

    /// Shape of the tensor.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Numbers of the tensor in order of rows, little endian.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Numbers of the tensor as 32-bit floats.
    #[must_use]
    pub fn values(&self) -> Vec<f32> {
        let bytes = &self.bytes;
        match self.dtype {
            SourceDtype::F32 => numbers(bytes, f32::from_le_bytes).collect(),
            SourceDtype::F64 => numbers(bytes, f64::from_le_bytes).map(|value| value as f32).collect(),
            SourceDtype::F16 => numbers(bytes, f16::from_le_bytes).map(f16::to_f32).collect(),
            SourceDtype::Bf16 => numbers(bytes, bf16::from_le_bytes).map(bf16::to_f32).collect(),
            _ => self.integers().into_iter().map(|value| value as f32).collect(),
        }
    }

    /// Numbers of the tensor as integers; floats are cut to whole numbers.
    #[must_use]
    pub fn integers(&self) -> Vec<i64> {
        let bytes = &self.bytes;
        match self.dtype {
            SourceDtype::I8 => numbers(bytes, i8::from_le_bytes).map(i64::from).collect(),
            SourceDtype::U8 => numbers(bytes, u8::from_le_bytes).map(i64::from).collect(),
            SourceDtype::I16 => numbers(bytes, i16::from_le_bytes).map(i64::from).collect(),
            SourceDtype::I32 => numbers(bytes, i32::from_le_bytes).map(i64::from).collect(),
            SourceDtype::I64 => numbers(bytes, i64::from_le_bytes).collect(),
            _ => self.values().into_iter().map(|value| value as i64).collect(),
        }
    }

    /// The tensor in 32-bit floats on the CPU.
    ///
    /// # Errors
    /// Memory.
    pub fn to_tensor(&self) -> candle_core::Result<Tensor> {
        Tensor::from_vec(self.values(), self.shape.clone(), &Device::Cpu)
    }

    /// The tensor with other strides in numbers: element (i, j, …) of the result is number `offset + i·s₀ + j·s₁ + …`.
    pub(super) fn strided(
        dtype: SourceDtype,
        storage: &[u8],
        offset: usize,
        shape: &[usize],
        strides: &[usize],
    ) -> Result<Self, ConvertError> {
        let outside =
            || ConvertError::content(format!("shape {shape:?} with strides {strides:?} lies outside its storage"));
        let size = dtype.size();
        let count = n_numbers(shape).filter(|_| shape.len() == strides.len()).ok_or_else(outside)?;
        if count == 0 {
            return Self::new(dtype, shape.to_vec(), Vec::new());
        }
        let reach = shape.iter().zip(strides).try_fold(offset, |reach, (dim, stride)| {
            (dim - 1).checked_mul(*stride).and_then(|far| reach.checked_add(far))
        });
        let end = reach.and_then(|last| last.checked_add(1)).and_then(|end| end.checked_mul(size));
        // A stride of 0 repeats numbers, which no weight does; it could ask for any amount of memory.
        if end.is_none_or(|end| end > storage.len()) || count.saturating_mul(size) > storage.len() {
            return Err(outside());
        }
        let mut bytes = Vec::with_capacity(count * size);
        let mut index = vec![0; shape.len()];
        for _ in 0..count {
            let at = offset + index.iter().zip(strides).map(|(index, stride)| index * stride).sum::<usize>();
            bytes.extend_from_slice(&storage[at * size..(at + 1) * size]);
            advance(&mut index, shape);
        }
        Self::new(dtype, shape.to_vec(), bytes)
    }

    /// A matrix with its dimensions exchanged.
    pub(super) fn transposed(&self) -> Result<Self, ConvertError> {
        match *self.shape {
            [rows, columns] => Self::strided(self.dtype, &self.bytes, 0, &[columns, rows], &[1, columns]),
            _ => Err(ConvertError::content(format!("a tensor of shape {:?} has no transpose", self.shape))),
        }
    }

    /// Parts of equal size along the first dimension.
    pub(super) fn split(&self, parts: usize) -> Result<Vec<Self>, ConvertError> {
        let first = self.shape.first().copied().unwrap_or(0);
        if parts == 0 || first == 0 || !first.is_multiple_of(parts) {
            return Err(ConvertError::content(format!("shape {:?} does not split into {parts} parts", self.shape)));
        }
        let shape: Vec<usize> = [first / parts].into_iter().chain(self.shape.iter().skip(1).copied()).collect();
        self.bytes
            .chunks(self.bytes.len() / parts)
            .map(|part| Self::new(self.dtype, shape.clone(), part.to_vec()))
            .collect()
    }
}

/// Numbers in a shape, if they can be counted.
pub(super) fn n_numbers(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim))
}

fn numbers<const N: usize, T>(bytes: &[u8], number: fn([u8; N]) -> T) -> impl Iterator<Item = T> {
    bytes.as_chunks::<N>().0.iter().map(move |bytes| number(*bytes))
}

/// The next index in order of rows.
fn advance(index: &mut [usize], shape: &[usize]) {
    for (index, dim) in index.iter_mut().zip(shape).rev() {
        *index += 1;
        if *index < *dim {
            return;
        }
        *index = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn strides_and_offsets_are_followed_and_checked() {
        let storage: Vec<u8> = (0..12).collect();
        let strided = |offset, shape: &[usize], strides: &[usize]| {
            SourceTensor::strided(SourceDtype::U8, &storage, offset, shape, strides).map(|tensor| tensor.bytes)
        };
        assert_eq!(strided(1, &[2, 3], &[1, 4]).unwrap(), [1, 5, 9, 2, 6, 10]);
        assert_eq!(strided(11, &[1], &[1]).unwrap(), [11]);
        assert!(strided(99, &[0, 3], &[3, 1]).unwrap().is_empty());
        for (offset, shape, strides) in [
            (12, &[1][..], &[1][..]),
            (0, &[2, 3], &[1]),
            (0, &[1 << 40], &[0]),
            (0, &[usize::MAX, 2], &[1, 1]),
            (usize::MAX, &[2], &[1]),
        ] {
            assert!(strided(offset, shape, strides).is_err(), "{shape:?}");
        }
    }

    #[test]
    fn matrices_are_transposed_and_split() {
        let tensor = SourceTensor::from_f32(vec![2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!(tensor.transposed().unwrap().values(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let parts = tensor.split(2).unwrap();
        assert_eq!((parts[1].shape(), parts[1].values()), (&[1, 3][..], vec![3.0, 4.0, 5.0]));
        assert!(tensor.split(4).is_err() && tensor.split(0).is_err());
    }
}
