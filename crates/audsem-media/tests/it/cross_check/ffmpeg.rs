//! Files made by ffmpeg, and what ffmpeg decodes from files.

use std::path::{Path, PathBuf};

use audsem_media::program::{Program, Tool};

use super::rows::Row;

/// What a source sounds like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) rate_hz: u32,
    pub(super) channels: u16,
    pub(super) seconds: f64,
}

/// Decoded sound.
#[derive(Debug, PartialEq)]
pub(super) struct Reference {
    pub(super) rate_hz: u32,
    pub(super) channels: usize,
    pub(super) samples: Vec<f32>,
}

pub(super) fn program() -> Program {
    Program::find(Tool::Ffmpeg, None).unwrap()
}

/// Runs ffmpeg.
pub(super) fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Vec<u8> {
    let call = program().call().args(["-nostdin", "-v", "error", "-y"]).args(arguments).output();
    call.unwrap_or_else(|error| panic!("{error}"))
}

/// Tones, noise and a moment of silence, different in each channel, as a file of 32-bit floats; and the arguments
/// with which ffmpeg reads it.
pub(super) fn source(folder: &Path, shape: Shape) -> Vec<String> {
    let frames = (shape.seconds * f64::from(shape.rate_hz)) as u32;
    let mut state = 1_u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut bytes = Vec::new();
    for n in 0..frames {
        let turn = n as f32 / shape.rate_hz as f32 * std::f32::consts::TAU;
        let loud = if n * 10 / frames == 7 { 0.0 } else { 1.0 };
        for channel in 0..shape.channels {
            let tone = (turn * (220.0 + 150.0 * f32::from(channel))).sin() * 0.3 + (turn * 1_310.0).sin() * 0.2;
            bytes.extend((loud * (tone + 0.05 * noise())).to_le_bytes());
        }
    }
    let file = folder.join(format!("{}-{}.f32", shape.rate_hz, shape.channels));
    std::fs::write(&file, bytes).unwrap();
    let (rate, channels) = (shape.rate_hz.to_string(), shape.channels.to_string());
    ["-f", "f32le", "-ar", &rate, "-ac", &channels, "-i", file.to_str().unwrap()].map(String::from).to_vec()
}

/// A file and whether the built-in decoders read it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) file: PathBuf,
    pub(super) built_in: bool,
}

/// Makes all files of the rows in one process: an ffmpeg takes longer to start than to encode a second.
pub(super) fn encode(folder: &Path, shape: Shape, rows: &[Row]) -> Vec<Made> {
    let mut arguments = source(folder, shape);
    let mut files = Vec::new();
    for row in rows {
        let built_in = row.built_in.iter().map(|name| (name, true));
        for (name, built_in) in built_in.chain(row.by_ffmpeg.iter().map(|name| (name, false))) {
            let file = folder.join(format!("{}.{name}", row.codec[0]));
            arguments.extend(["-strict", "-2", "-c:a"].into_iter().chain(row.codec.iter().copied()).map(String::from));
            arguments.push(file.to_str().unwrap().to_owned());
            files.push(Made { file, built_in });
        }
    }
    run(&arguments);
    files
}

/// What ffmpeg decodes from each file, a few processes for all.
pub(super) fn decode_all(files: &[Made]) -> Vec<Reference> {
    let target = |file: &Path| PathBuf::from(format!("{}.reference", file.display()));
    for some in files.chunks(24) {
        let mut arguments: Vec<String> = Vec::new();
        for Made { file, .. } in some {
            arguments.extend(["-i".to_owned(), file.to_str().unwrap().to_owned()]);
        }
        for (index, Made { file, .. }) in some.iter().enumerate() {
            arguments.extend(["-map", &format!("{index}:a:0"), "-c:a", "pcm_f32le", "-f", "wav"].map(String::from));
            arguments.push(target(file).to_str().unwrap().to_owned());
        }
        run(&arguments);
    }
    files.iter().map(|made| read_wav(&std::fs::read(target(&made.file)).unwrap())).collect()
}

/// What ffmpeg decodes from a file, of the track it chooses.
pub(super) fn decode(file: &Path) -> Reference {
    let file = file.to_str().unwrap();
    read_wav(&run(["-i", file, "-vn", "-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]))
}

/// Reads a WAV file of 32-bit floats as ffmpeg writes it.
fn read_wav(bytes: &[u8]) -> Reference {
    // The format chunk comes first; the sizes are left open where the file went through a pipe.
    let data = bytes.windows(4).position(|id| id == b"data").unwrap() + 8;
    let samples = bytes[data..].as_chunks::<4>().0.iter().map(|sample| f32::from_le_bytes(*sample)).collect();
    let rate_hz = u32::from_le_bytes(bytes[24..28].try_into().unwrap());
    Reference { rate_hz, channels: usize::from(bytes[22]), samples }
}
