//! Convolutions over time and over images. Differentiable.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use super::conv_kernels::{Geometry, Operand, forward, image_gradient, weight_gradient};
use super::fused::{self, Convolution, Matrix};
use super::{Activation, Linear};

/// Most values of a patch of which all patches are mapped by one product.
const MAX_PATCH_TAPS: usize = 64;

/// Shape of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct ConvConfig {
    /// Input channels C.
    pub channels: usize,
    /// Output channels O.
    pub outputs: usize,
    /// Height and width of the kernel; over time the height is 1.
    pub kernel: [usize; 2],
    /// Steps of the kernel.
    pub stride: [usize; 2],
    /// Zeros on each side.
    pub padding: [usize; 2],
    /// Groups of channels that do not meet.
    pub groups: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// Standard deviation of new weights.
    pub initializer_range: f64,
}

impl ConvConfig {
    /// A convolution over time, with a bias and one group.
    #[must_use]
    pub fn over_time(channels: usize, outputs: usize, kernel: usize) -> Self {
        Self::over_image(channels, outputs, [1, kernel])
    }

    /// A convolution over an image, with steps of 1, no padding, a bias and one group.
    #[must_use]
    pub fn over_image(channels: usize, outputs: usize, kernel: [usize; 2]) -> Self {
        let (stride, padding) = ([1, 1], [0, 0]);
        Self { channels, outputs, kernel, stride, padding, groups: 1, bias: true, initializer_range: 0.02 }
    }

    /// Refuses a height.
    fn check_over_time(&self) -> Result<()> {
        if self.kernel[0] != 1 || self.stride[0] != 1 || self.padding[0] != 0 {
            let Self { kernel, stride, padding, .. } = self;
            bail!("a convolution over time has no height: kernel {kernel:?}, stride {stride:?}, padding {padding:?}");
        }
        Ok(())
    }

    /// Refuses groups that do not divide the channels, and steps of 0.
    fn check(&self) -> Result<()> {
        let Self { channels, outputs, groups, stride, .. } = *self;
        let divides = |n: usize| groups > 0 && n.is_multiple_of(groups);
        if !divides(channels) || !divides(outputs) || stride.contains(&0) {
            bail!("a convolution of {channels} channels to {outputs} in {groups} groups with steps {stride:?}");
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct Conv {
    weight: Tensor,       // (O, C/G, KH, KW)
    bias: Option<Tensor>, // (O)
    config: ConvConfig,
    /// Weight and bias once more, in the order in which the CPU reads them: made by the first inference.
    fused: Arc<OnceLock<(Matrix, Vec<f32>)>>,
}

impl Conv {
    fn new(weight: Tensor, bias: Option<Tensor>, config: ConvConfig) -> Self {
        Self { weight, bias, config, fused: Arc::default() }
    }

    fn load(vb: &VarBuilder<'_>, config: &ConvConfig, kernel: &[usize]) -> Result<Self> {
        config.check()?;
        let ConvConfig { channels, outputs, groups, .. } = *config;
        let shape: Vec<usize> = [outputs, channels / groups].into_iter().chain(kernel.iter().copied()).collect();
        let weight = vb.get_with_hints(shape, "weight", Init::Randn { mean: 0.0, stdev: config.initializer_range })?;
        let bias = config.bias.then(|| vb.get_with_hints(outputs, "bias", Init::Const(0.0))).transpose()?;
        Self::from_tensors(&weight, bias, config)
    }

    fn from_tensors(weight: &Tensor, bias: Option<Tensor>, config: &ConvConfig) -> Result<Self> {
        config.check()?;
        let ConvConfig { channels, outputs, groups, kernel: [height, width], .. } = *config;
        Ok(Self::new(weight.reshape((outputs, channels / groups, height, width))?, bias, *config))
    }

    /// Whether the kernel goes from patch to patch, and so few values are in a patch that one product for all of them is
    /// faster: at 4×4 it takes an eighth of the time, at 3×16×16 it takes 1.4 times the time.
    fn is_of_patches(&self) -> bool {
        let ConvConfig { kernel, stride, padding, groups, channels, .. } = self.config;
        let taps = channels * kernel[0] * kernel[1];
        kernel == stride && kernel != [1, 1] && padding == [0, 0] && groups == 1 && taps <= MAX_PATCH_TAPS
    }

    /// A kernel that goes from patch to patch is a linear map of each patch: a product of the patches of (B, C, H, W) with
    /// the weight. The result (B, O, OH, OW) is a view whose outputs lie side by side, as the tokens that are made of it
    /// do.
    fn of_patches(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, channels, _, _) = x.dims4()?;
        let [height, width] = self.config.kernel;
        let (rows, columns) = (x.dim(2)? / height, x.dim(3)? / width);
        let used = x.narrow(2, 0, rows * height)?.narrow(3, 0, columns * width)?;
        let patches = used.reshape((batch, channels, rows, height, columns, width))?.permute((0, 2, 4, 1, 3, 5))?;
        let (n, taps) = (rows * columns, channels * height * width);
        let patches = patches.reshape((batch * n, taps))?;
        let linear = Linear::from_tensors(self.weight.reshape((self.config.outputs, taps))?, self.bias.clone());
        let y = if x.device().is_cpu() && batch > 1 {
            // A product orders its sums by its shape: an image among others shall equal the image alone.
            let each = (0..batch).map(|image| linear.forward(&patches.narrow(0, image * n, n)?));
            Tensor::cat(&each.collect::<Result<Vec<_>>>()?, 0)?
        } else {
            linear.forward(&patches)?
        }; // (B · OH · OW, O)
        y.reshape((batch, rows, columns, self.config.outputs))?.permute((0, 3, 1, 2))
    }

    /// The weight, one row for each output, and the biases, where `x` can be convolved in fused form.
    fn fused(&self, x: &Tensor) -> Result<Option<&(Matrix, Vec<f32>)>> {
        if ![x, &self.weight].into_iter().chain(&self.bias).all(fused::is_supported) {
            return Ok(None);
        }
        if self.fused.get().is_none() {
            let mut weight = Matrix::default();
            weight.fill(&self.weight.flatten_all()?.to_vec1()?, self.weight.elem_count() / self.config.outputs);
            let bias = match &self.bias {
                Some(bias) => bias.to_vec1()?,
                None => vec![0.0; self.config.outputs],
            };
            // Another thread may be first; both make the same.
            drop(self.fused.set((weight, bias)));
        }
        Ok(self.fused.get())
    }

    /// (B, C, H, W) to (B, O, OH, OW), with `residual` of that shape added and an activation behind it.
    fn forward(&self, x: &Tensor, residual: Option<&Tensor>, activation: Option<Activation>) -> Result<Tensor> {
        checked(x, &self.config)?;
        if let Some((weight, bias)) = self.fused(x)?
            && residual.is_none_or(fused::is_supported)
        {
            let geometry = geometry(x, &self.config)?;
            let [height, width] = geometry.out();
            let shape = [geometry.batch, geometry.outputs, height, width];
            if let Some(residual) = residual.filter(|residual| residual.dims() != shape) {
                bail!("{:?} added to a convolution of {shape:?}", residual.dims());
            }
            return x.contiguous()?.apply_op1_no_bwd(&Convolution { geometry, weight, bias, residual, activation });
        }
        let y = self.composed(x)?;
        let y = residual.map_or(Ok(y.clone()), |residual| y + residual)?;
        activation.map_or(Ok(y.clone()), |activation| activation.forward(&y))
    }

    /// (B, C, H, W) to (B, O, OH, OW), with gradients and on any device.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        if self.is_of_patches() {
            return self.of_patches(x);
        }
        let y = conv2d(x, &self.weight, &self.config)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(&bias.reshape((1, bias.elem_count(), 1, 1))?),
            None => Ok(y),
        }
    }
}

/// A convolution over time, with a weight of shape (O, C/G, K).
#[derive(Debug, Clone)]
pub struct Conv1d {
    conv: Conv,
}

impl Conv1d {
    /// Loads `weight`, and `bias` if there is one.
    ///
    /// # Errors
    /// A tensor is missing or of another shape; the groups do not divide the channels; the kernel, the step or the
    /// padding has a height.
    pub fn load(vb: &VarBuilder<'_>, config: &ConvConfig) -> Result<Self> {
        config.check_over_time()?;
        Ok(Self { conv: Conv::load(vb, config, &config.kernel[1..])? })
    }

    /// Takes a weight (O, C/G, K) and a bias (O).
    ///
    /// # Errors
    /// As [`Conv1d::load`].
    pub fn from_tensors(weight: &Tensor, bias: Option<Tensor>, config: &ConvConfig) -> Result<Self> {
        config.check_over_time()?;
        Ok(Self { conv: Conv::from_tensors(weight, bias, config)? })
    }

    /// (B, C, T) to (B, O, U).
    ///
    /// # Errors
    /// Other channels, fewer samples than the kernel has, memory, device.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.conv.forward(&x.unsqueeze(2)?, None, None)?.squeeze(2)
    }

    /// As [`Conv1d::forward`], with an activation behind it.
    ///
    /// # Errors
    /// As [`Conv1d::forward`].
    pub fn forward_activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.conv.forward(&x.unsqueeze(2)?, None, Some(activation))?.squeeze(2)
    }
}

/// A convolution over images, with a weight of shape (O, C/G, KH, KW).
#[derive(Debug, Clone)]
pub struct Conv2d {
    conv: Conv,
}

impl Conv2d {
    /// Loads `weight` and the parameters and statistics of the batch normalisation behind it, and folds both into one
    /// convolution with a bias, for inference. `norm` holds `weight`, `bias`, `running_mean` and `running_var`; `config`
    /// says that the convolution itself has no bias.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, a variance is negative, or the convolution has a bias.
    pub fn load_normalised(vb: &VarBuilder<'_>, norm: &VarBuilder<'_>, config: &ConvConfig, eps: f64) -> Result<Self> {
        if config.bias {
            bail!("a convolution before batch normalisation has no bias of its own");
        }
        let conv = Conv::load(vb, config, &config.kernel)?;
        let get = |name, value| norm.get_with_hints(config.outputs, name, Init::Const(value))?.to_dtype(DType::F32);
        let (scale, mean) = (get("weight", 1.0)?, get("running_mean", 0.0)?);
        let scale = (scale / (get("running_var", 1.0)? + eps)?.sqrt()?)?;
        if !scale.sum_all()?.to_scalar::<f32>()?.is_finite() {
            bail!("weights hold a negative variance: `{}.running_var`", norm.prefix());
        }
        let dtype = conv.weight.dtype();
        let bias = (get("bias", 0.0)? - (mean * &scale)?)?.to_dtype(dtype)?;
        let weight = conv.weight.to_dtype(DType::F32)?.broadcast_mul(&scale.reshape((config.outputs, 1, 1, 1))?)?;
        Ok(Self { conv: Conv::new(weight.to_dtype(dtype)?, Some(bias), *config) })
    }

    /// Takes a weight (O, C/G, KH, KW), of any shape with as many values, and a bias (O).
    ///
    /// # Errors
    /// Another number of values, or the groups do not divide the channels.
    pub fn from_tensors(weight: &Tensor, bias: Option<Tensor>, config: &ConvConfig) -> Result<Self> {
        Ok(Self { conv: Conv::from_tensors(weight, bias, config)? })
    }

    /// Loads `weight`, and `bias` if there is one.
    ///
    /// # Errors
    /// A tensor is missing or of another shape, or the groups do not divide the channels.
    pub fn load(vb: &VarBuilder<'_>, config: &ConvConfig) -> Result<Self> {
        Ok(Self { conv: Conv::load(vb, config, &config.kernel)? })
    }

    /// (B, C, H, W) to (B, O, OH, OW).
    ///
    /// # Errors
    /// Other channels, an image smaller than the kernel, memory, device.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.conv.forward(x, None, None)
    }

    /// As [`Conv2d::forward`], with what is to be added to the result (B, O, OH, OW) and the activation behind the sum.
    ///
    /// # Errors
    /// As [`Conv2d::forward`], or what is added has another shape.
    pub fn forward_with(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        activation: Option<Activation>,
    ) -> Result<Tensor> {
        self.conv.forward(x, residual, activation)
    }
}

/// Refuses images that the convolution is not made for.
fn checked(x: &Tensor, config: &ConvConfig) -> Result<()> {
    let (_, channels, height, width) = x.dims4()?;
    let ConvConfig { kernel, padding, .. } = *config;
    if channels != config.channels {
        bail!("{channels} channels for a convolution of {}", config.channels);
    }
    if height + 2 * padding[0] < kernel[0] || width + 2 * padding[1] < kernel[1] {
        bail!("an image of {height} × {width} for a kernel of {} × {}", kernel[0], kernel[1]);
    }
    Ok(())
}

fn geometry(x: &Tensor, config: &ConvConfig) -> Result<Geometry> {
    let (batch, channels, height, width) = x.dims4()?;
    let ConvConfig { outputs, kernel, stride, padding, groups, .. } = *config;
    Ok(Geometry { batch, channels, outputs, groups, image: [height, width], kernel, stride, padding })
}

fn conv2d(x: &Tensor, weight: &Tensor, config: &ConvConfig) -> Result<Tensor> {
    let ConvConfig { stride, padding, groups, .. } = *config;
    let geometry = geometry(x, config)?;
    if x.device().is_cpu() && x.dtype() == DType::F32 && weight.dtype() == DType::F32 {
        return x.contiguous()?.apply_op2(&weight.contiguous()?, Convolve(geometry));
    }
    if x.device().is_cpu() && [DType::BF16, DType::F16].contains(&x.dtype()) && weight.dtype() == x.dtype() {
        // candle's own convolution has no products of these types.
        let y = conv2d(&x.to_dtype(DType::F32)?, &weight.to_dtype(DType::F32)?, config)?;
        return y.to_dtype(x.dtype());
    }
    if stride[0] != stride[1] {
        bail!("a convolution with steps {stride:?} runs on the CPU in f32 alone");
    }
    let x = x.pad_with_zeros(2, padding[0], padding[0])?.pad_with_zeros(3, padding[1], padding[1])?;
    x.conv2d(weight, 0, stride[0], 1, groups)
}

/// Images and weight to the result.
struct Convolve(Geometry);

impl CustomOp2 for Convolve {
    fn name(&self) -> &'static str {
        "convolve"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_l: &Layout, w: &CpuStorage, w_l: &Layout) -> Result<(CpuStorage, Shape)> {
        let (Self(g), x, weight) = (self, Operand::new(x, x_l)?, Operand::new(w, w_l)?);
        let [height, width] = g.out();
        Ok((CpuStorage::F32(forward(g, x, weight)?), Shape::from((g.batch, g.outputs, height, width))))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (Self(g), grad) = (self, grad.contiguous()?);
        let image = || grad.apply_op2_no_bwd(weight, &ImageGradient(*g));
        let kernel = || x.apply_op2_no_bwd(&grad, &WeightGradient(*g));
        Ok((x.track_op().then(image).transpose()?, weight.track_op().then(kernel).transpose()?))
    }
}

/// Gradient of the result and weight to the gradient of the images.
struct ImageGradient(Geometry);

impl CustomOp2 for ImageGradient {
    fn name(&self) -> &'static str {
        "convolution-image-gradient"
    }

    fn cpu_fwd(&self, dy: &CpuStorage, dy_l: &Layout, w: &CpuStorage, w_l: &Layout) -> Result<(CpuStorage, Shape)> {
        let (Self(g), grad, weight) = (self, Operand::new(dy, dy_l)?, Operand::new(w, w_l)?);
        let shape = Shape::from((g.batch, g.channels, g.image[0], g.image[1]));
        Ok((CpuStorage::F32(image_gradient(g, grad, weight)?), shape))
    }
}

/// Images and gradient of the result to the gradient of the weight.
struct WeightGradient(Geometry);

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "convolution-weight-gradient"
    }

    fn cpu_fwd(&self, x: &CpuStorage, x_l: &Layout, dy: &CpuStorage, dy_l: &Layout) -> Result<(CpuStorage, Shape)> {
        let (Self(g), x, grad) = (self, Operand::new(x, x_l)?, Operand::new(dy, dy_l)?);
        let shape = Shape::from((g.outputs, g.channels / g.groups, g.kernel[0], g.kernel[1]));
        Ok((CpuStorage::F32(weight_gradient(g, x, grad)?), shape))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::nn::finite_differences::check_gradient;
    use candle_core::Device;

    fn wave(shape: &[usize], shift: f64) -> Tensor {
        let n = shape.iter().product::<usize>();
        let x = Tensor::arange(0f32, n as f32, &Device::Cpu).unwrap();
        x.affine(0.7, shift).unwrap().sin().unwrap().reshape(shape).unwrap()
    }

    fn config(channels: usize, outputs: usize, groups: usize, kernel: [usize; 2]) -> ConvConfig {
        ConvConfig { groups, bias: false, ..ConvConfig::over_image(channels, outputs, kernel) }
    }

    /// Matrix products, sums of a channel per group, and kernels of one point.
    #[test]
    fn gradients_are_what_values_say() {
        for config in [
            ConvConfig { stride: [2, 1], padding: [1, 0], ..config(2, 4, 1, [3, 2]) },
            ConvConfig { stride: [1, 2], padding: [0, 2], ..config(4, 2, 2, [2, 3]) },
            ConvConfig { stride: [2, 2], padding: [1, 1], ..config(2, 4, 2, [3, 3]) },
            config(3, 2, 1, [1, 1]),
        ] {
            let (x, weight) = (
                wave(&[2, config.channels, 4, 5], 0.2),
                wave(&[config.outputs, config.channels / config.groups, config.kernel[0], config.kernel[1]], 1.1),
            );
            check_gradient(&x, |x| conv2d(x, &weight, &config));
            check_gradient(&weight, |weight| conv2d(&x, weight, &config));
        }
    }

    /// Strides longer than the kernel, padding wider than it, and rows that the kernel does not reach.
    #[test]
    fn values_are_those_of_candle() {
        for (stride, padding, kernel) in [(1, 0, 1), (3, 0, 2), (1, 3, 2), (2, 1, 3), (4, 2, 3), (1, 2, 5)] {
            for groups in [1, 2, 4] {
                let config = config(4, 8, groups, [kernel; 2]);
                let config = ConvConfig { stride: [stride; 2], padding: [padding; 2], ..config };
                // Parts of larger tensors, which do not start where their memory does.
                let x = wave(&[3, 4, 7, 6], 0.4).narrow(0, 1, 2).unwrap();
                let weight = wave(&[9, 4 / groups, kernel, kernel], 0.9).narrow(0, 1, 8).unwrap();
                let wanted = x.conv2d(&weight, padding, stride, 1, groups).unwrap();
                let got = conv2d(&x, &weight, &config).unwrap();
                assert_eq!(got.dims(), wanted.dims());
                let largest = |x: &Tensor| x.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                let difference = largest(&(got - &wanted).unwrap());
                assert!(
                    difference < 1e-5 * largest(&wanted).max(1.0),
                    "stride {stride}, padding {padding}, kernel {kernel}: {difference:e}"
                );
                let (bias, more) = (wave(&[8], 2.0), wave(wanted.dims(), 0.1));
                let wanted = wanted.broadcast_add(&bias.reshape((1, 8, 1, 1)).unwrap()).unwrap();
                let wanted = (wanted + &more).unwrap().relu().unwrap();
                let conv = Conv::new(weight, Some(bias), config);
                let got = conv.forward(&x, Some(&more), Some(Activation::Relu)).unwrap();
                let difference = largest(&(got - &wanted).unwrap());
                assert!(difference < 1e-5 * largest(&wanted).max(1.0), "{config:?} with all behind it: {difference:e}");
                assert!(conv.forward(&x, Some(&more.narrow(0, 0, 1).unwrap()), None).is_err());
            }
        }
    }

    /// What does not fill a patch at the right and lower ends is not seen.
    #[test]
    fn patches_are_those_of_the_general_way() {
        for (channels, kernel, image) in [(1, [4, 4], [8, 13]), (3, [2, 3], [7, 9]), (2, [1, 5], [3, 10])] {
            let config = ConvConfig { stride: kernel, ..config(channels, 6, 1, kernel) };
            let weight = wave(&[6, channels, kernel[0], kernel[1]], 0.3);
            let conv = Conv::new(weight.clone(), Some(wave(&[6], 2.0)), config);
            let x = wave(&[2, channels, image[0], image[1]], 0.8);
            let wanted = conv2d(&x, &weight, &config).unwrap();
            let wanted = wanted.broadcast_add(&wave(&[6], 2.0).reshape((1, 6, 1, 1)).unwrap()).unwrap();
            let got = conv.composed(&x).unwrap();
            assert_eq!(got.dims(), wanted.dims());
            let difference = (got - wanted).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(difference < 1e-5, "{kernel:?}: {difference:e}");
            check_gradient(&x, |x| conv.composed(x));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (weight, config_of_3) = (wave(&[2, 3, 3, 3], 0.0), config(3, 2, 1, [3, 3]));
        let conv = Conv::new(weight, None, config_of_3);
        assert!(conv.forward(&wave(&[1, 2, 5, 5], 0.0), None, None).is_err());
        assert!(conv.forward(&wave(&[1, 3, 2, 5], 0.0), None, None).is_err());
        let params = crate::nn::Params::new(0);
        let vb = params.var_builder(DType::F32, &Device::Cpu);
        assert!(Conv2d::load(&vb, &config(3, 4, 2, [3, 3])).is_err());
        assert!(Conv1d::load(&vb, &config(3, 4, 1, [2, 3])).is_err());
    }
}
