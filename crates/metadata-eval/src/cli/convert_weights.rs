//! Flags of `convert-weights`.

use std::path::PathBuf;

use audsem_core::cli::{CommandOutput, GlobalArgs};
use audsem_core::terminal::counted;
use audsem_models::convert::{ConvertError, SourceFile, SourceNetwork, WeightFormat};
use clap::{Args, ValueEnum};
use serde_json::json;

/// What `convert-weights` is told.
#[derive(Debug, Args)]
pub struct ConvertWeightsArgs {
    /// One weight file of another library: .onnx, .pt, .pth, .bin, or model.bin of CTranslate2
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// Format of the file; auto tells it by its first bytes
    #[arg(long, value_enum, default_value = "auto")]
    pub format: FormatChoice,
    /// Network that the weights are of: its tensors get the names it loads and are checked one by one
    #[arg(long, value_enum)]
    pub network: NetworkChoice,
    /// Key of the state dictionary within a pickled training state [default: state_dict, model and others are tried]
    #[arg(long, value_name = "NAME")]
    pub key: Option<String>,
    /// Folder for model.safetensors, config.json and source.json, and preprocessor_config.json where the network has one
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
}

/// Formats of weight files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatChoice {
    /// Whatever the first bytes tell
    Auto,
    /// An ONNX graph
    Onnx,
    /// A file of torch.save, old or new
    Torch,
    /// A model of CTranslate2
    Ctranslate2,
}

/// Networks whose weights can be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NetworkChoice {
    /// Any: names stay as they are, and nothing is checked
    Plain,
    /// BEATs, which tags sounds
    Beats,
    /// CED, which tags sounds
    Ced,
    /// CoNeTTE, which describes sounds; config.json is expected beside the file
    Conette,
    /// CLAP of LAION, which compares sounds with texts; add the tokenizer of roberta-base to the folder
    LaionClap,
    /// LP-MusicCaps, which describes music
    #[value(name = "lp-musiccaps")]
    LpMusicCaps,
    /// MobileNetV2, which names pictures
    #[value(name = "mobilenet-v2")]
    MobileNetV2,
    /// CLAP of Microsoft, 2023, which compares sounds with texts; add the tokenizer of gpt2 to the folder
    MsClap,
    /// ResNet-50 of Places365, which tells what kind of place a picture shows
    Places,
    /// SAT, which tags each second of a sound
    Sat,
    /// Silero VAD, which finds speech; its ONNX graph
    SileroVad,
    /// Whisper, which writes down speech
    Whisper,
    /// YAMNet, which tags sounds
    Yamnet,
}

impl FormatChoice {
    fn format(self) -> Option<WeightFormat> {
        match self {
            Self::Auto => None,
            Self::Onnx => Some(WeightFormat::Onnx),
            Self::Torch => Some(WeightFormat::Torch),
            Self::Ctranslate2 => Some(WeightFormat::Ctranslate2),
        }
    }
}

impl NetworkChoice {
    fn network(self) -> SourceNetwork {
        match self {
            Self::Plain => SourceNetwork::Plain,
            Self::Beats => SourceNetwork::Beats,
            Self::Ced => SourceNetwork::Ced,
            Self::Conette => SourceNetwork::Conette,
            Self::LaionClap => SourceNetwork::LaionClap,
            Self::LpMusicCaps => SourceNetwork::LpMusicCaps,
            Self::MobileNetV2 => SourceNetwork::MobileNetV2,
            Self::MsClap => SourceNetwork::MsClap,
            Self::Places => SourceNetwork::Places,
            Self::Sat => SourceNetwork::Sat,
            Self::SileroVad => SourceNetwork::SileroVad,
            Self::Whisper => SourceNetwork::Whisper,
            Self::Yamnet => SourceNetwork::Yamnet,
        }
    }
}

impl ConvertWeightsArgs {
    /// Converts the file and tells what was made of it.
    ///
    /// # Errors
    /// The file cannot be read, its tensors are not those of the network, or the folder cannot be written.
    pub fn run(&self, global: &GlobalArgs) -> Result<CommandOutput, ConvertError> {
        let file = SourceFile::open(&self.input, self.format.format(), self.key.as_deref())?;
        let converted = self.network.network().convert(&file)?;
        converted.write(&self.output)?;
        let (network, tensors, left_out) = (converted.network.name(), converted.tensors.len(), file.skipped.len());
        let text = if global.json {
            json!({ "network": network, "tensors": tensors, "left_out": left_out, "output": self.output }).to_string()
        } else {
            format!(
                "{network}: {} in {}; {left_out} constants and parts of tensors left out (source.json)",
                counted(tensors, "tensors"),
                self.output.display()
            )
        };
        Ok(CommandOutput::Text(text))
    }
}
