//! LLaVA-Video against transformers and torch.

use std::collections::HashMap;

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_media::image::{ResizeFilter, RgbImage};
use audsem_models::generate::{CausalDecoder as _, GenerationRequest, generate};
use audsem_models::language::LanguageConfig;
use audsem_models::multimodal::MultimodalNetwork as _;
use audsem_models::multimodal::llava_video::{
    AskedVideo, Config, LlavaVideo, LlavaVideoVision, NewlinePosition, PoolMode, PromptedVideo, VideoDescriber,
};
use audsem_models::vision::PixelNormalisation;
use audsem_models::vision::siglip::{self, SiglipTower, is_ignorable};
use candle_core::{DType, Device, IndexOp, Tensor};
use candle_nn::VarBuilder;

use crate::golden::{Goldens, max_abs, path};
use crate::resnet::large;

/// Where the published checkpoint has the tower.
const TOWER: &str = "model.vision_tower.vision_tower.vision_model";

fn tower_config() -> siglip::Config {
    ModelDir::local(&path("siglip_tiny")).json("config.json").unwrap()
}

fn tower_weights() -> Weights {
    Weights::open(&ModelDir::local(&path("siglip_tiny")), &Device::Cpu, DType::F32).unwrap()
}

#[test]
fn the_tower_ends_with_the_state_before_the_last() {
    let (goldens, weights, config) = (Goldens::load("llava_video.safetensors"), tower_weights(), tower_config());
    let tower = SiglipTower::load(&weights.var_builder(), &config).unwrap();
    weights.finish(|name| is_ignorable(name, &config)).unwrap();
    let states = tower.states(goldens.get("x")).unwrap();
    assert_eq!(states.len(), 3);
    for (n, state) in states.iter().enumerate() {
        goldens.check_relative(&format!("siglip.{n}"), state, 1e-5, 1.0);
    }
    let tokens = tower.forward(goldens.get("x")).unwrap();
    goldens.check_relative("siglip.2", &tokens, 1e-5, 1.0);
    let alone = tower.forward(&goldens.get("x").narrow(0, 1, 1).unwrap()).unwrap();
    assert_eq!(max_abs(&alone, &tokens.narrow(0, 1, 1).unwrap()), 0.0);
    assert!(tower.forward(&Tensor::zeros((1, 3, 56, 70), DType::F32, &Device::Cpu).unwrap()).is_err());
}

/// The tensors of the tower, projector and newline under the names of the published checkpoint.
fn network(goldens: &Goldens, config: &Config, tower: &siglip::Config) -> LlavaVideoVision {
    let file = path("siglip_tiny").join("model.safetensors");
    let tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let renamed = tensors.into_iter().map(|(name, tensor)| (format!("{TOWER}.{name}"), tensor));
    let mut tensors: HashMap<String, Tensor> = renamed.collect();
    for (name, tensor) in goldens.under("projector.") {
        tensors.insert(format!("model.mm_projector.{name}"), tensor.clone());
    }
    tensors.insert("model.image_newline".to_owned(), newline(config.hidden_size));
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    LlavaVideoVision::load(&vb, config, tower).unwrap()
}

fn newline(dim: usize) -> Tensor {
    Tensor::arange(100f32, 100.0 + dim as f32, &Device::Cpu).unwrap()
}

#[test]
fn tokens_are_projected_and_a_video_has_the_vectors_of_its_frames() {
    let goldens = Goldens::load("llava_video.safetensors");
    let config = Config { hidden_size: 16, ..Config::default() };
    let network = network(&goldens, &config, &tower_config());
    goldens.check_relative("projected", &network.project(goldens.get("siglip.2")).unwrap(), 1e-5, 1.0);
    let video = network.forward(goldens.get("x")).unwrap();
    // 3 frames of 5 × 5 tokens, pooled to 3 × 3, with an end behind each row.
    assert_eq!(video.dims(), [3 * 3 * 4, 16]);
    let wanted = network.arrange(goldens.get("projected")).unwrap();
    let largest = max_abs(&wanted, &wanted.zeros_like().unwrap());
    assert!(max_abs(&video, &wanted) < 1e-5 * largest, "{largest}");
}

/// A network whose grid has this side, for vectors of three values.
fn arranger(side: usize, mode: PoolMode, position: NewlinePosition) -> LlavaVideoVision {
    let tower = siglip::Config {
        hidden_size: 2,
        intermediate_size: 2,
        num_hidden_layers: 1,
        num_attention_heads: 1,
        image_size: side,
        patch_size: 1,
        ..siglip::Config::default()
    };
    let config =
        Config { hidden_size: 3, mm_spatial_pool_mode: mode, mm_newline_position: position, ..Config::default() };
    let tensor = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let embeddings = format!("{TOWER}.embeddings");
    let tensors = HashMap::from([
        (format!("{embeddings}.patch_embedding.weight"), tensor(&[2, 3, 1, 1])),
        (format!("{embeddings}.patch_embedding.bias"), tensor(&[2])),
        (format!("{embeddings}.position_embedding.weight"), tensor(&[side * side, 2])),
        ("model.mm_projector.0.weight".to_owned(), tensor(&[3, 2])),
        ("model.mm_projector.0.bias".to_owned(), tensor(&[3])),
        ("model.mm_projector.2.weight".to_owned(), tensor(&[3, 3])),
        ("model.mm_projector.2.bias".to_owned(), tensor(&[3])),
        ("model.image_newline".to_owned(), newline(3)),
    ]);
    let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    LlavaVideoVision::load(&vb, &config, &tower).unwrap()
}

const MODES: [(&str, PoolMode); 3] =
    [("bilinear", PoolMode::Bilinear), ("average", PoolMode::Average), ("max", PoolMode::Max)];

#[test]
fn tokens_are_pooled_as_by_torch() {
    let goldens = Goldens::load("llava_video.safetensors");
    for side in [27, 5, 4] {
        for (name, mode) in MODES {
            let network = arranger(side, mode, NewlinePosition::NoToken);
            let pooled = network.arrange(goldens.get(&format!("grid.{side}"))).unwrap();
            let golden = format!("pool.{name}.{side}");
            goldens.check(&golden, &pooled.reshape(goldens.get(&golden).dims()).unwrap(), 1e-5);
        }
    }
}

/// Where the ends stand is written out by hand: row by row, frame by frame.
#[test]
fn ends_stand_where_the_configuration_says() {
    let goldens = Goldens::load("llava_video.safetensors");
    let pooled = goldens.get("pool.bilinear.27"); // (2, 14 · 14, 3)
    let end = newline(3).unsqueeze(0).unwrap();
    let row = |frame: usize, row: usize| pooled.i((frame, 14 * row..14 * (row + 1))).unwrap();
    let rows = |marked: bool, frame_end: bool, last: bool| {
        let mut parts = Vec::new();
        for frame in 0..2 {
            for n in 0..14 {
                parts.push(row(frame, n));
                parts.extend(marked.then(|| end.clone()));
            }
            parts.extend(frame_end.then(|| end.clone()));
        }
        parts.extend(last.then(|| end.clone()));
        Tensor::cat(&parts, 0).unwrap()
    };
    for (position, wanted, n) in [
        (NewlinePosition::Grid, rows(true, false, false), 420),
        (NewlinePosition::Frame, rows(false, true, false), 394),
        (NewlinePosition::OneToken, rows(false, false, true), 393),
        (NewlinePosition::NoToken, rows(false, false, false), 392),
    ] {
        let got = arranger(27, PoolMode::Bilinear, position).arrange(goldens.get("grid.27")).unwrap();
        assert_eq!(got.dims(), [n, 3], "{position:?}");
        assert!(max_abs(&got, &wanted) < 1e-5, "{position:?}");
    }
}

#[test]
fn a_frame_is_prepared_as_by_the_processor() {
    let frame = large().resized(384, 384, ResizeFilter::Bicubic).unwrap();
    let x = PixelNormalisation::SIGNED.tensor(&[frame], &Device::Cpu).unwrap();
    let values: Vec<f32> = x.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().step_by(97).collect();
    let n = values.len();
    Goldens::load("llava_video.safetensors").check(
        "prepared",
        &Tensor::from_vec(values, n, &Device::Cpu).unwrap(),
        1e-6,
    );
    let small = arranger(27, PoolMode::Max, NewlinePosition::Grid).prepare(&large()).unwrap();
    assert_eq!((small.width(), small.height()), (27, 27));
}

#[test]
fn the_configuration_of_the_checkpoint_is_read_and_others_are_refused() {
    let json = r#"{"hidden_size": 3584, "mm_projector_type": "mlp2x_gelu", "mm_spatial_pool_mode": "average",
        "mm_newline_position": "one_token", "add_faster_video": false, "vocab_size": 152064}"#;
    let config: Config = serde_json::from_str(json).unwrap();
    assert_eq!(config.mm_spatial_pool_mode, PoolMode::Average);
    assert_eq!(config.mm_newline_position, NewlinePosition::OneToken);
    config.validate().unwrap();
    for json in [r#"{"mm_spatial_pool_mode": "median"}"#, r#"{"mm_newline_position": "row"}"#] {
        assert!(serde_json::from_str::<Config>(json).is_err(), "{json}");
    }
    for json in [r#"{"add_faster_video": true}"#, r#"{"mm_projector_type": "linear"}"#] {
        assert!(serde_json::from_str::<Config>(json).unwrap().validate().is_err(), "{json}");
    }
    assert_eq!(siglip::Config::default().grid(), 27);
}

fn tiny() -> LlavaVideo {
    let dir = ModelDir::local(&path("llava_video_tiny"));
    let mut json: serde_json::Value = dir.json("config.json").unwrap();
    let config = serde_json::from_value(json.clone()).unwrap();
    let tower = serde_json::from_value(json["vision_config"].clone()).unwrap();
    json["model_type"] = "qwen2".into();
    let language = LanguageConfig::from_json(&json).unwrap();
    let weights = Weights::open(&dir, &Device::Cpu, DType::F32).unwrap();
    LlavaVideo::load(&weights.var_builder(), &config, &tower, &language).unwrap()
}

/// The frames of a golden video, prepared.
fn frames(goldens: &Goldens, video: usize, network: &LlavaVideoVision) -> Vec<RgbImage> {
    let frames = goldens.get(&format!("frames.{video}")).to_vec2::<u8>().unwrap();
    frames.into_iter().map(|values| network.prepare(&RgbImage::new(40, 30, values).unwrap()).unwrap()).collect()
}

/// Tokens of the prompt of a golden video, in front of its frames and behind them.
fn prompt(goldens: &Goldens, video: usize) -> [Vec<u32>; 2] {
    ["before", "after"].map(|part| goldens.ids(&format!("{part}.{video}")).to_vec1().unwrap())
}

#[test]
fn what_the_language_model_gets_and_says_is_that_of_transformers() {
    let (goldens, network) = (Goldens::load("llava_video_tiny.safetensors"), tiny());
    let (mut prompted, mut requests) = (Vec::new(), Vec::new());
    for video in 0..2 {
        let pixels =
            PixelNormalisation::SIGNED.tensor(&frames(&goldens, video, network.vision()), &Device::Cpu).unwrap();
        let vectors = network.vision().forward(&pixels).unwrap();
        // 8 frames of 3 × 3 tokens, pooled to 2 × 2, with an end behind each row.
        assert_eq!(vectors.dims(), [8 * 2 * 3, 24]);
        goldens.check(&format!("vectors.{video}"), &vectors, 1e-4);
        let [before, after] = prompt(&goldens, video);
        let asked = PromptedVideo { vectors, before: before.len() };
        let request = GenerationRequest { prompt: [before, after].concat(), seed: 0 };
        let merged = network.merge(&request.prompt, &asked).unwrap();
        goldens.check(&format!("state.{video}.0"), &merged, 1e-4);
        let logits = network.decoder(vec![asked.clone()]).prefill(&[&request.prompt]).unwrap();
        goldens.check(&format!("logits.{video}"), &Tensor::new(logits[0].as_slice(), &Device::Cpu).unwrap(), 1e-4);
        prompted.push(asked);
        requests.push(request);
    }
    let config = LlavaVideo::generation_config(16, &[266, 264]);
    let together = generate(&mut network.decoder(prompted.clone()), &requests, &config).unwrap();
    for video in 0..2 {
        let wanted: Vec<u32> = goldens.ids(&format!("greedy.{video}")).to_vec1().unwrap();
        assert_eq!(together[video][0].tokens, wanted, "{video}");
        let mut alone = network.decoder(vec![prompted[video].clone()]);
        assert_eq!(generate(&mut alone, &requests[video..=video], &config).unwrap()[0][0].tokens, wanted);
    }
    let misplaced = PromptedVideo { before: 9, ..prompted[0].clone() };
    assert!(network.merge(&[1, 2, 3], &misplaced).unwrap_err().to_string().contains("prompt of 3"));
}

#[test]
fn a_checkpoint_describes_videos_of_one_run_as_each_alone() {
    let goldens = Goldens::load("llava_video_tiny.safetensors");
    let texts: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path("llava_video_tiny.json")).unwrap()).unwrap();
    let dir = ModelDir::local(&path("llava_video_tiny"));
    let describer = VideoDescriber::open(&dir, &Device::Cpu, DType::F32).unwrap();
    let network = tiny();
    let asked = [0, 1].map(|video| AskedVideo {
        frames: frames(&goldens, video, network.vision()),
        prompt: ["before", "after"].map(|part| texts[video][part].as_str().unwrap().to_owned()),
    });
    let said = describer.describe(&asked.each_ref(), 16).unwrap();
    for (video, said) in said.iter().enumerate() {
        let answer = texts[video]["answer"].as_str().unwrap();
        assert_eq!(said.text, audsem_models::multimodal::llava_video::caption_text(answer), "{video}");
        assert_eq!(describer.describe(&[&asked[video]], 16).unwrap()[0], *said);
    }
    // The first goes on and on, the second ends.
    assert_eq!([said[0].is_complete, said[1].is_complete], [false, true]);
    assert!(describer.describe(&[&AskedVideo { frames: Vec::new(), ..asked[0].clone() }], 16).is_err());
}
