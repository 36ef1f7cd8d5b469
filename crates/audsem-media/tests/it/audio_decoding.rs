//! Every container and codec against what ffmpeg decodes, and torchaudio's resampler.

use audsem_core::run::ShardError;
use audsem_media::audio::{Audio, AudioError, Decoder, KernelPrecision, SincHann};
use audsem_media::program::{Program, Tool};

use crate::goldens::{Goldens, fixture};

fn ffmpeg() -> Program {
    Program::find(Tool::Ffmpeg, None).unwrap()
}

/// Decodes a file of fixtures/audio both ways and compares them.
fn decode(decoder: &Decoder, name: &str) -> Result<Audio, AudioError> {
    let path = fixture("audio").join(name);
    let by_path = decoder.decode_file(&path);
    let extension = path.extension().map(|extension| extension.to_str().unwrap());
    let by_bytes = decoder.decode_bytes(&std::fs::read(&path).unwrap(), extension);
    match (&by_path, &by_bytes) {
        (Ok(a), Ok(b)) => assert_eq!(a, b, "{name}"),
        (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string(), "{name}"),
        (a, b) => panic!("{name}: {a:?} but {b:?}"),
    }
    by_path
}

/// The greatest difference in steps of 16-bit samples, ours before rounding.
fn worst(ours: &[f32], theirs: &[i16]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    // Lossy codecs overshoot full scale, which 16 bits cannot hold.
    let steps = |sample: f32| (sample * 32768.0).clamp(-32768.0, 32767.0);
    ours.iter().zip(theirs).map(|(&ours, &theirs)| (steps(ours) - f32::from(theirs)).abs()).fold(0.0, f32::max)
}

#[test]
fn every_sound_decodes_to_what_ffmpeg_gives() {
    let goldens = Goldens::open("decode.safetensors");
    let decoder = Decoder::new().with_ffmpeg(ffmpeg());
    let names: Vec<&str> = goldens.names().filter(|name| !name.starts_with("mono/")).collect();
    assert!(names.len() >= 33, "{names:?}");
    for name in names {
        let audio = decode(&decoder, name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!([audio.frames(), audio.channels()], goldens.shape(name), "{name}");
        // Half a step is the rounding of the golden; lossy codecs differ in the last bits of their transforms.
        let off = worst(&audio.samples, &goldens.i16(name));
        assert!(off <= 0.55, "{name}: off by {off} steps");
    }
}

#[test]
fn the_built_in_decoders_read_all_but_the_named_few() {
    let goldens = Goldens::open("decode.safetensors");
    let mut refused: Vec<&str> = goldens
        .names()
        .filter(|name| !name.starts_with("mono/"))
        .filter(|name| match decode(&Decoder::new(), name) {
            Ok(_) => false,
            Err(AudioError::Unsupported { .. }) => true,
            Err(error) => panic!("{name}: {error}"),
        })
        .collect();
    refused.sort_unstable();
    assert_eq!(refused, ["aac-surround.m4a", "ac3.mp4", "opus.webm", "vorbis-surround.mkv"]);
}

/// What the reference pipeline asks of ffmpeg: `-ac 1` to 16-bit samples.
#[test]
fn surround_is_mixed_as_by_ffmpeg() {
    let goldens = Goldens::open("decode.safetensors");
    let decoder = Decoder::new().with_ffmpeg(ffmpeg());
    let names: Vec<&str> = goldens.names().filter_map(|name| name.strip_prefix("mono/")).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        let audio = decode(&decoder, name).unwrap();
        assert_eq!(audio.channels(), 6, "{name}");
        let off = worst(&audio.to_mono(), &goldens.i16(&format!("mono/{name}")));
        assert!(off <= 0.55, "{name}: off by {off} steps");
    }
}

#[test]
fn a_video_without_sound_is_said_to_have_none() {
    for decoder in [Decoder::new(), Decoder::new().with_ffmpeg(ffmpeg())] {
        let error = decode(&decoder, "video-without-sound.mp4").unwrap_err();
        assert!(matches!(error, AudioError::NoAudioTrack), "{error}");
    }
}

#[test]
fn a_file_cut_short_is_never_taken_for_a_whole_one() {
    let decoder = Decoder::new().with_ffmpeg(ffmpeg());
    // Streams of frames without a count: what is left of them is a whole, shorter file.
    let endless = ["mp3-mono.mp3", "mp3-stereo.mp3", "aac.aac", "aac-fragmented.mp4", "vorbis.ogg"];
    let mut seen = 0;
    for entry in std::fs::read_dir(fixture("audio")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if endless.contains(&name) || name == "video-without-sound.mp4" {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        for share in [0.3, 0.6, 0.9] {
            let cut = &bytes[..(bytes.len() as f64 * share) as usize];
            match decoder.decode_bytes(cut, path.extension().and_then(|e| e.to_str())) {
                Err(AudioError::Truncated { .. } | AudioError::Undecodable { .. }) => seen += 1,
                other => panic!("{name} cut to {share}: {:?}", other.map(|audio| audio.frames())),
            }
        }
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn limits_and_missing_files_are_told() {
    let check = |result: Result<Audio, AudioError>, expected: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    let short = Decoder::new().max_seconds(0.1);
    check(decode(&short, "flac16.flac"), "it is longer than 0.1 s");
    check(decode(&short, "s16.wav"), "it is longer than 0.1 s");
    check(decode(&short.with_ffmpeg(ffmpeg()), "opus.webm"), "it is longer than 0.1 s");
    check(Decoder::new().decode_file(&fixture("audio/no-such.wav")), "cannot read");
    check(Decoder::new().decode_file(&fixture("audio")), "cannot read");
    check(Decoder::new().decode_bytes(b"", None), "it holds no sound");
    let text = b"only a text, but long enough to look like something else than nothing at all".repeat(50);
    check(Decoder::new().decode_bytes(&text, Some("txt")), "the built-in decoders cannot read it");
    // In plain words: no temporary path, and no advice to do what was done.
    check(
        Decoder::new().with_ffmpeg(ffmpeg()).decode_bytes(&text, None),
        "the built-in decoders cannot read it: no known container; and ffmpeg failed (exit code 1): input: Invalid data found",
    );
}

#[test]
fn a_missing_ffmpeg_is_told_apart_from_a_bad_file() {
    let decoder = Decoder::new().with_ffmpeg(Program::at(Tool::Ffmpeg, "/nowhere/ffmpeg"));
    assert!(decode(&decoder, "vorbis.ogg").is_ok());
    let error = decode(&decoder, "opus.webm").unwrap_err();
    assert!(error.to_string().contains("apt-get install ffmpeg"), "{error}");
    assert!(matches!(error.of_record("k"), Err(ShardError::Fatal(_))));
}

/// A writer to a pipe leaves the sizes open.
#[test]
fn a_wav_with_open_sizes_is_read_to_its_end() {
    let ffmpeg = ffmpeg();
    let file = fixture("audio/s16.wav");
    let piped = ffmpeg.call().args(["-v", "error", "-i"]).arg(&file).args(["-f", "wav", "-"]).output().unwrap();
    assert_eq!(piped[4..8], [0xff; 4]);
    let audio = Decoder::new().decode_bytes(&piped, None).unwrap();
    assert_eq!(audio, Decoder::new().decode_file(&file).unwrap());
}

#[test]
fn the_windowed_sinc_is_torchaudios() {
    let goldens = Goldens::open("resample.safetensors");
    let input = goldens.f32("input");
    let mut compared = 0;
    for (kind, precision) in [("double", KernelPrecision::Double), ("single", KernelPrecision::Single)] {
        for name in goldens.names().filter(|name| name.starts_with(kind)) {
            let rates: Vec<u32> = name.split('.').skip(1).map(|rate| rate.parse().unwrap()).collect();
            let output = SincHann::new(rates[0], rates[1], precision).unwrap().apply(&input);
            let expected = goldens.f32(name);
            assert_eq!(output.len(), expected.len(), "{name}");
            let off = output.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= 1e-6, "{name}: off by {off}");
            compared += 1;
        }
    }
    assert_eq!(compared, 14);
}
