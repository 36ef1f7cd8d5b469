//! `embed-audio`: one vector for each sound.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use audsem_core::audio::Decoder;
use audsem_core::media::{Program, Tool};
use audsem_core::run::{OutputFile, Run, RunOptions, RunSpec, Shard, ShardError, ShardOutput, Step, Summary};
use audsem_core::tables::{AudioEmbedding, AudioEmbeddingRef, VectorWriter};
use audsem_models::clap::{ClapEncoder, Features};
use rayon::prelude::*;
use serde::Serialize;

use super::sounds::{CropRule, Ear, Heard, Unheard, Windows};
use super::sources::{Kind, SoundFile, Source, limited};
use super::{MAX_TOKENS, ModelSettings, list_sounds, model_name};
use crate::error::Error;
use crate::extract::Stop;
use crate::reason::{DropReason, Fault};
use crate::sets::MODEL_KEY;
use crate::tars::{ClipEntry, for_each_sound};

/// Settings of `embed-audio`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shards, sounds, folders of either, or lists.
    pub inputs: Vec<PathBuf>,
    /// The model.
    pub model: ModelSettings,
    /// Which part of long sounds is heard.
    pub crop: CropRule,
    /// How often long sounds are heard.
    pub windows: Windows,
    /// The ffmpeg for sounds that the built-in decoders cannot read.
    pub ffmpeg: Option<PathBuf>,
}

/// What decides the content of the output.
#[derive(Serialize)]
struct Record {
    model: String,
    crop: CropRule,
    windows: Windows,
}

/// Embeds every sound of the inputs.
///
/// # Errors
/// The model or an input cannot be read, or the output cannot be written.
pub fn run(config: &Config, options: &RunOptions) -> Result<Summary, Error> {
    let sources = limited(list_sounds(&config.inputs)?, options.limit)?;
    let fingerprint = config.model.dir.fingerprint().map_err(audsem_models::Error::from)?;
    let model = model_name(&fingerprint, config.model.precision);
    let record = Record { model: model.clone(), crop: config.crop, windows: config.windows };
    let spec = RunSpec {
        tool: "audsem-clip-embeddings",
        command: "embed-audio",
        config: &record,
        inputs: &[],
        models: vec![fingerprint],
    };
    let mut run = Run::open(options, spec)?;
    let encoder = if options.dry_run { None } else { Some(config.model.open(MAX_TOKENS)?) };
    let mut decoder = Decoder::new();
    match Program::find(Tool::Ffmpeg, config.ffmpeg.as_deref()) {
        Ok(ffmpeg) => decoder = decoder.with_ffmpeg(ffmpeg),
        Err(error) => tracing::warn!("some sounds may not be readable: {error}"),
    }
    let step = Step { name: "part", unit: "clips", physical: "s of sound" };
    run.execute(step, &plan(&sources), |source, out| {
        let Some(encoder) = &encoder else { return count(source, out) };
        let ear = Ear {
            decoder: &decoder,
            extractor: encoder.extractor(),
            crop: config.crop,
            windows: config.windows,
            seed: options.seed,
        };
        let mut file = out.create(format!("part-{}.parquet", out.name()))?;
        let writer = VectorWriter::new(&mut file, encoder.dim(), &[(MODEL_KEY, &model)]).map_err(ShardError::fatal)?;
        let batch_size = config.model.batch_size;
        let mut part = Part { encoder, ear: &ear, batch_size, out, writer, waiting: Vec::new(), keys: HashSet::new() };
        part.embed(source)?;
        part.writer.finish().map_err(ShardError::fatal)?;
        Ok(out.close(file)?)
    })?;
    Ok(run.finish()?)
}

pub(super) fn plan(sources: &[Source]) -> Vec<Shard<&Source>> {
    let name = |n| format!("{n:05}");
    let sources = sources.iter().enumerate();
    sources.map(|(n, source)| Shard { name: name(n), fingerprint: source.fingerprint.clone(), work: source }).collect()
}

/// What a dry run does: counts.
fn count(source: &Source, out: &mut ShardOutput) -> Result<(), ShardError> {
    let mut n = 0;
    match &source.kind {
        Kind::Tar(path) => crate::tars::scan(path, |_| n += 1).map_err(ShardError::input)?,
        Kind::Files(files) => n = files.len() as u64,
        Kind::Captions(rows) => n = rows.len() as u64,
    }
    let n = n.min(source.limit);
    out.read(n);
    out.keep(n);
    Ok(())
}

/// A sound that waits for its batch.
struct Waiting {
    key: String,
    shard: String,
    extension: String,
    bytes: Vec<u8>,
}

/// Decides which samples of a tar are heard.
#[derive(Default)]
struct Gate {
    keys: HashSet<String>,
    read: u64,
    /// Samples that count, from the front.
    limit: u64,
    nameless: Vec<String>,
    dropped: Vec<(String, DropReason, String)>,
}

impl Gate {
    fn accept(&mut self, entry: &ClipEntry) -> bool {
        if self.read == self.limit {
            return false;
        }
        self.read += 1;
        let reason = match entry {
            ClipEntry { key, .. } if key.is_empty() => {
                self.nameless.push(entry.sample.clone());
                return false;
            }
            ClipEntry { sound: None, .. } => DropReason::NoAudio,
            ClipEntry { key, .. } if !self.keys.insert(key.clone()) => DropReason::RepeatedKey,
            _ => return true,
        };
        self.dropped.push((entry.key.clone(), reason, entry.sample.clone()));
        false
    }

    fn report(&self, out: &mut ShardOutput) {
        out.read(self.read);
        for sample in &self.nameless {
            out.fail(sample, Fault::NoKey, "neither the sample nor its JSON names it");
        }
        for (key, reason, sample) in &self.dropped {
            out.drop(key, *reason, sample);
        }
    }
}

/// One table in the making.
struct Part<'a> {
    encoder: &'a ClapEncoder,
    ear: &'a Ear<'a>,
    batch_size: usize,
    out: &'a mut ShardOutput,
    writer: VectorWriter<AudioEmbedding, &'a mut OutputFile>,
    waiting: Vec<Waiting>,
    /// Of sounds on disk.
    keys: HashSet<String>,
}

impl Part<'_> {
    fn embed(&mut self, source: &Source) -> Result<(), ShardError> {
        match &source.kind {
            Kind::Tar(path) => self.embed_tar(path, source.limit)?,
            Kind::Files(files) => {
                let wanted = files.iter().take(usize::try_from(source.limit).unwrap_or(usize::MAX));
                wanted.into_iter().try_for_each(|file| self.push_file(file))?;
            }
            Kind::Captions(_) => {}
        }
        self.flush()
    }

    fn embed_tar(&mut self, path: &Path, limit: u64) -> Result<(), ShardError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut gate = Gate { limit, ..Gate::default() };
        let visited = for_each_sound(
            path,
            |entry| gate.accept(entry),
            |entry, bytes| {
                let extension = entry.sound.as_ref().map_or(String::new(), |(suffix, ..)| suffix.clone());
                let (key, shard) = (entry.key.clone(), name.clone());
                self.push(Waiting { key, shard, extension, bytes: bytes.to_vec() }).map_err(Stop::Shard)
            },
        );
        match visited {
            Err(Stop::Tar(error)) => return Err(ShardError::input(error)),
            Err(Stop::Shard(error)) => return Err(error),
            Ok(()) => {}
        }
        gate.report(self.out);
        Ok(())
    }

    fn push_file(&mut self, file: &SoundFile) -> Result<(), ShardError> {
        self.out.read(1);
        if !self.keys.insert(file.key.clone()) {
            self.out.drop(&file.key, DropReason::RepeatedKey, &file.name);
            return Ok(());
        }
        let bytes = match std::fs::read(&file.path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.out.fail(&file.key, Fault::Unreadable, format_args!("{}: {error}", file.name));
                return Ok(());
            }
        };
        let extension = file.path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        self.push(Waiting { key: file.key.clone(), shard: file.name.clone(), extension, bytes })
    }

    fn push(&mut self, sound: Waiting) -> Result<(), ShardError> {
        self.waiting.push(sound);
        if self.waiting.len() < self.batch_size { Ok(()) } else { self.flush() }
    }

    /// Embeds what waits and writes its rows.
    fn flush(&mut self) -> Result<(), ShardError> {
        let waiting = std::mem::take(&mut self.waiting);
        let hear = |sound: &Waiting| self.ear.hear(&sound.key, &sound.extension, &sound.bytes);
        let heard: Vec<Result<Heard, Unheard>> = waiting.par_iter().map(hear).collect();
        let features: Vec<&Features> = heard.iter().flatten().flat_map(|heard| &heard.features).collect();
        let vectors = vectors(self.encoder, &features, self.batch_size)?;
        let mut vectors = vectors.iter();
        for (sound, heard) in waiting.iter().zip(&heard) {
            match heard {
                Err((fault, detail)) => self.out.fail(&sound.key, *fault, detail),
                Ok(heard) => {
                    let windows: Vec<&Vec<f32>> = vectors.by_ref().take(heard.features.len()).collect();
                    self.write(sound, heard, &windows)?;
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, sound: &Waiting, heard: &Heard, windows: &[&Vec<f32>]) -> Result<(), ShardError> {
        let Some(vector) = mean(windows) else {
            self.out.fail(&sound.key, Fault::NotFinite, "the model's vector");
            return Ok(());
        };
        let Heard { n_samples, is_longer, .. } = *heard;
        let row = AudioEmbeddingRef { key: &sound.key, shard: &sound.shard, n_samples, is_longer };
        self.writer.push(row, &vector).map_err(ShardError::fatal)?;
        self.out.keep(1);
        self.out.work(f64::from(n_samples) / f64::from(self.ear.extractor.config().sampling_rate));
        Ok(())
    }
}

/// Vectors of features, at most `batch_size` at a time.
fn vectors(encoder: &ClapEncoder, features: &[&Features], batch_size: usize) -> Result<Vec<Vec<f32>>, ShardError> {
    let mut vectors = Vec::with_capacity(features.len());
    for batch in features.chunks(batch_size) {
        let rows = encoder.embed_features(batch).and_then(|rows| Ok(rows.to_vec2::<f32>()?));
        vectors.extend(rows.map_err(ShardError::fatal)?);
    }
    Ok(vectors)
}

/// The mean of unit vectors, of length 1 again; nothing if that is no number.
fn mean(windows: &[&Vec<f32>]) -> Option<Vec<f32>> {
    let (first, rest) = windows.split_first()?;
    if rest.is_empty() {
        return first.iter().all(|x| x.is_finite()).then(|| (*first).clone());
    }
    let mut sum: Vec<f64> = first.iter().map(|x| f64::from(*x)).collect();
    for window in rest {
        for (sum, x) in sum.iter_mut().zip(*window) {
            *sum += f64::from(*x);
        }
    }
    let norm = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
    (norm.is_finite() && norm > 0.0).then(|| sum.iter().map(|x| (x / norm) as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::mean;

    #[test]
    fn windows_become_one_vector_of_length_one() {
        let (x, y) = (vec![1.0, 0.0], vec![0.0, 1.0]);
        assert_eq!(mean(&[&x]), Some(vec![1.0, 0.0]));
        let both = mean(&[&x, &y]).unwrap_or_default();
        assert!(both.iter().all(|v| (v - 0.5f32.sqrt()).abs() < 1e-7), "{both:?}");
        assert_eq!(mean(&[&x, &vec![-1.0, 0.0]]), None, "opposite ones have no mean direction");
        assert_eq!(mean(&[&vec![f32::NAN, 0.0]]), None);
    }
}
