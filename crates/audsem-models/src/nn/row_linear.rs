//! Affine maps for inference in which no row depends on the others.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{D, DType, Module, Result, Tensor, bail};

use super::{Linear, fused};

/// Rows of one sequence from which a quantised weight is dequantised for them.
const DEQUANTISED_ROWS: usize = 8;

/// `x Wᵀ + b` for inference. On the CPU, what becomes of a row is the same for any number of rows and threads, bit for
/// bit.
///
/// A general matrix product chooses its kernel, and with it the order of its sums, by the number of rows: a row alone
/// differs from the same row among others in the last bits, and what a run writes would depend on its batches.
#[derive(Debug, Clone)]
pub struct RowLinear {
    form: Form,
    dtype: DType,
}

#[derive(Debug, Clone)]
enum Form {
    Fused(fused::Linear),
    Composed(Linear),
    /// For few rows: their values are quantised too, block by block.
    Quantised(QMatMul, Option<Tensor>),
}

impl RowLinear {
    /// Takes a map over.
    ///
    /// # Errors
    /// A weight cannot be read.
    pub fn new(linear: Linear) -> Result<Self> {
        let dtype = linear.weight().dtype();
        let is_fused = linear.is_plain() && fused::is_supported(linear.weight());
        let form = if is_fused { Form::Fused(fused::Linear::new(&linear)?) } else { Form::Composed(linear) };
        Ok(Self { form, dtype })
    }

    /// Takes several maps of the same inputs over; they are one product then, with their outputs side by side.
    ///
    /// # Errors
    /// A weight cannot be read, an adapter is not merged, or some maps have biases where others have none on a device
    /// that has no fused layers.
    pub fn concat(parts: &[&Linear]) -> Result<Self> {
        if let [first, ..] = parts
            && parts.iter().all(|part| fused::is_supported(part.weight()))
        {
            let dtype = first.weight().dtype();
            return Ok(Self { form: Form::Fused(fused::Linear::concat(parts)?), dtype });
        }
        if parts.iter().any(|part| !part.is_plain()) {
            bail!("maps with adapters cannot be joined: merge them first");
        }
        let weight = Tensor::cat(&parts.iter().map(|part| part.weight()).collect::<Vec<_>>(), 0)?;
        let biases: Vec<&Tensor> = parts.iter().filter_map(|part| part.bias()).collect();
        let bias = match biases.len() {
            0 => None,
            n if n == parts.len() => Some(Tensor::cat(&biases, 0)?),
            n => bail!("{n} biases of {} maps", parts.len()),
        };
        Self::new(Linear::from_tensors(weight, bias))
    }

    /// Takes a weight (O, I) in a block format of GGUF, and a bias (O) in f32. Weights that are stored as plain numbers
    /// are mapped in f32.
    ///
    /// # Errors
    /// The weight cannot be read.
    pub fn quantised(weight: QTensor, bias: Option<Tensor>) -> Result<Self> {
        if matches!(weight.dtype(), GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16) {
            return Self::new(Linear::from_tensors(weight.dequantize(&weight.device())?, bias));
        }
        Ok(Self { form: Form::Quantised(QMatMul::from_arc(Arc::new(weight))?, bias), dtype: DType::F32 })
    }

    /// As [`RowLinear::forward`] for the rows of one sequence: their number belongs to them, so that it may decide how they
    /// are mapped. A quantised weight is dequantised for many rows, which is several times as fast and exact.
    ///
    /// # Errors
    /// As [`RowLinear::forward`].
    pub fn forward_sequence(&self, x: &Tensor) -> Result<Tensor> {
        match &self.form {
            Form::Quantised(QMatMul::QTensor(weight), bias) if x.dim(0)? >= DEQUANTISED_ROWS => {
                let weight = weight.dequantize(x.device())?;
                biased(x.to_dtype(self.dtype)?.matmul(&weight.t()?)?, bias.as_ref())
            }
            Form::Composed(linear) => linear.forward(&x.to_dtype(self.dtype)?),
            _ => self.forward(x),
        }
    }

    /// Rows (B, I) to (B, O), in the type of the weights.
    ///
    /// # Errors
    /// The rows have another width, memory, device.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.to_dtype(self.dtype)?;
        match &self.form {
            Form::Fused(linear) => linear.forward_tensor(&x),
            Form::Composed(linear) if x.device().is_cpu() && x.dim(0)? > 1 => {
                let rows = (0..x.dim(0)?).map(|n| linear.forward(&x.narrow(0, n, 1)?));
                Tensor::cat(&rows.collect::<Result<Vec<_>>>()?, 0)
            }
            Form::Composed(linear) => linear.forward(&x),
            Form::Quantised(weight, bias) => biased(weight.forward(&x.contiguous()?)?, bias.as_ref()),
        }
    }

    /// The type of the weights, in which results come.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }
}

fn biased(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) if bias.dim(0)? == y.dim(D::Minus1)? => y.broadcast_add(bias),
        Some(bias) => bail!("a bias of {:?} for {:?}", bias.dims(), y.dims()),
        None => Ok(y),
    }
}
