//! Sets of embeddings: what a command line names, and the tables behind it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use audsem_core::error::Error as CoreError;
use audsem_core::input::{is_folder, look_at};
use audsem_core::run::{FileFingerprint, Fingerprint, Reads};
use audsem_core::tables::{
    AudioEmbedding, Columns as _, EmbeddingKey, ParquetFile, TableError, TextEmbedding, VectorFile, is_csv,
    tables_under,
};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::model_tag::ModelTag;

/// Key of a table's own metadata under which the model is named that made its vectors: a [`ModelTag`].
pub const MODEL_KEY: &str = "audsem.model";

/// Key of a table's own metadata under which it says what its embeddings are of, where its columns do not: the name of a
/// [`Modality`].
pub const MODALITY_KEY: &str = "audsem.modality";

/// `NAME=PATH`, or a path whose last component is the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetPath {
    /// What the set is called in tables and messages.
    pub name: String,
    /// A run folder of embeddings, a folder of Parquet files or one such file.
    #[serde(skip)]
    pub path: PathBuf,
}

impl FromStr for SetPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // An existing path is taken as a path, even if it contains `=`.
        let unread = |error: CoreError| error.to_string();
        let named = text.split_once('=').filter(|(name, _)| !name.contains('/'));
        let (name, path) = match named {
            Some((name, path)) if look_at(Path::new(text)).map_err(unread)?.is_none() => {
                (name.to_owned(), PathBuf::from(path))
            }
            _ => {
                let path = PathBuf::from(text);
                // `.` and `..` have a name only once it is known where they are.
                let absolute = path.canonicalize().unwrap_or_else(|_| path.clone());
                let name =
                    if is_folder(&absolute).map_err(unread)? { absolute.file_name() } else { absolute.file_stem() };
                (name.unwrap_or_default().to_string_lossy().into_owned(), path)
            }
        };
        if name.is_empty() || path.as_os_str().is_empty() {
            return Err("expected NAME=PATH or PATH".to_owned());
        }
        Ok(Self { name, path })
    }
}

/// What an embedding is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Modality {
    /// A sound
    Audio,
    /// A caption
    Text,
}

impl Modality {
    /// What the metadata of a table says.
    fn stated(vectors: &VectorFile) -> Option<Self> {
        let stated = vectors.value(MODALITY_KEY)?;
        [Self::Audio, Self::Text].into_iter().find(|modality| modality.name() == stated)
    }

    /// What a table says its embeddings are of: its metadata, else its columns.
    pub(crate) fn of(path: &Path, vectors: &VectorFile) -> Option<Self> {
        let has = |found: Result<(), TableError>| found.is_ok();
        Self::stated(vectors).or_else(|| match () {
            () if has(ParquetFile::<TextEmbedding>::open(path).map(drop)) => Some(Self::Text),
            () if has(ParquetFile::<AudioEmbedding>::open(path).map(drop)) => Some(Self::Audio),
            () => None,
        })
    }

    /// Name of this modality in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Text => "text",
        }
    }
}

audsem_core::row! {
    table "keys of embeddings";
    /// The key of an embedding, as any program may have written it.
    pub struct RowKey / RowKeyRef / RowKeyColumns / RowKeyBuffers {
        /// The clip's tar key; absent in rows that are of no use.
        pub key: Option<String>,
    }
}

/// One table of embeddings.
#[derive(Debug, Clone)]
pub struct EmbeddingFile {
    /// Name of its set.
    pub set: String,
    /// Where it is.
    pub path: PathBuf,
    /// Hash of its name in the set and its content.
    pub fingerprint: Reads,
    /// What its embeddings are of, where its metadata or its columns tell.
    pub modality: Option<Modality>,
    /// Numbers in its vectors.
    pub dim: usize,
    /// Rows it has.
    pub n_rows: u64,
    /// The model that made it, where the table says so.
    pub model: Option<String>,
    /// Rows without a key: row group and row in it. Their vectors are not used either.
    keyless: Arc<BTreeSet<(usize, usize)>>,
}

impl EmbeddingFile {
    fn open(set: &str, path: PathBuf) -> Result<Self, Error> {
        let vectors = VectorFile::open(&path)?;
        if vectors.dim() == 0 && vectors.n_rows() > 0 {
            return Err(CoreError::input(&path, "this table has rows, but every vector is absent or empty").into());
        }
        // Any table of embeddings has keys: a missing column should fail before a long run.
        ParquetFile::<EmbeddingKey>::open(&path)?;
        let keyless = Arc::new(rows_without_key(&path)?);
        let modality = Modality::of(&path, &vectors);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let fingerprint = Fingerprint::new().with(set).with(&name).with_file(&FileFingerprint::of_output(&path)?);
        Ok(Self {
            set: set.to_owned(),
            fingerprint: fingerprint.finish(),
            modality,
            dim: vectors.dim(),
            n_rows: vectors.n_rows() as u64,
            model: vectors.value(MODEL_KEY).map(str::to_owned),
            keyless,
            path,
        })
    }

    /// Set and file name of the table, for messages that must not depend on where the file lies.
    pub fn name(&self) -> String {
        format!("{}/{}", self.set, self.path.file_name().unwrap_or_default().to_string_lossy())
    }

    /// The vectors, those of rows without a key as NaN.
    ///
    /// # Errors
    /// The table is damaged.
    pub fn vectors(&self) -> Result<VectorFile, TableError> {
        Ok(VectorFile::open(&self.path)?.masking((*self.keyless).clone()))
    }

    /// The keys beside the vectors.
    ///
    /// # Errors
    /// The table is damaged.
    pub fn keys(&self) -> Result<ParquetFile<RowKey>, TableError> {
        ParquetFile::open(&self.path)
    }
}

fn rows_without_key(path: &Path) -> Result<BTreeSet<(usize, usize)>, TableError> {
    let keys = ParquetFile::<RowKey>::open(path)?;
    let mut rows = BTreeSet::new();
    for group in 0..keys.n_groups() {
        let columns = keys.group(group)?;
        rows.extend((0..columns.len()).filter(|row| columns.key.get_opt(*row).is_none()).map(|row| (group, row)));
    }
    Ok(rows)
}

/// The tables of some sets, in the order of the sets and of the names in them.
///
/// # Errors
/// A path holds no tables or others than embeddings, two sets have one name, or vectors of different
/// models or lengths would be compared.
pub fn list_files(sets: &[SetPath]) -> Result<Vec<EmbeddingFile>, Error> {
    let mut files = Vec::new();
    for (i, set) in sets.iter().enumerate() {
        if sets[..i].iter().any(|other| other.name == set.name) {
            return Err(Error::SameSet { name: set.name.clone() });
        }
        for path in tables_under(&set.path)? {
            if is_csv(&path) {
                let problem = "embeddings are read from Parquet only\nhint: docs/formats.md describes how to convert other formats";
                return Err(CoreError::input(&path, problem).into());
            }
            files.push(EmbeddingFile::open(&set.name, path)?);
        }
    }
    Ok(files)
}

/// Makes sure that vectors may be compared; gives their length and model.
#[derive(Debug, Default, Clone)]
pub struct Comparable {
    /// Numbers in the vectors; 0 before the first one.
    pub dim: usize,
    /// The model, as far as it is known: see [`ModelTag`].
    pub model: Option<String>,
    /// Whether the warning about different number types has been given.
    mixed: bool,
}

impl Comparable {
    /// Of all these files.
    ///
    /// # Errors
    /// [`Error::OtherDimension`], [`Error::OtherModel`].
    pub fn of<'a>(files: impl IntoIterator<Item = &'a EmbeddingFile>) -> Result<Self, Error> {
        let mut all = Self::default();
        for file in files {
            all.add(&file.path, file.dim, file.model.as_deref())?;
        }
        Ok(all)
    }

    /// Takes in one more source of vectors.
    ///
    /// # Errors
    /// [`Error::OtherDimension`], [`Error::OtherModel`].
    pub fn add(&mut self, path: &Path, dim: usize, model: Option<&str>) -> Result<(), Error> {
        // A table without rows need not know how long its vectors would be.
        if dim > 0 && self.dim > 0 && dim != self.dim {
            return Err(Error::OtherDimension { path: path.to_owned(), expected: self.dim, found: dim });
        }
        self.dim = self.dim.max(dim);
        let Some(found) = model else { return Ok(()) };
        let Some(expected) = &self.model else {
            self.model = Some(found.to_owned());
            return Ok(());
        };
        let (tag, other) = (ModelTag::parse(expected), ModelTag::parse(found));
        if !tag.agrees_with(&other) {
            let (expected, found) = (expected.clone(), found.to_owned());
            return Err(Error::OtherModel { path: path.to_owned(), expected, found });
        }
        if !tag.same_dtype(&other) && !self.mixed {
            self.mixed = true;
            tracing::warn!(
                "embeddings of one model with numbers of different types are compared: {tag} and {other}: {}\n\
                 hint: their cosines differ a little; embed all sets with the same --dtype",
                path.display()
            );
        }
        // Later tags are compared with the most detailed one.
        if !tag.is_whole() && other.is_whole() {
            self.model = Some(found.to_owned());
        }
        Ok(())
    }
}

/// Where a row is among the rows of several files.
#[derive(Debug, Clone)]
pub struct RowNumbers {
    /// First row of each file, and the end.
    starts: Vec<u64>,
}

impl RowNumbers {
    /// Numbers the rows of files one after the other.
    pub fn of(files: &[EmbeddingFile]) -> Self {
        Self::of_counts(files.iter().map(|file| file.n_rows))
    }

    /// As [`RowNumbers::of`], from the rows of each file.
    pub fn of_counts(counts: impl IntoIterator<Item = u64>) -> Self {
        let mut starts = vec![0];
        for count in counts {
            starts.push(starts.last().copied().unwrap_or(0) + count);
        }
        Self { starts }
    }

    /// The number of the first row of file `i`.
    pub fn start(&self, i: usize) -> u64 {
        self.starts[i]
    }

    /// The file of row number `row`.
    pub fn file_of(&self, row: u64) -> usize {
        self.starts.partition_point(|start| *start <= row) - 1
    }

    /// Rows in all files.
    pub fn total(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }
}

/// The keys of single rows, given by their numbers in ascending order.
///
/// # Errors
/// A table is damaged.
pub fn keys_of_rows(files: &[EmbeddingFile], numbers: &RowNumbers, rows: &[u64]) -> Result<Vec<String>, TableError> {
    let mut keys = Vec::with_capacity(rows.len());
    for (i, file) in files.iter().enumerate() {
        let mut first = numbers.start(i);
        if rows.get(keys.len()).is_none_or(|row| *row >= first + file.n_rows) {
            continue;
        }
        let table = file.keys()?;
        for group in 0..table.n_groups() {
            let end = first + table.n_rows_in(group) as u64;
            let wanted = &rows[keys.len()..][..rows[keys.len()..].partition_point(|row| *row < end)];
            if !wanted.is_empty() {
                let columns = table.group(group)?;
                keys.extend(wanted.iter().map(|row| columns.key.get((row - first) as usize).to_owned()));
            }
            first = end;
        }
    }
    Ok(keys)
}
