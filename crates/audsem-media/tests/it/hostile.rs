//! Texts in the clothes of media, which make ffmpeg open the files they name.

use std::fs;
use std::path::{Path, PathBuf};

use audsem_media::audio::{AudioError, Decoder};
use audsem_media::program::{Program, Tool};

fn ffmpeg() -> Program {
    Program::find(Tool::Ffmpeg, None).unwrap()
}

/// A second of sound.
fn make(codec: &[&str], path: &Path) {
    let ffmpeg = ffmpeg();
    let call = ffmpeg.call().args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "sine=f=440:d=1"]);
    call.args(codec).arg(path).output().unwrap();
}

/// A sound that nobody shall hear, as WAV and as AAC in MP4.
fn secret(folder: &Path) -> [PathBuf; 2] {
    ["secret.wav", "secret.mp4"].map(|name| {
        let path = folder.join(name);
        make(&[], &path);
        path
    })
}

/// What the texts are, and what they are called.
fn texts(folder: &Path) -> Vec<(&'static str, String)> {
    let [wav, mp4] = secret(folder).map(|path| path.display().to_string());
    let hls = format!("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{mp4}\n#EXT-X-ENDLIST\n");
    let dash = format!(
        "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" mediaPresentationDuration=\"PT1S\"><Period><AdaptationSet \
         mimeType=\"audio/mp4\"><Representation id=\"1\" bandwidth=\"1\"><BaseURL>file:{mp4}</BaseURL>\
         <SegmentBase indexRange=\"0-1\"/></Representation></AdaptationSet></Period></MPD>"
    );
    vec![
        ("clip.mp4", hls.clone()),
        ("clip.mp3", hls.clone()),
        ("clip.m3u8", hls.clone()),
        ("tagged.mp3", format!("ID3\x04\0\0\0\0\0\x0a{}{hls}", "\0".repeat(10))),
        ("clip.wav", format!("ffconcat version 1.0\nfile '{wav}'\n")),
        ("bare.wav", format!("file '{wav}'\n")),
        ("marked.flac", format!("\u{feff}ffconcat version 1.0\nfile {wav}\n")),
        ("dash.m4a", format!("<?xml version=\"1.0\"?>\n{dash}")),
        ("dash.mp4", dash),
        ("call.wav", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=audio 9 RTP/AVP 0\n".to_owned()),
        ("list.ogg", format!("[playlist]\nFile1={wav}\n")),
    ]
}

#[test]
fn playlists_that_are_called_like_media_are_never_followed() {
    let folder = tempfile::tempdir().unwrap();
    let decoder = Decoder::new().with_ffmpeg(ffmpeg());
    let mut refused_at_once = 0;
    for (name, text) in texts(folder.path()) {
        let file = folder.path().join(name);
        fs::write(&file, &text).unwrap();
        let extension = file.extension().unwrap().to_str();
        for result in [decoder.decode_file(&file), decoder.decode_bytes(text.as_bytes(), extension)] {
            let error = result.map(|audio| audio.duration_s()).unwrap_err();
            refused_at_once += usize::from(matches!(error, AudioError::NamesFiles { .. }));
        }
        for program in [Program::find(Tool::Ffprobe, None).unwrap(), ffmpeg()] {
            let call = program.call().args(["-v", "error"]).input(&file);
            let call = if program.tool() == Tool::Ffmpeg { call.args(["-f", "wav", "pipe:1"]) } else { call };
            // A name may make them take a text for damaged FLAC, which holds nothing.
            let output = call.output().unwrap_or_default();
            assert!(output.len() < 200, "{name}: {} bytes by {}", output.len(), program.tool());
        }
    }
    // All but the one behind a tag, which ffmpeg's list of formats refuses.
    assert_eq!(refused_at_once, 20);
}

/// Without this the test above could pass because the playlists are broken.
#[test]
fn ffmpeg_alone_does_follow_such_a_playlist() {
    let folder = tempfile::tempdir().unwrap();
    let texts = texts(folder.path());
    let mut followed = 0;
    for (name, text) in &texts {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        let ffmpeg = ffmpeg();
        let with = |options: &[&str]| {
            let call = ffmpeg.call().args(["-nostdin", "-v", "quiet", "-protocol_whitelist", "file"]).args(options);
            call.arg("-i").arg(&file).args(["-f", "wav", "pipe:1"]).output()
        };
        let (sound, plain) = (with(&["-safe", "0"]), with(&[]));
        followed += usize::from(sound.or(plain).is_ok_and(|sound| sound.len() > 40_000));
    }
    assert!(followed >= 3, "{followed} of {}", texts.len());
}

/// Adds bytes to the end of a box and to the sizes of all boxes around it.
fn grow(file: &mut Vec<u8>, path: &[&[u8; 4]], more: &[u8]) {
    let mut at = 0;
    for (depth, kind) in path.iter().enumerate() {
        while &file[at + 4..at + 8] != *kind {
            at += u32::from_be_bytes(*file[at..].first_chunk().unwrap()) as usize;
        }
        let size = u32::from_be_bytes(*file[at..].first_chunk().unwrap());
        file[at..at + 4].copy_from_slice(&(size + more.len() as u32).to_be_bytes());
        if depth + 1 == path.len() {
            let end = at + size as usize;
            file.splice(end..end, more.iter().copied());
            // The flag "in this file" goes.
            file[at + 11] = 0;
        }
        at += if *kind == b"dref" { 16 } else { 8 };
    }
}

#[test]
fn sound_that_a_film_has_in_another_file_is_not_taken_for_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("film.mov");
    make(&["-c:a", "pcm_s16le"], &file);
    let mut bytes = fs::read(&file).unwrap();
    let decoder = Decoder::new().with_ffmpeg(ffmpeg());
    assert_eq!(decoder.decode_bytes(&bytes, Some("mov")).unwrap().frames(), 44_100);
    let path = [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref", b"url "];
    grow(&mut bytes, &path, b"file:///etc/secret.wav\0");
    let error = decoder.decode_bytes(&bytes, Some("mov")).unwrap_err();
    assert!(matches!(error, AudioError::NamesFiles { .. }), "{error}");
}
