//! `rename`: copies tars with member names as readers expect them: `VID (1_0-3_5).mp4`.
//!
//! ```text
//! tar/VID (1.0-3.5).mp4   ->  VID (1_0-3_5).mp4     a dot would cut the key
//! VID (1_0-3_5)/mp4       ->  VID (1_0-3_5).mp4     without a dot there is no key at all
//! ```
//!
//! Contents are copied unchanged. A tar with members that name no clip is refused as a whole,
//! unless `--unmatched` says what to do with them.

use std::collections::HashSet;
use std::path::PathBuf;

use audsem_core::clip_id::ClipId;
use audsem_core::run::{LeftOut, Run, RunConfig, RunOptions, RunSpec, ShardError, ShardOutput, Step, Summary};
use audsem_core::suffix::is_media;
use audsem_core::tar::{MemberReader, Sample, ShardOptions, is_metadata, split_key};
use audsem_core::terminal::{by_number, counted};
use audsem_core::video_id;
use serde::Serialize;

use crate::error::Error;
use crate::reason::{DropReason, Fault};
use crate::sizes::{SAMPLES, write_sizes};
use crate::tar_output::TarOutput;
use crate::tars::{TarInput, TarWork, Unit, list_tars, plain_name, plan};

/// What to do with members whose names are not clip names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    /// Refuse the tar.
    Refuse,
    /// Copy them under their own names, where these have a key.
    Keep,
    /// Write them with their dots encoded: `a/b.1.flac` becomes `a/b%2E1.flac`, with the key `a/b%2E1`.
    Encode,
    /// Leave them out and count them.
    Drop,
}

/// What decides the content of the tars.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tars, or folders of them.
    pub inputs: Vec<PathBuf>,
    /// What stands before each name, `tar/` for readers that expect it.
    pub prefix: String,
    /// What to do with members whose names are not clip names.
    pub unmatched: Unmatched,
    /// Modification time of the members, seconds since 1970.
    pub mtime: u64,
}

/// Writes the renamed tars into the output folder.
///
/// # Errors
/// There is no tar, and what [`Run::open`] and [`Run::execute`] give.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let tars = list_tars(&config.inputs)?;
    let hashed = HashedConfig::of(config, &tars);
    let spec = RunSpec::new(&hashed);
    let mut run = Run::open(options, spec)?;
    let step = Step { name: "part", unit: "members", physical: "MB" };
    let shards = plan(tars, Unit::Members, options.limit);
    run.must_keep(step).explain(DropReason::ALL).explain(Fault::ALL);
    let renamed = run.execute(step, &shards, |work, out| rename(config, work, out))?;
    write_sizes(&mut run, renamed)?;
    Ok(run.finish()?)
}

/// What decides the content of the output. The content of the tars is fingerprinted shard by shard, so
/// that a tar that was repaired does not undo the others.
#[derive(Serialize)]
struct HashedConfig<'a> {
    prefix: &'a str,
    unmatched: Unmatched,
    mtime: u64,
    tars: Vec<&'a str>,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "rename";
}

impl<'a> HashedConfig<'a> {
    fn of(config: &'a Config, tars: &'a [TarInput]) -> Self {
        let Config { inputs: _, prefix, unmatched, mtime } = config;
        let tars = tars.iter().map(|tar| tar.name.as_str()).collect();
        Self { prefix, unmatched: *unmatched, mtime: *mtime, tars }
    }
}

/// What a member becomes.
#[derive(Debug, PartialEq, Eq)]
enum Renamed {
    Sample { key: String, suffix: String },
    Unmatched,
}

/// Key and suffix a member gets.
fn renamed(config: &Config, name: &str) -> Renamed {
    if let Some((clip, suffix)) = clip_of(name) {
        return Renamed::Sample { key: format!("{}{}", config.prefix, clip.tar_key()), suffix };
    }
    match split_key(name) {
        Some((key, suffix)) if config.unmatched == Unmatched::Keep => Renamed::Sample { key: key.to_owned(), suffix },
        Some(_) if config.unmatched == Unmatched::Encode => encoded(name),
        _ => Renamed::Unmatched,
    }
}

/// A name whose last component has no dot left but that of its suffix.
fn encoded(name: &str) -> Renamed {
    let (folder, last) = name.rsplit_once('/').map_or((None, name), |(folder, last)| (Some(folder), last));
    let Some((stem, suffix)) = last.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) else {
        return Renamed::Unmatched;
    };
    let stem = video_id::encode(stem);
    let key = folder.map_or_else(|| stem.clone(), |folder| format!("{folder}/{stem}"));
    Renamed::Sample { key, suffix: suffix.to_lowercase() }
}

/// The clip a member belongs to and its suffix, from `CLIP.suffix` or `CLIP/suffix`.
fn clip_of(name: &str) -> Option<(ClipId, String)> {
    let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
    if let Some((_, suffix)) = last.rsplit_once(").") {
        return Some((last.parse().ok()?, suffix.to_lowercase()));
    }
    let suffix = last.to_lowercase();
    let is_suffix = is_media(&suffix) || suffix == "json";
    is_suffix.then(|| folder.parse().ok()).flatten().map(|clip| (clip, suffix))
}

fn rename(config: &Config, work: &TarWork, out: &mut ShardOutput) -> Result<(), ShardError> {
    inspect(config, work)?;
    let mut members = MemberReader::open(&work.tar.path).map_err(ShardError::input)?.metered(work.meter(out));
    let tar = TarOutput::new(plain_name(&work.tar.name), ShardOptions { mtime: config.mtime });
    let mut writer = SampleWriter { tar, pending: None };
    let (mut read, mut matched) = (0, 0);
    while read < work.budget
        && let Some(member) = members.next_member().map_err(ShardError::input)?
    {
        if !member.is_file || is_metadata(&member.name) {
            out.count("ignored_members", 1);
            continue;
        }
        read += 1;
        match renamed(config, &member.name) {
            Renamed::Unmatched => out.file_left_out(&member.name, LeftOut::drop(DropReason::NotAClip, "")),
            Renamed::Sample { key, suffix } => {
                matched += 1;
                let mut payload = Vec::new();
                members.read_payload(&mut payload).map_err(ShardError::input)?;
                out.work(payload.len() as f64 / 1e6);
                writer.push(key, suffix, payload, out)?;
            }
        }
    }
    out.count("matched_members", matched);
    writer.flush(out)?;
    writer.tar.close(out)
}

/// Looks at the names alone, before anything is written, and refuses a tar that would lose members.
fn inspect(config: &Config, work: &TarWork) -> Result<(), ShardError> {
    let mut members = MemberReader::scan(&work.tar.path).map_err(ShardError::input)?;
    let (mut keys, mut last, mut unmatched, mut read) = (HashSet::new(), String::new(), Vec::new(), 0);
    while read < work.budget
        && let Some(member) = members.next_member().map_err(ShardError::input)?
    {
        if !member.is_file || is_metadata(&member.name) {
            continue;
        }
        read += 1;
        match renamed(config, &member.name) {
            Renamed::Unmatched => unmatched.push(member.name),
            Renamed::Sample { key, .. } if key == last => {}
            Renamed::Sample { key, .. } => {
                if !keys.insert(key.clone()) {
                    let place = format!("{}: `{}`", work.tar.path.display(), member.name);
                    let problem =
                        format!("members of `{key}` are not consecutive, or two clips have this key: {place}");
                    return Err(ShardError::Input(format!(
                        "{problem}\nhint: pack this tar again; readers would lose one part"
                    )));
                }
                last = key;
            }
        }
    }
    let refuses = match config.unmatched {
        Unmatched::Refuse | Unmatched::Encode => true,
        Unmatched::Keep | Unmatched::Drop => false,
    };
    if unmatched.is_empty() || !refuses {
        return Ok(());
    }
    let (n, path) = (unmatched.len(), work.tar.path.display());
    unmatched.truncate(3);
    Err(ShardError::Input(format!(
        "{n} of {} {} no clip: {path}: {}{}\nhint: --unmatched encode writes dots inside their names as %2E, --unmatched keep copies them as they are, --unmatched drop leaves them out",
        counted(read, "members"),
        by_number(n, "names", "name"),
        unmatched.join(", "),
        if n > 3 { ", …" } else { "" }
    )))
}

/// Gathers consecutive members of one key.
struct SampleWriter {
    tar: TarOutput,
    pending: Option<Sample>,
}

impl SampleWriter {
    fn push(&mut self, key: String, suffix: String, payload: Vec<u8>, out: &mut ShardOutput) -> Result<(), ShardError> {
        if self.pending.as_ref().is_some_and(|pending| pending.key != key) {
            self.flush(out)?;
        }
        let pending = self.pending.get_or_insert_with(|| Sample { key, ..Sample::default() });
        pending.members.push((suffix, payload));
        Ok(())
    }

    fn flush(&mut self, out: &mut ShardOutput) -> Result<(), ShardError> {
        let Some(Sample { key, members, .. }) = self.pending.take() else { return Ok(()) };
        let borrowed: Vec<(&str, &[u8])> =
            members.iter().map(|(suffix, bytes)| (suffix.as_str(), bytes.as_slice())).collect();
        match self.tar.write(out, &key, &borrowed)? {
            Ok(()) => {
                out.file_kept(members.len() as u64);
                out.count(SAMPLES, 1);
            }
            Err(refused) => {
                let file =
                    |(suffix, _): &(String, _)| out.file_left_out(format_args!("{key}.{suffix}"), refused.borrowed());
                members.iter().for_each(file);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(unmatched: Unmatched) -> Config {
        Config { inputs: Vec::new(), prefix: String::new(), unmatched, mtime: 0 }
    }

    #[test]
    fn every_family_of_names_becomes_one() {
        let check = |name: &str, expected: Option<(&str, &str)>| {
            let expected = match expected {
                Some((key, suffix)) => Renamed::Sample { key: key.to_owned(), suffix: suffix.to_owned() },
                None => Renamed::Unmatched,
            };
            assert_eq!(renamed(&config(Unmatched::Refuse), name), expected, "{name}");
        };
        check("tar/VID (1.0-3.5).mp4", Some(("VID (1_0-3_5)", "mp4")));
        check("tar/VID (1_0-3_5).json", Some(("VID (1_0-3_5)", "json")));
        check("VID (1_0-3_5)/mp4", Some(("VID (1_0-3_5)", "mp4")));
        check("VID (1_0-3_5)/json", Some(("VID (1_0-3_5)", "json")));
        check("a/b/VID (1.00-3.50).WEBM", Some(("VID (1_0-3_5)", "webm")));
        check("VID (1.0-3.5)", None);
        check("VID (1_0-3_5)/notes", None);
        check("VID (1.0-NA).mp4", None);
        check("12.flac", None);
        check("README", None);
    }

    #[test]
    fn dots_inside_names_are_encoded() {
        let encode = config(Unmatched::Encode);
        let check = |name: &str, key: &str, suffix: &str| {
            let expected = Renamed::Sample { key: key.to_owned(), suffix: suffix.to_owned() };
            assert_eq!(renamed(&encode, name), expected, "{name}");
        };
        check("clip.1.flac", "clip%2E1", "flac");
        check("clip.1.TXT", "clip%2E1", "txt");
        check("a.b/my.cat.wav", "a.b/my%2Ecat", "wav");
        check("12.flac", "12", "flac");
        check("VID (1.0-3.5).mp4", "VID (1_0-3_5)", "mp4");
        assert_eq!(renamed(&encode, "README"), Renamed::Unmatched);
    }

    #[test]
    fn unmatched_members_keep_a_name_that_has_a_key() {
        let keep = config(Unmatched::Keep);
        assert_eq!(renamed(&keep, "12.flac"), Renamed::Sample { key: "12".to_owned(), suffix: "flac".to_owned() });
        assert_eq!(renamed(&keep, "README"), Renamed::Unmatched);
    }
}
