//! `combine`: captions and their labels to a clean clip table and a list of distinct captions.
//!
//! Every row is judged by its labels (rule 1) and its words (the rules behind it). Rows that pass go to
//! `part-*.parquet`, with the clip's key, so that media can be fetched for them; those that a rule
//! leaves out go to the rejects with its number. The last step lists the distinct clean captions in order
//! of first occurrence in `texts.parquet` and `texts.txt`; `--compat reference` adds the CSV file that the
//! published scripts end with.
//!
//! ```
//! use audsem_filtering::combine::{CaptionRules, Settings, WordList};
//!
//! let rules = CaptionRules::new(
//!     Settings::default(),
//!     WordList::from_iter(["Mary"]),
//!     Some(WordList::from_iter(["person", "laughs", "loudly"])),
//! );
//! assert_eq!(rules.apply("[Mary laughs, loudly]"), Ok("person laughs, loudly".to_owned()));
//! ```

mod chars;
mod judge;
mod labels;
mod lists;
mod part;
mod pipeline;
mod policy;
mod pronouns;
mod published;
mod reason;
pub mod rules;
#[cfg(test)]
mod tests;
mod texts;
mod verdicts;

use std::path::{Path, PathBuf};

use audsem_core::error::Error as CoreError;
use audsem_core::run::{FileFingerprint, Fingerprint, Run, RunConfig, RunOptions, RunSpec, Shard, Step, Summary};
use audsem_core::tables::{Cue, ParquetFile, is_csv, tables_under};
use serde::Serialize;

pub use judge::Judge;
pub use labels::Labels;
pub use lists::WordList;
pub use pipeline::{CaptionRule, CaptionRules, Dropped, LABELS_NUMBER, Settings};
pub use policy::{Label, Policy, Thresholds};
pub use pronouns::Pronouns;
pub use reason::{DropReason, RowFault};

use crate::error::{Error, Result};
use crate::tables::refuse_other_kinds;
use labels::LabelTables;
use part::Part;
use verdicts::VerdictCache;

/// What `combine` reads and how it decides.
#[derive(Debug, Clone)]
pub struct Config {
    /// Cue tables: run folders of `extract`, other folders, Parquet or CSV files.
    pub input: Vec<PathBuf>,
    /// How captions are judged.
    pub judging: Judging,
}

/// How captions are judged; shared by `combine` and `explain`.
#[derive(Debug, Clone)]
pub struct Judging {
    /// Label folders of `classify`.
    pub bert: Vec<PathBuf>,
    /// Label folders of `label`.
    pub llm: Vec<PathBuf>,
    /// Which labels must say yes.
    pub policy: Policy,
    /// The lowest probability that counts as yes.
    pub thresholds: Thresholds,
    /// Thresholds and choices of the rules.
    pub settings: Settings,
    /// First names, one on each line.
    pub names: Option<PathBuf>,
    /// Names that are not replaced because they are ordinary words; the built-in list if `None`.
    pub names_exclude: Option<PathBuf>,
    /// The words a caption may have.
    pub dictionary: Option<PathBuf>,
}

impl Judging {
    /// The default policy for the labels that are given: each kind that is given must say yes. In the published scripts
    /// (`reference`) only the classifier decides: they keep every row of its table, whatever the language
    /// model says.
    ///
    /// # Errors
    /// There are no labels, or no classifier labels for `reference`; both need an explicit `--policy`.
    pub fn default_policy(bert: &[PathBuf], llm: &[PathBuf], reference: bool) -> Result<Policy> {
        match (bert.is_empty(), llm.is_empty()) {
            (false, _) if reference => Ok(Policy::Bert),
            (true, false) if reference => Err(config(
                "--compat reference",
                "the published result keeps what the classifier accepts, but no classifier labels are given\n\
                 hint: pass the output of `classify` with --bert, or pass --policy llm",
            )),
            (false, false) => Ok(Policy::Both),
            (false, true) => Ok(Policy::Bert),
            (true, false) => Ok(Policy::Llm),
            (true, true) => Err(config(
                "--policy",
                "no labels are given\nhint: pass the output of `classify` with --bert or that of `label` with --llm, \
                 or pass --policy none to judge captions by their words only",
            )),
        }
    }

    /// Reads lists and labels, on `threads` threads.
    ///
    /// # Errors
    /// A list or table cannot be read, or the policy needs labels that are not given.
    pub fn load(&self, threads: usize) -> Result<Judge> {
        let rules = self.rules()?;
        let (bert, llm) = self.label_files()?;
        Ok(self.judge(rules, Labels::read(&LabelTables::open(&bert, &llm)?, threads)?))
    }

    fn judge(&self, rules: CaptionRules, labels: Labels) -> Judge {
        Judge { rules, labels, policy: self.policy, thresholds: self.thresholds }
    }

    fn rules(&self) -> Result<CaptionRules> {
        self.check()?;
        let mut names = self.names.as_deref().map(WordList::read).transpose()?.unwrap_or_default();
        if !self.settings.reference {
            names.remove(&match &self.names_exclude {
                Some(path) => WordList::read(path)?,
                None => WordList::names_that_are_words(),
            });
        }
        let dictionary = self.dictionary.as_deref().map(WordList::read).transpose()?;
        if dictionary.is_none() {
            tracing::warn!("no --dictionary, so captions with made-up words are kept");
        }
        Ok(CaptionRules::new(self.settings.clone(), names, dictionary))
    }

    fn check(&self) -> Result<()> {
        if self.policy.reads_bert() && self.bert.is_empty() {
            return Err(config(
                "--policy",
                "it reads the labels of `classify`, but none are given\nhint: pass --bert DIR",
            ));
        }
        if self.policy.reads_llm() && self.llm.is_empty() {
            return Err(config("--policy", "it reads the labels of `label`, but none are given\nhint: pass --llm DIR"));
        }
        for (flag, threshold, is_read) in [
            ("--bert-threshold", self.thresholds.bert, self.policy.reads_bert()),
            ("--llm-threshold", self.thresholds.llm, self.policy.reads_llm()),
        ] {
            if threshold.is_some() && !is_read {
                let problem = "the policy does not read these labels\nhint: omit the flag, or choose another --policy";
                return Err(config(flag, problem));
            }
        }
        if self.names_exclude.is_some() && self.names.is_none() {
            return Err(config(
                "--names-exclude",
                "there is no list of names to exclude from\nhint: pass --names FILE",
            ));
        }
        let Settings { min_chars, max_chars, .. } = self.settings;
        if min_chars > max_chars {
            return Err(config(
                "--min-chars and --max-chars",
                &format!("no caption has {min_chars} to {max_chars} characters"),
            ));
        }
        if self.settings.reference { self.check_reference() } else { Ok(()) }
    }

    /// The published rules need both lists and have no options.
    fn check_reference(&self) -> Result<()> {
        let refuse = |problem: &str| Err(config("--compat reference", problem));
        match () {
            () if self.names.is_none() || self.dictionary.is_none() => {
                refuse("the published rules need both lists\nhint: pass --names FILE and --dictionary FILE")
            }
            () if self.names_exclude.is_some() => {
                refuse("the published rules replace every name\nhint: omit --names-exclude")
            }
            () if self.settings.join_groups => {
                refuse("the published rules do not handle bracket groups\nhint: omit --groups")
            }
            () => Ok(()),
        }
    }

    /// The label tables that are given. Those that the policy does not read are opened as well, because their
    /// probabilities are columns of the clip table.
    fn label_files(&self) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
        Ok((labels::label_files("--bert", &self.bert)?, labels::label_files("--llm", &self.llm)?))
    }

    fn list_files(&self) -> Vec<PathBuf> {
        [&self.names, &self.names_exclude, &self.dictionary].into_iter().flatten().cloned().collect()
    }
}

fn config(what: &str, problem: &str) -> Error {
    CoreError::Config { what: what.to_owned(), problem: problem.to_owned() }.into()
}

/// What decides the content of the output, for `run.json`.
#[derive(Serialize)]
struct HashedConfig<'a> {
    policy: Policy,
    thresholds: Thresholds,
    settings: &'a Settings,
    names: String,
    dictionary: Option<String>,
    n_tables: usize,
    n_bert_tables: usize,
    n_llm_tables: usize,
}

impl RunConfig for HashedConfig<'_> {
    const TOOL: &'static str = crate::TOOL;
    const COMMAND: &'static str = "combine";
}

/// Runs the subcommand.
///
/// # Errors
/// An input, list or label table cannot be read, or the output folder cannot be used.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary> {
    let judging = &config.judging;
    let tables = config.input.iter().map(|path| tables_under(path)).collect::<Result<Vec<_>, _>>()?.concat();
    refuse_other_kinds::<Cue>(&tables)?;
    let (bert, llm) = judging.label_files()?;
    let rules = judging.rules()?;
    let (names, dictionary) = rules.fingerprints();
    let effective = HashedConfig {
        policy: judging.policy,
        thresholds: judging.thresholds,
        settings: &judging.settings,
        names,
        dictionary,
        n_tables: tables.len(),
        n_bert_tables: bert.len(),
        n_llm_tables: llm.len(),
    };
    let inputs = [&*tables, &*bert, &*llm, &*judging.list_files()].concat();
    let spec = RunSpec::new(&effective).inputs(&inputs);
    let label_tables = LabelTables::open(&bert, &llm)?;
    // Neither step alone keeps all threads busy throughout.
    let (run, labels) = std::thread::scope(|scope| {
        let labels = scope.spawn(|| Labels::read(&label_tables, options.workers));
        let run = Run::open(options, spec);
        (run, labels.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let (mut run, judge) = (run?, judging.judge(rules, labels?));

    let (of_tables, others) = run.inputs().split_at(tables.len());
    let plan = plan(of_tables, &others[..bert.len() + llm.len()], options.limit)?;
    let step = Step { name: "part", unit: "cues", physical: "MB" };
    let cache = VerdictCache::for_tables(of_tables.iter().map(|table| table.bytes).fold(0, u64::saturating_add));
    run.must_keep(step).explain(reason::DropReason::ALL).explain(reason::RowFault::ALL);
    let clips = run.execute(step, &plan, |part, out| part::run(&judge, &cache, part, out))?;
    let n_labels = judge.labels.len();
    drop((judge, cache));
    if clips.complete && !options.dry_run {
        let step = Step { name: "texts", unit: "clips", physical: "MB" };
        run.execute(step, &clips.one_shard(".parquet"), |files, out| {
            texts::run(files, judging.settings.reference, out)
        })?;
    }
    Ok(run.finish()?.with_result("labelled_texts", n_labels))
}

/// One shard for each table. A limit is distributed in order, by the row counts of the preceding tables.
fn plan(tables: &[FileFingerprint], labels: &[FileFingerprint], limit: Option<u64>) -> Result<Vec<Shard<Part>>> {
    let labels_read = labels.iter().fold(Fingerprint::new(), Fingerprint::with_file).finish();
    let mut left = limit.unwrap_or(u64::MAX);
    let mut plan = Vec::new();
    for (i, table) in tables.iter().enumerate() {
        if i > 0 && left == 0 {
            break;
        }
        let fingerprint = Fingerprint::new().with_file(table).with(&labels_read);
        plan.push(Shard {
            name: format!("{i:05}"),
            fingerprint: fingerprint.finish(),
            work: Part { path: table.path.clone(), limit: left },
        });
        if limit.is_some() {
            left -= n_rows(&table.path)?.min(left);
        }
    }
    Ok(plan)
}

fn n_rows(path: &Path) -> Result<u64> {
    if is_csv(path) {
        return Ok(part::count_csv(path)?);
    }
    Ok(ParquetFile::<Cue>::open(path)?.n_rows() as u64)
}
