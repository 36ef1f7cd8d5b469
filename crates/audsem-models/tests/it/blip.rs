//! BLIP captioning against transformers.

use audsem_core::hub::ModelDir;
use audsem_core::weights::Weights;
use audsem_models::generate::{GenerationConfig, GenerationRequest, StopReason, generate};
use audsem_models::tokenizer::Tokenizer;
use audsem_models::vision::PixelNormalisation;
use audsem_models::vision::blip::{Blip, Config, PictureCaptioner, is_ignorable};
use candle_core::{DType, Device, Tensor};

use crate::golden::{Goldens, max_abs, path};
use crate::resnet::large;

fn config() -> Config {
    ModelDir::local(&path("blip_tiny")).json("config.json").unwrap()
}

fn tiny() -> Blip {
    let weights = Weights::open(&ModelDir::local(&path("blip_tiny")), &Device::Cpu, DType::F32).unwrap();
    let network = Blip::load(&weights.var_builder(), &config()).unwrap();
    weights.finish(is_ignorable).unwrap();
    network
}

#[test]
fn every_state_of_the_tower_is_that_of_transformers() {
    let (goldens, network) = (Goldens::load("blip_tiny.safetensors"), tiny());
    let states = network.vision_states(goldens.get("x")).unwrap();
    assert_eq!(states.len(), 4);
    for (n, state) in states[..2].iter().enumerate() {
        goldens.check_relative(&format!("vision.{n}"), state, 1e-5, 1.0);
    }
    goldens.check_relative("vision.out", &states[3], 1e-5, 1.0);
    let seen = network.see(goldens.get("x")).unwrap();
    goldens.check_relative("vision.out", &seen, 1e-5, 1.0);
    for row in 0..6 {
        let alone = network.see(&goldens.get("x").narrow(0, row, 1).unwrap()).unwrap();
        assert_eq!(max_abs(&alone, &seen.narrow(0, row, 1).unwrap()), 0.0, "row {row}");
    }
}

#[test]
fn every_state_of_the_decoder_is_that_of_transformers() {
    let (goldens, network) = (Goldens::load("blip_tiny.safetensors"), tiny());
    let ids = goldens.ids("ids").to_vec2::<u32>().unwrap();
    let ids: Vec<&[u32]> = ids.iter().map(Vec::as_slice).collect();
    let (states, logits) = network.text_states(&ids, goldens.get("vision.out")).unwrap();
    for (n, state) in states.iter().enumerate() {
        goldens.check(&format!("text.{n}"), state, 2e-5);
    }
    goldens.check("logits", &logits, 1e-4);
}

/// The tokens behind the first, up to and with the end.
fn golden_caption(goldens: &Goldens, name: &str) -> Vec<u32> {
    let ids: Vec<u32> = goldens.ids(name).to_vec1().unwrap();
    let end = ids.iter().position(|id| *id == 3).map_or(ids.len(), |at| at + 1);
    ids[1..end].to_vec()
}

#[test]
fn greedy_and_beam_captions_are_those_of_transformers() {
    let (goldens, network) = (Goldens::load("blip_tiny.safetensors"), tiny());
    let beams = network.generation_config();
    assert_eq!((beams.num_beams, beams.max_length), (4, 20));
    let greedy = GenerationConfig { num_beams: 1, ..beams.clone() };
    let mut lengths = Vec::new();
    for (name, config) in [("greedy", greedy), ("beams", beams)] {
        let captions = network.captions(goldens.get("x"), &config).unwrap();
        // All pictures in one batch, whose captions end one after the other.
        let start = GenerationRequest { prompt: vec![35], seed: 0 };
        let mut decoder = network.decoder(network.see(goldens.get("x")).unwrap()).unwrap();
        let together = generate(&mut decoder, &vec![start; 6], &config).unwrap();
        for (row, (caption, together)) in captions.iter().zip(together).enumerate() {
            let wanted = golden_caption(&goldens, &format!("{name}.{row}"));
            assert_eq!(caption.tokens, wanted, "{name}.{row}");
            assert_eq!(together[0].tokens, wanted, "{name}.{row} in a batch");
            lengths.push(wanted.len());
            assert_eq!(caption.finish == StopReason::EndOfSequence, wanted.last() == Some(&3));
        }
    }
    lengths.sort_unstable();
    lengths.dedup();
    assert!(lengths.len() > 2, "captions of one length would prove little: {lengths:?}");
}

#[test]
fn captions_are_the_texts_of_transformers() {
    let goldens = Goldens::load("blip_tiny.safetensors");
    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(path("blip_captions.json")).unwrap()).unwrap();
    let tokenizer = Tokenizer::load(&ModelDir::local(&path("blip_tiny")), 24, None).unwrap();
    for (row, text) in texts.iter().enumerate() {
        let ids: Vec<u32> = goldens.ids(&format!("beams.{row}")).to_vec1().unwrap();
        assert_eq!(tokenizer.decode(&ids).unwrap().trim(), text, "{ids:?}");
    }
    let captioner = PictureCaptioner::open(&ModelDir::local(&path("blip_tiny")), &Device::Cpu, DType::F32).unwrap();
    let prepared = captioner.prepare(&large()).unwrap();
    let captions = captioner.captions(&[prepared.clone(), prepared.clone()]).unwrap();
    assert_eq!(captions, vec![captioner.captions(&[prepared]).unwrap()[0].clone(); 2]);
}

#[test]
fn prompts_of_several_lengths_do_not_change_each_other() {
    use audsem_models::generate::CausalDecoder as _;
    let (goldens, network) = (Goldens::load("blip_tiny.safetensors"), tiny());
    let seen = goldens.get("vision.out").narrow(0, 0, 3).unwrap();
    let prompts: [&[u32]; 3] = [&[35, 7, 9, 12], &[35], &[35, 20]];
    let together = network.decoder(seen.clone()).unwrap().prefill(&prompts).unwrap();
    for (row, prompt) in prompts.iter().enumerate() {
        let alone = network.decoder(seen.narrow(0, row, 1).unwrap()).unwrap().prefill(&[prompt]).unwrap();
        let difference = alone[0].iter().zip(&together[row]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(difference < 1e-5, "row {row}: {difference:e}");
    }
}

#[test]
fn a_picture_is_prepared_as_by_the_processor() {
    let picture = large().resized(384, 384, audsem_media::image::ResizeFilter::Bicubic).unwrap();
    let small = tiny().prepare(&large()).unwrap();
    assert_eq!((small.width(), small.height()), (24, 24));
    let x = PixelNormalisation::CLIP.tensor(&[picture], &Device::Cpu).unwrap();
    let values: Vec<f32> = x.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().step_by(97).collect();
    let n = values.len();
    Goldens::load("blip_tiny.safetensors").check("prepared", &Tensor::from_vec(values, n, &Device::Cpu).unwrap(), 1e-5);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let network = tiny();
    let states = Tensor::zeros((1, 10, 24), DType::F32, &Device::Cpu).unwrap();
    let read = |ids: &[u32]| network.text_states(&[ids], &states).map(drop).unwrap_err().to_string();
    assert!(read(&[37]).contains("token id 37"), "{}", read(&[37]));
    assert!(read(&[5; 25]).contains("25 tokens"), "{}", read(&[5; 25]));
    assert!(network.see(&Tensor::zeros((1, 3, 32, 24), DType::F32, &Device::Cpu).unwrap()).is_err());
    let mut wrong = config();
    wrong.vision_config.patch_size = 7;
    assert!(wrong.validate().is_err());
    assert!(Config { model_type: "blip-2".to_owned(), ..Config::default() }.validate().is_err());
}
