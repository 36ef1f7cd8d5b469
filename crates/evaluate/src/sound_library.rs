//! The sounds of questions, wherever they lie: files below folders, members of tars, or rows of tables.

mod table;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use audsem_core::clip_id::tar_key_of;
use audsem_core::clips::{ClipContent, ClipEntry, clip_of_question, scan};
use audsem_core::error::Error as CoreError;
use audsem_core::input::{is_file, is_folder, open_file, read_at, read_whole};
use audsem_core::tables::MediaRows;
use audsem_core::tar::tars_under;

use crate::error::Error;
pub use table::TableSounds;

/// Where the sounds of a data set lie.
#[derive(Debug, Clone, Default)]
pub struct SoundLibrary {
    folders: Vec<PathBuf>,
    /// Members of tars by the key of their clip.
    members: BTreeMap<String, Place>,
    tables: TableSounds,
}

/// A sound inside a tar.
#[derive(Debug, Clone)]
struct Place {
    tar: PathBuf,
    suffix: String,
    offset: u64,
    n_bytes: u64,
}

/// A sound as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundFile {
    /// Its format by the suffix of its name.
    pub suffix: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl SoundLibrary {
    /// Takes note of folders, and of the sounds in tars, in folders of tars, and in tables.
    ///
    /// # Errors
    /// A path cannot be read, or a tar or a table is damaged.
    pub fn open(places: &[PathBuf]) -> Result<Self, Error> {
        let mut library = Self::default();
        for place in places {
            let is_dir = is_folder(place)?;
            if !is_dir && place.extension().is_some_and(|suffix| suffix == "parquet") {
                for column in MediaRows::columns(place)? {
                    library.tables.add(place, &column)?;
                }
                continue;
            }
            if is_dir {
                library.folders.push(place.clone());
            }
            let tars = match tars_under(place) {
                // A folder of sounds has no tars, which is no mistake here.
                Err(_) if is_dir => Vec::new(),
                tars => tars?,
            };
            for tar in tars {
                library.add_tar(&tar)?;
            }
        }
        Ok(library)
    }

    /// Adds the sounds of tables.
    #[must_use]
    pub fn with_tables(mut self, tables: &TableSounds) -> Self {
        self.tables.extend(tables);
        self
    }

    fn add_tar(&mut self, tar: &Path) -> Result<(), Error> {
        let mut ambiguous = None;
        let add = |entry: ClipEntry| {
            let Some(sound) = entry.media else { return };
            let place =
                Place { tar: tar.to_owned(), suffix: sound.suffix, offset: sound.offset, n_bytes: sound.n_bytes };
            // The samples of a clip with several questions hold the same sound.
            let n_bytes = place.n_bytes;
            let first = self.members.entry(tar_key_of(clip_of_question(&entry.key)).into_owned()).or_insert(place);
            if first.n_bytes != n_bytes {
                ambiguous.get_or_insert(entry.key);
            }
        };
        scan(tar, ClipContent::Sound, add).map_err(|error| CoreError::input(tar, error.to_string()))?;
        match ambiguous {
            None => Ok(()),
            Some(key) => {
                Err(CoreError::input(tar, format!("a second sound, of another size, is called `{key}`")).into())
            }
        }
    }

    /// Whether there is a sound that a data set calls so; see [`SoundLibrary::read`].
    ///
    /// # Errors
    /// A folder cannot be looked at.
    pub fn has(&self, name: &str) -> Result<bool, Error> {
        if self.tables.has(name) {
            return Ok(true);
        }
        for folder in &self.folders {
            if file_in(folder, name)?.is_some() {
                return Ok(true);
            }
        }
        Ok(self.members.contains_key(&*tar_key_of(clip_of_question(name))))
    }

    /// The sound that a data set calls so: by its path below a folder, by the key of its clip, or by its content in a table. The path may begin with the
    /// folder's own name. A file that has but its last name in common may be another sound, and is never taken. None where
    /// there is no such sound.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<SoundFile>, Error> {
        if let Some(sound) = self.tables.read(name)? {
            return Ok(Some(sound));
        }
        for folder in &self.folders {
            if let Some(path) = file_in(folder, name)? {
                let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or_default().to_owned();
                return Ok(Some(SoundFile { suffix, bytes: read_whole(&path)? }));
            }
        }
        self.members.get(&*tar_key_of(clip_of_question(name))).map(read_member).transpose()
    }

    /// What tells the content of a sound from others: the name of one in a table, which says its content, or its bytes. None
    /// where there is no such sound.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn identity(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        if self.tables.has(name) {
            return Ok(Some(name.as_bytes().to_vec()));
        }
        Ok(self.read(name)?.map(|sound| sound.bytes))
    }

    /// A key by which sounds are in the order in which they are read fastest: those of a table by their rows, others first.
    #[must_use]
    pub fn reading_order(&self, name: &str) -> Option<(&Path, usize, usize)> {
        self.tables.order(name)
    }
}

/// The file of a sound below a folder: `test/a.wav` in the folder above `test`, or in `test` itself.
fn file_in(folder: &Path, name: &str) -> Result<Option<PathBuf>, Error> {
    let relative = Path::new(name.trim_start_matches("./"));
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(None);
    }
    let inside_itself =
        relative.ancestors().skip(1).find(|begin| !begin.as_os_str().is_empty() && folder.ends_with(begin));
    let rest = inside_itself.and_then(|begin| relative.strip_prefix(begin).ok());
    for path in [Some(relative), rest].into_iter().flatten().map(|path| folder.join(path)) {
        if is_file(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn read_member(place: &Place) -> Result<SoundFile, Error> {
    let file = open_file(&place.tar)?;
    let bytes = read_at(&file, place.offset, place.n_bytes).map_err(CoreError::read(&place.tar))?;
    Ok(SoundFile { suffix: place.suffix.clone(), bytes })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use audsem_core::files::write_atomically;
    use audsem_core::tar::{ShardOptions, ShardWriter};

    use super::*;

    #[test]
    fn sounds_are_found_by_their_path_and_by_their_clip_and_never_by_a_name_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write_atomically(&root.join("audio/test/a.wav"), b"a").unwrap();
        write_atomically(&root.join("audio/b.mp3"), b"b").unwrap();
        let mut shard = ShardWriter::new(Vec::new(), ShardOptions::default());
        for n in 0..2 {
            let key = format!("V (1_0-3_5)_qa_{n}");
            shard.write_sample(&key, &[("flac", b"fLaC"), ("json", br#"{"key": "V (1_0-3_5)"}"#)]).unwrap();
        }
        write_atomically(&root.join("shards/0000.tar"), &shard.finish().unwrap().0).unwrap();
        let library = SoundLibrary::open(&[root.join("audio"), root.join("shards")]).unwrap();
        let read = |name: &str| library.read(name).unwrap().map(|sound| (sound.suffix, sound.bytes));
        let sound = |suffix: &str, bytes: &[u8]| Some((suffix.to_owned(), bytes.to_owned()));
        assert_eq!(read("./test/a.wav"), sound("wav", b"a"));
        assert_eq!(read("audio/b.mp3"), sound("mp3", b"b"), "the folder's own name");
        assert!(library.has("V (1_0-3_5)_qa_1").unwrap() && library.has("b.mp3").unwrap());
        for spelling in ["V (1_0-3_5)", "V (1.0-3.5)"] {
            assert_eq!(read(spelling), sound("flac", b"fLaC"), "{spelling}");
            assert!(library.has(spelling).unwrap() && library.has("./test/a.wav").unwrap(), "{spelling}");
        }
        for absent in ["c.wav", "some/where/b.mp3", "a.wav", "../audio/test/a.wav/..", "V (2_0-3_5)", "test"] {
            assert_eq!((read(absent), library.has(absent).unwrap()), (None, false), "{absent}");
        }
        assert!(SoundLibrary::open(&[root.join("none")]).is_err());
        let mut other = ShardWriter::new(Vec::new(), ShardOptions::default());
        other.write_sample("V (1_0-3_5)_qa_0", &[("flac", b"fLaC, longer")]).unwrap();
        write_atomically(&root.join("other/0000.tar"), &other.finish().unwrap().0).unwrap();
        let problem = SoundLibrary::open(&[root.join("shards"), root.join("other")]).unwrap_err().to_string();
        assert!(problem.contains("a second sound, of another size, is called `V (1_0-3_5)_qa_0`"), "{problem}");
    }
}
