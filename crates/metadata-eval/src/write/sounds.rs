//! The sounds of clips, for writers that can hear.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use audsem_core::clips::{ClipContent, clip_key, scan};
use audsem_core::error::Error as CoreError;
use audsem_core::tar::tars_under;
use audsem_llm::{Media, TextError};

use crate::error::Error;

/// Where the sound of a clip lies in a tar.
#[derive(Debug, Clone)]
struct Place {
    /// Number of the tar.
    tar: usize,
    offset: u64,
    n_bytes: usize,
    suffix: String,
}

/// Sounds in audio shards, found by clip. They are read one by one, when a clip is asked about.
#[derive(Debug, Default)]
pub struct ClipSounds {
    tars: Vec<PathBuf>,
    places: HashMap<String, Place>,
}

impl ClipSounds {
    /// Looks through shards: tars or folders of them. Of several sounds of a clip the first counts.
    ///
    /// # Errors
    /// A tar cannot be read, or is compressed, so that no sound can be read alone.
    pub fn index(shards: &[PathBuf]) -> Result<Self, Error> {
        let tars = shards.iter().map(|path| tars_under(path)).collect::<Result<Vec<_>, _>>()?.concat();
        let mut places = HashMap::new();
        for (tar, path) in tars.iter().enumerate() {
            let mut is_compressed = false;
            let read = scan(path, ClipContent::Sound, |entry| {
                let Some(sound) = entry.media else { return };
                // Every member has its header before it, so that nothing lies at the beginning of a tar.
                is_compressed |= sound.offset == 0;
                let Ok(n_bytes) = usize::try_from(sound.n_bytes) else { return };
                let place = Place { tar, offset: sound.offset, n_bytes, suffix: sound.suffix };
                places.entry(entry.key).or_insert(place);
            });
            read.map_err(|error| CoreError::input(path, error.to_string()))?;
            if is_compressed {
                let problem = "single sounds cannot be read from a compressed tar\nhint: decompress it first";
                return Err(CoreError::input(path, problem).into());
            }
        }
        Ok(Self { tars, places })
    }

    /// The tars.
    #[must_use]
    pub fn tars(&self) -> &[PathBuf] {
        &self.tars
    }

    /// The sound of a clip.
    ///
    /// # Errors
    /// No shard has it, or it cannot be read.
    pub fn read(&self, key: &str) -> Result<Media, TextError> {
        let fault = |path: &Path, reason: String| TextError::Media { path: path.to_owned(), reason };
        let place = self.places.get(&clip_key(key));
        let place = place.ok_or_else(|| fault(Path::new(key), "no shard has the sound of this clip".to_owned()))?;
        let path = &self.tars[place.tar];
        let mut bytes = vec![0; place.n_bytes];
        let read = File::open(path).and_then(|file| file.read_exact_at(&mut bytes, place.offset));
        read.map_err(|error| fault(path, error.to_string()))?;
        Ok(Media::from_bytes(&place.suffix, bytes))
    }
}
