//! Checks `sizes.json` against the tars that it lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use audsem_core::blame::Blame;
use audsem_core::error::Error as CoreError;
use audsem_core::run::{Fingerprint, LeftOut, Run, Shard, ShardError, ShardOutput, Step, StepOutputs};

use super::{Config, Fault};
use crate::error::Error;
use crate::sizes::{SAMPLES, SIZES, read_sizes};
use crate::tars::TarInput;

/// A folder of tars with a `sizes.json`.
struct Folder {
    sizes: PathBuf,
    /// Samples found in each tar that was checked.
    found: BTreeMap<String, u64>,
    /// Whether every tar of the folder was checked, so that others are missing.
    whole: bool,
}

/// The second step: one record for each tar that a `sizes.json` names or should name.
pub(super) fn step(run: &mut Run, config: &Config, tars: &[TarInput], checked: &StepOutputs) -> Result<(), Error> {
    let mut folders: BTreeMap<PathBuf, BTreeMap<String, u64>> = BTreeMap::new();
    let mut fingerprint = Fingerprint::new();
    for shard in &checked.outputs {
        let Some(tar) = shard.name.parse::<usize>().ok().and_then(|index| tars.get(index)) else { continue };
        let samples = shard.stats.counts.get(SAMPLES).copied().unwrap_or(0);
        let folder = tar.path.parent().unwrap_or(Path::new("")).to_owned();
        folders.entry(folder).or_default().insert(tar.name.clone(), samples);
        fingerprint = fingerprint.with(&tar.name).with(samples.to_le_bytes());
    }
    let whole: BTreeSet<&Path> = config.inputs.iter().map(PathBuf::as_path).collect();
    let folders = folders.into_iter().map(|(folder, found)| Folder {
        sizes: folder.join(SIZES),
        whole: whole.contains(folder.as_path()),
        found,
    });
    // A file that cannot be looked at is there for all we know, and reading it gives the reason.
    let folders: Vec<Folder> = folders.filter(|folder| folder.sizes.try_exists().unwrap_or(true)).collect();
    for folder in &folders {
        fingerprint = fingerprint.with(std::fs::read(&folder.sizes).map_err(CoreError::read(&folder.sizes))?);
    }
    if folders.is_empty() {
        return Ok(());
    }
    let plan = [Shard { name: "sizes".to_owned(), fingerprint: fingerprint.finish(), work: folders }];
    let step = Step { name: "sizes", unit: "tars", physical: "" };
    run.must_keep(step).explain(Fault::ALL);
    run.execute(step, &plan, |folders: &Vec<Folder>, out: &mut ShardOutput| {
        folders.iter().try_for_each(|folder| compare(folder, out))
    })?;
    Ok(())
}

fn compare(folder: &Folder, out: &mut ShardOutput) -> Result<(), ShardError> {
    let stated = match read_sizes(&folder.sizes) {
        Ok(stated) => stated,
        Err(error) if Blame::of(&error) == Blame::Surroundings => return Err(ShardError::input(error)),
        Err(error) => {
            out.file_left_out(folder.sizes.display(), LeftOut::fail(Fault::BadSizes, error));
            return Ok(());
        }
    };
    let names: BTreeSet<&String> = stated.keys().chain(folder.found.keys()).collect();
    for name in names {
        let outcome = match (stated.get(name), folder.found.get(name)) {
            (Some(stated), Some(found)) if stated == found => Ok(()),
            (Some(stated), Some(found)) => {
                Err(LeftOut::fail(Fault::WrongSize, format!("sizes.json says {stated}, the tar holds {found}")))
            }
            (None, Some(found)) => Err(LeftOut::fail(Fault::NotInSizes, format!("the tar holds {found}"))),
            (Some(_), None) if !folder.whole => continue,
            (Some(stated), _) => Err(LeftOut::fail(Fault::MissingTar, format!("sizes.json says {stated}"))),
            (None, None) => continue,
        };
        out.file(name, outcome);
    }
    Ok(())
}
