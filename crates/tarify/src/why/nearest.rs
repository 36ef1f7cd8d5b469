//! Keys that are like one that was not found.

use audsem_core::clip_id::ClipId;

use super::wanted::{Wanted, cue};

/// Keys that are told.
const SHOWN: usize = 3;

/// Largest number of letters that a slip of the pen changes.
const SLIP: usize = 2;

/// The keys seen so far that are most like the one that is looked for.
#[derive(Debug)]
pub(super) struct Nearest {
    video_id: String,
    start_ms: Option<u32>,
    /// How unlike each of them is; less is better.
    found: Vec<((usize, u32), String)>,
    /// The last video and its distance: the keys of a video stand together.
    last: Option<(String, usize)>,
}

impl Nearest {
    pub(super) fn new(wanted: &Wanted) -> Self {
        Self { video_id: wanted.video_id().to_owned(), start_ms: wanted.start_ms(), found: Vec::new(), last: None }
    }

    /// Looks at a key of a file.
    pub(super) fn see(&mut self, key: &str) {
        let clip = key.parse::<ClipId>().ok();
        let video_id = clip.as_ref().map(ClipId::video_id).or_else(|| cue(key).map(|(id, _)| id)).unwrap_or(key);
        let distance = match &self.last {
            Some((last, distance)) if last == video_id => *distance,
            _ => {
                let distance = distance(&self.video_id, video_id);
                self.last = Some((video_id.to_owned(), distance));
                distance
            }
        };
        if distance > SLIP.min(self.video_id.chars().count() / 2) {
            return;
        }
        let start_ms = clip.as_ref().map(ClipId::start_ms).or_else(|| cue(key).map(|(_, start)| start));
        let apart = self.start_ms.zip(start_ms).map_or(u32::MAX, |(a, b)| a.abs_diff(b));
        // Who asked for a video is told of videos.
        let name = match (self.start_ms, &clip) {
            (None, _) => video_id.to_owned(),
            (_, Some(clip)) => clip.tar_key(),
            (_, None) => key.to_owned(),
        };
        let place = ((distance, apart), name);
        if self.found.iter().any(|(_, known)| *known == place.1) {
            return;
        }
        self.found.push(place);
        self.found.sort();
        self.found.truncate(SHOWN);
    }

    /// The keys, the likest first.
    pub(super) fn names(&self) -> Vec<String> {
        self.found.iter().map(|(_, name)| name.clone()).collect()
    }
}

/// How many letters are to be changed, added, removed or swapped, upper and lower case being one; at least `SLIP + 1` where
/// the lengths tell that it is more than a slip.
fn distance(a: &str, b: &str) -> usize {
    match a.chars().count().abs_diff(b.chars().count()) > SLIP {
        true => SLIP + 1,
        false => strsim::damerau_levenshtein(&a.to_lowercase(), &b.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_found_and_another_video_is_not() {
        for (wanted, keys, expected) in [
            (
                "dqw4w9wgxcq (1.0-2.0)",
                &["dQw4w9WgXcQ (1_0-2_0)", "aaaaaaaaaaa (1_0-2_0)"][..],
                &["dQw4w9WgXcQ (1_0-2_0)"][..],
            ),
            (
                "night (1.0-2.0)",
                &["night (9_0-12_0)", "night (1_5-2_0)", "day (1_0-2_0)"],
                &["night (1_5-2_0)", "night (9_0-12_0)"],
            ),
            ("nigth", &["night (9_0-12_0)", "night (1_5-2_0)"], &["night"]),
            ("V", &["W (1_0-2_0)"], &[]),
        ] {
            let mut nearest = Nearest::new(&Wanted::parse(wanted));
            keys.iter().for_each(|key| nearest.see(key));
            assert_eq!(nearest.names(), expected, "{wanted}");
        }
    }
}
