//! One shard: its clips are prefetched, decoded on all threads, and passed to the networks in batches.

use audsem_core::batch::Batches;
use audsem_core::clips::{Deduplicator, PlannedSource, SoundBytes};
use audsem_core::run::{LeftOut, ShardError, ShardOutput};
use crossbeam_channel::{Sender, bounded};
use rayon::prelude::*;

use super::length::of_frames;
use super::{AnyFeatures, AnyNetwork, AnyOutput, ClipError, ClipIdentity, ClipTable, MILLISECONDS, MediaFault};
use crate::audio::Decoder;

/// Batches that are gathered before the network runs, so that clips of similar length come together.
const BATCHES_AHEAD: usize = 4;

/// The networks of a run, and what their tables are called.
pub(super) type Networks<'a> = [(&'a str, &'a dyn AnyNetwork)];

/// Runs networks over the clips of one source and writes the table of each.
pub(super) fn write(
    networks: &Networks<'_>,
    decoder: &Decoder,
    batch_size: usize,
    planned: &PlannedSource<'_>,
    dedupe: &mut Deduplicator<'_>,
    out: &mut ShardOutput,
) -> Result<(), ShardError> {
    let batch_size = batch_size.max(1);
    let file = |(name, _): &(&str, &dyn AnyNetwork)| out.create(format!("{name}-{}.parquet", out.name()));
    let mut files = networks.iter().map(file).collect::<Result<Vec<_>, _>>()?;
    {
        let mut lanes = Vec::with_capacity(networks.len());
        for ((_, network), file) in networks.iter().zip(&mut files) {
            let table = network.any_table(file).map_err(ShardError::fatal)?;
            lanes.push(Lane { network: *network, batches: Batches::new(batch_size), table });
        }
        let mut buffers = BatchBuffers { lanes, capacity: BATCHES_AHEAD * batch_size, waiting: Vec::new() };
        let map = |sound| prepare(networks, decoder, sound);
        for_each_media(planned, dedupe, batch_size, map, |prepared| buffers.push(prepared?, out))?;
        buffers.flush(out)?;
        buffers.lanes.into_iter().try_for_each(|lane| lane.table.finish()).map_err(ShardError::fatal)?;
    }
    files.into_iter().try_for_each(|file| out.close(file))?;
    Ok(())
}

/// Reads each sound once on a thread of its own, maps `chunk` sounds at a time on all threads, and hands the results to
/// `sink` in the order of the source. At most three chunks are in memory, however long the source is.
fn for_each_media<T: Send>(
    planned: &PlannedSource<'_>,
    dedupe: &mut Deduplicator<'_>,
    chunk: usize,
    map: impl Fn(SoundBytes) -> T + Sync,
    mut sink: impl FnMut(T) -> Result<(), ShardError>,
) -> Result<(), ShardError> {
    std::thread::scope(|scope| {
        let (sounds_in, sounds_out) = bounded(chunk);
        let reader = scope.spawn(move || read(planned, dedupe, &sounds_in));
        let mut done = Ok(());
        while done.is_ok() {
            let sounds: Vec<SoundBytes> = sounds_out.iter().take(chunk).collect();
            if sounds.is_empty() {
                break;
            }
            let mapped: Vec<T> = sounds.into_par_iter().map(&map).collect();
            done = mapped.into_iter().try_for_each(&mut sink);
        }
        drop(sounds_out);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // A sink that failed makes the reader end early, which is not an error of the source.
        done.and(read)
    })
}

fn read(
    planned: &PlannedSource<'_>,
    dedupe: &mut Deduplicator<'_>,
    sounds: &Sender<SoundBytes>,
) -> Result<(), ShardError> {
    planned.source.for_each_sound(dedupe, u64::MAX, |sound| sounds.send(sound).map_err(|_| ShardError::Stopped))
}

/// A clip on its way to the networks.
struct Prepared {
    clip: ClipIdentity,
    /// Length in milliseconds; 0 if it could not be decoded.
    ms: u64,
    seconds: f64,
    /// What each network reads of it, in their order; or why it has no row.
    features: Result<Vec<AnyFeatures>, ClipError>,
}

/// Decodes a sound, once for all networks, and makes the features of each.
///
/// # Errors
/// It is not the sound's fault that it could not be decoded; see [`crate::audio::AudioError::of_record`].
fn prepare(networks: &Networks<'_>, decoder: &Decoder, sound: SoundBytes) -> Result<Prepared, ShardError> {
    let SoundBytes { key, place, extension, bytes, .. } = sound;
    let clip = ClipIdentity { key, place };
    Ok(match decoder.decode_bytes(&bytes, Some(&extension)) {
        Err(error) => {
            let error = error.of_record(&clip.key)?;
            Prepared { clip, ms: 0, seconds: 0.0, features: Err(ClipError::from(&error)) }
        }
        Ok(audio) => {
            let features = networks.iter().map(|(_, network)| network.any_features(&clip, &audio)).collect();
            let ms = of_frames(audio.frames() as u64, audio.sample_rate_hz);
            Prepared { clip, ms, seconds: audio.duration_s(), features }
        }
    })
}

/// A network, its current batch size, and its table.
struct Lane<'n, 'f> {
    network: &'n dyn AnyNetwork,
    batches: Batches,
    table: Box<dyn ClipTable<AnyOutput> + 'f>,
}

impl Lane<'_, '_> {
    /// What the network gives for the clips that have features, in their order.
    fn outputs(
        &mut self,
        number: usize,
        waiting: &[Prepared],
    ) -> Result<std::vec::IntoIter<Result<AnyOutput, ClipError>>, ShardError> {
        let usable: Vec<&AnyFeatures> =
            waiting.iter().filter_map(|clip| Some(&clip.features.as_ref().ok()?[number])).collect();
        let network = self.network;
        let forward =
            |batch: &[&&AnyFeatures]| network.any_forward(&batch.iter().map(|features| **features).collect::<Vec<_>>());
        let outputs =
            self.batches.run(&usable, |features| network.any_cost(features), forward).map_err(ShardError::fatal)?;
        let fits = |output: Result<Result<AnyOutput, ClipError>, String>| {
            output.unwrap_or_else(|detail| Err(ClipError::new(MediaFault::OutOfMemory, detail)))
        };
        Ok(outputs.into_iter().map(fits).collect::<Vec<_>>().into_iter())
    }
}

/// Clips that wait for the networks.
struct BatchBuffers<'n, 'f> {
    lanes: Vec<Lane<'n, 'f>>,
    capacity: usize,
    waiting: Vec<Prepared>,
}

impl BatchBuffers<'_, '_> {
    fn push(&mut self, prepared: Prepared, out: &mut ShardOutput) -> Result<(), ShardError> {
        self.waiting.push(prepared);
        if self.waiting.len() < self.capacity { Ok(()) } else { self.flush(out) }
    }

    /// Runs the networks on what waits and writes the rows in the order of the clips. A clip has a row in each table or
    /// in none.
    fn flush(&mut self, out: &mut ShardOutput) -> Result<(), ShardError> {
        let waiting = std::mem::take(&mut self.waiting);
        let outputs = self.lanes.iter_mut().enumerate().map(|(number, lane)| lane.outputs(number, &waiting));
        let mut outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        for Prepared { clip, ms, seconds, features } in &waiting {
            let of_each = match features {
                Err(error) => Err(error.clone()),
                // One is drawn from each network, whatever the others say.
                Ok(_) => {
                    let drawn: Vec<_> = outputs.iter_mut().filter_map(Iterator::next).collect();
                    drawn.into_iter().collect::<Result<Vec<AnyOutput>, ClipError>>()
                }
            };
            match of_each {
                Err(ClipError { fault, detail }) => {
                    out.file_left_out(&clip.key, LeftOut::fail(fault, detail));
                }
                Ok(of_each) => {
                    for (lane, output) in self.lanes.iter_mut().zip(of_each) {
                        lane.table.push(clip, output).map_err(ShardError::fatal)?;
                    }
                    out.file_kept(1);
                    out.count(MILLISECONDS, *ms);
                    out.work(*seconds);
                }
            }
        }
        Ok(())
    }
}
