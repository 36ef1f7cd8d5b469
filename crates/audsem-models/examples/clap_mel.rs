//! How fast CLAP's audio features are made: `clap_mel CLIPS SECONDS THREADS`.
//!
//! The counterpart of `bench/clap_mel.py`, which times transformers' extractor on sounds of the same kind. Prints the
//! seconds it took.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the program's output")]

use std::error::Error;
use std::thread;
use std::time::Instant;

use audsem_models::clap::{Crop, FeatureConfig, FeatureExtractor, Truncation};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Noise and a sawtooth of 447 Hz.
fn clip(samples: usize, first: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(first as u64);
    let sample = |n: usize| {
        let saw = ((first + n) as f32 * (447.0 / 48_000.0)).fract();
        0.4 * (saw - 0.5) + 0.3 * (rng.random::<f32>() - 0.5)
    };
    (0..samples).map(sample).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<f64> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let [clips, seconds, threads] = arguments[..] else { return Err("usage: clap_mel CLIPS SECONDS THREADS".into()) };
    let (samples, threads) = ((seconds * 48_000.0).round() as usize, (threads as usize).max(1));
    let share = (clips as usize).div_ceil(threads);
    let sounds: Vec<Vec<f32>> = (0..share.min(20)).map(|first| clip(samples, first)).collect();
    let config = FeatureConfig { frequency_min: 50.0, truncation: Truncation::RandTrunc, ..FeatureConfig::default() };
    let extractor = FeatureExtractor::new(&config)?;
    let work = || (0..share).try_for_each(|n| extractor.extract(&sounds[n % sounds.len()], Crop::Centre).map(drop));
    let start = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("the extractor does not panic"))
    })?;
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{:.1} clips/s", (share * threads) as f64 / seconds);
    println!("{seconds}");
    Ok(())
}
