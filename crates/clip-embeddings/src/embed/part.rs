//! One table of `embed-audio` in the making.

use audsem_core::run::{OutputFile, ShardError, ShardOutput};
use audsem_core::tables::{AudioEmbedding, AudioEmbeddingRef, VectorWriter};
use audsem_media::audio::Decoder;
use audsem_models::clap::{ClapEncoder, Features};
use rayon::prelude::*;

use super::audio::{Config, MILLISECONDS, Sound, for_each_sound};
use super::gate::Gate;
use super::length::of_frames;
use super::model::TableModel;
use super::owners::Planned;
use super::sounds::{Ear, Heard, Unheard};
use crate::reason::Fault;
use crate::sets::MODEL_KEY;
use crate::vector_math::{dot, scale};

/// What all tables are made with.
pub(super) struct Tools<'a> {
    pub model: &'a TableModel,
    pub decoder: &'a Decoder,
    pub config: &'a Config,
    pub seed: u64,
}

/// One table.
pub(super) struct Part<'a> {
    encoder: &'a ClapEncoder,
    ear: Ear<'a>,
    batch_size: usize,
    out: &'a mut ShardOutput,
    writer: VectorWriter<AudioEmbedding, &'a mut OutputFile>,
    waiting: Vec<Sound>,
}

impl<'a> Part<'a> {
    /// Embeds the sounds of a source that the gate lets through.
    pub(super) fn write(
        tools: &Tools<'a>,
        planned: &Planned<'_>,
        gate: &mut Gate<'_>,
        out: &mut ShardOutput,
    ) -> Result<(), ShardError> {
        let Tools { model, decoder, config, seed } = *tools;
        let encoder = &model.encoder;
        let (crop, windows) = (config.crop, config.windows);
        let ear = Ear { decoder, extractor: encoder.extractor(), crop, windows, seed };
        let mut file = out.create(format!("part-{}.parquet", out.name()))?;
        let writer =
            VectorWriter::new(&mut file, encoder.dim(), &[(MODEL_KEY, &model.tag)]).map_err(ShardError::fatal)?;
        let mut part = Part { encoder, ear, batch_size: config.model.batch_size, out, writer, waiting: Vec::new() };
        for_each_sound(planned, gate, u64::MAX, |sound| part.push(sound))?;
        part.flush()?;
        part.writer.finish().map_err(ShardError::fatal)?;
        Ok(out.close(file)?)
    }

    fn push(&mut self, sound: Sound) -> Result<(), ShardError> {
        self.waiting.push(sound);
        if self.waiting.len() < self.batch_size { Ok(()) } else { self.flush() }
    }

    /// Embeds what waits and writes its rows.
    fn flush(&mut self) -> Result<(), ShardError> {
        let waiting = std::mem::take(&mut self.waiting);
        let hear = |sound: &Sound| self.ear.hear(&sound.key, &sound.extension, &sound.bytes);
        let heard: Vec<Result<Heard, Unheard>> = waiting.par_iter().map(hear).collect();
        let features: Vec<&Features> = heard.iter().flatten().flat_map(|heard| &heard.features).collect();
        let vectors = vectors(self.encoder, &features, self.batch_size)?;
        let mut vectors = vectors.iter();
        for (sound, heard) in waiting.iter().zip(&heard) {
            match heard {
                Err((fault, detail)) => self.out.fail(&sound.key, *fault, detail),
                Ok(heard) => {
                    let windows: Vec<&Vec<f32>> = vectors.by_ref().take(heard.features.len()).collect();
                    self.write_row(sound, heard, &windows)?;
                }
            }
        }
        Ok(())
    }

    fn write_row(&mut self, sound: &Sound, heard: &Heard, windows: &[&Vec<f32>]) -> Result<(), ShardError> {
        let vector = match mean(windows) {
            Ok(vector) => vector,
            Err(fault) => {
                self.out.fail(&sound.key, fault, "the model's vector");
                return Ok(());
            }
        };
        let Heard { n_samples, is_longer, .. } = *heard;
        let row = AudioEmbeddingRef { key: &sound.key, shard: &sound.shard, n_samples, is_longer };
        self.writer.push(row, &vector).map_err(ShardError::fatal)?;
        let rate = self.ear.extractor.config().sampling_rate;
        self.out.keep(1);
        self.out.count(MILLISECONDS, of_frames(u64::from(n_samples), rate));
        self.out.work(f64::from(n_samples) / f64::from(rate));
        Ok(())
    }
}

/// Vectors of features, at most `batch_size` at a time.
fn vectors(encoder: &ClapEncoder, features: &[&Features], batch_size: usize) -> Result<Vec<Vec<f32>>, ShardError> {
    let mut vectors = Vec::with_capacity(features.len());
    for batch in features.chunks(batch_size) {
        let rows = encoder.embed_features(batch).and_then(|rows| Ok(rows.to_vec2::<f32>()?));
        vectors.extend(rows.map_err(ShardError::fatal)?);
    }
    Ok(vectors)
}

/// The mean of unit vectors, of length 1 again; a single one as it is.
fn mean(windows: &[&Vec<f32>]) -> Result<Vec<f32>, Fault> {
    let (first, rest) = windows.split_first().ok_or(Fault::Empty)?;
    if rest.is_empty() {
        return scale(dot(first, first)).map(|_| (*first).clone());
    }
    let mut sum: Vec<f64> = first.iter().map(|x| f64::from(*x)).collect();
    for window in rest {
        for (sum, x) in sum.iter_mut().zip(*window) {
            *sum += f64::from(*x);
        }
    }
    let factor = scale(sum.iter().map(|x| x * x).sum())?;
    #[expect(clippy::cast_possible_truncation, reason = "tables hold 32 bits")]
    Ok(sum.iter().map(|x| (x * factor) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::mean;
    use crate::reason::Fault;

    #[test]
    fn windows_become_one_vector_of_length_one() {
        let (x, y) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        assert_eq!(mean(&[&x]), Ok(vec![1.0, 0.0]));
        let both = mean(&[&x, &y]).unwrap_or_default();
        assert!(both.iter().all(|v| (v - 0.5f32.sqrt()).abs() < 1e-7), "{both:?}");
    }

    #[test]
    fn vectors_without_direction_say_why() {
        let (x, back, zero, nan) = (vec![1.0, 0.0], vec![-1.0, 0.0], vec![0.0, -0.0], vec![f32::NAN, 0.0]);
        assert_eq!(mean(&[&x, &back]), Err(Fault::ZeroVector), "opposite ones have no mean direction");
        assert_eq!(mean(&[&zero]), Err(Fault::ZeroVector));
        assert_eq!(mean(&[&nan]), Err(Fault::NotFinite));
        assert_eq!(mean(&[&x, &nan]), Err(Fault::NotFinite));
    }
}
