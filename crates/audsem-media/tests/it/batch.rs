//! An extractor of one measure, from its configuration to its rows, and what it gets for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use audsem_core::batch::BatchError;
use audsem_core::run::{OutputFile, RunConfig, RunOptions, ShardSelection, Summary};
use audsem_core::tables::{TableError, read_parquet};
use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_core::testing::tree;
use audsem_media::audio::{BitDepth, Decoder, encode_flac};
use audsem_media::batch::{
    BatchStep, ClipError, ClipIdentity, ClipNetwork, ClipSound, ClipTable, ClipTables, JointOutput, MediaFault,
    row_table,
};
use audsem_media::program::{Program, Tool};
use serde::Serialize;

// The extractor begins here: all of it is what stands between the two lines.

audsem_core::row! {
    table "loudness of clips";
    /// How loud a clip is.
    struct Loudness / LoudnessRef / LoudnessColumns / LoudnessBuffers {
        /// The clip's key.
        pub key: String,
        /// Root mean square of its samples in dB below full scale.
        pub rms_db: f32,
    }
}

/// Settings of the extractor.
#[derive(Serialize)]
struct Config {
    /// What a silent clip gets, in dB.
    floor_db: f32,
}

impl RunConfig for Config {
    const TOOL: &'static str = "test";
    const COMMAND: &'static str = "loudness";
}

struct LoudnessMeter {
    floor_db: f32,
}

impl ClipNetwork for LoudnessMeter {
    type Features = f32;
    type Output = f32;

    fn features(&self, _: &ClipIdentity, audio: &ClipSound) -> Result<f32, ClipError> {
        let sum: f64 = audio.samples.iter().map(|x| f64::from(*x).powi(2)).sum();
        Ok((sum / audio.samples.len() as f64) as f32)
    }

    fn forward(&self, batch: &[&f32]) -> Result<Vec<Result<f32, ClipError>>, BatchError> {
        Ok(batch.iter().map(|square| Ok((10.0 * square.log10()).max(self.floor_db))).collect())
    }
}

impl ClipTables<f32> for LoudnessMeter {
    fn table<'f>(&'f self, file: &'f mut OutputFile) -> Result<Box<dyn ClipTable<f32> + 'f>, TableError> {
        row_table(file, |clip, rms_db| Loudness { key: clip.key.clone(), rms_db })
    }
}

fn loudness(
    config: &Config,
    inputs: &[PathBuf],
    batch_size: usize,
    options: &RunOptions,
) -> audsem_core::error::Result<Summary> {
    let step = BatchStep { config, models: vec![], inputs, decoder: &Decoder::new(), batch_size };
    step.run(Some(&LoudnessMeter { floor_db: config.floor_db }), options)
}

// The extractor ends here.

/// A new extractor takes configuration, features and rows; all else is there.
#[test]
fn an_extractor_takes_at_most_sixty_lines() {
    let lines: Vec<&str> = include_str!("batch.rs").lines().collect();
    let place = |text: &str| lines.iter().position(|line| line.starts_with(text)).unwrap();
    let n = place("// The extractor ends here") - place("// The extractor begins here") - 1;
    assert!(n <= 60, "{n} lines");
}

/// Two tars: tones of known loudness, one of them silent, one broken, one repeated across the tars.
fn tars(folder: &Path) -> PathBuf {
    let tone = |amplitude: f32, n: usize| -> Vec<u8> {
        let samples: Vec<f32> = (0..n).map(|n| (n as f32 * 0.1).sin() * amplitude).collect();
        encode_flac(&samples, 1, 16_000, BitDepth::Sixteen).unwrap()
    };
    let input = folder.join("in");
    let clips = |names: &[(&str, Vec<u8>)]| {
        let mut tar = ShardWriter::new(Vec::new(), ShardOptions::default());
        for (name, sound) in names {
            let json = format!(r#"{{"key": "{name}"}}"#);
            tar.write_sample(name, &[("flac", sound), ("json", json.as_bytes())]).unwrap();
        }
        tar.finish().unwrap().0
    };
    let first: Vec<(String, Vec<u8>)> =
        (1..=9).map(|n| (format!("A ({n}_0-{n}_5)"), tone(0.1 * n as f32, 8000 + 100 * n))).collect();
    let mut first: Vec<(&str, Vec<u8>)> = first.iter().map(|(name, sound)| (name.as_str(), sound.clone())).collect();
    first.push(("B (0_0-1_0)", b"fLaC and nothing else".to_vec()));
    let second =
        [("C (0_0-1_0)", tone(0.0, 16_000)), ("A (1_0-1_5)", tone(0.9, 8000)), ("D (0_0-1_0)", tone(0.5, 16_000))];
    for (name, bytes) in [("0.tar", clips(&first)), ("1.tar", clips(&second))] {
        audsem_core::files::write_atomically(&input.join(name), &bytes).unwrap();
    }
    input
}

const CONFIG: Config = Config { floor_db: -100.0 };

fn measure(folder: &Path, batch_size: usize, options: &RunOptions) -> Summary {
    loudness(&CONFIG, &[folder.join("in")], batch_size, options).unwrap()
}

fn options(output: PathBuf, workers: usize) -> RunOptions {
    RunOptions { workers, max_fail_rate: 1.0, ..RunOptions::new(output) }
}

#[test]
fn rows_are_right_and_bad_clips_are_on_file() {
    let folder = tempfile::tempdir().unwrap();
    let input = tars(folder.path());
    let summary = measure(folder.path(), 4, &options(folder.path().join("out"), 1));
    let part = summary.step("part").unwrap();
    assert_eq!((part.read, part.kept, part.n_failed(), part.n_dropped()), (13, 11, 1, 1));
    let rows: Vec<Loudness> = read_parquet(&folder.path().join("out/part-00000.parquet")).unwrap();
    assert_eq!(rows.len(), 9);
    for (n, row) in (1..).zip(&rows) {
        // The root mean square of a sine is its amplitude by the root of two.
        let expected = 20.0 * (0.1 * n as f32 / 2f32.sqrt()).log10();
        assert_eq!(row.key, format!("A ({n}_0-{n}_5)"));
        assert!((row.rms_db - expected).abs() < 0.05, "{}: {} for {expected}", row.key, row.rms_db);
    }
    let rows: Vec<Loudness> = read_parquet(&folder.path().join("out/part-00001.parquet")).unwrap();
    let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    assert_eq!((keys.as_slice(), rows[0].rms_db), (&["C (0_0-1_0)", "D (0_0-1_0)"][..], -100.0));
    let rejects = |n: usize| std::fs::read_to_string(folder.path().join(format!("out/rejects-0000{n}.jsonl"))).unwrap();
    assert!(rejects(0).contains("undecodable") && rejects(0).contains("B (0_0-1_0)"));
    assert!(rejects(1).contains("repeated_key") && rejects(1).contains("first in part 00000, 0.tar"));
    // Sounds are counted in seconds, and a dry run counts what it can.
    let dry = RunOptions { dry_run: true, ..options(folder.path().join("dry"), 1) };
    let dry = measure(folder.path(), 4, &dry);
    assert_eq!(dry.step("part").unwrap().kept, 12, "only decoding tells that one is broken");
    assert!(!folder.path().join("dry/part-00000.parquet").exists());
    drop(input);
}

/// Bytes depend neither on workers, nor on the size of batches, nor on being stopped in between; `--shard` and `--limit`
/// do what they do everywhere.
#[test]
fn it_is_a_run_folder_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    tars(folder.path());
    let path = |name: &str| folder.path().join(name);
    let whole = |name: &str| -> BTreeMap<PathBuf, String> { tree(&path(name)).unwrap() };
    measure(folder.path(), 4, &options(path("one"), 1));
    for (name, workers, batch_size) in [("two", 2, 4), ("alone", 1, 1), ("all", 3, 100)] {
        measure(folder.path(), batch_size, &options(path(name), workers));
        assert_eq!(whole(name), whole("one"), "{name}");
    }
    for index in 0..2 {
        let options = RunOptions { shard: ShardSelection { index, count: 2 }, ..options(path("parts"), 1) };
        measure(folder.path(), 4, &options);
    }
    assert_eq!(whole("parts"), whole("one"));
    // A lost table is made again, the other one is not.
    std::fs::remove_file(path("parts/part-00001.parquet")).unwrap();
    measure(folder.path(), 4, &options(path("parts"), 1));
    assert_eq!(whole("parts"), whole("one"));
    let limited = RunOptions { limit: Some(3), ..options(path("limited"), 1) };
    assert_eq!(measure(folder.path(), 4, &limited).step("part").unwrap().read, 3);
}

/// A meter with memory for three clips, that refuses one of them, and for which one is too long.
struct SmallMeter;

impl ClipNetwork for SmallMeter {
    type Features = usize;
    type Output = f32;

    fn features(&self, clip: &ClipIdentity, audio: &ClipSound) -> Result<usize, ClipError> {
        match clip.key.starts_with("C") {
            true => Err(ClipError::new(MediaFault::Unusable, "silence")),
            false => Ok(audio.frames()),
        }
    }

    fn cost(&self, frames: &usize) -> usize {
        *frames
    }

    fn forward(&self, batch: &[&usize]) -> Result<Vec<Result<f32, ClipError>>, BatchError> {
        if batch.len() > 3 || batch.iter().any(|frames| **frames == 8500) {
            return Err(BatchError::OutOfMemory("3 clips fit".to_owned()));
        }
        Ok(batch.iter().map(|frames| Ok(**frames as f32)).collect())
    }
}

impl ClipTables<f32> for SmallMeter {
    fn table<'f>(&'f self, file: &'f mut OutputFile) -> Result<Box<dyn ClipTable<f32> + 'f>, TableError> {
        row_table(file, |clip, rms_db| Loudness { key: clip.key.clone(), rms_db })
    }
}

#[test]
fn memory_that_runs_out_makes_batches_smaller_and_loses_no_other_clip() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = vec![tars(folder.path())];
    let step = BatchStep { config: &CONFIG, models: vec![], inputs: &inputs, decoder: &Decoder::new(), batch_size: 16 };
    let summary = step.run(Some(&SmallMeter), &options(folder.path().join("out"), 1)).unwrap();
    let part = summary.step("part").unwrap();
    let failed: Vec<(&str, u64)> = part.failed.iter().map(|(fault, n)| (fault.as_str(), *n)).collect();
    assert_eq!(failed, [("out_of_memory", 1), ("undecodable", 1), ("unusable", 1)]);
    let rows: Vec<Loudness> = read_parquet(&folder.path().join("out/part-00000.parquet")).unwrap();
    let frames: Vec<f32> = rows.iter().map(|row| row.rms_db).collect();
    assert_eq!(frames, [8100.0, 8200.0, 8300.0, 8400.0, 8600.0, 8700.0, 8800.0, 8900.0]);
}

audsem_core::row! {
    table "measures of clips";
    /// What two meters say.
    struct Measures / MeasuresRef / MeasuresColumns / MeasuresBuffers {
        /// The clip's key.
        pub key: String,
        /// By the first meter.
        pub first: Option<f32>,
        /// By the second meter.
        pub second: Option<f32>,
        /// Why a meter says nothing.
        pub problem: Option<String>,
    }
}

struct MeasureTables;

impl ClipTables<JointOutput<f32>> for MeasureTables {
    fn table<'f>(&'f self, file: &'f mut OutputFile) -> Result<Box<dyn ClipTable<JointOutput<f32>> + 'f>, TableError> {
        row_table(file, |clip, of_each: JointOutput<f32>| Measures {
            key: clip.key.clone(),
            first: of_each[0].as_ref().ok().copied(),
            second: of_each[1].as_ref().ok().copied(),
            problem: of_each.into_iter().find_map(Result::err).map(|error| error.detail),
        })
    }
}

/// Two networks over one reading of the clips: each clip is decoded once, and each network fails for itself.
#[test]
fn networks_share_what_was_decoded_and_fail_apart() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = vec![tars(folder.path())];
    let run = |name: &str, workers: usize, batch_size: usize| {
        let step = BatchStep { config: &CONFIG, models: vec![], inputs: &inputs, decoder: &Decoder::new(), batch_size };
        let loudness = LoudnessMeter { floor_db: -100.0 };
        let networks: [(&str, &dyn audsem_media::batch::AnyNetwork<f32>); 2] =
            [("loudness", &loudness), ("small", &SmallMeter)];
        step.run_joint(&networks, &MeasureTables, &options(folder.path().join(name), workers)).unwrap()
    };
    let summary = run("one", 1, 4);
    let part = summary.step("part").unwrap();
    assert_eq!((part.read, part.kept, part.n_failed(), part.n_dropped()), (13, 11, 1, 1));
    assert_eq!((part.counts["decoded"], part.counts["loudness"], part.counts["small"]), (11, 11, 9));
    let rows: Vec<Measures> = read_parquet(&folder.path().join("one/part-00000.parquet")).unwrap();
    assert_eq!(rows.len(), 9);
    for row in &rows {
        let too_long = row.key == "A (5_0-5_5)";
        assert_eq!((row.first.is_some(), row.second.is_some()), (true, !too_long), "{}", row.key);
        assert_eq!(row.problem.as_deref(), too_long.then_some("3 clips fit"));
    }
    let rows: Vec<Measures> = read_parquet(&folder.path().join("one/part-00001.parquet")).unwrap();
    assert_eq!((rows[0].first, rows[0].second), (Some(-100.0), None));
    assert_eq!(rows[0].problem.as_deref(), Some("silence"));
    for (name, workers, batch_size) in [("two", 2, 4), ("alone", 1, 1), ("all", 3, 100)] {
        run(name, workers, batch_size);
        assert_eq!(tree(&folder.path().join("one")).unwrap(), tree(&folder.path().join(name)).unwrap(), "{name}");
    }
}

/// A meter that is asked only about clips that the first network finds short.
struct ShortMeter;

impl ClipNetwork for ShortMeter {
    type Features = usize;
    type Output = f32;

    fn features(&self, clip: &ClipIdentity, sound: &ClipSound) -> Result<usize, ClipError> {
        match clip.key.as_str() {
            "A (1_0-1_5)" => Err(ClipError::new(MediaFault::Unusable, "of another kind")),
            _ => Ok(sound.frames()),
        }
    }

    fn unasked(&self, _: &ClipIdentity, earlier: &[Result<f32, ClipError>]) -> Option<f32> {
        assert_eq!(earlier.len(), 1);
        let is_short = earlier[0].as_ref().is_ok_and(|frames| *frames < 8500.0);
        (!is_short).then_some(-1.0)
    }

    fn forward(&self, batch: &[&usize]) -> Result<Vec<Result<f32, ClipError>>, BatchError> {
        assert!(batch.iter().all(|frames| **frames < 8500), "asked in vain");
        Ok(batch.iter().map(|frames| Ok(**frames as f32)).collect())
    }
}

#[test]
fn a_network_can_depend_on_what_those_before_it_gave() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = vec![tars(folder.path())];
    let run = |name: &str, batch_size: usize| {
        let step = BatchStep { config: &CONFIG, models: vec![], inputs: &inputs, decoder: &Decoder::new(), batch_size };
        let networks: [(&str, &dyn audsem_media::batch::AnyNetwork<f32>); 2] =
            [("small", &SmallMeter), ("short", &ShortMeter)];
        step.run_joint(&networks, &MeasureTables, &options(folder.path().join(name), 1)).unwrap()
    };
    let part = run("one", 4).step("part").unwrap().clone();
    // A clip of which the first network makes nothing, and about which the second is not asked, has no row.
    assert_eq!((part.kept, part.failed["out_of_memory"], part.failed["unusable"]), (9, 1, 1));
    assert_eq!((part.counts["small"], part.counts["short"], part.counts["short_not_asked"]), (9, 8, 5));
    let rows: Vec<Measures> = read_parquet(&folder.path().join("one/part-00000.parquet")).unwrap();
    for row in &rows {
        let expected = row.first.map(|frames| if frames < 8500.0 { frames } else { -1.0 });
        match row.key.as_str() {
            "A (1_0-1_5)" => assert_eq!((row.second, row.problem.as_deref()), (None, Some("of another kind"))),
            _ => assert_eq!(row.second, expected, "{}", row.key),
        }
    }
    run("alone", 1);
    assert_eq!(tree(&folder.path().join("one")).unwrap(), tree(&folder.path().join("alone")).unwrap());
}

/// A meter that has no kernel for clips of 8300 frames, or for any.
struct BrokenMeter {
    always: bool,
}

impl ClipNetwork for BrokenMeter {
    type Features = usize;
    type Output = f32;

    fn features(&self, _: &ClipIdentity, sound: &ClipSound) -> Result<usize, ClipError> {
        assert_eq!(sound.mono_at(sound.sample_rate_hz).unwrap().len(), sound.frames());
        Ok(sound.frames())
    }

    fn forward(&self, batch: &[&usize]) -> Result<Vec<Result<f32, ClipError>>, BatchError> {
        if self.always || batch.iter().any(|frames| **frames == 8300) {
            return Err(BatchError::failed("no kernel"));
        }
        Ok(batch.iter().map(|frames| Ok(**frames as f32)).collect())
    }
}

#[test]
fn a_network_that_fails_takes_neither_other_clips_nor_other_networks_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = vec![tars(folder.path())];
    let run = |name: &str, always: bool| {
        let decoder = Decoder::new();
        let step = BatchStep { config: &CONFIG, models: vec![], inputs: &inputs, decoder: &decoder, batch_size: 4 };
        let (loudness, broken) = (LoudnessMeter { floor_db: -100.0 }, BrokenMeter { always });
        let networks: [(&str, &dyn audsem_media::batch::AnyNetwork<f32>); 2] =
            [("loudness", &loudness), ("broken", &broken)];
        step.run_joint(&networks, &MeasureTables, &options(folder.path().join(name), 1)).unwrap()
    };
    let once = run("once", false);
    let part = once.step("part").unwrap();
    assert_eq!((part.kept, part.counts["loudness"], part.counts["broken"], once.exit_code()), (11, 11, 10, 0));
    let rows: Vec<Measures> = read_parquet(&folder.path().join("once/part-00000.parquet")).unwrap();
    let failed: Vec<&str> = rows.iter().filter(|row| row.second.is_none()).map(|row| row.key.as_str()).collect();
    assert_eq!(failed, ["A (3_0-3_5)"]);
    // A network that never gives anything is no success, although the other one's results are kept.
    let never = run("never", true);
    assert_eq!((never.step("part").unwrap().kept, never.exit_code()), (11, 1));
    assert!(never.verdict()[0].contains("broken"), "{:?}", never.verdict());
}

#[test]
fn a_killed_ffmpeg_leaves_the_shard_open() {
    let folder = tempfile::tempdir().unwrap();
    let opus = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio/opus.webm")).unwrap();
    std::fs::create_dir(folder.path().join("in")).unwrap();
    std::fs::write(folder.path().join("in/a.opus"), opus).unwrap();
    let program = folder.path().join("ffmpeg");
    std::fs::write(&program, "#!/bin/sh\nkill -9 $$\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let run = |program: Program, output: &str| {
        let decoder = Decoder::new().with_ffmpeg(program);
        let inputs = [folder.path().join("in")];
        let step = BatchStep { config: &CONFIG, models: vec![], inputs: &inputs, decoder: &decoder, batch_size: 2 };
        step.run(Some(&LoudnessMeter { floor_db: -100.0 }), &options(folder.path().join(output), 1)).unwrap()
    };
    let summary = run(Program::at(Tool::Ffmpeg, program), "out");
    assert!(summary.failed_shards[0].error.contains("ffmpeg was killed"), "{:?}", summary.failed_shards);
    assert!(!folder.path().join("out/part-00000.done.json").exists());
    let summary = run(Program::find(Tool::Ffmpeg, None).unwrap(), "out");
    assert_eq!(summary.step("part").unwrap().kept, 1);
}
