//! Blocks for generation and training against transformers, with and without a cache: outputs, and gradients of all inputs
//! and parameters.

use audsem_models::nn::{
    Activation, AttentionContext, BlockConfig, CrossSource, DecoderCache, DecoderConfig, DecoderStack, LayerCache,
    Mode, Params, ProjectionBias, RopeScaling, Rotary, TokenSpan, TransformerBlock, causal_bias, padding_bias,
};
use candle_core::{DType, Device, IndexOp, Tensor, Var};
use candle_nn::VarBuilder;

use crate::golden::{Goldens, max_abs};

const CPU: &Device = &Device::Cpu;

/// Parameters of a golden, which are trained.
pub(crate) fn params(goldens: &Goldens, name: &str) -> Params {
    let params = Params::new(0);
    for (parameter, value) in goldens.under(&format!("{name}.param.")) {
        params.set(&parameter, value).unwrap();
    }
    params
}

/// Compares the output, and the gradients of its sum times the cotangent of all inputs and all of `params`; none may be
/// absent or 0 everywhere. The output is compared where `shown` is 1.
pub(crate) fn check(
    goldens: &Goldens,
    name: &str,
    out: &Tensor,
    inputs: &[(&str, &Tensor)],
    params: &Params,
    shown: Option<&Tensor>,
) {
    let compared = shown.map_or_else(|| out.clone(), |shown| out.broadcast_mul(shown).unwrap());
    goldens.check_relative(&format!("{name}.out"), &compared, 1e-5, 1.0);
    let product = (out * goldens.get(&format!("{name}.cotangent"))).unwrap();
    let grads = product.sum_all().unwrap().backward().unwrap();
    let vars = params.vars();
    let named = vars.iter().map(|(parameter, var)| (format!("param.{parameter}"), var.as_tensor()));
    let all: Vec<(String, &Tensor)> = inputs.iter().map(|(input, x)| ((*input).to_owned(), *x)).chain(named).collect();
    let wanted = goldens.under(&format!("{name}.grad.")).len();
    assert_eq!(all.len(), wanted, "{name}: the golden has gradients of as many tensors");
    for (tensor, x) in all {
        let grad = grads.get(x).unwrap_or_else(|| panic!("no gradient: {name}.{tensor}"));
        let largest = grad.abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
        assert!(largest.is_finite() && largest > 0.0, "{name}.{tensor}: largest gradient {largest}");
        goldens.check_relative(&format!("{name}.grad.{tensor}"), grad, 1e-4, 1.0);
    }
}

/// A golden as a tensor that gradients are wanted of.
fn var(goldens: &Goldens, name: &str) -> Var {
    Var::from_tensor(goldens.get(name)).unwrap()
}

fn builder(params: &Params) -> VarBuilder<'static> {
    params.var_builder(DType::F32, CPU)
}

pub(crate) fn qwen2() -> DecoderConfig {
    DecoderConfig {
        layers: 2,
        dim: 16,
        heads: 4,
        kv_heads: 2,
        head_dim: 4,
        intermediate: 24,
        activation: Activation::Silu,
        mlp_bias: false,
        attention_bias: ProjectionBias::QWEN2,
        rms_norm_eps: 1e-6,
        rotary: Rotary::new(4, 1e6).unwrap(),
        window: Some(3),
        first_windowed_layer: 1,
        attention_dropout: 0.0,
        initializer_range: 0.02,
    }
}

fn llama() -> DecoderConfig {
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 64,
    };
    DecoderConfig {
        layers: 1,
        dim: 12,
        heads: 2,
        kv_heads: 1,
        head_dim: 16,
        intermediate: 20,
        attention_bias: ProjectionBias::NONE,
        rms_norm_eps: 1e-5,
        rotary: Rotary::new(16, 500.0).unwrap().with_scaling(scaling),
        window: None,
        ..qwen2()
    }
}

fn decoders() -> [(&'static str, DecoderConfig); 2] {
    [("qwen2", qwen2()), ("llama", llama())]
}

#[test]
fn decoders_are_those_of_transformers() {
    let goldens = Goldens::load("nn.safetensors");
    for (name, config) in decoders() {
        let params = params(&goldens, name);
        let decoder = DecoderStack::load(&builder(&params), &config).unwrap();
        assert!(params.newly_initialized().is_empty(), "{name}: {:?}", params.newly_initialized());
        let mask = goldens.ids(&format!("{name}.mask"));
        let x = var(&goldens, &format!("{name}.x"));
        let span = TokenSpan::from_mask(&mask).unwrap();
        let out = decoder.forward(x.as_tensor().clone(), &span, None, Mode::Infer).unwrap();
        let shown = mask.unsqueeze(2).unwrap().to_dtype(DType::F32).unwrap();
        check(&goldens, name, &out, &[("x", &x)], &params, Some(&shown));
    }
    let frequencies = goldens.get("llama.frequencies").to_vec1::<f32>().unwrap();
    let relative = |(a, b): (&f32, &f32)| (a - b).abs() / b;
    let differences = llama().rotary.frequencies().to_vec();
    assert!(differences.iter().zip(&frequencies).map(relative).all(|difference| difference < 1e-6));
}

/// Reads `x` (B, T, D) in pieces that end at `ends`, through `cache`.
fn in_pieces(decoder: &DecoderStack, x: &Tensor, mask: &Tensor, ends: &[usize], cache: &mut DecoderCache) -> Tensor {
    let mut start = cache.len();
    let mut parts = Vec::new();
    for &end in ends {
        let span = TokenSpan::from_mask(&mask.i((.., start..end)).unwrap()).unwrap();
        let piece = x.i((.., start..end)).unwrap();
        parts.push(decoder.forward(piece, &span, Some(&mut *cache), Mode::Infer).unwrap());
        start = end;
    }
    Tensor::cat(&parts, 1).unwrap()
}

/// Also with padding in front, sliding windows, pieces of every size, and after forgetting.
#[test]
fn reading_with_a_cache_is_reading_all_at_once() {
    let goldens = Goldens::load("nn.safetensors");
    for (name, config) in decoders() {
        let decoder = DecoderStack::load(&builder(&params(&goldens, name)), &config).unwrap();
        let mask = goldens.ids(&format!("{name}.mask"));
        let (x, out) = (goldens.get(&format!("{name}.x")), goldens.get(&format!("{name}.out")));
        let shown = mask.unsqueeze(2).unwrap().to_dtype(DType::F32).unwrap();
        for ends in [&[7][..], &[1, 2, 3, 4, 5, 6, 7], &[4, 5, 7], &[3, 7]] {
            let mut cache = decoder.cache(2);
            let got = in_pieces(&decoder, x, &mask, ends, &mut cache).broadcast_mul(&shown).unwrap();
            assert!(max_abs(&got, out) <= 1e-5, "{name} {ends:?}: {:e}", max_abs(&got, out));
            assert_eq!(cache.len(), 7);

            cache.truncate(4);
            let got = in_pieces(&decoder, x, &mask, &[6, 7], &mut cache);
            let tail = out.i((.., 4..)).unwrap();
            assert!(max_abs(&got, &tail) <= 1e-5, "{name} {ends:?} after forgetting: {:e}", max_abs(&got, &tail));
        }
    }
}

#[test]
fn beams_go_on_from_the_rows_they_were_given() {
    let goldens = Goldens::load("nn.safetensors");
    for (name, config) in decoders() {
        let decoder = DecoderStack::load(&builder(&params(&goldens, name)), &config).unwrap();
        let mask = goldens.ids(&format!("{name}.mask"));
        let order = [1u32, 0, 1];
        let beams = |x: &Tensor| x.contiguous().unwrap().index_select(&Tensor::new(&order, CPU).unwrap(), 0).unwrap();
        let (x, out) = (goldens.get(&format!("{name}.x")), goldens.get(&format!("{name}.out")));
        let mut cache = decoder.cache(2);
        in_pieces(&decoder, x, &mask, &[5], &mut cache);
        cache.reorder(&order).unwrap();
        assert_eq!(cache.batch(), 3);
        let got = in_pieces(&decoder, &beams(x), &beams(&mask), &[6, 7], &mut cache);
        let tail = beams(&out.i((.., 5..)).unwrap());
        assert!(max_abs(&got, &tail) <= 1e-5, "{name}: {:e}", max_abs(&got, &tail));
        assert!(cache.reorder(&[3]).is_err());
    }
}

#[test]
fn a_row_does_not_depend_on_its_batch_or_its_padding() {
    let goldens = Goldens::load("nn.safetensors");
    for (name, config) in decoders() {
        let decoder = DecoderStack::load(&builder(&params(&goldens, name)), &config).unwrap();
        let (x, out) = (goldens.get(&format!("{name}.x")), goldens.get(&format!("{name}.out")));
        let alone = x.i((0..1, 2..)).unwrap();
        let got = decoder.forward(alone.clone(), &TokenSpan::unpadded(1, 5), None, Mode::Infer).unwrap();
        let wanted = out.i((0..1, 2..)).unwrap();
        assert!(max_abs(&got, &wanted) <= 1e-5, "{name}, padded in front: {:e}", max_abs(&got, &wanted));

        let behind = Tensor::cat(&[&alone, &x.i((1..2, ..2)).unwrap()], 1).unwrap();
        let mask = Tensor::new(&[[1u32, 1, 1, 1, 1, 0, 0]], CPU).unwrap();
        let got = decoder.forward(behind, &TokenSpan::from_mask(&mask).unwrap(), None, Mode::Infer).unwrap();
        let got = got.i((.., ..5)).unwrap();
        assert!(max_abs(&got, &wanted) <= 1e-5, "{name}, padded behind: {:e}", max_abs(&got, &wanted));
    }
}

#[test]
fn a_cache_is_refused_in_training() {
    let config = qwen2();
    let decoder = DecoderStack::load(&builder(&Params::new(1)), &config).unwrap();
    let x = Tensor::zeros((1, 2, 16), DType::F32, CPU).unwrap();
    let mut cache = decoder.cache(1);
    let error = decoder.forward(x, &TokenSpan::unpadded(1, 2), Some(&mut cache), Mode::Train { seed: 0, step: 0 });
    assert!(error.unwrap_err().to_string().contains("for inference"));
}

#[test]
fn dropout_changes_the_result_in_training_alone() {
    let config = DecoderConfig { attention_dropout: 0.5, ..qwen2() };
    let goldens = Goldens::load("nn.safetensors");
    let decoder = DecoderStack::load(&builder(&params(&goldens, "qwen2")), &config).unwrap();
    let span = TokenSpan::unpadded(2, 7);
    let run = |mode| decoder.forward(goldens.get("qwen2.x").clone(), &span, None, mode).unwrap();
    let train = |seed, step| run(Mode::Train { seed, step });
    assert!(max_abs(&train(1, 1), &train(1, 1)) == 0.0 && max_abs(&run(Mode::Infer), &run(Mode::Infer)) == 0.0);
    for other in [train(1, 2), train(2, 1), run(Mode::Infer)] {
        assert!(max_abs(&train(1, 1), &other) > 1e-3);
    }
}

fn block(heads: usize, cross: bool) -> BlockConfig {
    BlockConfig {
        dim: 16,
        heads,
        intermediate: 20,
        activation: Activation::Gelu,
        layer_norm_eps: 1e-5,
        norm_first: true,
        attention_bias: ProjectionBias::WHISPER,
        cross,
        dropout: 0.0,
        attention_dropout: 0.0,
        activation_dropout: 0.0,
        initializer_range: 0.02,
    }
}

fn bart() -> BlockConfig {
    let attention_bias = ProjectionBias::ALL;
    BlockConfig { dim: 8, intermediate: 12, norm_first: false, attention_bias, ..block(2, true) }
}

#[test]
fn the_encoder_block_is_that_of_whisper() {
    let goldens = Goldens::load("nn.safetensors");
    let params = params(&goldens, "whisper.encoder");
    let layer = TransformerBlock::load(&builder(&params), &block(2, false)).unwrap();
    let (x, mask) = (var(&goldens, "whisper.encoder.x"), goldens.ids("whisper.mask"));
    let bias = padding_bias(&mask).unwrap();
    let context = AttentionContext { bias: Some(&bias), ..AttentionContext::full(Mode::Infer) };
    let out = layer.forward(&x, &context, None, None).unwrap();
    let shown = mask.unsqueeze(2).unwrap().to_dtype(DType::F32).unwrap();
    check(&goldens, "whisper.encoder", &out, &[("x", &x)], &params, Some(&shown));
    assert!(layer.forward(&x, &context, Some(CrossSource { states: &x, bias: None }), None).is_err());
}

#[test]
fn windows_are_those_of_the_omni_audio_tower() {
    let goldens = Goldens::load("nn.safetensors");
    let params = params(&goldens, "whisper.encoder");
    let layer = TransformerBlock::load(&builder(&params), &block(2, false)).unwrap();
    let x = var(&goldens, "omni_audio.x");
    let context = AttentionContext { cu_seqlens: Some(&[0, 3, 6, 8]), ..AttentionContext::full(Mode::Infer) };
    let out = layer.forward(&x.unsqueeze(0).unwrap(), &context, None, None).unwrap().squeeze(0).unwrap();
    check(&goldens, "omni_audio", &out, &[("x", &x)], &Params::new(0), None);
}

/// Name, configuration, queries, and whether the source is padded.
fn decoder_blocks() -> [(&'static str, BlockConfig, usize, bool); 2] {
    [("whisper.decoder", block(4, true), 4, true), ("bart", bart(), 3, false)]
}

fn source_bias(goldens: &Goldens, padded: bool) -> Option<Tensor> {
    padded.then(|| padding_bias(&goldens.ids("whisper.mask")).unwrap())
}

#[test]
fn decoder_blocks_are_those_of_whisper_and_bart() {
    let goldens = Goldens::load("nn.safetensors");
    for (name, config, queries, padded) in decoder_blocks() {
        let params = params(&goldens, name);
        let layer = TransformerBlock::load(&builder(&params), &config).unwrap();
        let [x, states] = ["x", "states"].map(|part| var(&goldens, &format!("{name}.{part}")));
        let (causal, bias) = (causal_bias(queries, queries, CPU).unwrap(), source_bias(&goldens, padded));
        let context = AttentionContext { bias: Some(&causal), ..AttentionContext::full(Mode::Infer) };
        let source = CrossSource { states: &states, bias: bias.as_ref() };
        let out = layer.forward(&x, &context, Some(source), None).unwrap();
        check(&goldens, name, &out, &[("x", &x), ("states", &states)], &params, None);
        assert!(layer.forward(&x, &context, None, None).is_err(), "{name}: no source");
    }
}

#[test]
fn decoder_blocks_read_token_by_token_with_a_cache() {
    let goldens = Goldens::load("nn.safetensors");
    for (name, config, queries, padded) in decoder_blocks() {
        let layer = TransformerBlock::load(&builder(&params(&goldens, name)), &config).unwrap();
        let [x, states] = ["x", "states"].map(|part| goldens.get(&format!("{name}.{part}")));
        let bias = source_bias(&goldens, padded);
        let mut cache = LayerCache::default();
        for n in 0..queries {
            // The source is needed for the first token only.
            let zeros = states.zeros_like().unwrap();
            let source = CrossSource { states: if n == 0 { states } else { &zeros }, bias: bias.as_ref() };
            let context = AttentionContext::full(Mode::Infer);
            let token = x.i((.., n..=n)).unwrap();
            let got = layer.forward(&token, &context, Some(source), Some(&mut cache)).unwrap();
            let wanted = goldens.get(&format!("{name}.out")).i((.., n..=n)).unwrap();
            assert!(max_abs(&got, &wanted) <= 1e-5, "{name}, token {n}: {:e}", max_abs(&got, &wanted));
        }
    }
}

#[test]
fn rotary_positions_of_three_axes_are_those_of_omni() {
    let goldens = Goldens::load("nn.safetensors");
    let rotary = Rotary::new(16, 1e6).unwrap().with_sections(&[2, 3, 3]).unwrap();
    let positions = goldens.ids("rotary.axes.positions");
    let x = var(&goldens, "rotary.axes.x");
    let out = rotary.angles(&positions).unwrap().forward(&x).unwrap();
    check(&goldens, "rotary.axes", &out, &[("x", &x)], &Params::new(0), None);

    // One position on all axes is plain rotary positions.
    let one = positions.get(0).unwrap();
    let plain = Rotary::new(16, 1e6).unwrap().angles(&one).unwrap().forward(&x).unwrap();
    let same = Tensor::stack(&[&one, &one, &one], 0).unwrap();
    assert_eq!(max_abs(&plain, &rotary.angles(&same).unwrap().forward(&x).unwrap()), 0.0);
    assert_eq!(max_abs(&plain, &rotary.angles(&one).unwrap().forward(&x).unwrap()), 0.0);
}

#[test]
fn activations_are_those_of_transformers() {
    let goldens = Goldens::load("nn.safetensors");
    for name in ["gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "quick_gelu", "relu", "silu", "tanh"] {
        let golden = format!("activation.{name}");
        let x = var(&goldens, &format!("{golden}.x"));
        let out = Activation::from_name("hidden_act", name).unwrap().forward(&x).unwrap();
        check(&goldens, &golden, &out, &[("x", &x)], &Params::new(0), None);
    }
}
