//! Errors of this crate.

use std::path::PathBuf;

use audsem_core::batch::BatchError;
use audsem_core::terminal::counted;
use audsem_core::weights::ModelError;
use serde::Serialize;
use thiserror::Error as ThisError;

/// Largest size that a configuration may give: that of a vocabulary is a thousandth of it, so that products of two sizes
/// can be counted.
const MAX_SIZE: usize = 1 << 28;

/// What can go wrong in loading, running or training a network.
#[derive(Debug, ThisError)]
pub enum Error {
    /// A tensor operation failed: shapes, memory, device.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The model folder or its weights.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A language model behind a server cannot be asked.
    #[error(transparent)]
    Text(#[from] audsem_llm::TextError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] audsem_core::error::Error),
    /// `config.json` asks for something this network does not have.
    #[error("config.json: `{key}` is not supported: `{value}`\nhint: supported: {supported}")]
    Unsupported {
        /// Its key.
        key: &'static str,
        /// The value found.
        value: String,
        /// The supported values.
        supported: String,
    },
    /// `open_clip_config.json` is not as expected, or has a setting that is not known here.
    #[error(
        "open_clip_config.json: {section}: {problem}\nhint: a setting that is skipped would give other vectors without a word"
    )]
    OpenClipConfig {
        /// The part of the file.
        section: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A text that the tokenizer's library would change in ways that are not known here.
    #[error(
        "text has {character:?}; open_clip mends such texts with the package ftfy before it makes tokens of them, which is not done here\nhint: plain letters, digits and punctuation of ASCII are taken as they are"
    )]
    UncleanText {
        /// The character.
        character: char,
    },
    /// A tokenizer cannot be read, trained or applied.
    #[error("tokenizer: {}: {message}", .path.display())]
    Tokenizer {
        /// Its file; empty for one trained in memory.
        path: PathBuf,
        /// The error of the library.
        message: String,
    },
    /// A text is too long to be tokenised as a whole, and its head does not determine its first tokens.
    #[error("text has {bytes} bytes; its first {most} do not determine its tokens")]
    TextBytes {
        /// Its bytes.
        bytes: usize,
        /// The most that are tokenised.
        most: usize,
    },
    /// A text has no token or too many.
    #[error(
        "text has {}; this network takes 1 to {longest}\nhint: set the tokenizer's limit to {longest}",
        counted(*tokens, "tokens")
    )]
    TextLength {
        /// Its tokens.
        tokens: usize,
        /// The most that there are positions for.
        longest: usize,
    },
    /// A prompt cannot be continued.
    #[error(transparent)]
    Generation(#[from] crate::generate::GenerationError),
    /// A token id lies outside the table.
    #[error(
        "token id {id} is not in the vocabulary of {vocab_size}\nhint: tokenizer and weights are of different checkpoints"
    )]
    TokenId {
        /// The id.
        id: u32,
        /// Rows of the table.
        vocab_size: usize,
    },
    /// A front end cannot be made, or makes no features of a sound.
    #[error(transparent)]
    FrontEnd(#[from] audsem_media::audio::FrontEndError),
    /// A sound is too short for the network.
    #[error("sound of {}; this network hears at least {shortest}", counted(*samples, "samples"))]
    SoundLength {
        /// Its samples.
        samples: usize,
        /// The fewest.
        shortest: usize,
    },
    /// Two models cannot be composed.
    #[error("cannot compose: {reason}")]
    Composition {
        /// What is in the way.
        reason: String,
    },
    /// A picture or a video for a network that hears.
    #[error("this model hears sounds and reads no pictures\nhint: leave pictures and videos out")]
    NoPictures,
    /// A chat template cannot be read or filled.
    #[error("chat template: {reason}")]
    ChatTemplate {
        /// Where and what.
        reason: String,
    },
    /// A GGUF file is not as expected.
    #[error("GGUF file {}: {reason}", .path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Features that do not fit the audio tower.
    #[error(
        "features of {frames} frames with {mels} mel bins; this network takes 1 to {max_frames} frames with {wanted_mels}\nhint: the configurations of the features and of the network are of different checkpoints"
    )]
    FeatureShape {
        /// Frames given.
        frames: usize,
        /// Mel bins given.
        mels: usize,
        /// Most frames.
        max_frames: usize,
        /// Mel bins wanted.
        wanted_mels: usize,
    },
    /// Features with too few frames, or of another network.
    #[error(
        "features of {frames} frames with {mels} bands; this network takes {least_frames} frames or more with {wanted_mels} bands"
    )]
    FewFrames {
        /// Frames given.
        frames: usize,
        /// Bands given.
        mels: usize,
        /// Fewest frames.
        least_frames: usize,
        /// Bands wanted.
        wanted_mels: usize,
    },
    /// A tensor that must equal another one does not.
    #[error("weights differ that must be one table: `{name}` and `{table}`")]
    Untied {
        /// The tensor.
        name: String,
        /// What it must equal.
        table: &'static str,
    },
    /// Prompts of a decoder that do not fit the encoder's states, or each other.
    #[error("prompts of {lengths:?} tokens for {rows} rows: a decoder takes one for each row, all of one length")]
    DecoderPrompts {
        /// Rows of the encoder's states.
        rows: usize,
        /// Tokens of each prompt.
        lengths: Vec<usize>,
    },
    /// Features cannot be made.
    #[error(transparent)]
    Features(#[from] crate::clap::FeatureError),
    /// A stored variance is negative.
    #[error("weights hold a negative variance: `{name}`")]
    Variance {
        /// The tensor.
        name: String,
    },
    /// Features of different extractors in one batch.
    #[error("features of different shapes in one batch\nhint: make all of them with the same extractor")]
    MixedFeatures,
    /// Views of clips that do not fit the audio tower.
    #[error(
        "{channels} views of {clips} clips with {flags} flags; this network takes {wanted} views and one flag for each clip\nhint: the configurations of the features and of the network are of different checkpoints"
    )]
    Views {
        /// Views given.
        channels: usize,
        /// Views wanted.
        wanted: usize,
        /// Clips given.
        clips: usize,
        /// Flags given.
        flags: usize,
    },
    /// A trainable tensor received no gradient, or one that is not finite.
    #[error(
        "training broke: step {step}: {what}: {}\nhint: lower the learning rate; if this happens at step 0, an operation without a gradient is in the network",
        .names.join(", ")
    )]
    Gradient {
        /// Optimizer step, from 0.
        step: usize,
        /// What is wrong.
        what: &'static str,
        /// The tensors concerned.
        names: Vec<String>,
    },
    /// A sequence cannot be trained on.
    #[error("training sequence: {reason}")]
    Sequence {
        /// What does not fit.
        reason: String,
    },
    /// Weights cannot be serialised or read back.
    #[error("weights cannot be read or written as safetensors: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
}

impl Error {
    /// Whether memory ran out, of the device or of the system, so that a smaller batch may do.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        // No library gives it a variant: CUDA's text is CUDA_ERROR_OUT_OF_MEMORY, others have it in words.
        matches!(self, Self::Tensor(_)) && self.to_string().to_lowercase().replace('_', " ").contains("out of memory")
    }

    /// The error of a batch: a smaller one is tried where memory ran out.
    pub fn into_batch_error<E: From<Self>>(self) -> BatchError<E> {
        match self.is_out_of_memory() {
            true => BatchError::OutOfMemory(self.to_string()),
            false => BatchError::Failed(self.into()),
        }
    }

    /// Refuses sizes that no network has.
    pub(crate) fn check_sizes(sizes: &[(&'static str, usize)]) -> Result<()> {
        match sizes.iter().find(|(_, size)| !(1..=MAX_SIZE).contains(size)) {
            Some((key, size)) => Err(Self::unsupported(key, size, &format!("1 to {MAX_SIZE}"))),
            None => Ok(()),
        }
    }

    /// Refuses an epsilon that makes no number finite.
    pub(crate) fn check_eps(key: &'static str, eps: f64) -> Result<()> {
        match (0.0..1.0).contains(&eps) {
            true => Ok(()),
            false => Err(Self::unsupported(key, &eps, "0 to 1")),
        }
    }

    /// [`Error::Unsupported`] with the value as it stands in a file of settings.
    pub(crate) fn unsupported(key: &'static str, value: &dyn SettingValue, supported: &str) -> Self {
        Self::Unsupported { key, value: value.json(), supported: supported.to_owned() }
    }
}

/// A value of a setting, for messages.
pub(crate) trait SettingValue {
    /// As JSON, which is how files of settings have it.
    fn json(&self) -> String;
}

impl<T: Serialize> SettingValue for T {
    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| error.to_string())
    }
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_ran_out_is_told_from_other_errors() {
        let error = |text: &str| Error::from(candle_core::Error::Msg(text.to_owned())).into_batch_error::<Error>();
        assert!(matches!(
            error("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"),
            BatchError::OutOfMemory(_)
        ));
        assert!(matches!(error("shape mismatch"), BatchError::Failed(_)));
    }

    #[test]
    fn values_stand_in_messages_as_in_files_of_settings() {
        let value = serde_json::json!({ "model_type": "bert" });
        let (text, none) = (Some("channel_map".to_owned()), None::<f64>);
        let values: [(&dyn SettingValue, &str); 6] = [
            (&value["model_type"], "\"bert\""),
            (&value["absent"], "null"),
            (&text, "\"channel_map\""),
            (&none, "null"),
            (&[4, 2], "[4,2]"),
            (&0.5, "0.5"),
        ];
        for (value, expected) in values {
            let error = Error::unsupported("fusion_type", value, "aff_2d, or null").to_string();
            let said =
                format!("config.json: `fusion_type` is not supported: `{expected}`\nhint: supported: aff_2d, or null");
            assert_eq!(error, said);
        }
    }
}
