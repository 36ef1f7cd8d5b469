//! Norm, rotary positions and attention against transformers' Qwen2: both sets of layers, and gradients.

use audsem_models::nn::{
    Attention, Mode, Params, RmsNorm, Rotary, causal_bias, fused, join_heads, padding_bias, softmax, split_heads,
};
use candle_core::{DType, Device, IndexOp, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::golden::{Goldens, max_abs};

const ATTENTION: [&str; 3] = ["attention.grouped", "attention.single", "attention.even"];
const ROTARY: [(&str, usize, f64); 2] = [("rotary.near", 8, 1e4), ("rotary.far", 64, 1e6)];

fn load() -> Goldens {
    Goldens::load("layers.safetensors")
}

fn random(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-2.0..2.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A golden as a tensor that gradients are wanted of.
fn var(goldens: &Goldens, name: &str) -> Var {
    Var::from_tensor(goldens.get(name)).unwrap()
}

/// Compares the output, and the gradients of its sum times the cotangent.
fn check_with_gradients(goldens: &Goldens, name: &str, out: &Tensor, inputs: &[(&str, &Tensor)]) {
    goldens.check_relative(&format!("{name}.out"), out, 1e-5, 1.0);
    let product = (out * goldens.get(&format!("{name}.cotangent"))).unwrap();
    let grads = product.sum_all().unwrap().backward().unwrap();
    for (input, tensor) in inputs {
        let grad = grads.get(tensor).unwrap_or_else(|| panic!("no gradient: {name}.{input}"));
        goldens.check_relative(&format!("{name}.grad.{input}"), grad, 1e-4, 1.0);
    }
}

/// The rows of `x` (N, D).
fn matrix(x: &Tensor) -> fused::Matrix {
    let mut matrix = fused::Matrix::default();
    let rows = x.to_vec2::<f32>().unwrap();
    matrix.reshape(rows.len(), x.dim(1).unwrap());
    rows.iter().enumerate().for_each(|(n, row)| matrix.row_mut(n).copy_from_slice(row));
    matrix
}

/// The first `columns` of rows as (N, D).
fn tensor(x: &fused::Matrix, columns: usize) -> Tensor {
    let values: Vec<f32> = (0..x.rows()).flat_map(|n| x.row(n)[..columns].to_vec()).collect();
    Tensor::from_vec(values, (x.rows(), columns), &Device::Cpu).unwrap()
}

/// Tensors (B, H, T, W) as rows with the heads of all of them side by side: (B·T, …).
fn side_by_side(parts: &[&Tensor]) -> Tensor {
    let joined: Vec<Tensor> = parts.iter().map(|part| join_heads(part).unwrap().flatten(0, 1).unwrap()).collect();
    Tensor::cat(&joined, 1).unwrap()
}

/// A norm with this weight, which is trained, or is not.
fn rms_norm(weight: &Tensor, eps: f64, trained: bool) -> (RmsNorm, Tensor) {
    let params = Params::new(0);
    params.set("weight", weight).unwrap();
    let vb = params.var_builder(DType::F32, &Device::Cpu);
    let norm = RmsNorm::load(&vb, weight.elem_count(), eps).unwrap();
    if trained {
        return (norm, params.vars()[0].1.as_tensor().clone());
    }
    let tensors = [("weight".to_owned(), weight.clone())].into();
    let vb = candle_nn::VarBuilder::from_tensors(tensors, weight.dtype(), &Device::Cpu);
    (RmsNorm::load(&vb, weight.elem_count(), eps).unwrap(), weight.clone())
}

#[test]
fn rms_norm_is_that_of_transformers() {
    let goldens = load();
    let (norm, weight) = rms_norm(goldens.get("rms_norm.weight"), 1e-6, true);
    let x = var(&goldens, "rms_norm.x");
    check_with_gradients(&goldens, "rms_norm", &norm.forward(&x).unwrap(), &[("x", &x), ("weight", &weight)]);
    let (plain, _) = rms_norm(goldens.get("rms_norm.weight"), 1e-6, false);
    let out = plain.forward(goldens.get("rms_norm.x")).unwrap();
    assert!(!out.track_op());
    goldens.check_relative("rms_norm.out", &out, 1e-5, 1.0);
}

#[test]
fn rotary_positions_are_those_of_transformers() {
    let goldens = load();
    for (name, width, theta) in ROTARY {
        let angles = Rotary::new(width, theta).unwrap().angles(&goldens.ids(&format!("{name}.positions"))).unwrap();
        for part in ["q", "k"] {
            let name = format!("{name}.{part}");
            let x = var(&goldens, &format!("{name}.x"));
            check_with_gradients(&goldens, &name, &angles.forward(&x).unwrap(), &[("x", &x)]);
        }
    }
}

fn bias(mask: &Tensor) -> Tensor {
    let t = mask.dim(1).unwrap();
    padding_bias(mask).unwrap().broadcast_minimum(&causal_bias(t, t, &Device::Cpu).unwrap()).unwrap()
}

#[test]
fn attention_is_that_of_transformers() {
    let goldens = load();
    for name in ATTENTION {
        let [q, k, v] = ["q", "k", "v"].map(|part| var(&goldens, &format!("{name}.{part}")));
        let bias = bias(&goldens.ids(&format!("{name}.mask")));
        let attention = Attention { bias: Some(&bias), dropout: None, mode: Mode::Infer };
        let out = attention.forward(&q, &k, &v).unwrap();
        check_with_gradients(&goldens, name, &out, &[("q", &q), ("k", &k), ("v", &v)]);
    }
}

#[test]
fn the_fused_layers_are_those_of_transformers_too() {
    let goldens = load();
    let x = goldens.get("rms_norm.x");
    let (norm, _) = rms_norm(goldens.get("rms_norm.weight"), 1e-6, false);
    let mut rows = matrix(&x.flatten(0, 1).unwrap());
    fused::RmsNorm::new(&norm).unwrap().forward_inplace(&mut rows);
    goldens.check_relative("rms_norm.out", &tensor(&rows, 24).reshape(x.dims()).unwrap(), 1e-5, 1.0);

    for (name, width, theta) in ROTARY {
        let [q, k] = ["q", "k"].map(|part| goldens.get(&format!("{name}.{part}.x")));
        let positions = goldens.ids(&format!("{name}.positions")).flatten_all().unwrap().to_vec1::<u32>().unwrap();
        let mut rows = matrix(&side_by_side(&[q, k]));
        fused::Rotary::new(&Rotary::new(width, theta).unwrap(), 4096).forward_inplace(&mut rows, 6, &positions);
        let (b, _, t, _) = q.dims4().unwrap();
        let turned = split_heads(&tensor(&rows, 6 * width).reshape((b, t, 6 * width)).unwrap(), 6).unwrap();
        goldens.check(&format!("{name}.q.out"), &turned.narrow(1, 0, 4).unwrap(), 1e-5);
        goldens.check(&format!("{name}.k.out"), &turned.narrow(1, 4, 2).unwrap(), 1e-5);
    }

    for name in ATTENTION {
        let [q, k, v, out] = ["q", "k", "v", "out"].map(|part| goldens.get(&format!("{name}.{part}")));
        let masks = goldens.ids(&format!("{name}.mask")).to_vec2::<u32>().unwrap();
        for (n, mask) in masks.iter().enumerate() {
            let length = mask.iter().sum::<u32>() as usize;
            let tokens = |x: &Tensor| x.i(n..=n).unwrap().narrow(2, mask.len() - length, length).unwrap();
            let got = fused_attention(&tokens(q), &tokens(k), &tokens(v));
            let difference = max_abs(&got, &tokens(out));
            assert!(difference < 1e-5, "{name}, row {n}: {difference:e}");
        }
    }
}

/// Causal attention of one sequence, (1, H, T, W) and (1, K, T, W).
fn fused_attention(q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
    let (_, heads, length, width) = q.dims4().unwrap();
    let qkv = matrix(&side_by_side(&[q, k, v]));
    let mut out = fused::Matrix::default();
    out.reshape(length, heads * width);
    fused::Attention { qkv: &qkv, first: 0, length, heads, kv_heads: k.dim(1).unwrap(), causal: true, bias: None }
        .forward(&mut out, &mut fused::Scratch::default());
    split_heads(&tensor(&out, heads * width).unsqueeze(0).unwrap(), heads).unwrap()
}

#[test]
fn both_sets_agree_on_random_input() {
    for (seed, (heads, kv_heads, width, length)) in
        [(1, 1, 2, 1), (4, 2, 8, 33), (6, 2, 40, 70), (3, 1, 64, 32), (2, 2, 34, 9)].into_iter().enumerate()
    {
        let seed = 10 * seed as u64;
        let case = format!("{heads} heads to {kv_heads} of {width}, {length} tokens");
        let shape = |heads| [1, heads, length, width];
        let (q, k, v) =
            (random(seed, &shape(heads)), random(seed + 1, &shape(kv_heads)), random(seed + 2, &shape(kv_heads)));
        let bias = causal_bias(length, length, &Device::Cpu).unwrap();
        let attention = Attention { bias: Some(&bias), dropout: None, mode: Mode::Infer };
        assert!(max_abs(&attention.forward(&q, &k, &v).unwrap(), &fused_attention(&q, &k, &v)) < 1e-5, "{case}");

        let x = join_heads(&q).unwrap().squeeze(0).unwrap();
        let (norm, _) = rms_norm(&random(seed + 3, &[heads * width]), 1e-6, false);
        let (trained, _) = rms_norm(&random(seed + 3, &[heads * width]), 1e-6, true);
        let mut rows = fused::Matrix::default();
        fused::RmsNorm::new(&norm).unwrap().forward(&matrix(&x), &mut rows);
        let normed = trained.forward(&x).unwrap();
        assert!(normed.track_op() && max_abs(&normed, &tensor(&rows, heads * width)) < 1e-5, "{case}");
        assert!(max_abs(&normed, &norm.forward(&x).unwrap()) < 1e-5, "{case}");

        let rotary = Rotary::new(width, 5e5).unwrap();
        let positions: Vec<u32> = (0..length as u32).map(|n| n * 37 % 1000).collect();
        let mut rows = matrix(&x);
        fused::Rotary::new(&rotary, 1000).forward_inplace(&mut rows, heads, &positions);
        let angles = rotary.angles(&Tensor::new(positions.as_slice(), &Device::Cpu).unwrap().unsqueeze(0).unwrap());
        let turned = join_heads(&angles.unwrap().forward(&q).unwrap()).unwrap().squeeze(0).unwrap();
        assert!(max_abs(&turned, &tensor(&rows, heads * width)) < 1e-5, "{case}");
    }
}

/// Queries and keys turned, and attention that sees neither padding nor the future.
fn attend(parts: &[Tensor; 3], positions: &Tensor, mask: &Tensor) -> Tensor {
    let angles = Rotary::new(8, 1e4).unwrap().angles(positions).unwrap();
    let bias = bias(mask);
    let attention = Attention { bias: Some(&bias), dropout: None, mode: Mode::Infer };
    attention.forward(&angles.forward(&parts[0]).unwrap(), &angles.forward(&parts[1]).unwrap(), &parts[2]).unwrap()
}

#[test]
fn a_sequence_does_not_depend_on_its_batch_or_on_padding_in_front() {
    let parts = [random(1, &[2, 4, 8, 8]), random(2, &[2, 2, 8, 8]), random(3, &[2, 2, 8, 8])];
    let positions = Tensor::new(&[[0u32, 0, 0, 0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6, 7]], &Device::Cpu).unwrap();
    let mask = Tensor::new(&[[0u32, 0, 0, 1, 1, 1, 1, 1], [1; 8]], &Device::Cpu).unwrap();
    let together = attend(&parts, &positions, &mask);
    assert!(together.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().all(|value| value.is_finite()));
    for (row, from) in [(0, 3), (1, 0)] {
        let tokens = |x: &Tensor| x.i(row..=row).unwrap().narrow(2, from, 8 - from).unwrap().contiguous().unwrap();
        let positions = Tensor::arange(0u32, 8 - from as u32, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let alone = attend(&parts.each_ref().map(tokens), &positions, &positions.ones_like().unwrap());
        let difference = max_abs(&alone, &tokens(&together));
        assert!(difference < 1e-6, "row {row}: {difference:e}");
    }
}

/// Numbers of a half-precision type lose what rounding costs, once, and nothing in angles or statistics.
#[test]
fn positions_and_statistics_are_f32_whatever_the_weights_are() {
    for (dtype, rounding) in [(DType::BF16, 1.0 / 256.0), (DType::F16, 1.0 / 2048.0)] {
        let rounded = |x: &Tensor| x.to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap();
        let x = rounded(&random(5, &[1, 2, 3, 64]));
        let positions = Tensor::new(&[[300u32, 1701, 4095]], &Device::Cpu).unwrap();
        let angles = Rotary::new(64, 1e6).unwrap().angles(&positions).unwrap();
        let (exact, got) = (angles.forward(&x).unwrap(), angles.forward(&x.to_dtype(dtype).unwrap()).unwrap());
        assert!(got.dtype() == dtype && max_abs(&exact, &got) <= 3.0 * rounding, "{dtype:?}: rotary");

        // Squares of these are beyond the largest number of f16.
        let large = rounded(&(random(6, &[4, 64]) * 300.0).unwrap());
        let weight = rounded(&random(7, &[64]));
        let exact = rms_norm(&weight, 1e-6, false).0.forward(&large).unwrap();
        for trained in [false, true] {
            let norm = rms_norm(&weight.to_dtype(dtype).unwrap(), 1e-6, trained).0;
            let got = norm.forward(&large.to_dtype(dtype).unwrap()).unwrap();
            assert!(got.dtype() == dtype && max_abs(&exact, &got) <= 4.0 * rounding, "{dtype:?}: norm");
        }
        let scores = (random(8, &[3, 50]) * 20.0).unwrap().to_dtype(dtype).unwrap();
        let exact = softmax(&scores.to_dtype(DType::F32).unwrap()).unwrap();
        assert!(max_abs(&exact, &softmax(&scores).unwrap()) <= rounding, "{dtype:?}: softmax");
    }
}
