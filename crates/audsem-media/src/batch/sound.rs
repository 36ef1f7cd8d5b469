//! The sound of a clip, decoded once and resampled once for each rate that networks ask for.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;

use crate::audio::{Audio, AudioError, resample};

/// The decoded sound of a clip, as all networks of a run share it.
#[derive(Debug)]
pub struct ClipSound {
    audio: Audio,
    /// All channels mixed to one, at the rates that were asked for.
    mono: RefCell<Vec<(u32, Rc<[f32]>)>>,
}

impl ClipSound {
    /// A decoded sound.
    pub fn new(audio: Audio) -> Self {
        Self { audio, mono: RefCell::new(Vec::new()) }
    }

    /// All channels mixed to one, at a sample rate; see [`resample`].
    ///
    /// # Errors
    /// [`AudioError::SampleRate`].
    pub fn mono_at(&self, rate_hz: u32) -> Result<Rc<[f32]>, AudioError> {
        let mut known = self.mono.borrow_mut();
        if let Some((_, samples)) = known.iter().find(|(rate, _)| *rate == rate_hz) {
            return Ok(Rc::clone(samples));
        }
        let samples: Rc<[f32]> = resample(&self.audio.to_mono(), self.audio.sample_rate_hz, rate_hz)?.into();
        known.push((rate_hz, Rc::clone(&samples)));
        Ok(samples)
    }
}

impl Deref for ClipSound {
    type Target = Audio;

    fn deref(&self) -> &Audio {
        &self.audio
    }
}
