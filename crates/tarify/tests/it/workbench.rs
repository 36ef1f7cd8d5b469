//! What the tests of the tools share: real clips, tars of every family, the binary.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use audsem_core::tar::SampleReader;

/// A temporary folder in which the binary is called.
pub(crate) struct Bench(audsem_core::testing::Bench);

impl std::ops::Deref for Bench {
    type Target = audsem_core::testing::Bench;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self(audsem_core::testing::Bench::new(env!("CARGO_BIN_EXE_audsem-tarify")))
    }

    /// Names and contents of a run folder, but for the files that hold times.
    pub(crate) fn tree(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.path(name);
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(&root).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if !["log.jsonl", "timing.json"].contains(&name.as_str()) {
                files.insert(name, fs::read(path).unwrap());
            }
        }
        files
    }

    /// Key and suffixes of each sample of a tar.
    pub(crate) fn names(&self, tar: &str) -> Vec<String> {
        samples(&self.path(tar))
            .into_iter()
            .flat_map(|(key, members)| members.into_iter().map(move |(suffix, _)| format!("{key}.{suffix}")))
            .collect()
    }
}

pub(crate) type Samples = Vec<(String, Vec<(String, Vec<u8>)>)>;

pub(crate) fn samples(tar: &Path) -> Samples {
    let mut reader = SampleReader::open(tar).unwrap();
    let mut samples = Vec::new();
    while let Some(sample) = reader.next_sample().unwrap() {
        samples.push((sample.key, sample.members));
    }
    samples
}

/// A tar of these members, as any other program would write it.
pub(crate) fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, payload) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(payload.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(1_600_000_000);
        header.set_cksum();
        builder.append_data(&mut header, name, *payload).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Makes a small file with ffmpeg.
pub(crate) fn made(arguments: &str, ending: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join(format!("made.{ending}"));
    let done = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error"])
        .args(arguments.split(' '))
        .arg(&output)
        .output()
        .expect("the tests of audsem-tarify need ffmpeg: apt-get install ffmpeg");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::read(output).unwrap()
}

const PICTURE: &str = "-f lavfi -i testsrc=d=0.6:s=96x64:r=10";

/// A clip of 0.6 s with picture and stereo sound.
pub(crate) fn clip() -> &'static [u8] {
    static CLIP: OnceLock<Vec<u8>> = OnceLock::new();
    let arguments = format!("{PICTURE} -f lavfi -i sine=d=0.6:r=44100 -ac 2 -c:v libx264 -preset ultrafast -c:a aac");
    CLIP.get_or_init(|| made(&arguments, "mp4"))
}

/// The same in WebM.
pub(crate) fn webm() -> Vec<u8> {
    made(&format!("{PICTURE} -f lavfi -i sine=d=0.6:r=48000 -c:v vp8 -c:a libvorbis"), "webm")
}

/// A clip with 5.1 sound.
pub(crate) fn surround() -> Vec<u8> {
    made(&format!("{PICTURE} -f lavfi -i sine=d=0.6:r=48000 -ac 6 -c:v libx264 -preset ultrafast -c:a aac"), "mp4")
}

/// A clip without sound.
pub(crate) fn silent_film() -> Vec<u8> {
    made(&format!("{PICTURE} -c:v libx264 -preset ultrafast"), "mp4")
}

/// Sound without picture, in MP4.
pub(crate) fn sound_only() -> Vec<u8> {
    made("-f lavfi -i sine=d=0.6:r=48000 -c:a aac", "mp4")
}

/// What ffprobe says about the streams of a video: `codec_name=h264`, `height=720` and so on.
pub(crate) fn streams(video: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.mp4");
    fs::write(&path, video).unwrap();
    let entries = "stream=codec_name,width,height,avg_frame_rate,sample_rate,channels";
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", entries, "-of", "default=nw=1"])
        .arg(&path)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}
