//! Convolutions against torch: outputs, and gradients of images, weights and biases.

use audsem_models::nn::{Conv1d, Conv2d, ConvConfig};
use candle_core::{DType, Device, Var};

use crate::blocks::{check, params};
use crate::golden::Goldens;

/// Stride, padding and groups of a golden convolution.
type Case = (&'static str, [usize; 2], [usize; 2], usize);

const CASES: [Case; 10] = [
    ("whisper1", [1, 1], [0, 1], 1),
    ("whisper2", [1, 2], [0, 1], 1),
    ("positions", [1, 1], [0, 3], 4),
    ("depthwise1d", [1, 1], [0, 2], 4),
    ("patches", [4, 4], [0, 0], 1),
    ("square", [2, 2], [1, 1], 1),
    ("point", [1, 1], [0, 0], 1),
    ("grouped", [1, 2], [1, 0], 2),
    ("convnext", [1, 1], [3, 3], 3),
    ("depthwise_strided", [2, 2], [1, 1], 3),
];

#[test]
fn convolutions_are_those_of_torch() {
    let goldens = Goldens::load("nn.safetensors");
    for (name, stride, padding, groups) in CASES {
        let golden = format!("conv.{name}");
        let params = params(&goldens, &golden);
        let weight = goldens.get(&format!("{golden}.param.weight"));
        let x = Var::from_tensor(goldens.get(&format!("{golden}.x"))).unwrap();
        let over_time = x.rank() == 3;
        let kernel = match *weight.dims() {
            [_, _, width] => [1, width],
            [_, _, height, width] => [height, width],
            _ => panic!("{name}"),
        };
        let plain = ConvConfig::over_image(x.dims()[1], weight.dims()[0], kernel);
        let config = ConvConfig { stride, padding, groups, bias: name != "patches", ..plain };
        let vb = params.var_builder(DType::F32, &Device::Cpu);
        let out = if over_time {
            Conv1d::load(&vb, &config).unwrap().forward(&x).unwrap()
        } else {
            Conv2d::load(&vb, &config).unwrap().forward(&x).unwrap()
        };
        check(&goldens, &golden, &out, &[("x", &x)], &params, None);
        assert!(params.newly_initialized().is_empty(), "{name}");
    }
}
