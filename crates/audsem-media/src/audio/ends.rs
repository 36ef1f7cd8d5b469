//! Whether the sound of a file lasts as long as its pictures.
//!
//! The end of a clip's file is the end of the clip. If the sound stops before the pictures do, the end of the sound is
//! an earlier moment, and what is cut from there is other sound than that of the clip.

use super::AudioError;
use super::mp4_index::{Kind, Mp4Track};
use super::packets::{Packets, StreamSpan};

/// Where sound and pictures end, in seconds from the same start; `None` if the file has no such stream.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Ends {
    pub(super) sound_s: Option<f64>,
    pub(super) pictures_s: Option<f64>,
}

impl Ends {
    /// What the index of an MP4 or MOV file counts; `None` if it does not count every track.
    pub(super) fn of_index(index: &[Mp4Track], sound: u32) -> Option<Ends> {
        let sound_s = index.iter().find(|track| track.id == sound)?.end_s?;
        let pictures = index.iter().filter(|track| track.kind == Kind::Pictures);
        let ends: Vec<f64> = pictures.map(|track| track.end_s).collect::<Option<_>>()?;
        Some(Ends { sound_s: Some(sound_s), pictures_s: ends.into_iter().reduce(f64::max) })
    }

    /// The ends of the packets of a file.
    pub(super) fn of_packets(packets: &Packets) -> Ends {
        let end = |span: Option<StreamSpan>| span.map(|span| span.end_s);
        Ends { sound_s: end(packets.sound), pictures_s: end(packets.pictures) }
    }

    /// Notes a packet of sound or of pictures that ends then.
    pub(super) fn add(&mut self, kind: Kind, end_s: f64) {
        let end = match kind {
            Kind::Sound => &mut self.sound_s,
            Kind::Pictures => &mut self.pictures_s,
            Kind::Other => return,
        };
        *end = Some(end.map_or(end_s, |so_far| so_far.max(end_s)));
    }

    /// # Errors
    /// [`AudioError::EndsEarly`] if the sound ends more than `tolerance_s` before the pictures.
    pub(super) fn check(self, tolerance_s: f64) -> Result<(), AudioError> {
        match self {
            Ends { sound_s: Some(sound_s), pictures_s: Some(pictures_s) } if sound_s + tolerance_s < pictures_s => {
                Err(AudioError::EndsEarly { sound_s, pictures_s })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_may_end_a_little_before_the_pictures() {
        let ends = Ends { sound_s: Some(0.023), pictures_s: Some(3.0 / 25.0) };
        assert!(ends.check(0.1).is_ok());
        assert!(matches!(ends.check(0.05), Err(AudioError::EndsEarly { .. })));
        assert!(Ends { pictures_s: None, ..ends }.check(0.0).is_ok());
    }
}
