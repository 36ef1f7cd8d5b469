//! The sounds of clips, for writers that can hear.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use audsem_core::blame::Blame;
use audsem_core::clips::{ClipContent, clip_key, scan};
use audsem_core::error::Error as CoreError;
use audsem_core::input::read_at;
use audsem_core::run::FileState;
use audsem_core::tar::tars_under;
use audsem_llm::{Media, TextError};

use crate::error::Error;

/// Where the sound of a clip lies in a tar.
#[derive(Debug, Clone)]
struct Place {
    /// Number of the tar.
    tar: usize,
    offset: u64,
    n_bytes: u64,
    suffix: String,
}

/// Sounds in audio shards, found by clip. They are read one by one, when a clip is asked about.
#[derive(Debug, Default)]
pub struct ClipSounds {
    tars: Vec<PathBuf>,
    /// The tars as they were when they were looked through.
    states: Vec<FileState>,
    places: HashMap<String, Place>,
}

impl ClipSounds {
    /// Looks through shards: tars or folders of them. Of several sounds of a clip the first counts.
    ///
    /// # Errors
    /// A tar cannot be read, or is compressed, so that no sound can be read alone.
    pub fn index(shards: &[PathBuf]) -> Result<Self, Error> {
        let tars = shards.iter().map(|path| tars_under(path)).collect::<Result<Vec<_>, _>>()?.concat();
        let states = tars.iter().map(|path| FileState::of(path).map_err(CoreError::read(path)));
        let states = states.collect::<Result<Vec<_>, _>>()?;
        let mut places = HashMap::new();
        for (tar, path) in tars.iter().enumerate() {
            let mut is_compressed = false;
            let read = scan(path, ClipContent::Sound, |entry| {
                let Some(sound) = entry.media else { return };
                // Every member has its header before it, so that nothing lies at the beginning of a tar.
                is_compressed |= sound.offset == 0;
                let place = Place { tar, offset: sound.offset, n_bytes: sound.n_bytes, suffix: sound.suffix };
                places.entry(entry.key).or_insert(place);
            });
            read.map_err(|error| CoreError::input(path, error.to_string()))?;
            if is_compressed {
                let problem = "single sounds cannot be read from a compressed tar\nhint: decompress it first";
                return Err(CoreError::input(path, problem).into());
            }
        }
        Ok(Self { tars, states, places })
    }

    /// The tars.
    #[must_use]
    pub fn tars(&self) -> &[PathBuf] {
        &self.tars
    }

    /// The sound of a clip.
    ///
    /// # Errors
    /// [`TextError::Media`]: no shard has it, or it cannot be read; a tar that has changed since it was looked through is a
    /// trouble of the surroundings, as another sound may lie in its place now.
    pub fn read(&self, key: &str) -> Result<Media, TextError> {
        let fault = |path, reason, blame| TextError::Media { path, reason, blame };
        let Some(place) = self.places.get(&clip_key(key)) else {
            return Err(fault(key.into(), "no shard has the sound of this clip".to_owned(), Blame::Record));
        };
        let path = &self.tars[place.tar];
        let read = File::open(path).and_then(|file| read_at(&file, place.offset, place.n_bytes));
        if let Some(change) = self.states[place.tar].change() {
            return Err(fault(path.clone(), change, Blame::Surroundings));
        }
        let bytes = read.map_err(|error| TextError::unread_media(path, &error))?;
        Ok(Media::from_bytes(&place.suffix, bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use audsem_core::files::write_atomically;
    use audsem_core::tar::{ShardOptions, ShardWriter};

    use super::*;

    fn shard(sounds: &[&[u8]]) -> Vec<u8> {
        let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
        for (n, sound) in sounds.iter().enumerate() {
            tar.write_sample(&format!("V{n} (1_0-2_0)"), &[("wav", *sound)]).unwrap();
        }
        tar.finish().unwrap().0
    }

    #[test]
    fn a_sound_of_a_tar_that_was_replaced_is_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.tar");
        write_atomically(&path, &shard(&[b"one", b"two"])).unwrap();
        let sounds = ClipSounds::index(&[folder.path().to_owned()]).unwrap();
        assert_eq!(sounds.read("V1 (1.0-2.0)").unwrap(), Media::from_bytes("wav", *b"two"));
        let blame = |key: &str| match sounds.read(key) {
            Err(TextError::Media { blame, .. }) => blame,
            other => panic!("{other:?}"),
        };
        assert_eq!(blame("V2 (1.0-2.0)"), Blame::Record);
        write_atomically(&path, &shard(&[b"two", b"one"])).unwrap();
        assert_eq!(blame("V1 (1.0-2.0)"), Blame::Surroundings, "another sound lies there now");
    }
}
