//! SAT against its original (`fixtures/original_networks`).

use audsem_core::hub::ModelDir;
use audsem_media::audio::Spectrogram;
use audsem_models::audio::sat::{Config, Sat, SatTagger};
use candle_core::{DType, Device, Tensor};

use crate::golden::{Goldens, max_abs, original};

fn goldens() -> Goldens {
    Goldens::load("../original_networks/sat.safetensors")
}

fn config() -> Config {
    serde_json::from_str(&original("sat", "config")).unwrap()
}

fn network(goldens: &Goldens) -> Sat {
    Sat::load(&goldens.builder(), &config()).unwrap()
}

fn tagger(goldens: &Goldens) -> SatTagger {
    SatTagger::new(network(goldens), &Device::Cpu).unwrap()
}

/// The features of each step of each clip. The second clip ends within its last second.
fn features(tagger: &SatTagger, goldens: &Goldens) -> [Vec<Spectrogram>; 2] {
    let rows = goldens.samples("inputs.waveform_i16");
    [&rows[0][..], &rows[1][..41_234]]
        .map(|samples| tagger.steps(samples).map(|step| tagger.features(step).unwrap()).collect())
}

/// Every fourth frame, as (bands, frames).
fn every_fourth(clip: &Spectrogram) -> Tensor {
    let frames = Tensor::from_slice(&clip.values, (clip.n_frames, clip.n_bands), &Device::Cpu).unwrap();
    let picked = Tensor::from_iter((0..clip.n_frames as u32).step_by(4), &Device::Cpu).unwrap();
    frames.index_select(&picked, 0).unwrap().t().unwrap()
}

fn stack(clips: &[&Spectrogram]) -> Tensor {
    let rows = clips.iter().map(|clip| Tensor::from_slice(&clip.values, (clip.n_frames, clip.n_bands), &Device::Cpu));
    Tensor::stack(&rows.map(Result::unwrap).collect::<Vec<_>>(), 0).unwrap()
}

#[test]
fn silence_and_steps_are_those_of_the_original() {
    let goldens = goldens();
    let (network, tagger) = (network(&goldens), tagger(&goldens));
    let features = features(&tagger, &goldens);
    let quiet = tagger.features(&[0.0; 16_000]).unwrap();
    let silence = network.forward(&stack(&[&quiet]), None).unwrap();
    goldens.check("zero.logits", &silence.logits, 2e-5);
    goldens.check("zero.cache_after", &silence.cache, 2e-5);

    let mut cache = Tensor::cat(&[&silence.cache, &silence.cache], 1).unwrap();
    for (second, clips) in features[0].iter().zip(&features[1]).enumerate() {
        // The first clip is the louder one, whose floor the original gives to both.
        let clips = [clips.0, clips.1];
        let bands = every_fourth(clips[0]);
        let wanted = goldens.get(&format!("chunk{second}.mel_db")).get(0).unwrap();
        assert!(max_abs(&bands, &wanted) < 1e-3, "decibels of second {second}: its own rounding is 5e-4");
        let step = network.forward(&stack(&clips), Some(&cache)).unwrap();
        let first = |x: &Tensor, dim: usize| x.narrow(dim, 0, 1).unwrap();
        for (what, got, dim) in [("cache_after", &step.cache, 1), ("logits", &step.logits, 0)] {
            let wanted = first(goldens.get(&format!("chunk{second}.{what}")), dim);
            let difference = max_abs(&first(got, dim), &wanted);
            assert!(difference < 5e-5, "{what} of second {second}: {difference:e}");
        }
        goldens.check(&format!("solo1_chunk{second}.logits"), &step.logits.narrow(0, 1, 1).unwrap(), 5e-5);
        cache = step.cache;
    }
    let alone = network.forward(&stack(&[&features[0][0], &features[1][0]]), None).unwrap();
    goldens.check("chunk0_nocache.cache_after", &alone.cache, 5e-5);
}

#[test]
fn sounds_become_the_tags_of_the_original() {
    let goldens = goldens();
    let tagger = tagger(&goldens);
    let features = features(&tagger, &goldens);
    let mut caches = [tagger.begin(), tagger.begin()];
    for (second, (first_clip, second_clip)) in features[0].iter().zip(&features[1]).enumerate() {
        let tags = tagger.step(&[second_clip, first_clip], &mut caches).unwrap();
        let row = |n: usize| Tensor::new(vec![tags[n].clone()], &Device::Cpu).unwrap();
        goldens.check(&format!("solo1_chunk{second}.probs"), &row(0), 1e-5);
        let wanted = goldens.get(&format!("chunk{second}.probs")).narrow(0, 0, 1).unwrap();
        assert!(max_abs(&row(1), &wanted) < 1e-5);
    }
}

#[test]
fn a_second_depends_on_the_one_before_it_and_on_no_other_clip() {
    let goldens = goldens();
    let tagger = tagger(&goldens);
    let features = features(&tagger, &goldens);
    let run = |order: &[usize]| {
        let mut caches: Vec<_> = order.iter().map(|_| tagger.begin()).collect();
        let steps = (0..3).map(|second| {
            let clips: Vec<&Spectrogram> = order.iter().map(|clip| &features[*clip][second]).collect();
            tagger.step(&clips, &mut caches).unwrap()
        });
        steps.collect::<Vec<_>>()
    };
    let (together, alone) = (run(&[0, 1, 0]), run(&[1]));
    for (together, alone) in together.iter().zip(&alone) {
        assert_eq!((&together[1], &together[0]), (&alone[0], &together[2]), "bit for bit");
    }
    let fresh = tagger.step(&[&features[1][1]], &mut [tagger.begin()]).unwrap();
    assert_ne!(fresh[0], alone[1][0], "without the second before it");
}

#[test]
fn a_folder_opens_and_names_what_does_not_fit() {
    let (goldens, folder) = (goldens(), tempfile::tempdir().unwrap());
    goldens.save_weights(&folder.path().join("model.safetensors"));
    let open = |config: &Config| {
        std::fs::write(folder.path().join("config.json"), serde_json::to_vec(config).unwrap()).unwrap();
        SatTagger::open(&ModelDir::local(folder.path()), &Device::Cpu, DType::F32)
    };
    let tagger = open(&config()).unwrap();
    assert_eq!(tagger.steps(&[0.0; 32_001]).len(), 3);
    let two_seconds = Config { target_length: 192, cache_length: 192, ..config() };
    let error = open(&two_seconds).unwrap_err().to_string();
    assert!(error.contains("time_pos_embed: wants [1, 32, 1, 24], has [1, 32, 1, 12]"), "{error}");
    let error = network(&goldens).forward(&Tensor::zeros((1, 95, 64), DType::F32, &Device::Cpu).unwrap(), None);
    assert!(error.unwrap_err().to_string().contains("95 frames"));
}
