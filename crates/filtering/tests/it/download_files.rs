//! `download` of media that lie on the disk: the real ffmpeg on files, their names and their places.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use audsem_core::run::{RunOptions, Status, spread};
use audsem_filtering::download::{Config, Cut, Tools, run};
use audsem_media::program::{Program, Tool};

use crate::download::{Span, at, get, get_of, manifest, media_folder, table};
use crate::programs::{ffmpeg, spread_entries, spread_names, video};

/// Mono 16-bit samples of a WAV file that this test wrote itself.
fn wav(path: &Path, rate: u32, samples: &[i16]) {
    let n_bytes = samples.len() as u32 * 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + n_bytes).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * 2).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend(n_bytes.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    fs::write(path, bytes).unwrap();
}

/// Decodes a file to mono 16-bit samples.
fn samples(path: &Path) -> Vec<i16> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-i"]).arg(path).args(["-map", "0:a:0", "-ac", "1", "-f", "s16le", "-"]);
    let out = command.output().unwrap();
    out.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

#[test]
fn files_on_disk_are_cut_at_the_very_sample() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let rate = 44_100;
    let ramp: Vec<i16> = (0..rate * 4).map(|i: u32| (i % 30_011) as i16).collect();
    wav(&media.join("ramp.wav"), rate, &ramp);
    // One click at exactly two seconds, in formats that code with a delay.
    let mut click = vec![0i16; rate as usize * 4];
    click[rate as usize * 2] = 30_000;
    wav(&folder.path().join("click.wav"), rate, &click);
    let click_wav = folder.path().join("click.wav");
    let click_wav = click_wav.to_str().unwrap();
    let picture = ["-f", "lavfi", "-i", "testsrc=s=161x121:r=25:d=4", "-i", click_wav];
    ffmpeg(&[&picture[..], &["-c:v", "libx264", "-c:a", "aac", "-b:a", "256k"]].concat(), &media.join("odd.mp4"));
    ffmpeg(&["-i", click_wav, "-c:a", "libmp3lame", "-b:a", "256k"], &media.join("A title [dQw4w9WgXcQ].mp3"));
    fs::copy(click_wav, media.join("dQw4w9WgXcQ (1.0-5.0).wav")).unwrap();

    let spans = [
        ("ramp", 1234, 2345),
        ("ramp", 3900, 6000),
        ("ramp", 5000, 6000),
        ("odd", 1500, 2750),
        ("dQw4w9WgXcQ", 1500, 2750),
        ("dQw4w9WgXcQ", 1000, 5000),
        ("nobody", 0, 1000),
        ("bad.id", 0, 1000),
        ("ramp", 7, 7),
    ];
    let (input, out) = (table(folder.path(), &spans), folder.path().join("out"));
    let source = media_folder(media);
    let config = Config { inputs: vec![input.clone()], cut: Cut::Exact, max_missing_ms: 300, present_only: true };
    let present = get_of(config, &source, &folder.path().join("present")).unwrap();
    let present = present.step("part").unwrap();
    assert_eq!((present.dropped["not_in_source"], present.failed.get("no_media")), (1, None));
    let summary = get(&input, &source, Cut::Exact, &out).unwrap();
    let part = summary.step("part").unwrap();
    assert_eq!((part.read, part.kept, present.kept), (9, 4, 4));
    let faults = ["short_media", "outside_media", "no_media"].map(|fault| part.failed[fault]);
    assert_eq!((faults, part.failed["bad_key"]), ([1, 1, 1], 2));
    let clips = out.join("clips");
    let names =
        ["dQw4w9WgXcQ (1.0-5.0).wav", "dQw4w9WgXcQ (1.5-2.75).flac", "odd (1.5-2.75).mp4", "ramp (1.234-2.345).flac"];
    let entries = spread_entries(&clips);
    assert_eq!(entries.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);

    let (from, to) = (1234 * rate as usize / 1000, 2345 * rate as usize / 1000);
    let cut = samples(&entries[3].1);
    assert_eq!(cut[..200], ramp[from..from + 200]);
    assert!(cut.len().abs_diff(to - from) <= 1, "{} samples instead of {}", cut.len(), to - from);
    for (name, path) in &entries[1..3] {
        let cut = samples(path);
        let loudest = (0..cut.len()).max_by_key(|&i| cut[i].unsigned_abs()).unwrap();
        assert!(loudest.abs_diff(rate as usize / 2) <= 2, "{name}: the click is at sample {loudest}");
    }
}

/// Pictures of eight seconds, sound of three.
#[test]
fn a_clip_beyond_the_sound_is_a_fault_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let inputs = ["-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=8", "-f", "lavfi", "-i", "sine=f=440:r=44100:d=3"];
    for ending in ["mp4", "mkv"] {
        let codecs = ["-c:v", "libx264", "-c:a", "aac"];
        ffmpeg(&[&inputs[..], &codecs].concat(), &media.join(format!("{ending}.{ending}")));
    }
    let spans = [("mp4", 500, 2000), ("mp4", 2000, 4000), ("mp4", 5000, 7000), ("mkv", 500, 2000), ("mkv", 5000, 7000)];
    let input = table(folder.path(), &spans);
    for cut in [Cut::Exact, Cut::Copy] {
        let out = folder.path().join(format!("{cut:?}"));
        let summary = get(&input, &media_folder(media.clone()), cut, &out).unwrap();
        let part = summary.step("part").unwrap();
        assert_eq!((part.kept, part.failed["sound_ends_early"]), (2, 3), "{cut:?}");
    }
}

/// ffmpeg looks for a moment of ADPCM where an average bit rate would have it, seconds beside.
#[test]
fn adpcm_is_cut_where_the_clip_is() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let rate = 44_100;
    let mut click = vec![0i16; rate * 12];
    click[rate * 9] = 30_000;
    wav(&folder.path().join("click.wav"), rate as u32, &click);
    let source = folder.path().join("click.wav");
    for codec in ["adpcm_ms", "adpcm_ima_wav"] {
        ffmpeg(&["-i", source.to_str().unwrap(), "-c:a", codec], &media.join(format!("{codec}.wav")));
    }
    let input = table(folder.path(), &[("adpcm_ms", 8500, 10_000), ("adpcm_ima_wav", 8500, 10_000)]);
    let out = folder.path().join("out");
    get(&input, &media_folder(media), Cut::Exact, &out).unwrap();
    for (name, path) in spread_entries(&out.join("clips")) {
        let cut = samples(&path);
        let loudest = (0..cut.len()).max_by_key(|&i| cut[i].unsigned_abs()).unwrap();
        assert!(loudest.abs_diff(rate / 2) <= 2, "{name}: the click is at sample {loudest}");
    }
    assert_eq!(spread_names(&out.join("clips")).len(), 2);
}

#[test]
fn copied_streams_keep_their_container_and_their_bytes_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    fs::rename(video(folder.path()), media.join("v.mp4")).unwrap();
    let input = table(folder.path(), &[("v", 2500, 4000), ("v", 100, 1200)]);
    for cut in [Cut::Copy, Cut::Exact] {
        let outs = [1, 2].map(|n| folder.path().join(format!("{cut:?}{n}")));
        for out in &outs {
            get(&input, &media_folder(media.clone()), cut, out).unwrap();
        }
        let rows = manifest(&outs[0]);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows, manifest(&outs[1]));
        for row in rows {
            assert_eq!(fs::read(outs[0].join(&row.file)).unwrap(), fs::read(outs[1].join(&row.file)).unwrap());
        }
    }
}

#[test]
fn playlists_are_no_media_and_ids_in_brackets_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir_all(media.join("more")).unwrap();
    fs::rename(video(folder.path()), media.join("Owls [no-7].mp4")).unwrap();
    fs::copy(media.join("Owls [no-7].mp4"), folder.path().join("secret.mp4")).unwrap();
    for (name, text) in
        [("list.mp4", "ffconcat version 1.0\nfile ../secret.mp4\n"), ("Hen [x].wav", "1"), ("more/Pig [x].wav", "22")]
    {
        fs::write(media.join(name), text).unwrap();
    }
    let input = table(folder.path(), &[("no-7", 500, 1500), ("list", 500, 1500), ("x", 500, 1500), ("y", 500, 1500)]);
    let out = folder.path().join("out");
    let summary = get(&input, &media_folder(media), Cut::Exact, &out).unwrap();
    assert_eq!(spread_names(&out.join("clips")), ["no-7 (0.5-1.5).mp4"]);
    let part = summary.step("part").unwrap();
    let failed = ["unreadable_media", "ambiguous_source", "no_media"].map(|reason| part.failed[reason]);
    assert_eq!(failed, [1, 1, 1]);
}

/// The second track is the default one.
#[test]
fn the_default_track_of_sound_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let inputs = ["-f", "lavfi", "-i", "sine=f=440:r=16000:d=4", "-f", "lavfi", "-i", "sine=f=880:r=16000:d=4"];
    let options = ["-map", "0", "-map", "1", "-c:a", "flac", "-disposition:a:0", "0", "-disposition:a:1", "default"];
    ffmpeg(&[&inputs[..], &options].concat(), &media.join("v.mka"));
    let input = table(folder.path(), &[("v", 1000, 2000)]);
    let out = folder.path().join("out");
    get(&input, &media_folder(media), Cut::Exact, &out).unwrap();
    let cut = samples(&out.join(at("clips", "v", "v (1.0-2.0).flac")));
    let crossings = cut.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
    assert!((1740..1780).contains(&crossings), "{crossings} changes of sign in a second");
}

/// Files that were written while they were recorded have no length in their headers: pictures of six seconds, a click in
/// the sound at three, which ends at five.
#[test]
fn a_file_without_a_length_in_its_header_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let rate = 48_000;
    let mut click = vec![0i16; rate * 5];
    click[rate * 3] = 30_000;
    let wav_path = folder.path().join("click.wav");
    wav(&wav_path, rate as u32, &click);
    for (ending, format, video, audio) in
        [("webm", "webm", "libvpx", "libvorbis"), ("mkv", "matroska", "libx264", "flac")]
    {
        // Into a pipe: the header cannot be written once more at the end.
        let live = media.join(format!("{ending}.{ending}"));
        let made = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x48:r=10:d=6", "-i"])
            .arg(&wav_path)
            .args(["-c:v", video, "-c:a", audio, "-f", format, "pipe:1"])
            .stdout(File::create(&live).unwrap())
            .status()
            .unwrap();
        assert!(made.success());
        // The sound alone, as recorders of speech write it.
        let sound = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-i"])
            .arg(&wav_path)
            .args(["-c:a", audio, "-f", format, "pipe:1"])
            .stdout(File::create(media.join(format!("sound-{ending}.{ending}"))).unwrap())
            .status()
            .unwrap();
        assert!(sound.success());
    }
    let mut spans = Vec::new();
    for ending in ["webm", "mkv"] {
        spans.extend([(ending, 2500, 4000), (ending, 4500, 5900), (ending, 6200, 7000)]);
    }
    spans.extend([("sound-webm", 2500, 4000), ("sound-webm", 5100, 6000), ("sound-mkv", 2500, 4000)]);
    let input = table(folder.path(), &spans);
    let out = folder.path().join("out");
    let summary = get(&input, &media_folder(media), Cut::Exact, &out).unwrap();
    let part = summary.step("part").unwrap();
    assert_eq!((part.kept, part.failed["sound_ends_early"], part.failed["outside_media"]), (4, 2, 3));
    assert_eq!(part.n_failed(), 5);
    for clip in manifest(&out) {
        assert!(clip.media_ms.abs_diff(1500) <= 100, "{clip:?}");
        let cut = samples(&out.join(&clip.file));
        let per_s = if clip.file.ends_with(".mp4") { 48_000 } else { cut.len() * 1000 / clip.media_ms as usize };
        let loudest = (0..cut.len()).max_by_key(|&i| cut[i].unsigned_abs()).unwrap();
        // Matroska has times in milliseconds, which add up while a decoder catches up after a jump.
        assert!(loudest.abs_diff(per_s / 2) <= per_s / 100, "{}: the click is at sample {loudest}", clip.file);
    }
}

/// What yt-dlp once wrote before ids, and what may be an id or not.
#[test]
fn ids_behind_titles_are_found_and_doubtful_ones_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    fs::rename(video(folder.path()), media.join("Some title-dQw4w9WgXcQ.mp4")).unwrap();
    for name in ["Some title [a-b_c-D4e5f].mp4", "More-NightSounds.mp4"] {
        fs::copy(media.join("Some title-dQw4w9WgXcQ.mp4"), media.join(name)).unwrap();
    }
    let ids = ["dQw4w9WgXcQ", "a-b_c-D4e5f", "NightSounds"];
    let input = table(folder.path(), &ids.map(|id| (id, 500, 1500)));
    let out = folder.path().join("out");
    get(&input, &media_folder(media), Cut::Exact, &out).unwrap();
    assert_eq!(spread_names(&out.join("clips")), ["a-b_c-D4e5f (0.5-1.5).mp4", "dQw4w9WgXcQ (0.5-1.5).mp4"]);
    let is_rejects = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("rejects-");
    let rejects = all_files(&out).into_iter().filter(is_rejects);
    let rejects: String = rejects.map(|path| fs::read_to_string(out.join(path)).unwrap()).collect();
    assert!(rejects.contains("rename it to `More [NightSounds].mp4`"), "{rejects}");
}

/// Every file below a run folder, but for those that hold times.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    audsem_core::testing::tree(folder).unwrap().into_keys().collect()
}

#[test]
fn files_of_many_videos_are_spread_and_a_folder_that_was_begun_flat_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir(&media).unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("video{n}")).collect();
    let source = video(folder.path());
    names.iter().for_each(|name| {
        fs::copy(&source, media.join(format!("{name} (0.0-1.0).mp4"))).unwrap();
    });
    let spans: Vec<Span> = names.iter().map(|name| (name.as_str(), 0, 1000)).collect();
    let input = table(folder.path(), &spans);
    let out = folder.path().join("out");
    let summary = get(&input, &media_folder(media.clone()), Cut::Copy, &out).unwrap();
    assert_eq!((summary.status, summary.step("part").unwrap().kept), (Status::Done, 40));
    let entries = |path: &Path| {
        fs::read_dir(path).map_or(0, |entries| entries.filter(|entry| entry.as_ref().unwrap().path().is_file()).count())
    };
    assert_eq!((entries(&out), entries(&out.join("clips"))), (4, 0), "only the records of the run lie at the top");
    assert_eq!(spread_names(&out.join("clips")).len(), 40);
    assert_eq!(manifest(&out).len(), 40);

    // As an earlier version has left it: the marker of a video that is done, and its files, side by side.
    let flat = folder.path().join("flat");
    let one = table(folder.path(), &spans[..1]);
    get(&one, &media_folder(media.clone()), Cut::Copy, &flat).unwrap();
    let place = spread("video0");
    let place = place.split('/').next().unwrap();
    let marker = fs::read_to_string(flat.join(place).join("part-video0.done.json")).unwrap();
    fs::write(flat.join("part-video0.done.json"), marker.replace(&format!("{place}/"), "")).unwrap();
    fs::rename(flat.join(place).join("part-video0.parquet"), flat.join("part-video0.parquet")).unwrap();
    fs::rename(flat.join("clips").join(place).join("video0 (0.0-1.0).mp4"), flat.join("clips/video0 (0.0-1.0).mp4"))
        .unwrap();
    fs::remove_dir_all(flat.join(place)).unwrap();
    fs::remove_dir(flat.join("clips").join(place)).unwrap();
    let before = fs::metadata(flat.join("part-video0.done.json")).unwrap().modified().unwrap();
    let two = table(folder.path(), &spans[..2]);
    let summary = get(&two, &media_folder(media.clone()), Cut::Copy, &flat).unwrap();
    assert_eq!((summary.status, summary.step("part").unwrap().kept), (Status::Done, 2));
    assert_eq!(
        fs::metadata(flat.join("part-video0.done.json")).unwrap().modified().unwrap(),
        before,
        "it was not made anew"
    );
    let paths = all_files(&flat);
    assert!(
        paths.contains(&"part-video1.done.json".into()) && paths.contains(&"clips/video1 (0.0-1.0).mp4".into()),
        "{paths:?}"
    );
    // From scratch it is spread.
    let summary = run(
        &Config { inputs: vec![two], cut: Cut::Copy, max_missing_ms: 300, present_only: false },
        &media_folder(media),
        &Tools {
            ffmpeg: Program::find(Tool::Ffmpeg, None).unwrap(),
            ffprobe: Program::find(Tool::Ffprobe, None).unwrap(),
        },
        &RunOptions { fresh: true, ..RunOptions::new(&flat) },
    );
    assert_eq!(summary.unwrap().status, Status::Done);
    assert!(!flat.join("part-video0.done.json").exists() && flat.join(place).join("part-video0.done.json").exists());
}
