//! FENSE of captions (Zhou et al., 2022): how similar a caption is to the right ones, less where its language has a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use audsem_core::device::{DeviceChoice, Precision};
use audsem_core::hub::ModelDir;
use audsem_core::run::ModelFingerprint;
use audsem_models::fluency::FluencyChecker;
use audsem_models::sentence::SentenceEncoder;
use serde::Deserialize;

use crate::error::Error;
use crate::tables::ItemScore;

/// Above this probability a caption has a fault.
const THRESHOLD: f32 = 0.9;

/// What of the similarity a fault costs.
pub(super) const PENALTY: f64 = 0.9;

/// What of a text is looked at, in characters: more than the most tokens that either model takes.
const LONGEST: usize = 20_000;

/// Texts that are handed over together.
const BATCH: usize = 256;

/// The two models of FENSE.
#[derive(Debug)]
pub struct FenseModels {
    sentences: SentenceEncoder,
    errors: FluencyChecker,
    /// The models as `run.json` has them.
    pub fingerprints: Vec<ModelFingerprint>,
}

/// What sentence-transformers keeps beside a model.
#[derive(Deserialize)]
struct SentenceSettings {
    max_seq_length: Option<usize>,
}

impl FenseModels {
    /// Opens both.
    ///
    /// # Errors
    /// A file cannot be read, or holds no such model.
    pub fn open(sentences: &Path, errors: &Path) -> Result<Self, Error> {
        let [sentences, errors] = [sentences, errors].map(ModelDir::local);
        let settings: Option<SentenceSettings> = sentences.optional_json("sentence_bert_config.json")?;
        let limit = settings.and_then(|settings| settings.max_seq_length);
        let (device, dtype) = (DeviceChoice::Cpu.open()?, Precision::F32.dtype());
        Ok(Self {
            fingerprints: vec![sentences.fingerprint()?, errors.fingerprint()?],
            sentences: SentenceEncoder::open(&sentences, &device, dtype, limit)?,
            errors: FluencyChecker::open(&errors, &device, dtype)?,
        })
    }

    /// Adds both scores to the captions. A caption that is not there is similar to nothing.
    ///
    /// # Errors
    /// A model refuses a text, memory.
    pub fn add(&self, rows: &mut [ItemScore]) -> Result<(), Error> {
        let mut texts: BTreeSet<&str> = BTreeSet::new();
        let mut answers: BTreeSet<&str> = BTreeSet::new();
        for row in rows.iter().filter(|row| is_caption(row)) {
            texts.extend(row.references.iter().map(|text| head(text)));
            answers.extend(row.answer.as_deref().map(head));
        }
        texts.extend(&answers);
        let vectors = in_batches(&texts, |batch| {
            Ok(self.sentences.embed_normalised(batch)?.to_vec2::<f32>().map_err(audsem_models::Error::from)?)
        })?;
        let errors = in_batches(&answers, |batch| Ok(self.errors.error_probabilities(batch)?))?;
        let found: Vec<(f64, f64)> = rows
            .iter()
            .filter(|row| is_caption(row))
            .map(|row| {
                let Some(answer) = row.answer.as_deref().map(head) else { return (0.0, 0.0) };
                let cosines = row.references.iter().map(|text| cosine(&vectors[answer], &vectors[head(text)]));
                let similarity = cosines.sum::<f64>() / row.references.len() as f64;
                (similarity, f64::from(u8::from(errors[answer] > THRESHOLD)))
            })
            .collect();
        for (row, (similarity, error)) in rows.iter_mut().filter(|row| is_caption(row)).zip(found) {
            row.sentence_similarity = Some(similarity);
            row.fluency_error = Some(error);
        }
        Ok(())
    }
}

/// Whether a row is a caption that can be compared.
fn is_caption(row: &ItemScore) -> bool {
    row.kind == "caption" && !row.references.is_empty()
}

/// What is made of each text, some texts at a time.
fn in_batches<'a, T>(
    texts: &BTreeSet<&'a str>,
    make: impl Fn(&[&str]) -> Result<Vec<T>, Error>,
) -> Result<BTreeMap<&'a str, T>, Error> {
    let texts: Vec<&str> = texts.iter().copied().collect();
    let mut made = BTreeMap::new();
    for batch in texts.chunks(BATCH) {
        made.extend(batch.iter().copied().zip(make(batch)?));
    }
    Ok(made)
}

fn head(text: &str) -> &str {
    text.char_indices().nth(LONGEST).map_or(text, |(end, _)| &text[..end])
}

fn cosine(one: &[f32], other: &[f32]) -> f64 {
    f64::from(one.iter().zip(other).map(|(a, b)| a * b).sum::<f32>())
}
