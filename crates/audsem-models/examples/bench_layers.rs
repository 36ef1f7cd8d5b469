//! Times convolutions beside candle's own, and a training step of a frozen linear layer beside that of a trained one.
//!
//! `bench_layers [REPEAT]` prints one JSON object: milliseconds, the best of the repetitions.
#![allow(clippy::print_stdout, reason = "this is the program's output")]

use std::collections::BTreeMap;
use std::time::Instant;

use audsem_models::nn::{Conv2d, ConvConfig, Linear, Mode, Params};
use candle_core::{DType, Device, Result, Tensor, Var};

/// Runs once unmeasured, then `repeat` times: the least milliseconds.
fn best<T>(repeat: usize, work: impl Fn() -> Result<T>) -> Result<f64> {
    work()?;
    let mut least = f64::INFINITY;
    for _ in 0..repeat {
        let begin = Instant::now();
        work()?;
        least = least.min(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok((least * 100.0).round() / 100.0)
}

fn random(shape: &[usize]) -> Result<Tensor> {
    Tensor::randn(0f32, 1.0, shape, &Device::Cpu)
}

/// Name, image, configuration.
fn convolutions() -> Vec<(&'static str, [usize; 4], ConvConfig)> {
    let time = |channels, outputs, kernel| ConvConfig::over_time(channels, outputs, kernel);
    let image = |channels, outputs, kernel| ConvConfig::over_image(channels, outputs, [kernel; 2]);
    vec![
        ("whisper conv1", [1, 80, 1, 3000], ConvConfig { padding: [0, 1], ..time(80, 384, 3) }),
        ("whisper conv2", [1, 384, 1, 3000], ConvConfig { padding: [0, 1], stride: [1, 2], ..time(384, 384, 3) }),
        ("beats positions", [1, 768, 1, 496], ConvConfig { padding: [0, 64], groups: 16, ..time(768, 768, 128) }),
        ("patches", [4, 1, 256, 256], ConvConfig { stride: [4, 4], ..image(1, 96, 4) }),
        ("3 × 3", [4, 64, 56, 56], ConvConfig { padding: [1, 1], ..image(64, 64, 3) }),
        ("convnext", [1, 96, 252, 56], ConvConfig { padding: [3, 3], groups: 96, ..image(96, 96, 7) }),
    ]
}

fn measure_convolution(repeat: usize, shape: &[usize], config: &ConvConfig) -> Result<BTreeMap<&'static str, f64>> {
    let (params, x) = (Params::new(1), Var::from_tensor(&random(shape)?)?);
    let conv = Conv2d::load(&params.var_builder(DType::F32, &Device::Cpu), config)?;
    let weight = params.vars().into_iter().find(|(name, _)| name == "weight").map(|(_, var)| var);
    let Some(weight) = weight else { candle_core::bail!("a convolution has a weight") };
    let [height, width] = config.padding;
    let candle = |x: &Tensor, weight: &Tensor| {
        let x = x.pad_with_zeros(2, height, height)?.pad_with_zeros(3, width, width)?;
        x.conv2d(weight, 0, config.stride[1], 1, config.groups)
    };
    let mut times = BTreeMap::new();
    times.insert("ours", best(repeat, || conv.forward(&x))?);
    times.insert("ours, with gradients", best(repeat, || conv.forward(&x)?.sum_all()?.backward())?);
    // candle takes one step for both dimensions.
    if config.stride[0] == config.stride[1] {
        let plain = weight.as_detached_tensor();
        times.insert("candle", best(repeat, || candle(&x.as_detached_tensor(), &plain))?);
    }
    Ok(times)
}

fn main() -> Result<()> {
    let repeat = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(5);
    let mut measured = BTreeMap::new();
    for (name, shape, config) in convolutions() {
        measured.insert(name, measure_convolution(repeat, &shape, &config)?);
    }
    let (x, weight) = (Var::from_tensor(&random(&[1024, 896])?)?, random(&[4864, 896])?);
    let step = |weight: &Tensor| {
        let linear = Linear::from_tensors(weight.clone(), None);
        best(repeat, || linear.forward_in(&x, Mode::Infer)?.sum_all()?.backward())
    };
    let candle = best(repeat, || x.matmul(&weight.t()?)?.sum_all()?.backward())?;
    let trained = Var::from_tensor(&weight)?;
    measured.insert(
        "linear 896 → 4864, forward and backward of 1024 rows",
        BTreeMap::from([("frozen", step(&weight)?), ("trained", step(&trained)?), ("candle, not tracked", candle)]),
    );
    println!("{}", serde_json::to_string_pretty(&measured).map_err(candle_core::Error::wrap)?);
    Ok(())
}
