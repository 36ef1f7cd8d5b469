//! How files of known networks become those that this crate loads.

use serde_json::{Map, Value, json};

use super::{ConvertError, ConvertedNetwork, ExpectedTensors, SourceFile, Tensors, onnx, whisper};
use crate::audio::{ced, yamnet};
use crate::error::Result;
use crate::vision::mobilenet_v2;

/// A network whose weight files can be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceNetwork {
    /// Any network: tensors keep their names, `config.json` is not written, and nothing is checked.
    Plain,
    /// CED, from ONNX or PyTorch.
    Ced,
    /// YAMNet, from an ONNX export of a PyTorch port.
    Yamnet,
    /// MobileNetV2 of torchvision.
    MobileNetV2,
    /// Whisper, from CTranslate2, with the names of transformers.
    Whisper,
}

impl SourceNetwork {
    /// All networks.
    pub const ALL: [Self; 5] = [Self::Plain, Self::Ced, Self::Yamnet, Self::MobileNetV2, Self::Whisper];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Ced => "ced",
            Self::Yamnet => "yamnet",
            Self::MobileNetV2 => "mobilenet-v2",
            Self::Whisper => "whisper",
        }
    }

    /// Converts a file and compares its tensors with those that the network loads.
    ///
    /// # Errors
    /// [`ConvertError::Mismatch`] with every tensor that is missing, unexpected or of another shape.
    pub fn convert(self, file: &SourceFile) -> std::result::Result<ConvertedNetwork, ConvertError> {
        let (tensors, config) = match self {
            Self::Plain => (file.tensors.clone(), None),
            Self::Ced => self.checked(ced_tensors(&file.tensors), ced_config)?,
            Self::Yamnet => self.checked(without_prefix(&file.tensors, "model."), |_| {
                (object(json!({}), "yamnet"), yamnet_tensors())
            })?,
            Self::MobileNetV2 => self.checked(file.tensors.clone(), mobilenet_config)?,
            Self::Whisper => {
                let (tensors, config) = whisper::convert(file)?;
                (tensors, Some(config))
            }
        };
        Ok(ConvertedNetwork { network: self, tensors, config, source: ConvertedNetwork::describe(file)? })
    }

    /// The tensors with the configuration that follows from them, if they are those of the network.
    fn checked(
        self,
        tensors: Tensors,
        describe: impl FnOnce(&Tensors) -> (Map<String, Value>, Result<ExpectedTensors>),
    ) -> std::result::Result<(Tensors, Option<Map<String, Value>>), ConvertError> {
        let (config, expected) = describe(&tensors);
        match expected?.compare(&tensors, is_ignorable) {
            None => Ok((tensors, Some(config))),
            Some(mismatch) => Err(ConvertError::Mismatch { network: self.name(), mismatch }),
        }
    }
}

/// Counters that PyTorch keeps beside statistics, and tables of front ends, which networks do not load themselves.
fn is_ignorable(name: &str) -> bool {
    name.ends_with(".num_batches_tracked") || name.starts_with("mel_transform.") || name.starts_with("front_end.")
}

fn without_prefix(tensors: &Tensors, prefix: &str) -> Tensors {
    let plain = |name: &String| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    tensors.iter().map(|(name, tensor)| (plain(name), tensor.clone())).collect()
}

/// Names of the authors. The export calls the positions over frequency `alias`.
fn ced_tensors(tensors: &Tensors) -> Tensors {
    let mut tensors = without_prefix(tensors, "model.");
    for (from, to) in [("alias", "encoder.freq_pos_embed"), (onnx::STFT_WINDOW, "mel_transform.spectrogram.window")] {
        if let Some(tensor) = tensors.remove(from) {
            tensors.insert(to.to_owned(), tensor);
        }
    }
    tensors
}

fn ced_config(tensors: &Tensors) -> (Map<String, Value>, Result<ExpectedTensors>) {
    let default = ced::Config::default();
    let dim = |name: &str, dim: usize| tensors.get(name).and_then(|tensor| tensor.shape().get(dim)).copied();
    let embed_dim = dim("encoder.patch_embed.proj.weight", 0).unwrap_or(default.embed_dim);
    let columns = dim("encoder.time_pos_embed", 3);
    let config = ced::Config {
        embed_dim,
        depth: (0..).take_while(|n| tensors.contains_key(&format!("encoder.blocks.{n}.norm1.weight"))).count(),
        // Heads of all published sizes are 64 wide.
        num_heads: (embed_dim / 64).max(1),
        target_length: columns.map_or(default.target_length, |columns| columns * default.patch_size),
        outputdim: dim("outputlayer.1.weight", 0).unwrap_or(default.outputdim),
        front_end_tables: ["spectrogram.window", "mel_scale.fb"]
            .iter()
            .all(|name| tensors.contains_key(&format!("mel_transform.{name}"))),
        ..default
    };
    let expected = ExpectedTensors::of(|vb| ced::Ced::load(vb, &config));
    (object(json!(config), "ced"), expected)
}

fn yamnet_tensors() -> Result<ExpectedTensors> {
    ExpectedTensors::of(yamnet::Yamnet::load)
}

fn mobilenet_config(tensors: &Tensors) -> (Map<String, Value>, Result<ExpectedTensors>) {
    let default = mobilenet_v2::Config::default();
    let classes = tensors.get("classifier.1.weight").and_then(|weight| weight.shape().first()).copied();
    let config = mobilenet_v2::Config { num_classes: classes.unwrap_or(default.num_classes), ..default };
    let expected = ExpectedTensors::of(|vb| mobilenet_v2::MobileNetV2::load(vb, &config));
    (object(json!(config), "mobilenet_v2"), expected)
}

/// A configuration with the type of its network, as transformers writes it.
fn object(config: Value, model_type: &str) -> Map<String, Value> {
    let mut object = Map::from_iter([("model_type".to_owned(), json!(model_type))]);
    if let Value::Object(fields) = config {
        object.extend(fields);
    }
    object
}
