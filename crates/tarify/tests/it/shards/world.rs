//! A small world of tars and records for the tests, and a look at what comes out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use audsem_core::run::{RunOptions, Summary};
use audsem_core::tar::{Sample, SampleReader, ShardOptions, ShardWriter};
use audsem_media::audio::{BitDepth, Decoder, encode_flac};
use audsem_tarify::shards::{self, Config, Task, ValidSize};
use serde_json::Value;
use tempfile::TempDir;

/// A FLAC of a tone in noise, 16 bits mono, whose first sample is the loudest.
pub(crate) fn flac(rate_hz: u32, seconds: f64, peak: f64) -> Vec<u8> {
    let n = (f64::from(rate_hz) * seconds).round() as usize;
    let mut random = 1u32;
    let mut noise = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(random) / f64::from(u32::MAX) * 2.0 - 1.0
    };
    let sample = |i: usize| if i == 0 { 1.0 } else { 0.5 * (i as f64 * 0.05).sin() + 0.4 * noise() };
    let samples: Vec<f32> = (0..n).map(sample).map(|x| (peak * x) as f32).collect();
    encode_flac(&samples, 1, rate_hz, BitDepth::Sixteen).unwrap()
}

/// Rate, channels and seconds of a FLAC, decoded.
pub(crate) fn decode(flac: &[u8]) -> (u32, usize, f64) {
    let audio = Decoder::new().decode_bytes(flac, Some("flac")).unwrap();
    (audio.sample_rate_hz, audio.channels(), audio.duration_s())
}

/// A tar of audio clips as the stage before writes it: `I.flac`, `I.json` with `original_filename`.
pub(crate) fn audio_tar(clips: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ShardWriter::new(Vec::new(), ShardOptions::default());
    for (number, (name, flac)) in clips.iter().enumerate() {
        let json = serde_json::json!({ "text": "[a sound]", "original_filename": name }).to_string();
        writer.write_sample(&number.to_string(), &[("flac", flac), ("json", json.as_bytes())]).unwrap();
    }
    writer.finish().unwrap().0
}

/// A tar with exactly these members.
pub(crate) fn raw_tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, payload) in members {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", payload.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(payload);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A caption record.
pub(crate) fn caption(file_name: &str, caption: &str) -> Value {
    serde_json::json!({ "file_name": file_name, "caption": caption, "thinking": "It sounds like this, so I say so." })
}

/// Tars and records on disk.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) sources: Vec<PathBuf>,
    records: PathBuf,
}

impl World {
    pub(crate) fn new(tars: &[Vec<u8>], records: &[Value]) -> Self {
        let lines: Vec<String> = records.iter().map(Value::to_string).collect();
        Self::with_text(tars, &lines.join("\n"))
    }

    pub(crate) fn with_text(tars: &[Vec<u8>], records: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: String| folder.path().join(name);
        let sources: Vec<_> = (0..tars.len()).map(|n| path(format!("{n}.tar"))).collect();
        for (path, bytes) in sources.iter().zip(tars) {
            fs::write(path, bytes).unwrap();
        }
        let file = path("records.jsonl".to_owned());
        fs::write(&file, records).unwrap();
        Self { sources, records: file, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn records(&self) -> &Path {
        &self.records
    }

    /// The task's defaults, but no validation split.
    pub(crate) fn config(&self, task: Task) -> Config {
        let mut config = Config::new(task, vec![self.records.clone()], self.sources.clone());
        config.num_valid = ValidSize::Clips(0);
        config
    }

    pub(crate) fn run(&self, config: &Config) -> Outcome {
        self.run_with(config, &RunOptions::new(self.path("out")))
    }

    pub(crate) fn run_with(&self, config: &Config, options: &RunOptions) -> Outcome {
        let summary = shards::run(config, options).unwrap();
        for (step, stats) in &summary.steps {
            assert_eq!(stats.read, stats.accounted(), "step {step} accounts for everything");
        }
        Outcome { folder: options.output.clone(), summary }
    }
}

/// What a run left behind.
pub(crate) struct Outcome {
    pub(crate) folder: PathBuf,
    pub(crate) summary: Summary,
}

impl Outcome {
    /// All samples of a split, shard by shard.
    pub(crate) fn shards(&self, split: &str) -> Vec<Vec<Sample>> {
        let mut tars: Vec<_> = match fs::read_dir(self.folder.join(split)) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => return Vec::new(),
        };
        tars.retain(|path| path.extension().is_some_and(|extension| extension == "tar"));
        tars.sort();
        tars.iter().map(|path| read_all(path)).collect()
    }

    pub(crate) fn samples(&self, split: &str) -> Vec<Sample> {
        self.shards(split).into_iter().flatten().collect()
    }

    pub(crate) fn keys(&self, split: &str) -> Vec<String> {
        self.samples(split).into_iter().map(|sample| sample.key).collect()
    }

    /// The JSON of the train sample with this key.
    pub(crate) fn json(&self, key: &str) -> Value {
        let samples = self.samples("train");
        let sample = samples.iter().find(|sample| sample.key == key).unwrap_or_else(|| panic!("no sample {key}"));
        serde_json::from_slice(sample.get("json").unwrap()).unwrap()
    }

    pub(crate) fn sizes(&self, split: &str) -> BTreeMap<String, u64> {
        serde_json::from_slice(&fs::read(self.folder.join(split).join("sizes.json")).unwrap()).unwrap()
    }

    /// (key, reason) of everything left out, sorted.
    pub(crate) fn rejects(&self) -> Vec<(String, String)> {
        let field = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
        let mut rejects: Vec<_> =
            self.reject_lines().iter().map(|line| (field(line, "key"), field(line, "reason"))).collect();
        rejects.sort();
        rejects
    }

    /// The lines of all files of rejects.
    pub(crate) fn reject_lines(&self) -> Vec<Value> {
        let mut rejects = Vec::new();
        for entry in fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_string_lossy().starts_with("rejects-") {
                for line in fs::read_to_string(&path).unwrap().lines() {
                    rejects.push(serde_json::from_str(line).unwrap());
                }
            }
        }
        rejects
    }

    /// The reasons for which this key was left out.
    pub(crate) fn reasons(&self, key: &str) -> Vec<String> {
        self.rejects().into_iter().filter(|(rejected, _)| rejected == key).map(|(_, reason)| reason).collect()
    }

    /// Every file with its bytes, but for the two that hold times.
    pub(crate) fn tree(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.folder, &self.folder, &mut files);
        files.retain(|name, _| !matches!(name.as_str(), "log.jsonl" | "timing.json"));
        files
    }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

pub(crate) fn read_all(path: &Path) -> Vec<Sample> {
    let mut reader = SampleReader::open(path).unwrap();
    let mut samples = Vec::new();
    while let Some(sample) = reader.next_sample().unwrap() {
        samples.push(sample);
    }
    samples
}
