//! The distinct texts of some caption tables: the first step of everything that labels texts.

use std::path::{Path, PathBuf};

use audsem_core::input::open_file;
use audsem_core::run::{FileFingerprint, Fingerprint, LeftOut, Run, Shard, ShardError, ShardOutput, Step, StepOutputs};
use audsem_core::tables::{CsvCues, ParquetFile, is_csv, text_hash, write_parquet};
use foldhash::HashSet;

use crate::error::Result;

audsem_core::reasons! {
    /// What can be wrong with a cue.
    pub enum Fault {
        BadRow = "bad_row": "the row of the table cannot be read",
    }
}

audsem_core::row! {
    table "distinct texts";
    /// One distinct caption, in order of first occurrence. Written by `audsem-filtering label` and `classify`.
    pub struct DistinctText / DistinctTextRef / DistinctTextColumns / DistinctTextBuffers {
        /// XXH3 of the text (64 bits, seed 0).
        pub text_hash: u64,
        /// The caption, as in the cues.
        pub text: String,
    }
}

audsem_core::row! {
    table "caption column";
    /// The only column of a caption table that is read here.
    pub struct Caption / CaptionRef / CaptionColumns / CaptionBuffers {
        /// The caption.
        pub text: String,
    }
}

/// Step one: writes the distinct texts of `inputs` in files of `per_file`, `texts-00000.parquet` and on.
/// Memory holds one hash per distinct text.
pub(crate) fn collect(run: &mut Run, inputs: &[PathBuf], per_file: usize) -> Result<StepOutputs> {
    let mut fingerprint = Fingerprint::new();
    for path in inputs {
        fingerprint = fingerprint.with_file(&FileFingerprint::of(path)?);
    }
    let limit = run.options().limit.unwrap_or(u64::MAX);
    let plan = [Shard { name: "00000".into(), fingerprint: fingerprint.finish(), work: () }];
    let step = Step { name: "texts", unit: "cues", physical: "MB" };
    run.must_keep(step).explain(Fault::ALL);
    Ok(run.execute(step, &plan, |(), out| {
        let mut files = TextFiles { out, seen: HashSet::default(), current: Vec::new(), per_file, n_files: 0, limit };
        for path in inputs {
            files.read(path)?;
        }
        files.close()
    })?)
}

struct TextFiles<'a> {
    out: &'a mut ShardOutput,
    seen: HashSet<u64>,
    /// The texts of the file being filled.
    current: Vec<DistinctText>,
    per_file: usize,
    n_files: usize,
    limit: u64,
}

impl TextFiles<'_> {
    fn read(&mut self, path: &Path) -> Result<(), ShardError> {
        let open = || open_file(path).map_err(ShardError::from_core);
        if is_csv(path) {
            let cues = CsvCues::new(&path.display().to_string(), open()?).map_err(ShardError::input)?;
            for cue in cues {
                match cue {
                    Ok(cue) => self.add(&cue.text)?,
                    Err(fault) if fault.ends_reading() => return Err(ShardError::input(fault)),
                    Err(fault) => {
                        self.out.file_left_out(path.display(), LeftOut::fail(Fault::BadRow, fault));
                    }
                }
            }
            return Ok(());
        }
        let file = ParquetFile::<Caption>::open(path).map_err(ShardError::input)?;
        let mut first_row = 0;
        for group in file.usable_groups() {
            let group = group.map_err(ShardError::input)?;
            for (row, caption) in group.iter() {
                match caption {
                    Ok(caption) => self.add(caption.text)?,
                    Err(bad) => {
                        let place = format_args!("{}, row {}", path.display(), first_row + row);
                        self.out.file_left_out(place, LeftOut::fail(Fault::BadRow, bad));
                    }
                }
            }
            first_row += group.n_rows();
        }
        Ok(())
    }

    fn add(&mut self, text: &str) -> Result<(), ShardError> {
        if self.seen.len() as u64 >= self.limit {
            return Ok(());
        }
        // Every cue counts as kept: it is part of the row of its text.
        self.out.file_kept(1);
        let text_hash = text_hash(text);
        if !self.seen.insert(text_hash) {
            return Ok(());
        }
        self.out.count("texts", 1);
        self.out.work(text.len() as f64 / 1e6);
        self.current.push(DistinctText { text_hash, text: text.to_owned() });
        if self.current.len() == self.per_file { self.close() } else { Ok(()) }
    }

    /// Writes the accumulated texts.
    fn close(&mut self) -> Result<(), ShardError> {
        if self.current.is_empty() {
            return Ok(());
        }
        let mut file = self.out.create(format!("texts-{:05}.parquet", self.n_files))?;
        write_parquet(&self.current, &mut file).map_err(ShardError::fatal)?;
        self.current.clear();
        self.n_files += 1;
        Ok(self.out.close(file)?)
    }
}
