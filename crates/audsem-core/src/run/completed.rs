//! Run folders as their readers see them.
//!
//! `stats.json` alone does not show that a folder is complete. [`CompletedRun`] checks that each shard of each step has
//! its marker, that each output of each marker exists with its length, and that the counts of the markers add up to
//! those of `stats.json`. Readers get the files that the markers name, not whatever else lies in the folder.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::ending::{Lacking, Unfinished};
use super::folder::{RUN, STATS};
use super::marker::{ENDING, Found, Marker, OutputRecord, read_record};
use super::planned::{PlannedShards, Plans};
use super::record::KnownReasons;
use super::spread;
use super::stats::Stats;
use super::summary::FailedShard;
use crate::error::{Error, Result};
use crate::input::{is_folder, look_at};
use crate::terminal::counted;
use crate::walk::{Walk, numeric_order};

/// Steps that write about what another step has done, or what it asks about.
const BOOKKEEPING: [&str; 2] = ["sizes", "texts"];

/// A run folder whose run is complete, and which still holds every output.
#[derive(Debug)]
pub struct CompletedRun {
    folder: PathBuf,
    steps: Vec<(String, Stats)>,
    outputs: Vec<OutputRecord>,
}

/// The fields of `stats.json` that matter to readers.
#[derive(Default, Deserialize)]
pub(super) struct Ending {
    /// Whether no shard is left and none failed.
    pub(super) complete: bool,
    #[serde(default)]
    pub(super) failed_shards: Vec<FailedShard>,
    /// What the reasons mean; versions before this field did not write them.
    #[serde(default)]
    pub(super) reasons: KnownReasons,
    /// The shards of each step; versions before this field did not write them.
    #[serde(default)]
    pub(super) shards: Option<Plans>,
    #[serde(default, deserialize_with = "in_order")]
    pub(super) steps: Vec<(String, Stats)>,
}

impl CompletedRun {
    /// Opens a run folder and checks what it holds; `None` if this is not one.
    ///
    /// # Errors
    /// [`Error::Unfinished`] when its run has not ended or shards failed; [`Error::Lacking`], naming what is missing;
    /// [`Error::Read`].
    pub fn open(folder: &Path) -> Result<Option<Self>> {
        let Some(ending) = Ending::read(folder)? else { return Ok(None) };
        if !ending.complete {
            return Err(Unfinished { folder: folder.to_owned(), failed: ending.failed_shards }.into());
        }
        let mut count = Count::new(folder);
        let of_each = |plans: &Plans| {
            plans.len() == ending.steps.len() && ending.steps.iter().all(|(step, _)| plans.contains_key(step))
        };
        if ending.shards.as_ref().is_some_and(|plans| !of_each(plans)) {
            count.lack(format!("{STATS} does not say of each step which shards it has"));
        }
        let mut by_step = match &ending.shards {
            Some(_) => BTreeMap::new(),
            None => count.found(&ending.steps)?,
        };
        for (step, stats) in &ending.steps {
            let plan = match &ending.shards {
                Some(plans) => plans.get(step).cloned(),
                None => by_step.remove(step).map(PlannedShards::Named),
            };
            count.step(step, &plan.unwrap_or(PlannedShards::Numbered(0)), stats)?;
        }
        let outputs = count.finish()?;
        Ok(Some(Self { folder: folder.to_owned(), steps: ending.steps, outputs }))
    }

    /// The run that has written `folder`: the folder is a run folder, or a subfolder with outputs of one (as `train` is
    /// of `shards`). `None` if no run has written it. The path is that of the folder relative to the run folder.
    ///
    /// # Errors
    /// As [`CompletedRun::open`].
    pub fn around(folder: &Path) -> Result<Option<(Self, PathBuf)>> {
        let Some((place, below)) = run_folder_of(folder)? else { return Ok(None) };
        Ok(Self::open(&place)?.map(|run| (run, below)))
    }

    /// The paths of the outputs directly in `folder` whose names are wanted, in the order of their numbers, where a run
    /// has written any; see [`CompletedRun::around`] and [`CompletedRun::names_in`].
    ///
    /// # Errors
    /// As [`CompletedRun::open`].
    pub fn outputs_under(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Option<Vec<PathBuf>>> {
        let Some((run, below)) = Self::around(folder)? else { return Ok(None) };
        let names = run.names_in(&below, wanted)?;
        Ok((!names.is_empty()).then(|| names.into_iter().map(|name| folder.join(name)).collect()))
    }

    /// The counts of each step, in the order of `stats.json`.
    pub fn steps(&self) -> impl Iterator<Item = (&str, &Stats)> {
        self.steps.iter().map(|(step, stats)| (&**step, stats))
    }

    /// The steps of a funnel: the one that does the work of the command, without a name, and each by which it prepares itself
    /// where that left something out. Steps that read nothing are left away.
    pub fn told_steps(&self) -> impl Iterator<Item = (Option<&str>, &Stats)> {
        let is_bookkeeping = |step: &str| BOOKKEEPING.contains(&step);
        let named = |wanted: &str| self.steps.iter().position(|(step, _)| step == wanted);
        let main = named("part").or_else(|| self.steps.iter().rposition(|(step, _)| !is_bookkeeping(step)));
        let told = move |at: usize, stats: &Stats| stats.read > 0 && (Some(at) == main || stats.n_left_out() > 0);
        let steps = self.steps.iter().enumerate().filter(move |(at, (_, stats))| told(*at, stats));
        steps.map(move |(at, (step, stats))| ((Some(at) != main).then_some(&**step), stats))
    }

    /// The names of the outputs directly in a subfolder of the run folder (`""` for itself) or spread below
    /// it, in the order of their numbers. Other files there whose names are wanted, but which no shard has written, are skipped with a warning.
    ///
    /// # Errors
    /// [`Error::Read`] when the folder cannot be listed.
    pub fn names_in(&self, below: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let in_place = |parent: &Path| parent.parent() == Some(below) && spread::is_place_at(parent);
        let is_here = |parent: &Path| parent == below || in_place(parent);
        let here = |output: &&OutputRecord| !output.discarded && output.path.parent().is_some_and(is_here);
        let name = |output: &OutputRecord| output.path.strip_prefix(below).ok()?.to_str().map(str::to_owned);
        let names = self.outputs.iter().filter(here).filter_map(name);
        let mut names: Vec<String> = names.filter(|name| wanted(spread::split(name).1)).collect();
        names.sort_by_cached_key(|name| numeric_order(name));
        if names.is_empty() {
            return Ok(names);
        }
        let place = self.folder.join(below);
        for file in Walk::flat().files(&place, wanted)? {
            if names.binary_search_by_key(&numeric_order(&file.name), |name| numeric_order(name)).is_err() {
                tracing::warn!(
                    "skipped, because no shard of the run in its folder has written it: {}",
                    file.path.display()
                );
            }
        }
        Ok(names)
    }
}

/// Checks a folder that may be read while it grows (of media, of subtitles): what its markers name exists. Warns if its
/// run is not complete.
///
/// # Errors
/// [`Error::Lacking`], naming what is missing; [`Error::Read`].
pub fn check_growing(folder: &Path) -> Result<()> {
    let Some((place, _)) = run_folder_of(folder)? else { return Ok(()) };
    match CompletedRun::open(&place) {
        Err(Error::Unfinished(_)) => {
            tracing::warn!(
                "the run that fills {} is not complete: only what it has written so far is read",
                place.display()
            );
            let mut count = Count::new(&place);
            for name in Marker::names_in(&place)? {
                count.marker(&name)?;
            }
            count.finish().map(drop)
        }
        other => other.map(drop),
    }
}

/// The run folder to which a folder belongs, and its path relative to that: itself, or its parent if a marker there
/// names a file in it.
pub(super) fn run_folder_of(folder: &Path) -> Result<Option<(PathBuf, PathBuf)>> {
    let absolute = fs::canonicalize(folder).map_err(Error::read(folder))?;
    if is_run_folder(&absolute)? {
        return Ok(Some((folder.to_owned(), PathBuf::new())));
    }
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else { return Ok(None) };
    if look_at(&parent.join(RUN))?.is_none() {
        return Ok(None);
    }
    for marker in Marker::names_in(parent)? {
        if let Found::Marker(marker) = Marker::find(&parent.join(marker))?
            && marker.outputs.iter().any(|output| output.path.starts_with(name))
        {
            return Ok(Some((parent.to_owned(), PathBuf::from(name))));
        }
    }
    Ok(None)
}

/// Whether a folder has the record of a run, or a marker.
fn is_run_folder(folder: &Path) -> Result<bool> {
    Ok(look_at(&folder.join(RUN))?.is_some() || !Marker::names_in(folder)?.is_empty())
}

impl Ending {
    /// Reads `stats.json`; `None` if this is no run folder. It is written at the end of each process, so it may say
    /// no; where it is missing or cannot be parsed, that counts as no.
    fn read(folder: &Path) -> Result<Option<Self>> {
        if !is_folder(folder)? || !is_run_folder(folder)? {
            return Ok(None);
        }
        if read_record(&folder.join(RUN))?.is_none() {
            let lacks = vec![format!("{RUN} is missing")];
            return Err(Lacking { folder: folder.to_owned(), lacks, more: false }.into());
        }
        Self::of(folder).map(Some)
    }

    /// Reads `stats.json` of a run folder.
    pub(super) fn of(folder: &Path) -> Result<Self> {
        let bytes = read_record(&folder.join(STATS))?.unwrap_or_default();
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }
}

/// The counts of the steps, in their order.
fn in_order<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, Stats)>, D::Error> {
    let steps = serde_json::Map::<String, serde_json::Value>::deserialize(from)?.into_iter();
    let stats = |(step, stats)| Ok((step, serde_json::from_value(stats).map_err(D::Error::custom)?));
    steps.map(stats).collect()
}

/// What a check of a run folder has found so far.
struct Count<'a> {
    folder: &'a Path,
    outputs: Vec<OutputRecord>,
    lacks: Vec<String>,
    more: bool,
}

impl<'a> Count<'a> {
    fn new(folder: &'a Path) -> Self {
        Self { folder, outputs: Vec::new(), lacks: Vec::new(), more: false }
    }

    /// The shards whose markers are there, for a folder that does not say which were planned.
    fn found(&self, steps: &[(String, Stats)]) -> Result<BTreeMap<String, Vec<String>>> {
        let mut by_step: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in Marker::names_in(self.folder)? {
            // A step may be called as another begins: the longest name that fits is its own.
            let owner = steps.iter().filter_map(|(step, _)| Some((step, Marker::shard(step, &name)?)));
            if let Some((step, shard)) = owner.max_by_key(|(step, _)| step.len()) {
                by_step.entry(step.clone()).or_default().push(shard);
            }
        }
        Ok(by_step)
    }

    fn step(&mut self, step: &str, plan: &PlannedShards, expected: &Stats) -> Result<()> {
        let mut sum = Stats::default();
        for shard in plan.names() {
            if self.more {
                return Ok(());
            }
            if let Some(stats) = self.marker(&spread::file_name(&format!("{step}-"), &shard, ENDING))? {
                sum.merge(&stats);
            }
        }
        if let PlannedShards::Named(names) = plan {
            self.stale(step, names)?;
        }
        if self.lacks.is_empty() && sum != *expected {
            self.lack(format!(
                "the markers of step {step} count {} and {STATS} {}",
                counted(sum.read, "records"),
                expected.read
            ));
        }
        Ok(())
    }

    /// Checks the shards of a list that may grow which the list no longer names: their outputs are kept, and not counted.
    fn stale(&mut self, step: &str, listed: &[String]) -> Result<()> {
        let listed: HashSet<&str> = listed.iter().map(String::as_str).collect();
        for name in Marker::names_in(self.folder)? {
            if Marker::shard(step, &name).is_some_and(|shard| !listed.contains(&*shard)) {
                self.marker(&name)?;
            }
        }
        Ok(())
    }

    /// Checks what the marker of a shard names, and gives its counts.
    fn marker(&mut self, name: &str) -> Result<Option<Stats>> {
        if !spread::is_plain(name) {
            self.lack(format!("{STATS} names a shard that cannot be: {name}"));
            return Ok(None);
        }
        match Marker::find(&self.folder.join(name))? {
            Found::Marker(marker) => {
                for lack in marker.lacks(self.folder) {
                    self.lack(lack);
                }
                self.outputs.extend(marker.outputs);
                return Ok(Some(marker.stats));
            }
            Found::Nothing => self.lack(format!("{name} is missing")),
            Found::Damaged(why) => self.lack(format!("{name}: {why}")),
        }
        Ok(None)
    }

    fn lack(&mut self, what: String) {
        const LISTED: usize = 5;
        match self.lacks.len() < LISTED {
            true => self.lacks.push(what),
            false => self.more = true,
        }
    }

    fn finish(self) -> Result<Vec<OutputRecord>> {
        let Self { folder, outputs, lacks, more } = self;
        if lacks.is_empty() { Ok(outputs) } else { Err(Lacking { folder: folder.to_owned(), lacks, more }.into()) }
    }
}
