//! What one shard does in the mode `--compat reference`: read a dump, write the scripts' files.

use std::io::Write;

use audsem_core::blame::Blame;
use audsem_core::error::Error;
use audsem_core::run::{OutputFile, ShardError, ShardOutput};

use super::config::Config;
use super::dump::{Block, Found, for_each_object};
use super::other_languages::OtherLanguages;
use super::plan::{Piece, Work};
use super::reasons::Fault;
use super::reference::{Fractions, HEADER, KeptRow, ReferenceHarvest};
use super::work::{CUT_DUMPS, account, open_dump};

/// Reads one dump and writes `captions-NAME.csv` (bracket characters anywhere), `part-NAME.csv` (sound
/// captions) and `metadata-NAME.csv` (their counts).
pub(super) fn extract(
    config: &Config,
    limit: Option<u64>,
    work: &Work,
    languages: &OtherLanguages,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let mut captions = out.create(format!("captions-{}.csv", out.name()))?;
    let mut kept = out.create(format!("part-{}.csv", out.name()))?;
    write(&mut captions, HEADER)?;
    write(&mut kept, HEADER)?;
    let mut totals = Totals::default();
    let mut second = SecondFile { file: kept, fractions: Fractions::default(), waiting: Vec::new() };
    for piece in &work.pieces {
        let Piece::Dump { file, range, plain } = piece else {
            return Err(ShardError::input("only dumps can be read this way"));
        };
        let meter = out.meter(piece.bytes(limit));
        for block in open_dump(&file.path, *range, *plain, config, meter)? {
            let left = limit.map(|limit| limit.saturating_sub(totals.n_read));
            let harvest = match block {
                Ok(block) => read_block(&block, &file.name, config, left, out),
                Err(error) if Blame::of_io(&error) == Blame::Surroundings => {
                    return Err(ShardError::Input(format!("{}: {error}", file.name)));
                }
                Err(error) => {
                    out.count(CUT_DUMPS, 1);
                    let mut harvest = ReferenceHarvest::default();
                    harvest.harvest.fault(file.name.clone(), Fault::BrokenInput, error.to_string());
                    harvest
                }
            };
            languages.add(&harvest.harvest);
            write(&mut captions, &harvest.captions)?;
            totals.add(&harvest);
            let stopped = harvest.stopped;
            second.add(harvest)?;
            if stopped || limit.is_some_and(|limit| totals.n_read >= limit) {
                break;
            }
        }
    }
    let mut metadata = out.create(format!("metadata-{}.csv", out.name()))?;
    write(&mut metadata, &totals.csv())?;
    [captions, second.finish()?, metadata].into_iter().try_for_each(|file| out.close(file))?;
    Ok(())
}

fn read_block(
    block: &Block,
    file: &str,
    config: &Config,
    limit: Option<u64>,
    out: &mut ShardOutput,
) -> ReferenceHarvest {
    let all_rejects = out.files_all_rejects();
    let (parse, options) = (config.parse_options(all_rejects), config.harvest_options(all_rejects));
    let mut harvest = ReferenceHarvest::default();
    let key = |at: usize| format!("{file}@{}", block.offset() + at as u64);
    match block {
        Block::Objects { bytes, .. } => {
            for_each_object(bytes, parse, |found| harvest.take(found, key, &options, limit));
        }
        Block::TooLarge { len, .. } => {
            let len = usize::try_from(*len).unwrap_or(usize::MAX);
            harvest.take(Found::TooLarge { at: 0, len }, key, &options, limit);
        }
    }
    out.file_kept(harvest.n_kept());
    account(out, &harvest.harvest);
    out.work(block.n_bytes() as f64 / 1e6);
    harvest
}

/// The second file. How its times are printed depends on all rows of the first, so rows wait until both columns of times have
/// had a fraction: in real dumps a few lines, in one of whole seconds alone as many as it has.
struct SecondFile {
    file: OutputFile,
    fractions: Fractions,
    waiting: Vec<KeptRow>,
}

impl SecondFile {
    fn add(&mut self, harvest: ReferenceHarvest) -> Result<(), ShardError> {
        self.fractions = self.fractions.or(harvest.fractions);
        self.waiting.extend(harvest.kept);
        if self.fractions == Fractions::BOTH { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), ShardError> {
        let lines: String = self.waiting.drain(..).map(|row| row.line(self.fractions)).collect();
        write(&mut self.file, &lines)
    }

    fn finish(mut self) -> Result<OutputFile, ShardError> {
        self.write()?;
        Ok(self.file)
    }
}

#[derive(Default)]
struct Totals {
    n_read: u64,
    n_objects: u64,
    n_lines: u64,
    n_captions: u64,
}

impl Totals {
    fn add(&mut self, harvest: &ReferenceHarvest) {
        self.n_read += harvest.n_read();
        self.n_objects += harvest.harvest.tally.videos;
        self.n_lines += harvest.n_lines;
        self.n_captions += harvest.n_captions;
    }

    fn csv(&self) -> String {
        let Self { n_objects, n_lines, n_captions, .. } = self;
        format!(
            "count_files,count_lines_with_subtitles,count_lines_with_sdh_subtitles\n{n_objects},{n_lines},{n_captions}\n"
        )
    }
}

fn write(file: &mut OutputFile, text: &str) -> Result<(), ShardError> {
    let result = file.write_all(text.as_bytes());
    result.map_err(|error| ShardError::from_core(Error::write(file.path())(error)))
}
