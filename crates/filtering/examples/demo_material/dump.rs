//! The captions dump: made videos among many that only talk, and everything that real dumps get wrong.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::video::Cue;

/// Everything that is written at random comes from this seed.
const SEED: u64 = 20_240_601;

/// Texts of `chatter.tsv` by kind, and first names for them.
pub(crate) struct Chatter {
    kinds: BTreeMap<String, Vec<String>>,
    names: Vec<String>,
    random: ChaCha8Rng,
}

impl Chatter {
    /// Sorts the lines of `chatter.tsv` by kind.
    pub(crate) fn new(table: &str, names: &str) -> Self {
        let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (kind, text) in table.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'))
        {
            kinds.entry(kind.to_owned()).or_default().push(text.to_owned());
        }
        let names = names.lines().map(str::to_owned).collect();
        Self { kinds, names, random: ChaCha8Rng::seed_from_u64(SEED) }
    }

    fn text(&mut self, kind: &str) -> String {
        let texts = &self.kinds[kind];
        let mut text = texts.choose(&mut self.random).expect("every kind has texts").clone();
        while text.contains("{name}") {
            let name = self.names.choose(&mut self.random).expect("there are names");
            text = text.replacen("{name}", name, 1);
        }
        text.replace("{n}", &self.random.random_range(2..10).to_string())
    }

    /// A cue as the dump writes it; `dur` in ms.
    fn cue(text: &str, start_ms: u32, duration_ms: u32) -> Value {
        json!({ "t": text, "-start": seconds(start_ms), "-dur": seconds(duration_ms) })
    }

    /// The lines of a track that starts at `from_ms` and has no sound captions.
    fn talk(&mut self, lines: usize, from_ms: u32, bracketed: bool) -> Vec<Value> {
        let mut at_ms = from_ms;
        let mut cues = Vec::with_capacity(lines);
        for _ in 0..lines {
            let kind = match self.random.random_range(0..100) {
                0..12 if bracketed => "aside",
                12..24 if bracketed => "loose",
                24..30 => "lyric",
                _ => "line",
            };
            // One bracketed line in eight flashes by or stands for too long.
            let duration_ms = match self.random.random_range(0..16) {
                0 => self.random.random_range(150..950),
                1 => self.random.random_range(10_050..15_000),
                _ => self.random.random_range(1_000..6_000),
            };
            let text = self.text(kind);
            if self.random.random_range(0..200) == 0 {
                cues.push(json!({ "-start": seconds(at_ms), "-dur": seconds(duration_ms) }));
            } else {
                cues.push(Self::cue(&text, at_ms, duration_ms));
            }
            at_ms += duration_ms + self.random.random_range(0..900);
        }
        cues
    }

    /// The track of a video with sounds: its captions, and plain speech in the gaps between them.
    fn sounds(&mut self, captions: &[Cue]) -> Vec<Value> {
        let mut cues = Vec::new();
        let mut free_from_ms = 0;
        for caption in captions {
            if caption.start_ms > free_from_ms + 1_500 {
                let text = self.text("line");
                cues.push(Self::cue(&text, free_from_ms + 200, 1_200));
            }
            let text = match self.random.random_range(0..6) {
                0 => format!("({})", caption.text),
                1 => format!("[{}]", caption.text.to_uppercase()),
                2 => format!("[{}]\n", caption.text),
                3 => format!("[{}{}]", caption.text[..1].to_uppercase(), &caption.text[1..]),
                _ => format!("[{}]", caption.text),
            };
            cues.push(Self::cue(&text, caption.start_ms, caption.duration_ms));
            free_from_ms = caption.start_ms + caption.duration_ms;
        }
        cues
    }

    fn video_id(&mut self) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (0..11).map(|_| char::from(*LETTERS.choose(&mut self.random).expect("there are letters"))).collect()
    }

    fn foreign_track(&mut self) -> Value {
        let lang = *["de", "es", "fr"].choose(&mut self.random).expect("three languages");
        let cues: Vec<Value> = (0..6).map(|i| Self::cue(&self.text(lang), i * 4_000, 3_000)).collect();
        track(lang, cues)
    }

    /// One video that only talks. Three in twenty have brackets, as some captioners use them for anything.
    fn talking_video(&mut self) -> Value {
        let (lines, bracketed) = (self.random.random_range(10..60), self.random.random_range(0..20) < 3);
        let mut tracks = Vec::new();
        if self.random.random_range(0..5) == 0 {
            tracks.push(self.foreign_track());
        }
        match self.random.random_range(0..40) {
            // Another code for English is not taken unless it is asked for.
            0 => tracks.push(track("en-GB", self.talk(lines, 300, bracketed))),
            // A track of one line is an object, not a list of one.
            1 => tracks.push(track("en", self.talk(1, 300, true).pop().expect("one line"))),
            2 => tracks.push(json!({ "lang": "en", "subtitles": null })),
            _ => tracks.push(track("en", self.talk(lines, 300, bracketed))),
        }
        video(&self.video_id(), tracks)
    }
}

/// Writes the dump: `talking` videos without sounds, with the made videos spread among them.
pub(crate) fn write(
    out: &mut impl Write,
    chatter: &mut Chatter,
    made: &[(String, Vec<Cue>)],
    talking: usize,
) -> io::Result<()> {
    let every = (talking / made.len().max(1)).max(1);
    let mut made = made.iter();
    for i in 0..talking {
        if i % every == every / 2
            && let Some((id, captions)) = made.next()
        {
            let tracks = vec![track("en", chatter.sounds(captions)), chatter.foreign_track()];
            writeln!(out, "{}", video(id, tracks))?;
        }
        let video = chatter.talking_video();
        match i % 97 {
            // Cut off in the middle, as after a crash of the crawler.
            31 => {
                let line = video.to_string();
                let cut = (0..=line.len() / 2).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
                writeln!(out, "{}", &line[..cut])?;
            }
            // The same thing over many lines.
            67 => writeln!(out, "{}", serde_json::to_string_pretty(&video)?)?,
            _ => writeln!(out, "{video}")?,
        }
    }
    for (id, captions) in made {
        writeln!(out, "{}", video(id, vec![track("en", chatter.sounds(captions))]))?;
    }
    Ok(())
}

fn video(id: &str, tracks: Vec<Value>) -> Value {
    json!({ "video": { "videoid": id }, "captions": tracks })
}

fn track(lang: &str, text: impl Into<Value>) -> Value {
    json!({ "lang": lang, "subtitles": { "transcript": { "text": text.into() } } })
}

/// Milliseconds as the dump prints seconds: without trailing zeros.
fn seconds(ms: u32) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
