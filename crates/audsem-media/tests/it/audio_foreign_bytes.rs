//! Random and damaged bytes: an error or a sound, never a panic, a hang or a sound that breaks its promises.

use std::sync::LazyLock;

use audsem_media::audio::{CheckLimits, Decoder, Verify, check_audio, probe_flac};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::goldens::fixture;

/// The fixtures, with their extensions.
static SOUNDS: LazyLock<Vec<(Vec<u8>, String)>> = LazyLock::new(|| {
    let entries = std::fs::read_dir(fixture("audio")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        (std::fs::read(path).unwrap(), path.extension().unwrap().to_str().unwrap().to_owned())
    };
    paths.iter().map(read).collect()
});

fn feed(bytes: &[u8], extension: Option<&str>) {
    match Decoder::new().max_seconds(2.0).decode_bytes(bytes, extension) {
        Ok(audio) => {
            assert!(audio.frames() > 0 && audio.samples.len() % audio.channels() == 0);
            assert!(audio.duration_s() <= 2.0 && audio.samples.iter().all(|sample| sample.is_finite()));
            assert_eq!(audio.to_mono().len(), audio.frames());
        }
        // Also a panic of a decoder, which is caught and becomes `AudioError::DecoderPanicked`.
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    probe_flac(bytes);
    for verify in [Verify::Fast, Verify::Full] {
        check_audio(bytes, &CheckLimits { max_s: 2.0, ..CheckLimits::DEFAULT }, verify).ok();
    }
}

/// Changes to a file: bytes overwritten, a piece cut out, the end cut off.
#[derive(Debug, Clone)]
struct Damage {
    overwrite: Vec<(Index, u8)>,
    in_front: bool,
    cut_out: Option<(Index, Index)>,
    cut_off: Option<Index>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let overwrite = proptest::collection::vec((any::<Index>(), any::<u8>()), 0..12);
    let cut_out = proptest::option::weighted(0.2, (any::<Index>(), any::<Index>()));
    let cut_off = proptest::option::weighted(0.3, any::<Index>());
    (overwrite, any::<bool>(), cut_out, cut_off).prop_map(|(overwrite, in_front, cut_out, cut_off)| Damage {
        overwrite,
        in_front,
        cut_out,
        cut_off,
    })
}

fn apply(damage: &Damage, bytes: &mut Vec<u8>) {
    // Headers are where a wrong byte does most harm.
    let reach = if damage.in_front { bytes.len().min(200) } else { bytes.len() };
    for (at, value) in &damage.overwrite {
        let at = at.index(reach);
        bytes[at] = *value;
    }
    if let Some((from, to)) = damage.cut_out {
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        bytes.drain(from.min(to)..from.max(to));
    }
    if let Some(end) = damage.cut_off {
        bytes.truncate(end.index(bytes.len()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_000))]

    #[test]
    fn damaged_sounds_do_no_harm(sound: Index, damage in damage(), hint: bool) {
        let (bytes, extension) = sound.get(&SOUNDS);
        let mut bytes = bytes.clone();
        apply(&damage, &mut bytes);
        feed(&bytes, hint.then_some(extension.as_str()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn random_bytes_do_no_harm(
        start in prop::sample::select(vec![
            &b""[..], b"RIFF\0\0\0\0WAVEfmt ", b"fLaC\0\0\0\x22", b"OggS\0\x02", b"\0\0\0\x18ftypmp42", b"\x1aE\xdf\xa3",
            b"ID3\x04\0\0\0\0\0\x01", b"\xff\xfb\x90\x44", b"\xff\xf1\x50\x80", b"FORM\0\0\0\0AIFF", b"caff\0\x01\0\0",
        ]),
        rest in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        feed(&[start, &rest].concat(), None);
    }
}
