//! The tables of features that are joined.

use std::path::{Path, PathBuf};

use audsem_core::run::Reads;
use audsem_core::tables::{ParquetFile, TableError};
use serde::Serialize;

use super::Config;
use crate::error::Error;
use crate::parquet::{base, fingerprint, parquet_under};
use crate::reason::DropReason;
use crate::tables::{AudioFeatures, ClipMetadata, ImageFeatures, SecondFeatures, VideoFeatures};

/// The commands that write features of clips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Extractor {
    /// Audio networks
    Audio,
    /// Labels of each second
    Sat,
    /// Image networks
    Image,
    /// A video language model
    Video,
}

impl Extractor {
    /// Every extractor, in the order in which tables are joined.
    pub const ALL: [Self; 4] = [Self::Audio, Self::Sat, Self::Image, Self::Video];

    /// Name of the command.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Sat => "sat",
            Self::Image => "image",
            Self::Video => "video",
        }
    }

    pub(super) fn paths(self, config: &Config) -> &[PathBuf] {
        match self {
            Self::Audio => &config.audio,
            Self::Sat => &config.sat,
            Self::Image => &config.image,
            Self::Video => &config.video,
        }
    }

    /// Refuses a table of another command before anything runs: the same command could never read it.
    fn check_columns(self, path: &Path) -> Result<(), TableError> {
        match self {
            Self::Audio => ParquetFile::<AudioFeatures>::open(path).map(drop),
            Self::Sat => ParquetFile::<SecondFeatures>::open(path).map(drop),
            Self::Image => ParquetFile::<ImageFeatures>::open(path).map(drop),
            Self::Video => ParquetFile::<VideoFeatures>::open(path).map(drop),
        }
    }

    /// Whether a clip has features of this extractor.
    pub(super) fn is_in(self, row: &ClipMetadata) -> bool {
        match self {
            Self::Audio => row.has_audio,
            Self::Sat => row.has_sat,
            Self::Image => row.has_image,
            Self::Video => row.has_video,
        }
    }

    /// Why a clip without features of this extractor is dropped.
    pub(super) fn absence(self) -> DropReason {
        match self {
            Self::Audio => DropReason::NoAudioFeatures,
            Self::Sat => DropReason::NoSecondTags,
            Self::Image => DropReason::NoImageFeatures,
            Self::Video => DropReason::NoVideoFeatures,
        }
    }
}

/// One table of features.
#[derive(Debug)]
pub(super) struct FeatureFile {
    pub extractor: Extractor,
    pub path: PathBuf,
    /// Extractor and file, for messages that must not depend on where the file lies.
    pub name: String,
    pub fingerprint: Reads,
}

/// The tables that the command line names, those of `audio` first.
pub(super) fn list(config: &Config) -> Result<Vec<FeatureFile>, Error> {
    let mut files = Vec::new();
    for extractor in Extractor::ALL {
        for (number, given) in extractor.paths(config).iter().enumerate() {
            for path in parquet_under(given, "`import-reference` converts CSV files of the reference pipeline")? {
                extractor.check_columns(&path)?;
                let name = format!("{} {number}: {}", extractor.name(), base(&path));
                let fingerprint = fingerprint(&name, &path)?;
                files.push(FeatureFile { extractor, path, name, fingerprint });
            }
        }
    }
    Ok(files)
}
