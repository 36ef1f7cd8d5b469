//! Training shards: generated text and clips in, train/valid WebDataset tars out.
//!
//! Five steps, each resumable on its own:
//!
//! 1. *records*: the text of every record is checked and converted to the JSON of its samples;
//! 2. *scan*: each source tar is searched for clips with a record, their audio is checked;
//! 3. *plan*: duplicates are dropped, videos divided between train and valid, samples assigned to shards;
//! 4. *write*: each output tar is filled, the audio copied unchanged;
//! 5. *sizes*: `sizes.json` counts the samples that were written.
//!
//! ```text
//! out/train/0000.tar …  train/sizes.json     samples `KEY.flac`, `KEY.json`
//! out/valid/0000.tar …  valid/sizes.json
//! out/plan.jsonl        which sample is in which shard and from which source tar
//! out/split.json        the videos of the validation split
//! ```

mod args;
mod audio;
mod catalogue;
mod config;
mod lines;
mod mapping;
mod plan;
mod reason;
mod record_files;
mod records;
mod sample;
mod scan;
mod split;
mod strays;
mod templates;
mod text;
mod write;

pub use args::ShardsArgs;
pub use audsem_core::records::{Layout, Task};
pub use config::{Answers, AudioLimits, Config, Duplicates, ValidSize, VerifyMode};
pub use plan::{PlanLine, Split, SplitFile};
pub use reason::{DropReason, Fault};
pub use text::TextLimits;

use audsem_core::reason::Reason as _;
use audsem_core::run::{Run, RunOptions, RunSpec, Summary};
use audsem_core::terminal::{by_number, counted};

use crate::clip_rows;
use crate::error::Error;

/// The subcommand, as `run.json` has it.
const COMMAND: &str = "shards";

/// Builds the training shards in the output folder.
///
/// # Errors
/// What [`Config::check`], [`Run::open`] and [`Run::execute`] give, an unusable template, and a
/// mapping of other tars.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    config.check()?;
    if config.from_table {
        config.records.iter().try_for_each(|table| clip_rows::check_columns(table))?;
    }
    let rules = config.rules(options.seed)?;
    let Some(mapping) = &config.mapping else { return build(config, &rules, options) };
    let selection = mapping::select(mapping, config, options.workers)?;
    let narrowed = Config { sources: selection.sources, ..config.clone() };
    let summary = build(&narrowed, &rules, options)?;
    Ok(summary
        .with_result("tars_without_hits", selection.without_hits)
        .with_result("tars_not_in_mapping", selection.unknown))
}

fn build(config: &Config, rules: &sample::SampleRules, options: &RunOptions) -> Result<Summary, Error> {
    let inputs: Vec<_> = config.records.iter().chain(&config.sources).cloned().collect();
    let choice = records::ClipChoice::open(config)?;
    let mut run = Run::open(options, RunSpec::new(&config::HashedConfig::of(config)).inputs(&inputs))?;
    let sizes = steps(&mut run, config, rules, &choice)?;
    let summary = run.finish()?;
    let lost = |stats: &audsem_core::run::Stats| stats.failed.contains_key(Fault::BrokenOff.name());
    let breaks_off = summary.step(records::STEP).is_some_and(lost);
    let summary = if breaks_off { summary.as_broken_input() } else { summary };
    Ok(match sizes {
        Some(sizes) => describe(summary, config, &sizes),
        None => summary,
    })
}

/// Runs the steps; `None` if one of them is not whole, so that the run ends there.
fn steps(
    run: &mut Run,
    config: &Config,
    rules: &sample::SampleRules,
    choice: &records::ClipChoice,
) -> Result<Option<write::Sizes>, Error> {
    scan::restore(run)?;
    let Some(records) = records::step(run, config, rules, choice)? else { return Ok(None) };
    let Some(scanned) = scan::step(run, config, &records)? else { return Ok(None) };
    let Some(plan) = plan::step(run, config, rules, &records, &scanned.values)? else { return Ok(None) };
    let material = write::Material { config, rules, records: &records, scanned: &scanned.values, plan: &plan };
    let Some(written) = write::step(run, &material)? else { return Ok(None) };
    let sizes = write::sizes(run, &material, &written)?;
    if sizes.is_some() {
        scan::clear(run)?;
    }
    Ok(sizes)
}

/// Adds the sizes of the splits, and warns if a split differs from what was requested.
fn describe(mut summary: Summary, config: &Config, sizes: &write::Sizes) -> Summary {
    let mut empty = false;
    for (split, shards) in sizes {
        let samples: u64 = shards.values().sum();
        let value = serde_json::json!({ "samples": samples, "shards": shards.len() });
        summary = summary.with_result(split.name(), value);
        match split {
            Split::Train if samples == 0 => empty = true,
            Split::Valid if samples == 0 => tracing::warn!("the valid split is empty\nhint: see the counts above"),
            _ => {}
        }
    }
    let valid = summary.step("plan").and_then(|stats| stats.counts.get("valid_clips")).copied().unwrap_or(0);
    let clips = summary.step("plan").map_or(0, |stats| stats.kept);
    let is_other = matches!(config.num_valid, ValidSize::Clips(n) if n as u64 != valid);
    if config.valid_videos.is_none() && (is_other || (valid == 0 && config.has_valid())) {
        tracing::warn!(
            "{valid} of {} {} in the valid split (--num-valid {}): videos are never divided between the splits, \
             and at most half of the clips are for validation",
            counted(clips, "clips"),
            by_number(valid, "is", "are"),
            config.num_valid
        );
    }
    if !empty {
        return summary;
    }
    let hint = if config.valid_videos.is_some() { "name fewer videos in --split-in" } else { "lower --num-valid" };
    summary.as_empty(match valid {
        0 => "the train split is empty: none of its samples could be written".to_owned(),
        1 => format!("the train split is empty: the only clip is in the valid split\n  hint: {hint}"),
        valid => {
            let clips = counted(valid, "clips");
            format!("the train split is empty: all {clips} are in the valid split\n  hint: {hint}")
        }
    })
}
