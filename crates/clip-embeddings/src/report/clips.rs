//! Reads the sounds and captions of the extremes from the shards.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use audsem_core::clips::{ClipEntry, for_each_sound};
use audsem_core::error::Error as CoreError;
use audsem_core::run::{Fingerprint, JsonFile, Reads, Run, Shard, ShardError, ShardOutput, Step};
use audsem_core::tar::{TarError, TarInput};
use audsem_report::{Markup, data_url, relative_url};
use serde::{Deserialize, Serialize};

use super::{Summaries, extremes};
use crate::error::Error;
use crate::missing;
use crate::scores::file_name;

/// How sounds are included in the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ClipsMode {
    /// Embedded in the page, which is then self-contained
    Embed,
    /// As files next to the page
    Files,
}

/// A sound beside the page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sound {
    /// Its file, relative to the page.
    pub(super) file: String,
    /// The caption.
    pub(super) text: Option<String>,
}

/// Sounds by key, and the folder their files are in.
#[derive(Debug, Default)]
pub(super) struct Sounds {
    pub(super) folder: PathBuf,
    pub(super) by_key: BTreeMap<String, Sound>,
    /// Whether there were shards to look through.
    pub(super) looked: bool,
}

impl Sounds {
    /// What the page names as the source of a sound.
    pub(super) fn source(&self, sound: &Sound, mode: ClipsMode) -> Result<Markup, Error> {
        let ending = Path::new(&sound.file).extension().unwrap_or_default().to_string_lossy().into_owned();
        match mode {
            ClipsMode::Files => Ok(relative_url(&sound.file)),
            ClipsMode::Embed => {
                let path = self.folder.join(&sound.file);
                let bytes = std::fs::read(&path).map_err(CoreError::read(&path))?;
                Ok(data_url(&ending, &bytes))
            }
        }
    }
}

/// Copies the extremes' sounds into `clips/` and files those that no shard has; `None` when a step was
/// interrupted.
pub(super) fn find(
    run: &mut Run,
    tars: &[TarInput],
    summaries: &Summaries,
    fingerprint: &Reads,
) -> Result<Option<Sounds>, Error> {
    let wanted = extremes::keys(summaries);
    let mut sounds = Sounds { folder: run.folder().to_owned(), ..Sounds::default() };
    if tars.is_empty() || run.options().dry_run {
        return Ok(Some(sounds));
    }
    let plan: Vec<Shard<&TarInput>> = tars
        .iter()
        .enumerate()
        .map(|(i, tar)| Shard {
            name: format!("{i:05}"),
            fingerprint: Fingerprint::new().with(&tar.fingerprint).with(fingerprint).finish(),
            work: tar,
        })
        .collect();
    let step = Step { name: "clips", unit: "clips", physical: "MB" };
    let copied = run.execute_via(&JsonFile("clips"), step, &plan, |tar, out| copy(tar, &wanted, out))?;
    let Some(copied) = copied.whole() else { return Ok(None) };
    for found in copied.values {
        for (key, sound) in found {
            sounds.by_key.entry(key).or_insert(sound);
        }
    }
    sounds.looked = true;
    let met = sounds.by_key.keys().cloned().collect();
    missing::file(run, &wanted, &met, &copied.outputs)?;
    Ok(Some(sounds))
}

/// Why reading a tar stopped before its end.
enum Stop {
    Tar(TarError),
    Core(CoreError),
}

impl From<TarError> for Stop {
    fn from(error: TarError) -> Self {
        Self::Tar(error)
    }
}

fn copy(
    tar: &TarInput,
    wanted: &BTreeSet<String>,
    out: &mut ShardOutput,
) -> Result<BTreeMap<String, Sound>, ShardError> {
    let (mut found, mut seen, mut others): (BTreeMap<String, Sound>, HashSet<String>, u64) = Default::default();
    let accept = |entry: &ClipEntry| {
        let take = wanted.contains(&entry.key) && entry.media.is_some() && seen.insert(entry.key.clone());
        others += u64::from(!take);
        take
    };
    let result = for_each_sound(&tar.path, accept, |entry, bytes| {
        let suffix = entry.media.as_ref().map_or("flac", |sound| sound.suffix.as_str());
        let name = format!("clips/{}/{}.{suffix}", out.name(), file_name(&entry.key));
        let mut file = out.create(&name).map_err(Stop::Core)?;
        file.write_all(bytes).map_err(CoreError::write(file.path())).map_err(Stop::Core)?;
        out.file_kept(1);
        found.insert(entry.key.clone(), Sound { file: name, text: entry.text.clone() });
        out.close(file).map_err(Stop::Core)
    });
    match result {
        Err(Stop::Tar(error)) => return Err(ShardError::input(error)),
        Err(Stop::Core(error)) => return Err(ShardError::Fatal(error)),
        Ok(()) => {}
    }
    out.count("other_samples", others);
    Ok(found)
}
