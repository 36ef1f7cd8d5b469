//! How similar the closed caption of a clip and its audio caption are.

use audsem_core::batch::{BatchError, Batches};
use audsem_core::run::ModelFingerprint;
use audsem_models::Error as NetworkError;
use audsem_models::sentence::SentenceEncoder;

use crate::checkpoint::{NetworkSettings, OpenedCheckpoint};
use crate::error::Error;
use crate::tables::{ClipMetadata, ModelFailure};

/// What `failures` calls this network.
const NAME: &str = "sentence";

/// A sentence encoder that compares captions.
pub(super) struct SimilarityScorer {
    encoder: SentenceEncoder,
    checkpoint: OpenedCheckpoint,
    batch_size: usize,
}

/// The two captions of a clip.
struct Pair {
    clip: usize,
    texts: [String; 2],
}

impl SimilarityScorer {
    /// Finds and loads the model.
    pub(super) fn open(settings: &NetworkSettings) -> Result<Self, Error> {
        let checkpoint = settings.open()?;
        let encoder = SentenceEncoder::open(&checkpoint.dir, &checkpoint.device, settings.precision.dtype(), None)?;
        Ok(Self { encoder, checkpoint, batch_size: settings.batch_size })
    }

    /// What of the model decides the numbers.
    pub(super) fn identity(&self) -> &str {
        &self.checkpoint.identity
    }

    /// The model as `run.json` has it.
    pub(super) fn fingerprint(&self) -> &ModelFingerprint {
        &self.checkpoint.fingerprint
    }

    /// Sets the similarity of the clips that have both captions.
    pub(super) fn score(&self, clips: &mut [ClipMetadata]) -> Result<(), NetworkError> {
        let pairs: Vec<Pair> = clips.iter().enumerate().filter_map(|(clip, row)| pair(clip, row)).collect();
        let length = |pair: &Pair| pair.texts.iter().map(String::len).max().unwrap_or(0);
        let cosines = Batches::new(self.batch_size).run(&pairs, length, |batch| self.cosines(batch))?;
        for (pair, cosine) in pairs.iter().zip(cosines) {
            let row = &mut clips[pair.clip];
            let failure =
                |fault: &str, detail: String| ModelFailure { model: NAME.to_owned(), fault: fault.to_owned(), detail };
            match cosine {
                Ok(Ok(cosine)) => row.similarity = Some(cosine),
                Ok(Err(detail)) => row.failures.push(failure("unusable", detail)),
                Err(detail) => row.failures.push(failure("out_of_memory", detail)),
            }
        }
        Ok(())
    }

    /// The cosines of a batch. A caption that the tokenizer refuses fails alone.
    fn cosines(&self, batch: &[&Pair]) -> Result<Vec<Result<f32, String>>, BatchError<NetworkError>> {
        match self.compare(batch) {
            Ok(cosines) => Ok(cosines.into_iter().map(Ok).collect()),
            Err(error @ NetworkError::TextBytes { .. }) if batch.len() == 1 => Ok(vec![Err(error.to_string())]),
            Err(NetworkError::TextBytes { .. }) => {
                let alone = batch.iter().map(|pair| self.cosines(&[*pair]));
                Ok(alone.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
            }
            Err(error) => Err(error.into_batch_error()),
        }
    }

    fn compare(&self, batch: &[&Pair]) -> Result<Vec<f32>, NetworkError> {
        let vectors = |which: usize| {
            let texts: Vec<&str> = batch.iter().map(|pair| pair.texts[which].as_str()).collect();
            Ok::<_, NetworkError>(self.encoder.embed_normalised(&texts)?.to_vec2::<f32>()?)
        };
        let (ours, theirs) = (vectors(0)?, vectors(1)?);
        let dot = |(a, b): (&Vec<f32>, &Vec<f32>)| a.iter().zip(b).map(|(a, b)| a * b).sum();
        Ok(ours.iter().zip(&theirs).map(dot).collect())
    }
}

/// The captions of a clip that has both; the cleaned closed caption where there is one.
fn pair(clip: usize, row: &ClipMetadata) -> Option<Pair> {
    let text = row.clean_text.as_ref().or(row.text.as_ref())?;
    let present = |text: &String| (!text.trim().is_empty()).then(|| text.clone());
    Some(Pair { clip, texts: [present(text)?, present(row.audio_caption.as_ref()?)?] })
}
