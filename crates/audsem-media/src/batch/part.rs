//! One shard: its clips are prefetched, decoded on all threads, and passed to the networks in batches.

use audsem_core::clips::{Deduplicator, MediaBytes, PlannedSource};
use audsem_core::run::{LeftOut, ShardError, ShardOutput};
use crossbeam_channel::{Sender, bounded};
use rayon::prelude::*;

use super::joint::{Clip, Heard, Lane, Networks};
use super::table::JointOutput;
use super::{AnyFeatures, ClipDecoder, ClipError, ClipIdentity, ClipTable, ClipTables, DECODED, UNASKED};

/// Batches that are gathered before the networks run, so that clips of similar length come together.
const BATCHES_AHEAD: usize = 4;

/// What runs over the clips of each shard.
pub(super) struct Work<'a, O, D: ClipDecoder> {
    pub networks: Networks<'a, O, D::Media>,
    pub tables: &'a dyn ClipTables<JointOutput<O>>,
    pub decoder: &'a D,
    pub batch_size: usize,
}

/// Runs networks over the clips of one source and writes their table.
pub(super) fn write<O, D: ClipDecoder>(
    work: &Work<'_, O, D>,
    planned: &PlannedSource<'_>,
    dedupe: &mut Deduplicator<'_>,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let batch_size = work.batch_size.max(1);
    out.expect(planned.n_keys);
    let mut file = out.create(format!("part-{}.parquet", out.name()))?;
    {
        let table = work.tables.table(&mut file).map_err(ShardError::fatal)?;
        let mut buffers = BatchBuffers {
            names: work.networks.list.iter().map(|(name, _)| *name).collect(),
            lanes: work.networks.lanes(batch_size),
            table,
            capacity: BATCHES_AHEAD * batch_size,
            waiting: Vec::new(),
        };
        let map = |file| prepare(&work.networks, work.decoder, file);
        for_each_media(planned, dedupe, batch_size, map, |prepared| buffers.push(prepared?, out))?;
        buffers.flush(out)?;
        buffers.table.finish().map_err(ShardError::fatal)?;
    }
    Ok(out.close(file)?)
}

/// Reads each file once on a thread of its own, maps `chunk` files at a time on all threads, and hands the results to
/// `sink` in the order of the source. At most three chunks are in memory, however long the source is.
fn for_each_media<T: Send>(
    planned: &PlannedSource<'_>,
    dedupe: &mut Deduplicator<'_>,
    chunk: usize,
    map: impl Fn(MediaBytes) -> T + Sync,
    mut sink: impl FnMut(T) -> Result<(), ShardError>,
) -> Result<(), ShardError> {
    std::thread::scope(|scope| {
        let (files_in, files_out) = bounded(chunk);
        let reader = scope.spawn(move || read(planned, dedupe, &files_in));
        let mut done = Ok(());
        while done.is_ok() {
            let files: Vec<MediaBytes> = files_out.iter().take(chunk).collect();
            if files.is_empty() {
                break;
            }
            let mapped: Vec<T> = files.into_par_iter().map(&map).collect();
            done = mapped.into_iter().try_for_each(&mut sink);
        }
        drop(files_out);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A sink that failed makes the reader end early, which is not an error of the source.
        done.and(read)
    })
}

fn read(
    planned: &PlannedSource<'_>,
    dedupe: &mut Deduplicator<'_>,
    files: &Sender<MediaBytes>,
) -> Result<(), ShardError> {
    planned.source.for_each_media(dedupe, u64::MAX, |file| files.send(file).map_err(|_| ShardError::Stopped))
}

/// A clip on its way to the networks.
struct Prepared {
    clip: ClipIdentity,
    /// What progress counts, and a counter with what this clip adds to it.
    work: f64,
    count: (&'static str, u64),
    /// What each network reads of it, in their order, or why that network gives nothing; or why it cannot be decoded.
    features: Result<Vec<Result<AnyFeatures, ClipError>>, ClipError>,
}

/// Decodes a clip, once for all networks, and makes the features of each.
///
/// # Errors
/// As [`ClipDecoder::decode`].
fn prepare<O, D: ClipDecoder>(
    networks: &Networks<'_, O, D::Media>,
    decoder: &D,
    file: MediaBytes,
) -> Result<Prepared, ShardError> {
    let decoded = decoder.decode(&file)?;
    let MediaBytes { key, place, text, .. } = file;
    let mut clip = ClipIdentity { key, place, text, milliseconds: 0 };
    Ok(match decoded {
        Err(error) => Prepared { clip, work: 0.0, count: (DECODED, 0), features: Err(error) },
        Ok(decoded) => {
            clip.milliseconds = decoded.milliseconds;
            let features =
                networks.list.iter().map(|(_, network)| network.any_features(&clip, &decoded.media)).collect();
            Prepared { clip, work: decoded.work, count: decoded.count, features: Ok(features) }
        }
    })
}

/// Clips that wait for the networks.
struct BatchBuffers<'n, 'f, O, M> {
    names: Vec<&'n str>,
    lanes: Vec<Lane<'n, O, M>>,
    table: Box<dyn ClipTable<JointOutput<O>> + 'f>,
    capacity: usize,
    waiting: Vec<Prepared>,
}

impl<O, M> BatchBuffers<'_, '_, O, M> {
    fn push(&mut self, prepared: Prepared, out: &mut ShardOutput) -> Result<(), ShardError> {
        self.waiting.push(prepared);
        if self.waiting.len() < self.capacity { Ok(()) } else { self.flush(out) }
    }

    /// Runs the networks on what waits and writes the rows in the order of the clips.
    fn flush(&mut self, out: &mut ShardOutput) -> Result<(), ShardError> {
        let waiting = std::mem::take(&mut self.waiting);
        let decoded = waiting.iter().filter_map(|Prepared { clip, features, .. }| {
            let heard = Heard { outputs: Vec::with_capacity(self.names.len()), unasked: Vec::new() };
            Some(Clip { identity: clip, features: features.as_deref().ok()?, heard })
        });
        let mut decoded: Vec<Clip<'_, O>> = decoded.collect();
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            lane.run(number, &mut decoded)?;
        }
        let mut heard = decoded.into_iter().map(|clip| clip.heard).collect::<Vec<_>>().into_iter();
        for Prepared { clip, work, count, features } in waiting {
            if let Err(ClipError { fault, detail }) = features {
                out.file_left_out(&clip.key, LeftOut::fail(fault, detail));
                continue;
            }
            out.count(DECODED, 1);
            out.work(work);
            if self.file(&clip, heard.next().expect("every decoded clip was heard"), out)? {
                out.count(count.0, count.1);
            }
        }
        Ok(())
    }

    /// Writes the row of a clip for which some network gave something; otherwise the first network says why there is none.
    /// Returns whether there is a row.
    fn file(&mut self, clip: &ClipIdentity, heard: Heard<O>, out: &mut ShardOutput) -> Result<bool, ShardError> {
        let Heard { outputs, unasked } = heard;
        let said = outputs.iter().enumerate().any(|(number, output)| output.is_ok() && !unasked.contains(&number));
        let has_error = outputs.iter().any(Result::is_err);
        if !said && has_error {
            out.file_left_out(&clip.key, self.why_nothing(outputs));
            return Ok(false);
        }
        if self.names.len() > 1 {
            for (number, (output, name)) in outputs.iter().zip(&self.names).enumerate() {
                out.count(name, u64::from(output.is_ok()));
                if unasked.contains(&number) {
                    out.count(&format!("{name}{UNASKED}"), 1);
                }
            }
        }
        out.file_kept(1);
        self.table.push(clip, outputs).map_err(ShardError::fatal)?;
        Ok(true)
    }

    /// The errors of all networks as one, of the kind of the first.
    fn why_nothing(&self, outputs: JointOutput<O>) -> LeftOut {
        let errors = outputs.into_iter().zip(&self.names).filter_map(|(output, name)| Some((output.err()?, *name)));
        let errors: Vec<(ClipError, &str)> = errors.collect();
        let (first, _) = errors.first().expect("some network has an error");
        let detail = match self.names.len() {
            1 => first.detail.clone(),
            _ => errors.iter().map(|(error, name)| format!("{name}: {}", error.detail)).collect::<Vec<_>>().join("; "),
        };
        LeftOut::fail(first.fault, detail)
    }
}
