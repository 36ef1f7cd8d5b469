//! A page to listen to: clips, and what several outputs say about each of them.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use audsem_core::clips::{ClipEntry, clip_key, for_each_sound};
use audsem_core::error::Error as CoreError;
use audsem_core::files::{sync_folder, write_atomically};
use audsem_core::run::RunFacts;
use audsem_core::tar::{TarError, tars_under};
use audsem_report::{About, Markup, data_url, render};
use serde::Serialize;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::Error;
use crate::record_files::{files_under, for_each_record};

/// The template of the page.
const PAGE: &str = include_str!("page.html");

/// Settings of `sample`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Outputs to compare: a name for the page, and a file, folder or run folder of records.
    pub outputs: Vec<(String, PathBuf)>,
    /// Audio shards with the sounds.
    pub shards: Vec<PathBuf>,
    /// Number of clips, drawn by the seed among those that every output has.
    pub n: usize,
    /// The seed.
    pub seed: u64,
    /// The page to write.
    pub page: PathBuf,
}

/// What has been written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sampled {
    /// Clips on the page.
    pub clips: usize,
    /// Those of them whose sound is in no shard.
    pub without_sound: usize,
    /// Clips that every output has.
    pub common: usize,
    /// Lines that are no record of a clip.
    pub unreadable: usize,
}

/// The parts of a text on the page: a label and a text each.
type Parts = Vec<(&'static str, String)>;

/// What one output says about its clips.
struct Output {
    name: String,
    by_key: HashMap<String, Parts>,
}

#[derive(Serialize)]
struct Page {
    title: &'static str,
    about: About,
    common: usize,
    clips: Vec<ClipOnPage>,
}

#[derive(Serialize)]
struct ClipOnPage {
    key: String,
    source: Option<Markup>,
    outputs: Vec<(String, Parts)>,
}

/// Writes the page.
///
/// # Errors
/// An input cannot be read, a shard is damaged, or no clip is in every output.
pub fn run(config: &Config) -> Result<Sampled, Error> {
    let mut unreadable = 0;
    let outputs = config.outputs.iter().map(|(name, path)| read(name, path, &mut unreadable));
    let outputs: Vec<Output> = outputs.collect::<Result<_, _>>()?;
    let (keys, common) = choose(&outputs, config);
    if keys.is_empty() {
        let problem = "no clip is in every output\nhint: compare outputs about the same clips";
        return Err(CoreError::input(&config.page, problem).into());
    }
    let mut sounds = sounds(&config.shards, &keys)?;
    let says = |output: &Output, key: &str| (output.name.clone(), output.by_key.get(key).cloned().unwrap_or_default());
    let clips: Vec<ClipOnPage> = keys
        .into_iter()
        .map(|key| ClipOnPage {
            source: sounds.remove(&key),
            outputs: outputs.iter().map(|output| says(output, &key)).collect(),
            key,
        })
        .collect();
    let sampled = Sampled {
        clips: clips.len(),
        without_sound: clips.iter().filter(|clip| clip.source.is_none()).count(),
        common,
        unreadable,
    };
    let about = about(config)?;
    let html = render(PAGE, Page { title: "What is written about these sounds", about, common, clips })?;
    write_atomically(&config.page, html.as_bytes())?;
    sync_folder(config.page.parent().unwrap_or(Path::new("")))?;
    Ok(sampled)
}

/// Models and days of the outputs that are compared.
fn about(config: &Config) -> Result<About, Error> {
    let runs = config.outputs.iter().map(|(_, path)| RunFacts::around(path)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = config.outputs.iter().map(|(name, _)| name.as_str()).collect();
    Ok(About::default().with_runs(runs.iter().flatten()).with("compared", names.join(", ")))
}

fn read(name: &str, path: &Path, unreadable: &mut usize) -> Result<Output, Error> {
    let mut by_key: HashMap<String, Parts> = HashMap::new();
    for file in files_under(path)? {
        for_each_record(&file, |_, record| {
            let record = record.ok();
            let key = record.as_ref().and_then(|record| record.get("file_name")?.as_str());
            match (key, &record) {
                (Some(key), Some(record)) => by_key.entry(clip_key(key)).or_default().extend(parts(record)),
                _ => *unreadable += 1,
            }
        })?;
    }
    Ok(Output { name: name.to_owned(), by_key })
}

/// The texts of a record in the order of reading.
fn parts(record: &Map<String, Value>) -> Parts {
    let pairs = record.get("qa_pairs").and_then(Value::as_array);
    let items = pairs.map_or_else(|| vec![record], |pairs| pairs.iter().filter_map(Value::as_object).collect());
    let fields = ["question", "answer", "caption", "thinking", "semantic_elements"];
    let of = |item: &Map<String, Value>| -> Parts {
        fields.iter().filter_map(|field| Some((*field, item.get(*field)?.as_str()?.to_owned()))).collect()
    };
    items.into_iter().flat_map(of).collect()
}

/// The clips of the page in the order of their hashes, and how many there are to choose from.
fn choose(outputs: &[Output], config: &Config) -> (Vec<String>, usize) {
    let Some((first, others)) = outputs.split_first() else { return (Vec::new(), 0) };
    let in_all = |key: &&String| others.iter().all(|output| output.by_key.contains_key(*key));
    let mut keys: Vec<String> = first.by_key.keys().filter(in_all).cloned().collect();
    let common = keys.len();
    keys.sort_by_cached_key(|key| (xxh3_64_with_seed(key.as_bytes(), config.seed), key.clone()));
    keys.truncate(config.n);
    (keys, common)
}

/// The sounds of these clips, the first of each.
fn sounds(shards: &[PathBuf], keys: &[String]) -> Result<BTreeMap<String, Markup>, Error> {
    let mut found: BTreeMap<String, Markup> = BTreeMap::new();
    for tar in shards.iter().map(|path| tars_under(path)).collect::<Result<Vec<_>, _>>()?.concat() {
        let mut of_tar: Vec<(String, Markup)> = Vec::new();
        let wanted = |entry: &ClipEntry| keys.contains(&entry.key) && !found.contains_key(&entry.key);
        let read = for_each_sound::<TarError>(&tar, wanted, |entry, bytes| {
            let suffix = entry.media.as_ref().map_or("flac", |sound| sound.suffix.as_str());
            of_tar.push((entry.key.clone(), data_url(suffix, bytes)));
            Ok(())
        });
        read.map_err(|error| CoreError::input(&tar, error.to_string()))?;
        for (key, sound) in of_tar {
            found.entry(key).or_insert(sound);
        }
    }
    Ok(found)
}
