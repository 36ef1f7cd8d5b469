//! What can be wrong with a model.

use std::fmt::Write as _;
use std::path::PathBuf;

use thiserror::Error;

/// Maximum number of tensor names shown in a message.
const SHOWN_NAMES: usize = 12;

/// What can be wrong with a model folder, its weights or the device they go to.
#[derive(Debug, Error)]
pub enum ModelError {
    /// A CUDA device was asked for and cannot be opened.
    #[error(
        "cannot open device: cuda:{ordinal}: {source}\nhint: use `--device cpu`, or a build with `--features cuda` on a machine with this GPU"
    )]
    NoCuda {
        /// Its number.
        ordinal: usize,
        /// The error of candle.
        source: Box<candle_core::Error>,
    },
    /// The model is neither a local folder, nor in the cache, nor on the hub.
    #[error("cannot find model: `{model}`{}\nhint: give `--model` a folder that holds config.json, the weights and tokenizer.json", list_lines(.tried))]
    NotFound {
        /// What was asked for.
        model: String,
        /// Every place searched, and why the model was not found there.
        tried: Vec<String>,
    },
    /// The folder lacks a file.
    #[error("model folder lacks `{wanted}`: {}\nhint: {hint}", .folder.display())]
    MissingFile {
        /// The file.
        wanted: String,
        /// The folder.
        folder: PathBuf,
        /// What is there instead, and what may have been meant.
        hint: String,
    },
    /// A file cannot be read.
    #[error("cannot read model file: {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A JSON file of the folder is not as expected.
    #[error("model file is not as expected: {}: {source}", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A weight file cannot be opened or parsed.
    #[error("cannot load weights: {}: {source}\nhint: weights are .safetensors, or .bin/.pt/.pth in the zip format of torch 1.6 and later", .path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// The error of candle.
        source: Box<candle_core::Error>,
    },
    /// A JSON file is larger than any that belongs to a model.
    #[error("model file is larger than {most} bytes: {}", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read.
        most: u64,
    },
    /// An index names a file outside its folder.
    #[error("model folder names a file that is not in it: `{}`: {}\nhint: files of an index lie beside it", .name.escape_debug(), .folder.display())]
    Outside {
        /// The name.
        name: String,
        /// The folder.
        folder: PathBuf,
    },
    /// A tensor holds numbers that none can be computed from.
    #[error("weights hold NaN or infinite numbers: `{name}`: {}\nhint: the checkpoint is broken; or its numbers are too large for half precision, then use `--dtype f32`", .path.display())]
    NotFinite {
        /// The first weight file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// The weights do not fit the network.
    #[error("weights do not fit the network: {}{}{}{}", .path.display(), named("missing", .missing), named("wrong shape", .misshapen), named("unused", .unused))]
    Mismatch {
        /// The first weight file.
        path: PathBuf,
        /// Tensors the network wants and the files lack.
        missing: Vec<String>,
        /// Tensors of another shape: `name: wants [..], has [..]`.
        misshapen: Vec<String>,
        /// Tensors that the network does not use.
        unused: Vec<String>,
    },
}

fn list_lines(lines: &[String]) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = write!(text, "\n  tried {line}");
        text
    })
}

fn named(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let shown = names.iter().take(SHOWN_NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(SHOWN_NAMES);
    let tail = if more == 0 { String::new() } else { format!(" … and {more} more") };
    format!("\n  {what} ({}): {shown}{tail}", names.len())
}
