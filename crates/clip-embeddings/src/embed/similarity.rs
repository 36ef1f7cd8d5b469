//! `similarity`: ranks texts by their similarity to one sound, as a quick check of a model.

use std::fmt::Write as _;
use std::path::PathBuf;

use audsem_core::error::Error as CoreError;
use audsem_media::audio::Decoder;
use audsem_media::program::{Program, Tool};
use serde::Serialize;

use super::ModelSettings;
use super::sounds::{AudioPreprocessor, CropRule, Windows};
use crate::error::Error;
use crate::vector_math::{cosine, dot};

/// What is compared.
#[derive(Debug, Clone)]
pub struct Config {
    /// The sound.
    pub clip: PathBuf,
    /// The texts.
    pub texts: Vec<String>,
    /// The model.
    pub model: ModelSettings,
    /// The ffmpeg for sounds that the built-in decoders cannot read.
    pub ffmpeg: Option<PathBuf>,
}

/// One text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Similarity {
    /// The text.
    pub text: String,
    /// Cosine of its vector and the sound's.
    pub cosine: f32,
    /// Softmax over the texts, with the scale the model learned.
    pub probability: f32,
}

/// The texts, the best first.
///
/// # Errors
/// The sound or the model cannot be read.
pub fn run(config: &Config) -> Result<Vec<Similarity>, Error> {
    let encoder = config.model.open(None)?;
    let mut decoder = Decoder::new();
    if let Ok(ffmpeg) = Program::find(Tool::Ffmpeg, config.ffmpeg.as_deref()) {
        decoder = decoder.with_ffmpeg(ffmpeg);
    }
    let bytes = std::fs::read(&config.clip).map_err(CoreError::read(&config.clip))?;
    let extension = config.clip.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let (crop, windows) = (CropRule::Centre, Windows::Single);
    let preprocessor = AudioPreprocessor { extractor: encoder.extractor(), crop, windows, seed: 0 };
    let unreadable = |detail: String| CoreError::input(&config.clip, detail);
    let audio = decoder.decode_bytes(&bytes, Some(&extension)).map_err(|error| unreadable(error.to_string()))?;
    let features = preprocessor.preprocess("", &audio).map_err(|error| unreadable(error.detail))?;
    let windows: Vec<_> = features.windows.iter().collect();
    let audio = encoder.embed_features(&windows)?.flatten_all().and_then(|sound| sound.to_vec1::<f32>()); // (D)
    let audio = audio.map_err(audsem_models::Error::from)?;
    let texts: Vec<&str> = config.texts.iter().map(String::as_str).collect();
    let texts = encoder.embed_texts(&texts)?.to_vec2::<f32>().map_err(audsem_models::Error::from)?; // (N, D)
    // One by one: in a product of all of them a text's cosine would depend on how many there are.
    let cosines: Vec<f32> = texts.iter().map(|text| cosine(dot(&audio, text))).collect();
    Ok(ranked(&config.texts, &cosines, encoder.logit_scale()))
}

fn ranked(texts: &[String], cosines: &[f32], scale: f32) -> Vec<Similarity> {
    let largest = cosines.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |cosine: f32| (scale * (cosine - largest)).exp();
    let sum: f32 = cosines.iter().map(|&cosine| weight(cosine)).sum();
    let one =
        |(text, &cosine): (&String, &f32)| Similarity { text: text.clone(), cosine, probability: weight(cosine) / sum };
    let mut all: Vec<Similarity> = texts.iter().zip(cosines).map(one).collect();
    all.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
    all
}

/// A table for people.
#[must_use]
pub fn table(similarities: &[Similarity]) -> String {
    let mut table = "cosine  probability  text\n".to_owned();
    for Similarity { text, cosine, probability } in similarities {
        let _ = writeln!(table, "{cosine:6.3}  {:10.1}%  {text}", probability * 100.0);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_comes_first_and_probabilities_sum_to_one() {
        let texts = ["a", "b", "c"].map(str::to_owned);
        let ranked = ranked(&texts, &[0.1, 0.5, -0.2], 10.0);
        assert_eq!(ranked.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["b", "a", "c"]);
        assert!((ranked.iter().map(|one| one.probability).sum::<f32>() - 1.0).abs() < 1e-6);
        // e⁴ to 1.
        assert!((ranked[0].probability / ranked[1].probability - 54.598).abs() < 0.01);
        assert!(table(&ranked).lines().count() == 4);
    }
}
