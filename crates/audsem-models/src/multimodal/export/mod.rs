//! A checkpoint with what was trained on it, as the weights and the configuration of a folder that transformers opens.

mod layout;
mod overlay;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use audsem_core::weights::{StoredTensor, Weights};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde_json::{Value, json};

pub use layout::TensorLayout;

use super::audio_language::AudioCheckpoint;
use crate::error::Result;
use crate::nn::lora::{MergedWeights, adapted_layer};
use overlay::Overlay;

/// Most bytes of one file of weights, that of transformers.
const MOST_BYTES: usize = 5_000_000_000;

/// What was trained on a checkpoint.
#[derive(Debug, Clone, Default)]
pub struct TrainedFiles {
    /// The folder of an adapter.
    pub adapter: Option<PathBuf>,
    /// A safetensors file of weights of the model, by the names of the network.
    pub weights: Option<PathBuf>,
}

/// The tensors of a model: those of a checkpoint with an adapter merged into them, and trained ones in the place of what they
/// began with. Sums are made in f32 and rounded once.
#[derive(Debug)]
pub struct ModelExport<'a> {
    checkpoint: &'a AudioCheckpoint,
    layout: TensorLayout,
    dtype: DType,
    base: Weights,
    trained: Overlay,
    adapter: Option<MergedWeights>,
}

/// A tensor of a file: its name in the network, and in the file.
type NamedTensor<'a> = (&'a str, String);

impl<'a> ModelExport<'a> {
    /// Opens a checkpoint and what was trained on it. Without `dtype` the numbers are of the type that most of the checkpoint
    /// have.
    ///
    /// # Errors
    /// A file is missing or broken, the adapter is of another network, or the family has no such layout.
    pub fn open(
        checkpoint: &'a AudioCheckpoint,
        trained: &TrainedFiles,
        layout: TensorLayout,
        dtype: Option<DType>,
    ) -> Result<Self> {
        layout.check(checkpoint.family())?;
        let base = checkpoint.weights(&Device::Cpu, DType::F32)?;
        let overlay = Overlay::new(base.var_builder(), trained_tensors(trained.weights.as_deref())?);
        let adapter = match &trained.adapter {
            Some(folder) => {
                let adapter = checkpoint.adapter(&folder.display().to_string())?;
                Some(MergedWeights::new(overlay.var_builder(), &adapter)?)
            }
            None => None,
        };
        let dtype = dtype.unwrap_or_else(|| usual_dtype(base.stored().values()));
        Ok(Self { checkpoint, layout, dtype, base, trained: overlay, adapter })
    }

    /// The type of the numbers.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The content of `config.json`. It says that the head is the token table only where that is so: transformers 5 follows
    /// the weights, older versions follow the configuration.
    #[must_use]
    pub fn config(&self) -> Value {
        let mut json = self.layout.config(self.checkpoint.json(), self.dtype);
        let stored = self.checkpoint.config().clone().with_stored_head(&self.base.var_builder());
        if !stored.language().tie_word_embeddings {
            for part in ["", "/text_config", "/thinker_config", "/thinker_config/text_config"] {
                if let Some(tied) = json.pointer_mut(&format!("{part}/tie_word_embeddings")) {
                    *tied = false.into();
                }
            }
        }
        json
    }

    /// Gives name and content of each file of weights, and of their index if there are several, to `write`. Returns the
    /// number of tensors.
    ///
    /// # Errors
    /// A tensor cannot be read; the checkpoint has no place for something that was trained; an error of `write`.
    pub fn write<E: From<crate::Error>>(
        &self,
        mut write: impl FnMut(&str, &[u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<usize, E> {
        let files = self.files(MOST_BYTES);
        let (mut index, mut total) = (serde_json::Map::new(), 0);
        for (number, names) in files.iter().enumerate() {
            let file = match files.len() {
                1 => "model.safetensors".to_owned(),
                n => format!("model-{:05}-of-{n:05}.safetensors", number + 1),
            };
            let tensors: BTreeMap<&str, Tensor> =
                names.iter().map(|(name, own)| Ok((own.as_str(), self.tensor(name)?))).collect::<Result<_>>()?;
            total += tensors.values().map(|tensor| tensor.elem_count() * tensor.dtype().size_in_bytes()).sum::<usize>();
            index.extend(tensors.keys().map(|name| ((*name).to_owned(), file.as_str().into())));
            let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
            write(&file, &safetensors::serialize(tensors, Some(metadata)).map_err(crate::Error::from)?)?;
        }
        self.finish()?;
        let n = index.len();
        if files.len() > 1 {
            let json = json!({ "metadata": { "total_size": total }, "weight_map": index });
            write("model.safetensors.index.json", format!("{json:#}\n").as_bytes())?;
        }
        Ok(n)
    }

    /// The tensors of each file, of at most so many bytes unless one alone has more.
    fn files(&self, most: usize) -> Vec<Vec<NamedTensor<'_>>> {
        let (mut files, mut size): (Vec<Vec<NamedTensor<'_>>>, usize) = (vec![Vec::new()], 0);
        for (name, stored) in self.base.stored() {
            let Some(own) = self.layout.name(&stored.name) else { continue };
            let bytes = stored.n_numbers() * self.dtype_of(stored).size_in_bytes();
            if size > 0 && size + bytes > most {
                files.push(Vec::new());
                size = 0;
            }
            size += bytes;
            files.last_mut().expect("begun with one").push((name, own));
        }
        files
    }

    /// The type that a tensor is written in: numbers that are no floats stay as they are.
    fn dtype_of(&self, stored: &StoredTensor) -> DType {
        match stored.dtype {
            Some(dtype) if !dtype.is_float() => dtype,
            _ => self.dtype,
        }
    }

    fn tensor(&self, name: &str) -> Result<Tensor> {
        let dtype = self.dtype_of(&self.base.stored()[name]);
        let builder: VarBuilder<'_> = match &self.adapter {
            Some(merged) => merged.var_builder(),
            None => self.trained.var_builder(),
        };
        match dtype.is_float() {
            true => Ok(builder.get_unchecked(name)?.to_dtype(dtype)?),
            false => Ok(builder.get_unchecked_dtype(name, dtype)?),
        }
    }

    /// Refuses what was trained and has no place in the checkpoint.
    fn finish(&self) -> Result<()> {
        self.adapter.as_ref().map_or(Ok(()), MergedWeights::finish)?;
        self.trained.finish(self.checkpoint.dir().root())
    }
}

/// The trained weights of a model. Projections of adapters, which are in the same file, are in the folder of PEFT too.
fn trained_tensors(path: Option<&Path>) -> Result<BTreeMap<String, Tensor>> {
    let Some(path) = path else { return Ok(BTreeMap::new()) };
    let weights = Weights::open_files(&[path.to_owned()], &Device::Cpu, DType::F32)?;
    let vb = weights.var_builder();
    let names = weights.names().into_iter().filter(|name| adapted_layer(name).is_none());
    names.map(|name| vb.get_unchecked(&name).map(|tensor| (name, tensor)).map_err(Into::into)).collect()
}

/// The type that most numbers have, of those that can be written.
fn usual_dtype<'a>(stored: impl Iterator<Item = &'a StoredTensor>) -> DType {
    let kinds = [DType::F32, DType::BF16, DType::F16];
    let mut counts = [0; 3];
    for tensor in stored {
        if let Some(kind) = kinds.iter().position(|kind| tensor.dtype == Some(*kind)) {
            counts[kind] += tensor.n_numbers();
        }
    }
    let most = (0..kinds.len()).max_by_key(|kind| (counts[*kind], kinds.len() - kind));
    kinds[most.unwrap_or(0)]
}

#[cfg(test)]
mod tests;
