//! The audio tower of CLAP as a network over clips.

use audsem_core::batch::BatchError;
use audsem_core::run::OutputFile;
use audsem_core::tables::{AudioEmbedding, AudioEmbeddingRef, TableError, VectorWriter};
use audsem_media::batch::{ClipError, ClipIdentity, ClipNetwork, ClipSound, ClipTable, ClipTables, MediaFault};
use audsem_models::clap::{ClapEncoder, Features as Mel};

use super::sounds::{AudioPreprocessor, Features};
use crate::reason::Fault;
use crate::sets::MODEL_KEY;
use crate::vector_math::{dot, scale};

/// The audio tower, and what tables say of it.
pub(super) struct ClapAudio<'a> {
    pub encoder: &'a ClapEncoder,
    pub tag: &'a str,
    pub preprocessor: AudioPreprocessor<'a>,
}

/// What a row of the table is made of.
pub(super) struct Embedded {
    vector: Vec<f32>,
    n_samples: u32,
    is_longer: bool,
}

impl ClipNetwork for ClapAudio<'_> {
    type Features = Features;
    type Output = Embedded;

    fn features(&self, clip: &ClipIdentity, sound: &ClipSound) -> Result<Features, ClipError> {
        self.preprocessor.preprocess(&clip.key, sound)
    }

    fn forward(&self, batch: &[&Features]) -> Result<Vec<Result<Embedded, ClipError>>, BatchError> {
        let windows: Vec<&Mel> = batch.iter().flat_map(|clip| &clip.windows).collect();
        let mut vectors = Vec::with_capacity(windows.len());
        for windows in windows.chunks(batch.len()) {
            let rows = self.encoder.embed_features(windows).and_then(|rows| Ok(rows.to_vec2::<f32>()?));
            vectors.extend(rows.map_err(audsem_models::Error::into_batch_error)?);
        }
        let mut vectors = vectors.as_slice();
        let embedded = batch.iter().map(|clip| {
            let (own, others) = vectors.split_at(clip.windows.len());
            vectors = others;
            let vector = mean(own).map_err(|fault| ClipError::new(fault, "the model's vector"))?;
            Ok(Embedded { vector, n_samples: clip.n_samples, is_longer: clip.is_longer })
        });
        Ok(embedded.collect())
    }
}

impl ClipTables<Embedded> for ClapAudio<'_> {
    fn table<'f>(&'f self, file: &'f mut OutputFile) -> Result<Box<dyn ClipTable<Embedded> + 'f>, TableError> {
        Ok(Box::new(EmbeddingTable(VectorWriter::new(file, self.encoder.dim(), &[(MODEL_KEY, self.tag)])?)))
    }
}

struct EmbeddingTable<'f>(VectorWriter<AudioEmbedding, &'f mut OutputFile>);

impl ClipTable<Embedded> for EmbeddingTable<'_> {
    fn push(&mut self, clip: &ClipIdentity, output: Embedded) -> Result<(), TableError> {
        let Embedded { vector, n_samples, is_longer } = output;
        self.0.push(AudioEmbeddingRef { key: &clip.key, shard: &clip.place, n_samples, is_longer }, &vector)
    }

    fn finish(self: Box<Self>) -> Result<(), TableError> {
        self.0.finish().map(drop)
    }
}

/// The mean of unit vectors, of length 1 again; a single one as it is.
fn mean(windows: &[Vec<f32>]) -> Result<Vec<f32>, MediaFault> {
    let (first, rest) = windows.split_first().ok_or(MediaFault::Empty)?;
    if rest.is_empty() {
        return scale(dot(first, first)).map(|_| first.clone()).map_err(media_fault);
    }
    let mut sum: Vec<f64> = first.iter().map(|x| f64::from(*x)).collect();
    for window in rest {
        for (sum, x) in sum.iter_mut().zip(window) {
            *sum += f64::from(*x);
        }
    }
    let factor = scale(sum.iter().map(|x| x * x).sum()).map_err(media_fault)?;
    #[expect(clippy::cast_possible_truncation, reason = "tables hold 32 bits")]
    Ok(sum.iter().map(|x| (x * factor) as f32).collect())
}

fn media_fault(fault: Fault) -> MediaFault {
    match fault {
        Fault::ZeroVector => MediaFault::ZeroVector,
        Fault::NotFinite => MediaFault::NotFinite,
        Fault::Undecodable => MediaFault::Undecodable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_become_one_vector_of_length_one() {
        let (x, y) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        assert_eq!(mean(std::slice::from_ref(&x)), Ok(vec![1.0, 0.0]));
        let both = mean(&[x, y]).unwrap_or_default();
        assert!(both.iter().all(|v| (v - 0.5f32.sqrt()).abs() < 1e-7), "{both:?}");
    }

    #[test]
    fn vectors_without_direction_say_why() {
        let (x, back, zero, nan) = (vec![1.0, 0.0], vec![-1.0, 0.0], vec![0.0, -0.0], vec![f32::NAN, 0.0]);
        assert_eq!(mean(&[x.clone(), back]), Err(MediaFault::ZeroVector), "opposite ones have no mean direction");
        assert_eq!(mean(&[zero]), Err(MediaFault::ZeroVector));
        assert_eq!(mean(std::slice::from_ref(&nan)), Err(MediaFault::NotFinite));
        assert_eq!(mean(&[x, nan]), Err(MediaFault::NotFinite));
    }
}
