//! The Parquet tables that a command line names, and the keys in them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::run::{FileFingerprint, Fingerprint, Reads};
use audsem_core::tables::{is_csv, tables_under};

use crate::error::Error;

/// The Parquet tables under a path; `hint` says what to do about a CSV file.
pub(crate) fn parquet_under(given: &Path, hint: &'static str) -> Result<Vec<PathBuf>, Error> {
    let tables = tables_under(given)?;
    match tables.iter().find(|path| is_csv(path)) {
        Some(path) => Err(Error::NotATable { path: path.clone(), hint }),
        None => Ok(tables),
    }
}

/// Hash of a table's name and content.
pub(crate) fn fingerprint(name: &str, path: &Path) -> Result<Reads, Error> {
    Ok(Fingerprint::new().with(name).with_file(&FileFingerprint::of_output(path)?).finish())
}

/// The last component of a path.
pub(crate) fn base(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A key as tars spell it: that of the clip where the key names one, else the key itself.
pub(crate) fn tar_key(key: &str) -> Cow<'_, str> {
    key.parse::<ClipId>().map_or(Cow::Borrowed(key), |clip| Cow::Owned(clip.tar_key()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_clip_are_one_key() {
        for name in ["V (1.0-2.5)", "tar/V (1_0-2_5).mp4", "V (1_0-2_5)", "V (1.000-2.5).flac"] {
            assert_eq!(tar_key(name), "V (1_0-2_5)", "{name}");
        }
        assert_eq!(tar_key("a/rain v1_2"), "a/rain v1_2");
    }
}
