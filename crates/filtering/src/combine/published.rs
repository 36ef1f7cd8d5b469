//! `--compat reference`: the last file of the published scripts.

use audsem_core::tables::TableError;

/// Name of the file, as published.
pub(super) const NAME: &str = "merged_bert_thatisin_mixtral_captions_nodupe.csv";

/// First line of the file.
pub(super) const HEADER: &[u8] = b"text\n";

/// Lines of the file for some captions. Fields are quoted where they hold a comma or a quote, lines end in `\n`: so do the
/// writer of polars does, and Python's with that line end.
///
/// # Errors
/// The CSV library cannot write one.
pub(super) fn lines<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<u8>, TableError> {
    let failed = |detail: String| TableError::Write { detail };
    let mut csv = csv::Writer::from_writer(Vec::new());
    for text in texts {
        csv.write_record([text]).map_err(|error| failed(error.to_string()))?;
    }
    csv.into_inner().map_err(|error| failed(error.to_string()))
}
