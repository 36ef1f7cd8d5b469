//! How files of known networks become those that this crate loads.

use serde_json::{Map, Value, json};

use super::{
    ConvertError, ConvertedNetwork, ExpectedTensors, SourceFile, Tensors, captioners, claps, pictures, read, taggers,
    whisper,
};
use crate::error::Result;

/// A network whose weight files can be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceNetwork {
    /// Any network: tensors keep their names, `config.json` is not written, and nothing is checked.
    Plain,
    /// BEATs, from the authors' checkpoint with its configuration and classes.
    Beats,
    /// CED, from ONNX or PyTorch.
    Ced,
    /// CoNeTTE, from the checkpoint on the Hugging Face hub.
    Conette,
    /// CLAP of LAION, from the authors' checkpoint.
    LaionClap,
    /// LP-MusicCaps, from the authors' checkpoint.
    LpMusicCaps,
    /// MobileNetV2 of torchvision.
    MobileNetV2,
    /// CLAP of Microsoft, 2023, from the authors' checkpoint.
    MsClap,
    /// The ResNet of Places365, from the authors' checkpoint.
    Places,
    /// SAT, from the authors' checkpoint.
    Sat,
    /// Silero VAD at 16 kHz, from the ONNX graph of its package.
    SileroVad,
    /// Whisper, from CTranslate2, with the names of transformers.
    Whisper,
    /// YAMNet, from an ONNX export of a PyTorch port.
    Yamnet,
}

/// The tensors of a file under the names of a network, and what that network wants.
pub(super) struct Rewritten {
    pub tensors: Tensors,
    /// What `config.json` says.
    pub config: Map<String, Value>,
    /// What the network loads with this configuration.
    pub expected: Result<ExpectedTensors>,
    /// Whether a tensor may be there that the network does not load.
    pub ignorable: fn(&str) -> bool,
}

impl SourceNetwork {
    /// All networks.
    pub const ALL: [Self; 13] = [
        Self::Plain,
        Self::Beats,
        Self::Ced,
        Self::Conette,
        Self::LaionClap,
        Self::LpMusicCaps,
        Self::MobileNetV2,
        Self::MsClap,
        Self::Places,
        Self::Sat,
        Self::SileroVad,
        Self::Whisper,
        Self::Yamnet,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Beats => "beats",
            Self::Ced => "ced",
            Self::Conette => "conette",
            Self::LaionClap => "laion-clap",
            Self::LpMusicCaps => "lp-musiccaps",
            Self::MobileNetV2 => "mobilenet-v2",
            Self::MsClap => "ms-clap",
            Self::Places => "places",
            Self::Sat => "sat",
            Self::SileroVad => "silero-vad",
            Self::Whisper => "whisper",
            Self::Yamnet => "yamnet",
        }
    }

    /// Which CLAP a file is of, as its tensors tell.
    ///
    /// # Errors
    /// It is of none that is known.
    pub fn of_clap(file: &SourceFile) -> std::result::Result<Self, ConvertError> {
        claps::network_of(file)
    }

    /// Converts a file and compares its tensors with those that the network loads.
    ///
    /// # Errors
    /// [`ConvertError::Mismatch`] with every tensor that is missing, unexpected or of another shape.
    pub fn convert(self, file: &SourceFile) -> std::result::Result<ConvertedNetwork, ConvertError> {
        let mut source = ConvertedNetwork::describe(file);
        let mut features = None;
        let rewritten = match self {
            Self::Plain => {
                let tensors = file.tensors.clone();
                return Ok(ConvertedNetwork { network: self, tensors, config: None, features: None, source });
            }
            Self::Whisper => {
                let (tensors, config) = whisper::convert(file)?;
                return Ok(ConvertedNetwork { network: self, tensors, config: Some(config), features: None, source });
            }
            Self::Beats => taggers::beats(file)?,
            Self::Ced => taggers::ced(file),
            Self::Conette => captioners::conette(file)?,
            Self::LaionClap => {
                let (rewritten, extractor) = claps::laion(file)?;
                features = Some(extractor);
                rewritten
            }
            Self::LpMusicCaps => captioners::lp_musiccaps(file),
            Self::MobileNetV2 => pictures::mobilenet_v2(file),
            Self::MsClap => {
                let (rewritten, extractor) = claps::microsoft(file)?;
                features = Some(extractor);
                rewritten
            }
            Self::Places => pictures::places(file),
            Self::Sat => taggers::sat(file),
            Self::SileroVad => {
                let (rewritten, others) = taggers::silero_vad(file);
                source.insert("other_tensors".to_owned(), json!(others));
                rewritten
            }
            Self::Yamnet => taggers::yamnet(file),
        };
        let Rewritten { tensors, config, expected, ignorable } = rewritten;
        let is_ignorable = |name: &str| is_counter(name) || ignorable(name);
        match expected?.compare(&tensors, is_ignorable) {
            None => Ok(ConvertedNetwork { network: self, tensors, config: Some(config), features, source }),
            Some(mismatch) => Err(ConvertError::Mismatch { network: self.name(), mismatch }),
        }
    }
}

/// Counters that PyTorch keeps beside statistics, which no network loads.
fn is_counter(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

pub(super) fn without_prefix(tensors: &Tensors, prefix: &str) -> Tensors {
    let plain = |name: &String| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    tensors.iter().map(|(name, tensor)| (plain(name), tensor.clone())).collect()
}

/// A dimension of a tensor, if it is there.
pub(super) fn dim(tensors: &Tensors, name: &str, dim: usize) -> Option<usize> {
    tensors.get(name).and_then(|tensor| tensor.shape().get(dim)).copied()
}

/// A configuration with the type of its network, as transformers writes it.
pub(super) fn object(config: Value, model_type: &str) -> Map<String, Value> {
    let mut object = Map::from_iter([("model_type".to_owned(), json!(model_type))]);
    if let Value::Object(fields) = config {
        object.extend(fields);
    }
    object
}

/// `config.json` in the folder of the file, if there is one.
pub(super) fn beside(file: &SourceFile) -> std::result::Result<Map<String, Value>, ConvertError> {
    let path = file.path.with_file_name("config.json");
    let bytes = match read(&path) {
        Err(ConvertError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Map::new());
        }
        read => read?,
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| ConvertError::content(format!("config.json beside the file is no JSON object: {error}")))
}
